// Roots and node certificates for tests of links, good and bad ones.
#pragma once

#include <chrono>
#include <string>

#include "runtime/crypto/x509.hpp"
#include "runtime/link/credentials.hpp"

namespace swarm::test {

inline wall_ns wall_now() {
  return std::chrono::duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// A cluster's root and what it signs.
class link_pki {
public:
  explicit link_pki(std::string cluster = "cluster1") : cluster_{std::move(cluster)} {}

  struct leaf_options {
    std::string unit = "swarm-manager";
    std::string cluster = {};                  ///< "" = this one's
    duration begins = -hours{1};               ///< from now
    duration ends = hours{24};
  };
  [[nodiscard]] link::credentials node(const std::string& id, leaf_options opts) const {
    const auto key = crypto::private_key::generate();
    crypto::leaf_request request;
    request.public_key_der = key.public_key_der();
    request.subject = {opts.cluster.empty() ? cluster_ : opts.cluster, opts.unit, id};
    request.dns_names = {id};
    request.when = {wall_now() + opts.begins.count(), wall_now() + opts.ends.count()};
    const auto leaf = crypto::issue_leaf(root_, key_, request);
    return {request.subject.organization, leaf->pem(), key.pem(), root_.pem()};
  }
  [[nodiscard]] link::credentials manager(const std::string& id) const { return node(id, {}); }
  [[nodiscard]] link::credentials worker(const std::string& id) const { return node(id, {"swarm-worker"}); }
  [[nodiscard]] std::string root_pem() const { return root_.pem(); }
  [[nodiscard]] const std::string& cluster() const { return cluster_; }

  static std::shared_ptr<link::credential_store> store(const link::credentials& with) {
    auto out = std::make_shared<link::credential_store>();
    if (const auto why = out->replace(with); !why.ok())
      throw std::runtime_error{why.message};
    return out;
  }

private:
  std::string cluster_;
  crypto::private_key key_ = crypto::private_key::generate();
  crypto::certificate root_ = crypto::issue_root(
      key_, "swarm-ca", {wall_now() - duration{hours{1}}.count(), wall_now() + duration{hours{1000}}.count()});
};

} // namespace swarm::test
