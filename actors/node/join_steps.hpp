// How a host gets its first certificate from a manager: whom to ask, what to check, when to give up (behaviour §5.2).
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "actors/ca/join_token.hpp"
#include "messages/ca.pb.h"
#include "messages/errors.hpp"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::node {

/// Asks one address after the other for the root, compares it with the token, then asks the same one for a certificate. One
/// question at a time. What says "no" for good ends it at once; what may pass is tried again until `patience` is over.
class join_steps {
public:
  static constexpr duration patience = seconds{10};
  static constexpr duration retry_min = milliseconds{250};
  static constexpr duration retry_max = seconds{2};

  struct ask_root {
    std::string addr;
    bool operator==(const ask_root&) const = default;
  };
  struct ask_certificate {
    std::string addr;
    std::string root_pem; ///< the manager must prove itself under it
    bool operator==(const ask_certificate&) const = default;
  };
  struct accepted {
    std::string addr;
    NodeCertificateIssued issued;
  };
  struct refused {
    failure why; ///< as the user reads it
    bool operator==(const refused&) const = default;
  };
  struct nothing {
    bool operator==(const nothing&) const = default;
  };
  using effect = std::variant<nothing, ask_root, ask_certificate, accepted, refused>;

  /// `addrs` must not be empty.
  join_steps(std::vector<std::string> addrs, ca::parsed_token token, instant now, std::uint64_t seed);

  [[nodiscard]] effect begin() const { return ask_root{addrs_.front()}; }
  [[nodiscard]] effect root_read(instant now, const failure& problem, const std::string& root_pem);
  [[nodiscard]] effect issued(instant now, const failure& problem, const NodeCertificateIssued& answer);
  /// Call every 100 ms or so.
  [[nodiscard]] effect tick(instant now);

private:
  [[nodiscard]] effect later(instant now, const failure& problem);

  std::vector<std::string> addrs_;
  ca::parsed_token token_;
  instant give_up_;
  random_source rng_;
  std::size_t at_ = 0;       ///< the address that is being asked
  unsigned rounds_ = 0;      ///< through all addresses
  bool waiting_ = false;     ///< no question is under way
  instant again_{};
  failure last_;
  std::string root_pem_;
};

} // namespace swarm::node
