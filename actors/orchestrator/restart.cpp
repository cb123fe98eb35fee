// Restart conditions, attempts, delays and back-off.
#include "actors/orchestrator/restart.hpp"

#include <algorithm>

#include "actors/orchestrator/task_reaper.hpp"
#include "runtime/check.hpp"

namespace swarm::orchestrator {

namespace {

// The first step of the back-off when the configured delay is nothing.
constexpr duration backoff_step_min = milliseconds{100};

duration configured_delay(const RestartPolicy& policy) {
  return policy.has_delay() ? std::clamp(duration{policy.delay()}, duration{0}, longest_wait) : restart_delay_default;
}

bool failed(std::uint32_t observed) {
  return observed == TASK_STATE_FAILED || observed == TASK_STATE_REJECTED;
}

std::string short_text(duration d) {
  const auto ms = std::chrono::duration_cast<milliseconds>(d).count();
  if (ms % 1000 != 0)
    return std::to_string(ms) + "ms";
  const auto minute = ms / 60'000;
  const auto second = ms / 1000 % 60;
  return (minute > 0 ? std::to_string(minute) + "m" : "") + (second > 0 || minute == 0 ? std::to_string(second) + "s" : "");
}

// It stays as it is written, so it must be true whenever it is read.
std::string held_by_delay(duration delay, std::uint32_t before) {
  const auto what = before == TASK_STATE_COMPLETE ? "has completed"
                    : before == TASK_STATE_FAILED ? "failed"
                    : before == TASK_STATE_REJECTED ? "was rejected"
                                                    : "has ended";
  return "restart delay of " + short_text(delay) + ": the task before it " + what;
}

} // namespace

duration restart_delay(duration configured, unsigned quick_failures) {
  if (quick_failures <= 1)
    return configured;
  const auto limit = std::max(restart_delay_max, configured);
  auto delay = std::max(configured, backoff_step_min);
  for (unsigned i = 1; i < quick_failures && delay < limit; ++i)
    delay *= 2;
  return std::min(delay, limit);
}

restart_supervisor::history& restart_supervisor::history_of(const slot_key& slot, std::uint64_t spec_version) {
  auto& h = histories_[slot];
  if (h.spec_version != spec_version)
    h = history{spec_version, 0, 0, {}}; // what another spec did is not held against this one
  return h;
}

bool restart_supervisor::should_restart(const slot_key& slot, const task_row& row) const {
  const auto& policy = state_.spec_of(row).restart_policy();
  switch (policy.condition()) {
    case RESTART_CONDITION_NONE:
      return false;
    case RESTART_CONDITION_ON_FAILURE:
      if (row.observed == TASK_STATE_COMPLETE)
        return false;
      break;
    default:
      if (state_.is_job() && row.observed == TASK_STATE_COMPLETE)
        return false;
  }
  if (policy.max_attempts() == 0)
    return true;
  const auto it = histories_.find(slot);
  if (it == histories_.end() || it->second.spec_version != row.spec_version)
    return true;
  if (policy.window() <= 0)
    return it->second.restarts < policy.max_attempts();
  const auto since = state_.now.wall - policy.window();
  const auto recent = std::count_if(it->second.recent.begin(), it->second.recent.end(),
                                    [&](wall_ns at) { return at >= since; });
  return static_cast<std::uint64_t>(recent) < policy.max_attempts();
}

duration restart_supervisor::delay_of(const task_row& row, const history& h) const {
  const auto delay = configured_delay(state_.spec_of(row).restart_policy());
  const auto& labels = state_.service->spec().labels();
  if (const auto it = labels.find(backoff_label); it != labels.end() && it->second == "off")
    return delay;
  return restart_delay(delay, h.quick_failures);
}

void restart_supervisor::note_end(task_row& row, TaskState ended, wall_ns at) const {
  const auto ran = row.observed == TASK_STATE_RUNNING ? at - row.status_at : 0;
  row.ran_well = !failed(ended) || duration{ran} >= ran_well_after;
}

void restart_supervisor::restart(const slot_key& slot, task_row& row) {
  SWARM_CHECK(row.runnable() || state_.is_job());
  const bool ended = row.ended();
  if (const auto held = delays_.find(row.id); held != delays_.end()) {
    if (ended && state_.now.now < held->second.start_at) { // even so, no sooner than it was to start
      state_.wake_at(held->second.start_at, slot);
      return;
    }
    delays_.erase(held);
  }
  const bool invalid = row.node && state_.is_invalid(row.node);
  const bool again = should_restart(slot, row);
  state_.set_desired(slot, row, TASK_STATE_SHUTDOWN);
  const bool wait = is_stopping(slot); // this one, or one that it was to replace
  if (!again)
    return;
  const auto before = histories_.find(slot);
  undo_.emplace_back(slot, before == histories_.end() ? std::nullopt : std::optional{before->second});
  auto& h = history_of(slot, state_.service->spec_version());
  ++h.restarts;
  if (ended && !invalid)
    h.quick_failures = row.ran_well ? (failed(row.observed) ? 1 : 0) : h.quick_failures + 1;
  if (const auto& policy = state_.spec_of(row).restart_policy(); policy.window() > 0) {
    std::erase_if(h.recent, [&](wall_ns at) { return at < state_.now.wall - policy.window(); });
    h.recent.push_back(state_.now.wall);
  }
  // Nobody asked for a pause when it is the node that went away.
  const auto delay = invalid ? duration{0} : delay_of(row, h);
  const auto node = state_.is_global() ? row.node : node_id{};
  if (delay == duration{0} && !wait) {
    state_.create(slot, node, state_.running_target());
    return;
  }
  const auto held = delay > duration{0} ? held_by_delay(delay, row.observed) : std::string{waits_for_stop};
  delay_start(slot, state_.create(slot, node, TASK_STATE_READY, held), delay, wait);
}

void restart_supervisor::delay_start(const slot_key& slot, const task_row& row, duration delay, bool wait_for_stop) {
  const auto now = state_.now.now;
  const auto until = wait_for_stop ? now + std::max(delay, stop_wait_max) : now;
  delays_[row.id] = {slot, now + delay, until};
  state_.wake_at(now + delay, slot);
  if (wait_for_stop)
    state_.wake_at(until, slot);
  state_.mark(slot);
}

duration restart_supervisor::delay_left(const task_id& task) const {
  const auto it = delays_.find(task);
  return it == delays_.end() ? duration{0} : std::max(duration{0}, it->second.start_at - state_.now.now);
}

bool restart_supervisor::is_stopping(const slot_key& slot) {
  const auto* rows = state_.tasks.slot(slot);
  for (auto* row = state_.tasks.newest(*rows); row != nullptr; row = state_.tasks.older(*row))
    if (row->desired > TASK_STATE_COMPLETE && !state_.is_stopped(*row))
      return true;
  return false;
}

void restart_supervisor::advance(const slot_key& slot) {
  const auto* rows = state_.tasks.slot(slot);
  if (rows == nullptr)
    return;
  for (auto* row = state_.tasks.newest(*rows); row != nullptr; row = state_.tasks.older(*row)) {
    if (row->desired >= static_cast<std::uint32_t>(TASK_STATE_RUNNING) || row->ended())
      continue;
    const auto it = delays_.find(row->id);
    const auto now = state_.now.now;
    if (it != delays_.end() &&
        (now < it->second.start_at || (now < it->second.wait_until && is_stopping(slot))))
      continue;
    if (it != delays_.end())
      delays_.erase(it);
    state_.set_desired(slot, *row, state_.running_target());
  }
}

void restart_supervisor::rebuild() {
  for (const auto& [slot, rows] : state_.tasks.slots())
    rebuild_slot(slot, rows);
}

// How many quick failures, now forgotten, held the oldest of these attempts back: as many as explain how long it and all
// after it have lived. None, when anything else does.
unsigned restart_supervisor::failures_before(const std::vector<task_row*>& attempts) const {
  const auto life = [](const task_row& row) { return duration{row.status_at - row.created_at}; };
  const auto delay = configured_delay(state_.spec_of(*attempts.front()).restart_policy());
  const auto explains = [&](unsigned failures) {
    for (const auto* row : attempts) {
      const auto held = restart_delay(delay, failures++);
      if (!row->ended())
        return true;
      if (life(*row) < held)
        return false;
      if (!failed(row->observed) || life(*row) >= held + ran_well_after)
        return true; // the row begins anew
    }
    return true;
  };
  unsigned found = 0;
  for (unsigned n = 1; attempts.front()->ended() && restart_delay(delay, n) <= life(*attempts.front()); ++n) {
    if (explains(n))
      found = n;
    if (restart_delay(delay, n) >= restart_delay_max)
      break; // one more makes no difference
  }
  return found;
}

void restart_supervisor::rebuild_slot(const slot_key& slot, const slot_state& rows) {
  const auto newest_first = state_.tasks.rows(rows);
  if (newest_first.empty())
    return;
  const auto version = newest_first.front()->spec_version;
  std::vector<task_row*> attempts; // oldest first, of the newest spec
  for (auto* row : newest_first)
    if (row->spec_version == version)
      attempts.insert(attempts.begin(), row);
  const auto& policy = state_.spec_of(*attempts.front()).restart_policy();
  // An older one would be there, had none been reaped.
  if (const auto kept = task_reaper::history_of(state_);
      attempts.size() == newest_first.size() && kept >= 0 && static_cast<std::int64_t>(attempts.size()) >= kept)
    if (const auto before = failures_before(attempts); before > 0)
      history_of(slot, version).quick_failures = before;
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    auto& row = *attempts[i];
    const auto known = histories_.find(slot);
    // How long it ran is not stored. How long it lived is; that it was held back for a part of it says nothing of how well it ran.
    const auto held = known == histories_.end() ? duration{0} : delay_of(row, known->second);
    if (row.ended())
      row.ran_well = !failed(row.observed) || duration{row.status_at - row.created_at} >= held + ran_well_after;
    if (i + 1 == attempts.size())
      break;
    auto& h = history_of(slot, version);
    ++h.restarts;
    if (policy.window() > 0)
      h.recent.push_back(attempts[i + 1]->created_at);
    if (row.ended())
      h.quick_failures = row.ran_well ? (failed(row.observed) ? 1 : 0) : h.quick_failures + 1;
  }
  for (auto* row : newest_first) {
    if (row->desired >= static_cast<std::uint32_t>(TASK_STATE_RUNNING))
      continue;
    const auto h = histories_.find(slot);
    const auto delay = h == histories_.end() ? duration{0} : delay_of(*row, h->second);
    const auto waited = std::max<wall_ns>(0, state_.now.wall - row->created_at);
    delay_start(slot, *row, std::max(duration{0}, delay - duration{waited}), true);
  }
}

void restart_supervisor::abort() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it)
    if (it->second)
      histories_[it->first] = *it->second;
    else
      histories_.erase(it->first);
  undo_.clear();
  std::erase_if(delays_, [&](const auto& entry) {
    return state_.tasks.find(entry.second.slot, entry.first) == nullptr;
  });
}

} // namespace swarm::orchestrator
