// Subjects of node certificates, as Swarm writes them.
#include "runtime/link/identity.hpp"

namespace swarm::link {

std::optional<identity> identity_of(std::string_view organization, std::string_view organizational_unit,
                                    std::string_view common_name) {
  identity out;
  if (organizational_unit == "swarm-manager")
    out.role = PEER_ROLE_MANAGER;
  else if (organizational_unit == "swarm-worker")
    out.role = PEER_ROLE_WORKER;
  if (out.role == PEER_ROLE_ANYONE || organization.empty() || common_name.empty())
    return std::nullopt;
  out.node_id = common_name;
  out.cluster_id = organization;
  return out;
}

std::string refusal_of(const std::optional<identity>& peer, const expectation& expected) {
  if (!peer)
    return "the peer's certificate is not that of a node";
  if (!expected.cluster_id.empty() && peer->cluster_id != expected.cluster_id)
    return "the peer belongs to another cluster";
  if (expected.manager_only && peer->role != PEER_ROLE_MANAGER)
    return "the peer is not a manager";
  if (!expected.node_id.empty() && peer->node_id != expected.node_id)
    return "the peer is node " + peer->node_id + ", not " + expected.node_id;
  return {};
}

} // namespace swarm::link
