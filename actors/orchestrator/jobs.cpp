// Slots of replicated jobs, nodes of global jobs.
#include "actors/orchestrator/jobs.hpp"

#include <algorithm>

#include "actors/orchestrator/global.hpp"

namespace swarm::orchestrator::jobs {

namespace {

// To be finished, as far as we are concerned.
bool is_wanted(const task_row& row) { return row.desired <= TASK_STATE_COMPLETE && row.observed < TASK_STATE_COMPLETE; }

struct outcome {
  bool taken = false; // has a task of this iteration
  bool active = false;
  bool complete = false;
};

outcome check_rows(service_state& state, restart_supervisor& restarts, const slot_key& slot) {
  outcome out;
  for (auto* row : state.tasks.rows(*state.tasks.slot(slot))) {
    if (row->job_iteration != state.iteration()) {
      state.set_desired(slot, *row, TASK_STATE_REMOVE);
      continue;
    }
    out.taken = true;
    if (row->observed == TASK_STATE_COMPLETE) {
      out.complete = true;
    } else if (row->desired <= TASK_STATE_COMPLETE) {
      const bool lost = row->node && state.is_invalid(row->node);
      if (row->ended() || lost)
        restarts.restart(slot, *row);
    }
  }
  restarts.advance(slot);
  for (const auto* row : state.tasks.rows(*state.tasks.slot(slot)))
    out.active = out.active || (row->job_iteration == state.iteration() && is_wanted(*row));
  out.active = out.active && !out.complete;
  return out;
}

} // namespace

void check(service_state& state, restart_supervisor& restarts, const slot_key& slot) {
  const auto found = check_rows(state, restarts, slot);
  state.set_counted(*state.tasks.slot(slot), found.active, found.complete);
}

void fill(service_state& state, std::uint64_t& cursor) {
  const auto& mode = state.service->spec().mode().replicated_job();
  const std::uint64_t concurrent = mode.has_max_concurrent() ? mode.max_concurrent() : 1;
  const std::uint64_t total = mode.has_total_completions() ? mode.total_completions() : concurrent;
  const auto is_taken = [&](const slot_key& slot) {
    const auto* rows = state.tasks.slot(slot);
    if (rows == nullptr)
      return false;
    for (auto* row = state.tasks.newest(*rows); row != nullptr; row = state.tasks.older(*row))
      if (row->job_iteration == state.iteration() && row->desired < TASK_STATE_REMOVE)
        return true;
    return false;
  };
  while (cursor < total && state.counted() < concurrent && state.counted() + state.completed() < total &&
         !state.is_full()) {
    const auto slot = numbered_slot(cursor++);
    if (is_taken(slot))
      continue;
    state.create(slot, {}, TASK_STATE_COMPLETE);
    state.set_counted(*state.tasks.slot(slot), true);
  }
}

void check_node(service_state& state, restart_supervisor& restarts, const node_id& node) {
  const slot_key slot = node;
  const bool eligible = global::is_eligible(state, node);
  bool taken = false;
  if (auto* rows = state.tasks.slot(slot)) {
    if (!eligible)
      for (auto* row : state.tasks.rows(*rows))
        if (is_wanted(*row))
          state.set_desired(slot, *row, TASK_STATE_REMOVE);
    const auto found = check_rows(state, restarts, slot);
    for (const auto* row : state.tasks.rows(*rows))
      taken = taken || (row->job_iteration == state.iteration() && row->desired < TASK_STATE_REMOVE);
    state.set_counted(*rows, found.active, found.complete);
  }
  if (taken || !eligible || state.node(node)->spec().availability() == NODE_AVAILABILITY_PAUSE)
    return;
  state.create(slot, node, TASK_STATE_COMPLETE);
  state.set_counted(*state.tasks.slot(slot), true);
}

} // namespace swarm::orchestrator::jobs
