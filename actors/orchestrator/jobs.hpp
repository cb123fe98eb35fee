// Jobs: tasks that are wanted COMPLETE once per iteration (behaviour §4.4).
#pragma once

#include "actors/orchestrator/restart.hpp"
#include "actors/orchestrator/service_state.hpp"

namespace swarm::orchestrator::jobs {

/// Replicated job: tasks of older iterations go, failed ones are restarted if the policy allows. A slot that failed for
/// good stays so, and the job never completes; the user starts it anew with --force.
void check(service_state& state, restart_supervisor& restarts, const slot_key& slot);

/// Starts as many of the slots 0 … total-1 as may run side by side. `cursor` remembers that all slots below it are
/// taken; set it to 0 when slots may have become free.
void fill(service_state& state, std::uint64_t& cursor);

/// Global job: one task on each eligible node. On a node that is drained or down the unfinished task is dropped.
void check_node(service_state& state, restart_supervisor& restarts, const node_id& node);

} // namespace swarm::orchestrator::jobs
