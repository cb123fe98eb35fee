// Slots of replicated services: restarts, scale up, scale down.
#include "actors/orchestrator/replicated.hpp"

#include <algorithm>
#include <tuple>

namespace swarm::orchestrator::replicated {

std::uint64_t wanted_replicas(const ServiceSpec& spec) {
  return spec.mode().replicated().has_replicas() ? spec.mode().replicated().replicas() : 1;
}

namespace {

/// The task that takes over from this one, if there is one: wanted, not ended, not itself on a node that it must leave.
const task_row* successor_of(service_state& state, const slot_key& slot, const task_row& row) {
  const task_row* found = nullptr;
  for (const auto* other : state.tasks.rows(*state.tasks.slot(slot)))
    if (other->id != row.id && other->runnable() && !other->ended() && !(other->node && state.is_invalid(other->node)) &&
        (found == nullptr || other->observed > found->observed))
      found = other;
  return found;
}

} // namespace

bool is_superseded(service_state& state, const slot_key& slot, const task_row& row) {
  const auto* successor = successor_of(state, slot, row);
  return successor != nullptr && successor->spec_version > row.spec_version;
}

bool holds_replica(service_state& state, const restart_supervisor& restarts, const slot_key& slot) {
  const auto* rows = state.tasks.slot(slot);
  auto* newest = state.tasks.newest(*rows);
  for (auto* row = newest; row != nullptr; row = state.tasks.older(*row))
    if (row->runnable())
      return true;
  // One that ended for good keeps its slot, so that it is not started again. In a rollback all must come back.
  return newest != nullptr && newest->desired != TASK_STATE_REMOVE &&
         state.update_status().state() != UPDATE_STATE_ROLLBACK_STARTED &&
         !restarts.should_restart(slot, *newest);
}

namespace {

// What is up is not given away for a replacement that never comes: without further attempts it stays.
void replace_leaving(service_state& state, restart_supervisor& restarts, const slot_key& slot, task_row& row) {
  if (const auto* successor = successor_of(state, slot, row)) {
    if (successor->observed == TASK_STATE_RUNNING)
      state.set_desired(slot, row, TASK_STATE_SHUTDOWN);
    return;
  }
  const auto all = state.tasks.rows(*state.tasks.slot(slot));
  const bool given_up = std::any_of(all.begin(), all.end(), [&](const auto* other) {
    return other->ended() && other->created_at > row.created_at && other->spec_version == row.spec_version &&
           !restarts.should_restart(slot, *other);
  });
  if (given_up)
    return;
  if (restarts.should_restart(slot, row))
    state.create(slot, {}, TASK_STATE_RUNNING);
  else
    restarts.restart(slot, row);
}

/// A task there is to stop for another one, and has not. Those that a scale down takes away are not waited for.
bool is_being_replaced(service_state& state, const slot_state& rows) {
  for (const auto* row = state.tasks.newest(rows); row != nullptr; row = state.tasks.older(*row))
    if (row->desired == TASK_STATE_SHUTDOWN && !state.is_stopped(*row))
      return true;
  return false;
}

} // namespace

void check(service_state& state, restart_supervisor& restarts, const slot_key& slot) {
  auto* rows = state.tasks.slot(slot);
  for (auto* row : state.tasks.rows(*rows)) {
    const bool lost = row->node && state.is_invalid(row->node) && !state.is_leaving(*row);
    if (!row->runnable() || !(row->ended() || lost))
      continue;
    if (row->ended() ? is_superseded(state, slot, *row) : successor_of(state, slot, *row) != nullptr)
      state.set_desired(slot, *row, TASK_STATE_SHUTDOWN);
    else
      restarts.restart(slot, *row);
  }
  for (auto* row : state.tasks.rows(*rows)) // after the others: what has just failed has its successor now
    if (state.is_leaving(*row))
      replace_leaving(state, restarts, slot, *row);
  restarts.advance(slot);
  state.set_counted(*rows, holds_replica(state, restarts, slot));
}

std::vector<slot_key> pick_victims(service_state& state, std::size_t keep) {
  struct candidate {
    slot_key slot;
    node_id node; // of its only runnable task
    bool running = false;
    std::uint64_t copy = ~std::uint64_t{0}; // the how-manieth on its node; without a node: last
  };
  std::vector<candidate> all;
  for (auto& [slot, rows] : state.tasks.slots()) {
    if (!rows.counted)
      continue;
    candidate c{.slot = slot, .node = {}};
    std::size_t runnable = 0;
    auto* newest = state.tasks.newest(rows);
    for (auto* row = newest; row != nullptr; row = state.tasks.older(*row))
      if (row->runnable()) {
        ++runnable;
        c.node = row->node;
        c.running = c.running || row->observed == TASK_STATE_RUNNING;
      }
    if (runnable == 0)
      c.node = newest->node;
    if (runnable > 1)
      c.node = node_id{};
    all.push_back(c);
  }
  std::stable_sort(all.begin(), all.end(), [](const candidate& a, const candidate& b) {
    return std::tuple{!a.running, a.slot} < std::tuple{!b.running, b.slot};
  });
  std::map<node_id, std::uint64_t> copies;
  for (auto& c : all)
    if (c.node)
      c.copy = ++copies[c.node];
  std::stable_sort(all.begin(), all.end(), [](const candidate& a, const candidate& b) { return a.copy < b.copy; });
  std::vector<slot_key> out;
  for (auto i = all.size(); i > keep; --i)
    out.push_back(all[i - 1].slot);
  return out;
}

void scale(service_state& state, restart_supervisor& restarts) {
  const auto wanted = wanted_replicas(state.service->spec());
  if (state.counted() > wanted) {
    for (const auto& slot : pick_victims(state, wanted)) {
      if (state.is_full())
        return;
      auto* rows = state.tasks.slot(slot);
      for (auto* row : state.tasks.rows(*rows))
        if (row->runnable() || row == state.tasks.newest(*rows))
          state.set_desired(slot, *row, TASK_STATE_REMOVE);
      state.set_counted(*rows, false);
    }
    return;
  }
  auto next = state.tasks.slots().begin(); // both go upwards together
  for (std::uint64_t number = 1; state.counted() < wanted && !state.is_full(); ++number) {
    const auto slot = numbered_slot(number);
    while (next != state.tasks.slots().end() && next->first < slot)
      ++next;
    if (next != state.tasks.slots().end() && next->first == slot && next->second.counted)
      continue;
    const bool wait = next != state.tasks.slots().end() && next->first == slot && is_being_replaced(state, next->second);
    const auto& created = wait ? state.create(slot, {}, TASK_STATE_READY, waits_for_stop) : state.create(slot, {}, TASK_STATE_RUNNING);
    if (wait)
      restarts.delay_start(slot, created, duration{0}, true);
    state.set_counted(*state.tasks.slot(slot), true);
  }
}

} // namespace swarm::orchestrator::replicated
