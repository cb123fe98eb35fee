// When this node renews its certificate, and what it trusts: by its age, and by what the managers order.
#pragma once

#include <optional>
#include <string>

#include "messages/dispatcher.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::node {

/// Facts about the certificate that is in use.
struct own_identity {
  NodeRole role = NODE_ROLE_UNSPECIFIED;
  std::string roots_pem;      ///< what this node trusts
  bool issued_by_last = true; ///< the last of the roots has issued the certificate
  wall_ns renew_at = 0;       ///< a random point between 50 and 80 % of its life
};

/// One renewal at a time; after a failure the next one waits, at first a second, at most five minutes. New orders that ask
/// for another certificate than before make it due at once.
class identity_core {
public:
  explicit identity_core(std::uint64_t seed) : rng_{seed} {}

  /// At the start, and whenever certificate or roots have been replaced.
  void use(own_identity own);
  [[nodiscard]] const own_identity& own() const { return own_; }

  /// What to trust from now on, when it is not what we trust already.
  [[nodiscard]] std::optional<std::string> orders(timestamp now, const NodeOrders& orders);
  /// True: ask for a certificate now, and report with renewed() or failed().
  [[nodiscard]] bool begin_renewal(timestamp now);
  void renewed() { asking_ = false; failures_ = 0; }
  void failed(timestamp now);

  [[nodiscard]] NodeRole ordered_role() const { return role_; }

private:
  [[nodiscard]] bool is_wanted(timestamp now) const;

  random_source rng_;
  own_identity own_;
  NodeRole role_ = NODE_ROLE_UNSPECIFIED; ///< as ordered last
  bool asking_ = false;
  unsigned failures_ = 0;
  instant not_before_{};
};

} // namespace swarm::node
