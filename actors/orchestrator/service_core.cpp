// How events reach the parts of SERVICE, and in which order the parts decide.
#include "actors/orchestrator/service_core.hpp"

#include <algorithm>

#include "actors/orchestrator/global.hpp"
#include "actors/orchestrator/jobs.hpp"
#include "actors/orchestrator/replicated.hpp"
#include "actors/orchestrator/task_reaper.hpp"
#include "runtime/check.hpp"

namespace swarm::orchestrator {

namespace {

constexpr duration retry_first = milliseconds{100};
constexpr duration retry_max = seconds{5};
constexpr std::int64_t history_limit_default = 5;

} // namespace

service_core::service_core(service_id id, std::uint64_t seed, intern_function intern)
  : state_{id, random_source{seed}}, restarts_{state_}, updater_{state_, restarts_}, intern_{std::move(intern)} {
  if (!intern_)
    intern_ = [](const Node& node, std::uint64_t) { return std::make_shared<const Node>(node); };
}

// -- events ---------------------------------------------------------------------------------------------------------------

service_effects service_core::apply(timestamp now, const EventBatch& batch, const shared_batch& whole) {
  state_.now = now;
  for (const auto& event : batch.clusters())
    apply_cluster(event);
  for (const auto& event : batch.networks())
    apply_network(event);
  for (const auto& event : batch.nodes())
    apply_node(event, batch.log_index());
  const auto& id = state_.id_text();
  for (const auto& event : batch.templates())
    if (event.template_().service_id() == id)
      apply_template(event, whole);
  for (const auto& event : batch.services())
    if (event.service().id() == id)
      apply_service(event, whole);
  for (const auto& event : batch.tasks())
    if (event.task().service_id() == id)
      apply_task(event);
  if (seen_ && !loaded_)
    load();
  return evaluate();
}

void service_core::load() {
  loaded_ = true;
  if (state_.service) {
    restarts_.rebuild();
    updater_.look_again();
  }
  state_.mark_all();
}

void service_core::apply_cluster(const ClusterEvent& event) {
  const auto& orchestration = event.cluster().spec().orchestration();
  const auto limit = orchestration.has_task_history_retention_limit() ? orchestration.task_history_retention_limit()
                                                                      : history_limit_default;
  if (event.kind() == CHANGE_KIND_REMOVED || limit == state_.history_limit)
    return;
  state_.history_limit = limit;
  state_.mark_all();
}

void service_core::apply_network(const NetworkEvent& event) {
  const auto& network = event.network();
  if (!network.predefined())
    return;
  for (const auto& key : {network.id(), network.spec().name()})
    if (event.kind() == CHANGE_KIND_REMOVED)
      state_.predefined_networks.erase(key);
    else
      state_.predefined_networks[key] = network.spec().name();
  state_.forget_comparisons();
}

void service_core::apply_node(const NodeEvent& event, std::uint64_t log_index) {
  const node_id id{event.node().id()};
  const bool was_invalid = state_.is_invalid(id), was_lost = state_.is_lost(id);
  if (event.kind() == CHANGE_KIND_REMOVED) {
    state_.nodes.erase(id);
    state_.orphan_at.erase(id);
    lost_.insert(id);
  } else {
    state_.nodes[id] = intern_(event.node(), log_index);
    if (event.node().status().state() == NODE_STATE_DOWN)
      state_.orphan_at.try_emplace(id, state_.now.now + orphan_after);
    else
      state_.orphan_at.erase(id);
    if (state_.is_invalid(id) && (!was_invalid || state_.is_lost(id) != was_lost))
      lost_.insert(id);
  }
  // A task of an older version may or may not stay where it is; one that was leaving stays, and its successor is too many.
  if (state_.templates.size() > 1 || (was_invalid && !state_.is_invalid(id)))
    updater_.look_again();
  to_check_.insert(id);
}

void service_core::apply_template(const TemplateEvent& event, const shared_batch& whole) {
  const auto version = event.template_().spec_version();
  if (event.kind() == CHANGE_KIND_REMOVED)
    state_.templates.erase(version);
  else
    state_.templates[version] = kept_part(whole, event.template_());
}

void service_core::apply_service(const ServiceEvent& event, const shared_batch& whole) {
  seen_ = true;
  if (event.kind() == CHANGE_KIND_REMOVED) {
    state_.service.reset();
    state_.mark_all();
    return;
  }
  const auto& service = event.service();
  const bool version_changed = state_.service && state_.service->spec_version() != service.spec_version();
  state_.replace_service(kept_part(whole, service));
  had_service_ = true;
  global_ = state_.is_global();
  if (loaded_)
    updater_.service_changed(version_changed);
  for (const auto& [id, node] : state_.nodes)
    to_check_.insert(id);
  job_cursor_ = 0;
  state_.mark_all();
}

slot_key service_core::slot_of(const Task& task) const {
  if (!had_service_) // only to be removed: nothing is known of its kind of slots
    return id128::parse(task.id());
  return global_ ? id128::parse(task.node_id()) : numbered_slot(task.slot());
}

void service_core::apply_task(const TaskEvent& event) {
  const auto& task = event.task();
  const task_id id{task.id()};
  const auto slot = slot_of(task);
  seen_ = true;
  if (event.kind() == CHANGE_KIND_REMOVED) {
    state_.mark(slot);
    restarts_.forget(id);
    if (state_.tasks.erase(slot, id)) {
      job_cursor_ = 0;
      to_check_.insert(node_id{slot});
    }
    return;
  }
  auto* row = state_.tasks.find(slot, id);
  if (row == nullptr) {
    task_row fresh;
    fresh.id = id;
    fresh.node = node_id{task.node_id()};
    fresh.spec_version = task.spec_version();
    fresh.job_iteration = task.job_iteration();
    fresh.created_at = task.meta().created_at();
    fresh.status_at = task.status().timestamp();
    fresh.observed = task.status().state();
    fresh.desired = task.desired_state();
    row = &state_.tasks.insert(slot, fresh);
    if (loaded_)
      updater_.look_again(); // created by someone whose Command we took for lost
  }
  row->confirmed = 1;
  task_changed(slot, *row, task);
  state_.mark(slot);
}

// States only rise, in the store too: an event may be older than what we have already decided.
void service_core::task_changed(const slot_key& slot, task_row& row, const Task& task) {
  row.node = node_id{task.node_id()};
  row.desired = std::max<std::uint32_t>(row.desired, task.desired_state());
  row.unwanted = task.desired_state() > TASK_STATE_COMPLETE;
  const auto observed = static_cast<std::uint32_t>(task.status().state());
  if (observed <= row.observed)
    return;
  if (observed > TASK_STATE_RUNNING && !row.ended()) {
    restarts_.note_end(row, task.status().state(), task.status().timestamp());
    updater_.note_end(row);
  }
  row.observed = observed;
  row.status_at = task.status().timestamp();
  if (observed == TASK_STATE_RUNNING && !updater_.is_replacing(slot)) {
    const auto rows = state_.tasks.rows(*state_.tasks.slot(slot));
    if (std::count_if(rows.begin(), rows.end(), [](auto* r) { return r->runnable(); }) > 1)
      updater_.look_again();
  }
}

service_effects service_core::tick(timestamp now) {
  state_.now = now;
  return evaluate();
}

service_effects service_core::proposed(timestamp now, const failure& outcome) {
  SWARM_CHECK(in_flight_);
  state_.now = now;
  in_flight_ = false;
  if (outcome.ok()) {
    state_.commit();
    restarts_.commit();
    refusals_ = 0;
    return evaluate();
  }
  state_.abort();
  restarts_.abort();
  updater_.abort();
  for (const auto& [id, node] : state_.nodes)
    to_check_.insert(id);
  job_cursor_ = 0;
  auto pause = retry_first;
  for (unsigned i = 0; i < refusals_ && pause < retry_max; ++i)
    pause *= 2;
  ++refusals_;
  retry_at_ = now.now + std::min(pause, retry_max);
  return evaluate();
}

// -- decisions --------------------------------------------------------------------------------------------------------------

service_effects service_core::evaluate() {
  service_effects out;
  const auto now = state_.now.now;
  if (loaded_ && !in_flight_ && now >= retry_at_) {
    work();
    if (state_.has_changes()) {
      out.propose = state_.take_command();
      in_flight_ = true;
    }
  }
  out.finished = loaded_ && !state_.service && state_.tasks.size() == 0 && !in_flight_;
  if (in_flight_)
    return out; // its outcome wakes us
  const auto consider = [&](std::optional<instant> when) {
    if (when && (!out.wake || *when < *out.wake))
      out.wake = when;
  };
  if (now < retry_at_) {
    out.wake = retry_at_;
    return out;
  }
  consider(state_.next_wake());
  if (state_.service)
    consider(updater_.next_wake());
  for (const auto& [id, when] : state_.orphan_at)
    if (when > now)
      consider(when);
  return out;
}

void service_core::mark_tasks_of_lost_nodes() {
  for (const auto& [id, when] : state_.orphan_at)
    if (when > orphaned_until_ && when <= state_.now.now)
      lost_.insert(id);
  orphaned_until_ = state_.now.now;
  if (lost_.empty())
    return;
  for (auto& [slot, rows] : state_.tasks.slots())
    for (auto* row = state_.tasks.newest(rows); row != nullptr; row = state_.tasks.older(*row))
      if (lost_.contains(row->node))
        state_.mark(slot);
  lost_.clear();
}

void service_core::work() {
  state_.wake_due();
  mark_tasks_of_lost_nodes();
  // What one slot's check marks is looked at in the next round; a few are enough for anything to settle.
  constexpr int rounds_max = 4;
  for (int round = 0; round < rounds_max; ++round) {
    for (const auto& slot : state_.take_marked())
      if (state_.is_full())
        state_.mark(slot);
      else
        check_slot(slot);
    if (state_.service)
      check_service();
    if (!state_.has_marked() || state_.is_full())
      return;
  }
}

bool service_core::is_surplus(const slot_key& slot) const {
  const auto& mode = state_.service->spec().mode();
  if (global_ || mode.has_replicated_job())
    return false;
  const auto it = state_.tasks.slots().find(slot);
  return !it->second.counted && state_.counted() >= replicated::wanted_replicas(state_.service->spec());
}

void service_core::check_slot(const slot_key& slot) {
  if (state_.tasks.slot(slot) == nullptr)
    return;
  task_reaper::orphan(state_, slot);
  if (!state_.service) {
    for (auto* row : state_.tasks.rows(*state_.tasks.slot(slot)))
      state_.set_desired(slot, *row, TASK_STATE_REMOVE);
    task_reaper::reap(state_, slot, true);
    state_.drop_if_empty(slot);
    return;
  }
  updater_.check(slot);
  const auto& mode = state_.service->spec().mode();
  if (mode.has_global_job())
    jobs::check_node(state_, restarts_, node_id{slot});
  else if (mode.has_replicated_job())
    jobs::check(state_, restarts_, slot);
  else if (mode.has_global())
    global::check(state_, restarts_, node_id{slot});
  else
    replicated::check(state_, restarts_, slot);
  task_reaper::reap(state_, slot, is_surplus(slot));
  state_.drop_if_empty(slot);
  if (state_.tasks.slot(slot) == nullptr)
    updater_.drop(slot);
}

void service_core::check_service() {
  const auto& mode = state_.service->spec().mode();
  if (!global_)
    to_check_.clear();
  while (!to_check_.empty() && !state_.is_full()) {
    const auto node = *to_check_.begin();
    to_check_.erase(to_check_.begin());
    if (state_.tasks.slot(node) != nullptr)
      check_slot(node);
    else if (mode.has_global_job())
      jobs::check_node(state_, restarts_, node);
    else
      global::check(state_, restarts_, node);
  }
  if (mode.has_replicated_job())
    jobs::fill(state_, job_cursor_);
  else if (!global_)
    replicated::scale(state_, restarts_);
  if (!state_.is_full())
    updater_.advance();
}

// -- for people -----------------------------------------------------------------------------------------------------------

void service_core::check_invariants() const {
  std::size_t counted = 0;
  for (const auto& [slot, rows] : state_.tasks.slots())
    counted += rows.counted ? 1 : 0;
  SWARM_CHECK(counted == state_.counted());
}

service_core::counts service_core::count() const {
  return {state_.tasks.size(), state_.tasks.slots().size(), state_.counted(), state_.nodes.size(), in_flight_};
}

std::string service_core::name() const {
  return state_.service && !state_.service->spec().name().empty() ? state_.service->spec().name() : state_.id().str();
}

std::string service_core::dump() const {
  std::string out = "service=" + name() + (state_.service ? "" : " removed") +
                    " tasks=" + std::to_string(state_.tasks.size()) + " wanted_slots=" + std::to_string(state_.counted());
  if (in_flight_)
    out += " proposing";
  out += " " + updater_.dump() + "\n";
  constexpr std::size_t shown_max = 1000;
  std::size_t shown = 0;
  auto& tasks = const_cast<service_core*>(this)->state_.tasks;
  for (const auto& [slot, rows] : state_.tasks.slots()) {
    if (++shown > shown_max)
      return out + "…\n";
    out += global_ ? "node " + slot.str() + ":" : "slot " + std::to_string(slot.lo) + ":";
    for (const auto* row : tasks.rows(rows))
      out += " " + row->id.str().substr(0, 8) + "{" + std::to_string(row->observed) + "→" + std::to_string(row->desired) + "}";
    out += "\n";
  }
  return out;
}

} // namespace swarm::orchestrator
