// Runs, workers and failure actions of the updater.
#include "actors/orchestrator/update.hpp"

#include <algorithm>
#include <tuple>

#include "messages/service_labels.hpp"
#include "runtime/check.hpp"

namespace swarm::orchestrator {

update_policy policy_of(const ServiceSpec& spec, bool rollback) {
  update_policy out;
  if (rollback ? !spec.has_rollback_config() : !spec.has_update_config())
    return out;
  const auto& config = rollback ? spec.rollback_config() : spec.update_config();
  out.parallelism = config.parallelism();
  out.delay = std::clamp(duration{config.delay()}, duration{0}, longest_wait);
  if (config.failure_action() != FAILURE_ACTION_UNSPECIFIED)
    out.failure_action = config.failure_action();
  if (config.monitor() > 0)
    out.monitor = std::min(duration{config.monitor()}, longest_wait);
  if (out.delay >= out.monitor)
    out.monitor = out.delay + seconds{1};
  out.max_failure_ratio = config.max_failure_ratio();
  out.start_first = config.order() == UPDATE_ORDER_START_FIRST;
  return out;
}

bool updater::is_rollback() const {
  const auto state = state_.update_status().state();
  return state == UPDATE_STATE_ROLLBACK_STARTED || state == UPDATE_STATE_ROLLBACK_PAUSED;
}

bool updater::is_paused() const {
  const auto state = state_.update_status().state();
  return !unpaused_ && (state == UPDATE_STATE_PAUSED || state == UPDATE_STATE_ROLLBACK_PAUSED);
}

void updater::service_changed(bool version_changed) {
  const bool rolled_back = rolling_back_ && state_.update_status().state() == UPDATE_STATE_ROLLBACK_STARTED;
  if (version_changed || rolled_back)
    cancel();
  if (!state_.has_update_status())
    unpaused_ = false;
  look_again_ = true;
}

void updater::cancel() {
  run_.reset();
  failed_.reset();
  queue_.clear();
  workers_.clear();
  updated_.clear();
  late_.clear();
  rolling_back_.reset();
  unpaused_ = true;
  look_again_ = true;
}

void updater::abort() {
  run_.reset();
  failed_.reset();
  queue_.clear();
  workers_.clear();
  rolling_back_.reset();
  look_again_ = true;
}

// -- what is dirty --------------------------------------------------------------------------------------------------------

bool updater::is_dirty(const task_row& row) {
  switch (state_.compare(row)) {
    case difference::none:
      return false;
    case difference::placement: { // it may stay if the new rules allow the place it has
      const auto* node = state_.node(row.node);
      return node == nullptr || !state_.meets_constraints(*node);
    }
    case difference::credentials: // the image is already there
      return row.observed < TASK_STATE_READY || row.observed > TASK_STATE_RUNNING;
    case difference::all:
      break;
  }
  return true;
}

std::vector<task_row*> updater::updatable(const slot_key& slot, const slot_state& rows) {
  auto all = state_.tasks.rows(rows);
  auto* newest = all.empty() ? nullptr : all.front();
  std::erase_if(all, [](const task_row* row) { return !row->runnable(); });
  if (all.empty() && newest != nullptr && newest->desired != TASK_STATE_REMOVE &&
      state_.update_status().state() != UPDATE_STATE_ROLLBACK_STARTED &&
      !restarts_.should_restart(slot, *newest))
    all.push_back(newest);
  return all;
}

updater::dirt updater::dirt_of(const slot_key& slot, const slot_state& rows) {
  if (state_.is_global()) {
    const auto* node = state_.node(node_id{slot});
    if (node == nullptr || node->spec().availability() == NODE_AVAILABILITY_PAUSE)
      return dirt::none; // nothing is started on a paused node
  }
  const auto all = updatable(slot, rows);
  if (std::any_of(all.begin(), all.end(), [&](const task_row* row) { return is_dirty(*row); }))
    return dirt::outdated;
  const auto stay = std::count_if(all.begin(), all.end(), [&](const task_row* row) { return !state_.is_leaving(*row); });
  return stay > 1 ? dirt::crowded : dirt::none;
}

// -- runs -------------------------------------------------------------------------------------------------------------------

void updater::begin() {
  if (is_paused())
    return;
  const auto state = state_.update_status().state();
  const bool going_on = state == UPDATE_STATE_UPDATING || state == UPDATE_STATE_ROLLBACK_STARTED;
  std::set<slot_key> known{queue_.begin(), queue_.end()};
  std::vector<slot_key> up; // slots in which something runs come last: those that are down cost nothing
  std::size_t found = 0;
  bool outdated = false;
  for (const auto& [slot, rows] : state_.tasks.slots()) {
    if (workers_.contains(slot) || known.contains(slot))
      continue;
    const auto what = dirt_of(slot, rows);
    if (what == dirt::none) {
      if (going_on && !run_)
        resume(slot, rows);
      continue;
    }
    outdated = outdated || what == dirt::outdated;
    const auto all = state_.tasks.rows(rows);
    if (std::any_of(all.begin(), all.end(), [](auto* r) { return r->runnable() && r->observed == TASK_STATE_RUNNING; }))
      up.push_back(slot);
    else
      queue_.push_back(slot);
    ++found;
  }
  queue_.insert(queue_.end(), up.begin(), up.end());
  if (found > 0) {
    start(outdated);
    run_->dirty_slots += found;
    run_->monitor_until.reset();
  } else if (!run_ && going_on) {
    run_.emplace();
    if (workers_.empty())
      finish();
  }
}

// A slot that an earlier leader was replacing: its new task is there but not up. It counts against the parallelism.
void updater::resume(const slot_key& slot, const slot_state& rows) {
  for (auto* row = state_.tasks.newest(rows); row != nullptr; row = state_.tasks.older(*row)) {
    if (!row->runnable() || row->observed >= TASK_STATE_RUNNING)
      continue;
    workers_[slot] = {.task = row->id, .stop_others = false, .rest_until = {}};
    updated_.emplace(row->id, std::nullopt);
    state_.mark(slot); // its deadline may have passed
    return;
  }
}

void updater::start(bool by_version) {
  if (!run_) {
    run_.emplace();
    run_->silent = true;
  }
  if (by_version)
    run_->silent = false;
}

// The store clears the status whenever a user changes the service, be it only its scale.
void updater::show_progress() {
  const auto state = state_.update_status().state();
  if (run_->silent || state == UPDATE_STATE_UPDATING || state == UPDATE_STATE_ROLLBACK_STARTED)
    return;
  unpaused_ = false;
  UpdateStatus status;
  status.set_state(UPDATE_STATE_UPDATING);
  status.set_message("update in progress");
  status.set_started_at(state_.now.wall);
  state_.set_update_status(status);
}

void updater::advance() {
  if (!state_.service || state_.is_job())
    return;
  if (rolling_back_ && *rolling_back_ == state_.service->spec_version())
    return; // the store will tell us the previous spec
  if (failed_ && run_) {
    act_on_failure(*failed_);
    return;
  }
  if (look_again_) {
    look_again_ = false;
    begin();
  }
  if (!run_)
    return;
  show_progress();
  fill();
  if (!queue_.empty() || !workers_.empty())
    return;
  if (!run_->monitor_until)
    run_->monitor_until = state_.now.now + (run_->silent ? duration{0} : policy().monitor);
  if (state_.now.now >= *run_->monitor_until)
    finish();
}

void updater::fill() {
  const auto parallelism = policy().parallelism;
  while (!queue_.empty() && (parallelism == 0 || workers_.size() < parallelism) && !state_.is_full()) {
    const auto slot = queue_.front();
    queue_.pop_front();
    const auto* rows = state_.tasks.slot(slot);
    if (rows != nullptr && dirt_of(slot, *rows) != dirt::none)
      replace(slot);
  }
}

void updater::finish() {
  run_.reset();
  updated_.clear();
  late_.clear();
  auto status = state_.update_status();
  if (status.state() != UPDATE_STATE_UPDATING && status.state() != UPDATE_STATE_ROLLBACK_STARTED)
    return; // crowded slots were cleared, no spec has changed
  const bool rollback = is_rollback();
  status.set_state(rollback ? UPDATE_STATE_ROLLBACK_COMPLETED : UPDATE_STATE_COMPLETED);
  status.set_message(rollback ? "rollback completed" : "update completed");
  status.set_completed_at(state_.now.wall);
  state_.set_update_status(status);
}

// -- workers ------------------------------------------------------------------------------------------------------------------

void updater::replace(const slot_key& slot) {
  const auto rows = updatable(slot, *state_.tasks.slot(slot));
  task_row* clean = nullptr;
  const auto rank = [&](const task_row& row) {
    return std::tuple{!state_.is_leaving(row), std::uint32_t{row.desired}, std::uint32_t{row.observed}};
  };
  for (auto* row : rows)
    if (row->runnable() && !is_dirty(*row) && (clean == nullptr || rank(*row) > rank(*clean)))
      clean = row;
  if (clean != nullptr) {
    keep(slot, *clean, rows);
    return;
  }
  const auto node = state_.is_global() ? node_id{slot} : node_id{};
  const bool start_first = policy().start_first;
  // The one that goes on until the new one is RUNNING; an interrupted update may have left two of them.
  const task_row* stays = nullptr;
  for (const auto* row : rows)
    if (start_first && row->runnable() && (stays == nullptr || row->observed > stays->observed))
      stays = row;
  // Judged before anything is shut down here: SCHEDULER may just now be placing what to us still waits.
  const auto all = state_.tasks.rows(*state_.tasks.slot(slot));
  const bool at_once =
    std::all_of(all.begin(), all.end(), [&](const auto* row) { return row == stays || state_.is_stopped(*row); });
  for (auto* row : rows)
    if (row != stays)
      state_.set_desired(slot, *row, TASK_STATE_SHUTDOWN);
  const auto& created =
    at_once ? state_.create(slot, node, TASK_STATE_RUNNING) : state_.create(slot, node, TASK_STATE_READY, waits_for_stop);
  if (!at_once)
    restarts_.delay_start(slot, created, duration{0}, true);
  workers_[slot] = {.task = created.id, .stop_others = start_first, .rest_until = {}};
  updated_.emplace(created.id, std::nullopt);
}

// The slot has a task of the new spec already: from before a change of leaders, or from a restart.
void updater::keep(const slot_key& slot, task_row& kept, const std::vector<task_row*>& rows) {
  const bool overlap = policy().start_first && kept.observed < TASK_STATE_RUNNING && rows.size() > 1;
  if (!overlap)
    stop_all_but(slot, kept);
  if (kept.desired < TASK_STATE_RUNNING) // one that follows a failure is not started sooner because the update has looked
    restarts_.delay_start(slot, kept, restarts_.delay_left(kept.id), !overlap);
  workers_[slot] = {.task = kept.id, .stop_others = overlap, .rest_until = {}};
  if (kept.observed < TASK_STATE_RUNNING)
    updated_.emplace(kept.id, std::nullopt);
  state_.mark(slot);
}

void updater::stop_all_but(const slot_key& slot, const task_row& kept) {
  for (auto* row : state_.tasks.rows(*state_.tasks.slot(slot)))
    if (row->id != kept.id && row->runnable())
      state_.set_desired(slot, *row, TASK_STATE_SHUTDOWN);
}

void updater::rest(worker& w, const slot_key& slot) {
  const auto delay = run_ ? policy().delay : duration{0};
  if (delay == duration{0}) {
    workers_.erase(slot);
    return;
  }
  w.rest_until = state_.now.now + delay;
  state_.wake_at(*w.rest_until, slot);
}

void updater::check(const slot_key& slot) {
  const auto it = workers_.find(slot);
  if (it == workers_.end())
    return;
  auto& w = it->second;
  if (w.rest_until) {
    if (state_.now.now >= *w.rest_until)
      workers_.erase(it);
    return;
  }
  const auto* row = state_.tasks.find(slot, w.task);
  if (row != nullptr && !row->runnable() && row->observed < TASK_STATE_RUNNING) {
    // Its node was lost before it came up: wait for the one that follows it.
    const auto* next = state_.tasks.newest(*state_.tasks.slot(slot));
    row = next->runnable() && !is_dirty(*next) ? next : nullptr;
    if (row != nullptr) {
      w.task = row->id;
      updated_.emplace(row->id, std::nullopt);
    }
  }
  if (row == nullptr) {
    workers_.erase(it);
    look_again_ = true;
    return;
  }
  if (row->observed < TASK_STATE_RUNNING) {
    if (!is_late(slot, *row))
      return;
    if (late_.insert(row->id).second)
      count_failure(row->id, ": it did not come up by the deadline");
    workers_.erase(it); // it may come up yet; the others need not wait for it
    return;
  }
  if (row->observed == TASK_STATE_RUNNING) {
    if (const auto since = updated_.find(w.task); since != updated_.end() && !since->second)
      since->second = state_.now.now;
    if (w.stop_others)
      stop_all_but(slot, *row);
  }
  rest(w, slot);
}

// -- failures -------------------------------------------------------------------------------------------------------------------

void updater::note_end(const task_row& row) {
  const auto it = updated_.find(row.id);
  if (!run_ || it == updated_.end() || !row.runnable())
    return;
  if (it->second && state_.now.now - *it->second > policy().monitor)
    updated_.erase(it);
  else
    count_failure(row.id, {});
}

// Each task counts once.
void updater::count_failure(const task_id& task, const std::string& reason) {
  const auto with = policy();
  if (!run_ || updated_.erase(task) == 0 || with.failure_action == FAILURE_ACTION_CONTINUE)
    return;
  ++run_->failures;
  const auto ratio = static_cast<float>(run_->failures) / static_cast<float>(std::max<std::size_t>(1, run_->dirty_slots));
  if (ratio <= with.max_failure_ratio || failed_)
    return;
  failed_ = task;
  reason_ = reason;
}

// By the time of its creation, which is stored: a change of leaders gives nobody more time.
bool updater::is_late(const slot_key& slot, const task_row& row) {
  const auto limit = update_deadline(state_.service->spec());
  if (!limit || !run_ || run_->silent)
    return false;
  const auto left = *limit - duration{state_.now.wall - row.created_at};
  if (left <= duration{0})
    return true;
  state_.wake_at(state_.now.now + left, slot);
  return false;
}

void updater::act_on_failure(const task_id& task) {
  const auto& service = *state_.service;
  const bool rollback = is_rollback();
  // A rollback is never rolled back, and without a previous spec there is nothing to go back to.
  const bool back = policy().failure_action == FAILURE_ACTION_ROLLBACK && !rollback && service.has_previous_spec();
  const auto because = " due to failure or early termination of task " + task.str() + std::exchange(reason_, {});
  auto status = state_.update_status();
  run_.reset();
  failed_.reset();
  queue_.clear();
  updated_.clear();
  late_.clear();
  unpaused_ = false;
  if (back) {
    status.set_state(UPDATE_STATE_ROLLBACK_STARTED);
    status.set_message("update rolled back" + because);
    rolling_back_ = service.spec_version();
    state_.roll_back(status);
    return;
  }
  status.set_state(rollback ? UPDATE_STATE_ROLLBACK_PAUSED : UPDATE_STATE_PAUSED);
  status.set_message((rollback ? "rollback paused" : "update paused") + because);
  state_.set_update_status(status);
}

std::optional<instant> updater::next_wake() const {
  return run_ && queue_.empty() && workers_.empty() ? run_->monitor_until : std::nullopt;
}

std::string updater::dump() const {
  if (!run_)
    return "update=none";
  return "update{left=" + std::to_string(queue_.size()) + " replacing=" + std::to_string(workers_.size()) +
         " failures=" + std::to_string(run_->failures) + "/" + std::to_string(run_->dirty_slots) + "}";
}

} // namespace swarm::orchestrator
