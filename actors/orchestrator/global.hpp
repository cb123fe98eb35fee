// Global services: one task on each node that may have it (behaviour §4.4). The slot is the node.
#pragma once

#include "actors/orchestrator/restart.hpp"
#include "actors/orchestrator/service_state.hpp"

namespace swarm::orchestrator::global {

/// Neither down nor drained, and the constraints hold. Paused nodes keep what they have and get nothing new.
[[nodiscard]] bool is_eligible(service_state& state, const node_id& node);

/// Shuts down what must not be there, replaces what has ended, starts what is missing.
void check(service_state& state, restart_supervisor& restarts, const node_id& node);

} // namespace swarm::orchestrator::global
