// What the replicated state says about a node's identity, as CA, DISPATCHER and CONTROL must all read it.
#pragma once

#include <string>

#include "messages/objects.pb.h"

namespace swarm {

/// The role that a node is to have a certificate for. MEMBERS sets it after the spec: a manager that is to be a worker
/// stays one until it has left the Raft group, else it could not take part in the very change that removes it.
[[nodiscard]] inline NodeRole wanted_role(const Node& node) {
  return node.certificate_role() != NODE_ROLE_UNSPECIFIED ? node.certificate_role() : node.spec().role();
}

/// What a node is to trust: one root, or, while it is being replaced, the old and the new one. The last one issues.
[[nodiscard]] inline std::string trusted_roots(const RootCA& root) {
  return root.certificate_pem() + (root.has_rotation() ? root.rotation().certificate_pem() : std::string{});
}

} // namespace swarm
