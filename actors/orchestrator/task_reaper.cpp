// Reaping and orphaning, slot by slot.
#include "actors/orchestrator/task_reaper.hpp"

#include <algorithm>

namespace swarm::orchestrator::task_reaper {

std::int64_t history_of(const service_state& state) {
  if (!state.service)
    return 0;
  if (state.is_job())
    return -1; // completed ones stay listed until the next iteration
  // The restart supervisor's counters are rebuilt from what is kept.
  const auto attempts = state.service->spec().task_template().restart_policy().max_attempts();
  return attempts > 0 ? static_cast<std::int64_t>(std::min<std::uint64_t>(attempts, 1'000'000)) + 1 : state.history_limit;
}

void reap(service_state& state, const slot_key& slot, bool surplus) {
  const auto limit = history_of(state);
  auto rows = state.tasks.rows(*state.tasks.slot(slot));
  std::erase_if(rows, [](const task_row* row) { return row->removing != 0; });
  auto kept = static_cast<std::int64_t>(rows.size());
  for (auto it = rows.rbegin(); it != rows.rend() && !state.is_full(); ++it) { // oldest first
    auto& row = **it;
    const bool done = row.observed >= TASK_STATE_COMPLETE || row.observed < TASK_STATE_ASSIGNED;
    if (!done || row.desired <= TASK_STATE_COMPLETE)
      continue;
    if (row.desired == TASK_STATE_REMOVE || surplus || (limit >= 0 && kept > limit)) {
      state.remove(slot, row);
      --kept;
    }
  }
}

void orphan(service_state& state, const slot_key& slot) {
  for (auto* row : state.tasks.rows(*state.tasks.slot(slot))) {
    if (row->ended() || !row->node)
      continue;
    if (state.node(row->node) == nullptr) {
      state.set_observed(slot, *row, TASK_STATE_ORPHANED, "Task belonged to a node that has been deleted", "");
      continue;
    }
    const auto since = state.orphan_at.find(row->node);
    if (since != state.orphan_at.end() && since->second <= state.now.now && row->observed >= TASK_STATE_ASSIGNED)
      state.set_observed(slot, *row, TASK_STATE_ORPHANED, "Task belonged to a node that has been down for 24 hours", "");
  }
}

} // namespace swarm::orchestrator::task_reaper
