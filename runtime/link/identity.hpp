// Who a peer is by the subject of its certificate: O = cluster, OU = role, CN = node. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/options.pb.h"
#include "runtime/time.hpp"

namespace swarm::link {

struct identity {
  PeerRole role = PEER_ROLE_ANYONE; ///< ANYONE: came without a certificate, or without one that was checked
  std::string node_id;
  std::string cluster_id;
  wall_ns not_after = 0;            ///< of the certificate; 0 = never
  bool operator==(const identity&) const = default;
};

/// nullopt: a part is empty, or the role is neither swarm-manager nor swarm-worker.
[[nodiscard]] std::optional<identity> identity_of(std::string_view organization, std::string_view organizational_unit,
                                                  std::string_view common_name);

/// What this end asks of the other one's certificate, whose signature and dates are checked before.
struct expectation {
  std::string cluster_id;   ///< "" = any: a node that joins does not know it yet
  std::string node_id;      ///< "" = any
  bool manager_only = false;
};
/// Why this peer is refused; "" = welcome.
[[nodiscard]] std::string refusal_of(const std::optional<identity>& peer, const expectation& expected);

} // namespace swarm::link
