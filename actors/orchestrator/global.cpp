// One node of a global service.
#include "actors/orchestrator/global.hpp"

#include "actors/orchestrator/replicated.hpp"

namespace swarm::orchestrator::global {

bool is_eligible(service_state& state, const node_id& node) {
  return !state.is_invalid(node) && state.meets_constraints(*state.node(node));
}

void check(service_state& state, restart_supervisor& restarts, const node_id& node) {
  const slot_key slot = node;
  const bool eligible = is_eligible(state, node);
  if (auto* rows = state.tasks.slot(slot)) {
    for (auto* row : state.tasks.rows(*rows)) {
      if (!row->runnable())
        continue;
      if (!eligible || (row->ended() && replicated::is_superseded(state, slot, *row)))
        state.set_desired(slot, *row, TASK_STATE_SHUTDOWN);
      else if (row->ended())
        restarts.restart(slot, *row);
    }
    if (eligible)
      restarts.advance(slot);
    state.set_counted(*rows, eligible && replicated::holds_replica(state, restarts, slot));
    if (rows->counted)
      return;
  }
  if (!eligible || state.node(node)->spec().availability() == NODE_AVAILABILITY_PAUSE)
    return;
  state.create(slot, node, TASK_STATE_RUNNING);
  state.set_counted(*state.tasks.slot(slot), true);
}

} // namespace swarm::orchestrator::global
