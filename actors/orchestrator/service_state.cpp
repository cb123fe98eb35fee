// The shared state of one service: comparisons, wake-ups, and changes that can be taken back.
#include "actors/orchestrator/service_state.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "runtime/check.hpp"

namespace swarm::orchestrator {

using google::protobuf::util::MessageDifferencer;

namespace {

constexpr std::uint32_t command_version = 1; // what store_core calls machine_version

difference compare_templates(const TaskTemplate& old, const TaskTemplate& wanted) {
  if (!MessageDifferencer::Equivalent(old.endpoint_spec(), wanted.endpoint_spec()))
    return difference::all;
  if (MessageDifferencer::Equivalent(old.spec(), wanted.spec()))
    return difference::none;
  auto same_place = wanted.spec();
  same_place.clear_placement();
  if (old.spec().has_placement())
    *same_place.mutable_placement() = old.spec().placement();
  if (MessageDifferencer::Equivalent(old.spec(), same_place))
    return difference::placement;
  auto same_auth = wanted.spec();
  if (same_auth.has_container_spec())
    same_auth.mutable_container_spec()->set_registry_auth(old.spec().container_spec().registry_auth());
  return MessageDifferencer::Equivalent(old.spec(), same_auth) ? difference::credentials : difference::all;
}

} // namespace

// -- facts --------------------------------------------------------------------------------------------------------------

bool service_state::is_job() const {
  return service && (service->spec().mode().has_replicated_job() || service->spec().mode().has_global_job());
}

bool service_state::is_global() const {
  return service && (service->spec().mode().has_global() || service->spec().mode().has_global_job());
}

const TaskSpec& service_state::spec_of(const task_row& row) const {
  const auto it = templates.find(row.spec_version);
  return it != templates.end() ? it->second->spec() : service->spec().task_template();
}

difference service_state::compare(const task_row& row) {
  if (row.spec_version == service->spec_version())
    return difference::none;
  const auto [it, fresh] = differences_.try_emplace(row.spec_version, difference::all);
  if (fresh)
    if (const auto old = templates.find(row.spec_version); old != templates.end()) {
      TaskTemplate wanted;
      *wanted.mutable_spec() = service->spec().task_template();
      *wanted.mutable_endpoint_spec() = service->spec().endpoint_spec();
      it->second = compare_templates(*old->second, wanted);
    }
  return it->second;
}

const Node* service_state::node(const node_id& id) const {
  const auto it = nodes.find(id);
  return it == nodes.end() ? nullptr : it->second.get();
}

bool service_state::is_invalid(const node_id& id) const {
  const auto* n = node(id);
  return n == nullptr || n->status().state() == NODE_STATE_DOWN || n->spec().availability() == NODE_AVAILABILITY_DRAIN;
}

bool service_state::is_leaving(const task_row& row) const {
  return row.runnable() && row.observed == TASK_STATE_RUNNING && row.node && is_invalid(row.node) && !is_lost(row.node) &&
         !is_global() && !is_job() && service && service->spec().update_config().order() == UPDATE_ORDER_START_FIRST;
}

bool service_state::is_lost(const node_id& id) const {
  const auto* n = node(id);
  return n == nullptr || n->status().state() == NODE_STATE_DOWN;
}

bool service_state::meets_constraints(const Node& node) {
  if (!constraints_)
    constraints_ = stored_constraints(service->spec().task_template().placement());
  return matches(*constraints_, node);
}

bool service_state::is_stopped(const task_row& row) const {
  if (row.ended() || (row.node && is_lost(row.node)))
    return true;
  // Only once the store says so: until then SCHEDULER may be placing it.
  return row.unwanted && row.observed < TASK_STATE_ASSIGNED;
}

void service_state::forget_comparisons() {
  differences_.clear();
  constraints_.reset();
  networks_.reset();
}

void service_state::replace_service(std::shared_ptr<const Service> stored) {
  const bool same = service && service->spec_version() == stored->spec_version();
  const bool under_way = status_before_ && same && !MessageDifferencer::Equals(stored->update_status(), update_status());
  service = std::move(stored);
  forget_comparisons();
  if (under_way) {
    status_before_ = service->update_status();
    return;
  }
  status_before_.reset(); // if ours has arrived, the store's word counts from here on
  update_status_.reset();
}

// -- what must be looked at ---------------------------------------------------------------------------------------------

void service_state::mark(const slot_key& slot) {
  auto* state = tasks.slot(slot);
  if (state == nullptr || state->dirty)
    return;
  state->dirty = true;
  marked_.push_back(slot);
}

void service_state::mark_all() {
  for (const auto& [key, state] : tasks.slots())
    mark(key);
}

std::vector<slot_key> service_state::take_marked() {
  auto out = std::exchange(marked_, {});
  for (const auto& key : out)
    if (auto* state = tasks.slot(key))
      state->dirty = false;
  return out;
}

void service_state::wake_at(instant when, const slot_key& slot) { wakes_.emplace(when, slot); }

void service_state::wake_due() {
  while (!wakes_.empty() && wakes_.begin()->first <= now.now) {
    mark(wakes_.begin()->second);
    wakes_.erase(wakes_.begin());
  }
}

std::optional<instant> service_state::next_wake() const {
  return wakes_.empty() ? std::nullopt : std::optional{wakes_.begin()->first};
}

void service_state::set_counted(slot_state& slot, bool counted, bool complete) {
  counted_ = counted_ + (counted ? 1 : 0) - (slot.counted ? 1 : 0);
  completed_ = completed_ + (complete ? 1 : 0) - (slot.complete ? 1 : 0);
  slot.counted = counted;
  slot.complete = complete;
}

void service_state::drop_if_empty(const slot_key& slot) {
  if (auto* rows = tasks.slot(slot); rows != nullptr && rows->newest == no_row) {
    set_counted(*rows, false);
    tasks.drop_if_empty(slot);
  }
}

// -- changes --------------------------------------------------------------------------------------------------------------

void service_state::record(change_kind kind, const slot_key& slot, const task_row& row, std::uint32_t before,
                           std::uint32_t after) {
  changes_.push_back({kind, slot, row.id, before, after});
  ++rows_;
}

TaskChange& service_state::add_change(const task_row& row) {
  auto& change = *updates_.add_changes();
  change.set_task_id(row.id.str());
  return change;
}

// Networks of the engine itself need nobody's help; for all others a task waits in NEW for its addresses.
void service_state::prepare_networks() {
  networks_.emplace();
  needs_addresses_ = false;
  for (const auto& wanted : service->spec().task_template().networks()) {
    const auto it = predefined_networks.find(wanted.target());
    if (it == predefined_networks.end()) {
      needs_addresses_ = true;
      continue;
    }
    auto& network = networks_->emplace_back();
    network.set_network_id(wanted.target());
    *network.mutable_aliases() = wanted.aliases();
    network.set_predefined_name(it->second);
  }
}

// The rows of a large batch change together from then on: with neighbouring ids they share the pages of the database.
task_id service_state::fresh_id() {
  constexpr int small_batch = 256;
  constexpr int shared_bits = 16;
  constexpr auto own = ~std::uint64_t{0} >> shared_bits;
  auto id = task_id::fresh(rng_);
  if (creations_.tasks_size() == small_batch)
    batch_prefix_ = id.hi & ~own;
  if (creations_.tasks_size() >= small_batch)
    id.hi = batch_prefix_ | (id.hi & own);
  return id;
}

task_row& service_state::create(const slot_key& slot, const node_id& node, TaskState desired, const std::string& held) {
  if (!networks_)
    prepare_networks();
  task_row row;
  row.id = fresh_id();
  row.node = node;
  row.spec_version = service->spec_version();
  row.created_at = row.status_at = now.wall;
  row.observed = needs_addresses_ ? TASK_STATE_NEW : TASK_STATE_PENDING;
  row.desired = desired;
  auto& task = *creations_.add_tasks();
  task.set_id(row.id.str());
  if (node)
    task.set_node_id(node.str());
  else
    task.set_slot(slot.lo);
  task.set_desired_state(desired);
  task.set_held(held);
  auto& status = *task.mutable_status();
  status.set_timestamp(now.wall);
  status.set_state(static_cast<TaskState>(row.observed));
  status.set_message(needs_addresses_ ? "created" : "pending task scheduling");
  task.mutable_networks()->Add(networks_->begin(), networks_->end());
  if (is_job()) {
    row.job_iteration = iteration();
    task.set_job_iteration(row.job_iteration);
  }
  auto& stored = tasks.insert(slot, row);
  record(change_kind::created, slot, stored, 0, 0);
  mark(slot);
  return stored;
}

void service_state::set_desired(const slot_key& slot, task_row& row, TaskState desired) {
  if (row.desired >= static_cast<std::uint32_t>(desired))
    return;
  record(change_kind::desired, slot, row, row.desired, desired);
  row.desired = desired;
  add_change(row).set_desired_state(desired);
  mark(slot);
}

void service_state::set_observed(const slot_key& slot, task_row& row, TaskState state, const std::string& message,
                                 const std::string& err) {
  if (row.observed >= static_cast<std::uint32_t>(state))
    return;
  record(change_kind::observed, slot, row, row.observed, state);
  row.observed = state;
  auto& status = *add_change(row).mutable_status();
  status.set_timestamp(now.wall);
  status.set_state(state);
  status.set_message(message);
  status.set_err(err);
  mark(slot);
}

void service_state::remove(const slot_key& slot, task_row& row) {
  if (row.removing)
    return;
  row.removing = 1;
  record(change_kind::removing, slot, row, 0, 0);
  removals_.add_task_ids(row.id.str());
}

void service_state::set_update_status(const UpdateStatus& status) {
  if (!status_before_)
    status_before_ = update_status();
  update_status_ = status;
  if (!service_update_)
    service_update_.emplace();
  *service_update_->mutable_update_status() = status;
  ++rows_;
}

void service_state::roll_back(const UpdateStatus& status) {
  set_update_status(status);
  service_update_->set_roll_back(true);
  service_update_->set_if_spec_version(service->spec_version());
}

Command service_state::take_command() {
  SWARM_CHECK(has_changes());
  Command out;
  out.set_machine_version(command_version);
  out.set_proposed_at(now.wall);
  if (creations_.tasks_size() > 0) {
    creations_.set_service_id(id_text_);
    creations_.set_spec_version(service->spec_version());
    out.add_actions()->mutable_create_tasks()->Swap(&creations_);
  }
  if (updates_.changes_size() > 0)
    out.add_actions()->mutable_update_tasks()->Swap(&updates_);
  if (removals_.task_ids_size() > 0)
    out.add_actions()->mutable_remove_tasks()->Swap(&removals_);
  if (service_update_) {
    service_update_->set_service_id(id_text_);
    out.add_actions()->mutable_update_service_state()->Swap(&*service_update_);
    service_update_.reset();
  }
  rows_ = 0;
  return out;
}

void service_state::commit() {
  for (const auto& change : changes_)
    if (change.kind == change_kind::removing) {
      tasks.erase(change.slot, change.task);
      mark(change.slot);
    }
  changes_.clear();
  status_before_.reset();
}

void service_state::abort() {
  // Backwards, so that the oldest value of a row wins. A row that an event has meanwhile raised further is left alone.
  for (auto it = changes_.rbegin(); it != changes_.rend(); ++it) {
    auto* row = tasks.find(it->slot, it->task);
    mark(it->slot);
    if (row == nullptr)
      continue;
    if (it->kind == change_kind::created && row->confirmed == 0)
      tasks.erase(it->slot, it->task);
    else if (it->kind == change_kind::desired && row->desired == it->after)
      row->desired = it->before;
    else if (it->kind == change_kind::observed && row->observed == it->after)
      row->observed = it->before;
    else if (it->kind == change_kind::removing)
      row->removing = 0;
  }
  changes_.clear();
  if (status_before_)
    update_status_ = std::exchange(status_before_, std::nullopt);
}

} // namespace swarm::orchestrator
