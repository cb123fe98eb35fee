// Who gets a certificate, for which role, and when a new root has taken over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "messages/ca.pb.h"
#include "messages/errors.hpp"
#include "messages/store.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::ca {

struct options {
  std::size_t joining_max = 64; ///< nodes whose Node object is being committed; more are told to try again
  /// Attempts to join, whatever their token, as a token bucket: nobody guesses tokens faster, or keeps the CA busy with
  /// requests that cost it a signature each.
  std::int64_t join_attempts_per_second = 100;
  std::int64_t join_attempts_burst = 1000; ///< so many hosts may join at once
};

/// Certificates are not stored: whoever may have one gets a fresh one. What is stored is the Node object, which a valid
/// join token makes, and which holds the digest of the key that it was made for, so that repeating a request whose answer
/// was lost is harmless and a token does not give certificates in the name of other nodes.
class core {
public:
  core(options opts, random_source rng) : opts_{opts}, rng_{rng} {}

  void load(const StoreSnapshot& snapshot);
  void apply(const EventBatch& batch);

  /// What a joining node compares with its token: while the root is being replaced, the old one.
  [[nodiscard]] std::optional<RootCertificate> root() const;

  /// With a command: `answer` holds once it is committed; call joined() then, or when it has failed.
  struct decision {
    failure refused;
    std::optional<Command> command;
    NodeCertificateIssued answer;
  };
  [[nodiscard]] decision join(wall_ns now, const IssueNodeCertificate& request);
  void joined();
  /// The state must reflect everything acknowledged: a demoted manager shall not get another manager's certificate.
  [[nodiscard]] decision renew(wall_ns now, const RenewNodeCertificate& request) const;

  /// Ends a rotation when the last node has renewed. One Command at a time: call written() when its outcome is known.
  [[nodiscard]] std::optional<Command> next_command(wall_ns now);
  void written() { writing_ = false; }

  [[nodiscard]] std::size_t nodes() const { return nodes_.size(); }
  [[nodiscard]] std::size_t lagging() const { return lagging_.size(); } ///< have not renewed yet
  [[nodiscard]] bool rotating() const { return cluster_ && cluster_->root_ca().has_rotation(); }
  [[nodiscard]] std::string dump() const;

private:
  struct known {
    NodeRole role = NODE_ROLE_UNSPECIFIED;
    std::string join_key_sha256;
    NodeTLSInfo tls_info;
  };
  void put(const Node& node);
  void put(const Cluster& cluster);
  void compare(const std::string& id, const known& node);
  [[nodiscard]] bool is_removed(const std::string& id) const;
  [[nodiscard]] bool may_attempt(wall_ns now);
  [[nodiscard]] decision certify(wall_ns now, const std::string& node_id, NodeRole role, const std::string& key) const;

  options opts_;
  random_source rng_;
  std::optional<Cluster> cluster_;
  std::map<std::string, known, std::less<>> nodes_;
  std::set<std::string, std::less<>> lagging_;
  std::size_t joining_ = 0;
  std::int64_t attempt_credit_ns_ = 0; ///< time since which no attempt was made, as it were; at most a whole burst
  std::optional<wall_ns> attempted_;
  bool writing_ = false;
};

} // namespace swarm::ca
