// NODE: one node as the leader sees it. Keeps its assignment set and tells its agent. Decisions: assignments_core.hpp.
#pragma once

#include <memory>
#include <string>

#include "actors/dispatcher/assignments_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::dispatcher {

struct node_session_state {
  static inline const char* name = "node";
  std::unique_ptr<assignments_core> core;
  caf::actor inbox;
  secret_provider_actor secrets;
  bool flush_due = false;
  std::uint64_t frames = 0;
};

/// See the NODE table in messages/interfaces.hpp. What arrives in one go leaves in one frame: a flush stands at the end
/// of the mailbox while events gather.
node_session_actor::behavior_type run_node_session(observed_ptr<node_session_actor, node_session_state> self,
                                                   std::string node_id, std::string label,
                                                   secret_provider_actor secrets);

} // namespace swarm::dispatcher
