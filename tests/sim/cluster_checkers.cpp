// The checkers of the cluster simulator.
#include "tests/sim/cluster_checkers.hpp"

#include "tests/sim/sim_engine.hpp"

namespace swarm::sim {

namespace {

std::string num(std::uint64_t value) { return std::to_string(value); }

/// A replacement does not wait longer for its predecessor (restart.hpp).
constexpr std::uint64_t stop_wait_us = 60'000'000;

[[noreturn]] void fail(const std::string& what) { throw violation{what}; }

} // namespace

cluster_checkers::slot_key cluster_checkers::slot_of(const Task& task) {
  return {task.service_id(), task.slot(), task.slot() == 0 ? task.node_id() : ""};
}

void cluster_checkers::committed(std::uint64_t index, const EventBatch& events) {
  for (const auto& event : events.nodes())
    node_event(index, event);
  for (const auto& event : events.services())
    last_changed_[event.service().id()] = index; // an update, or one that goes on
  for (const auto& event : events.services())
    if (event.service().spec().update_config().order() == UPDATE_ORDER_START_FIRST
        || event.service().spec().rollback_config().order() == UPDATE_ORDER_START_FIRST)
      start_first_.insert(event.service().id());
  for (const auto& event : events.templates())
    if (event.kind() != CHANGE_KIND_REMOVED)
      delay_us_[{event.template_().service_id(), event.template_().spec_version()}] =
        static_cast<std::uint64_t>(event.template_().spec().restart_policy().delay() / 1'000);
  for (const auto& event : events.tasks())
    task_event(index, event);
}

void cluster_checkers::node_event(std::uint64_t index, const NodeEvent& event) {
  const auto& node = event.node();
  if (event.kind() == CHANGE_KIND_REMOVED || node.status().state() != NODE_STATE_READY
      || node.spec().availability() != NODE_AVAILABILITY_ACTIVE)
    last_down_[node.id()] = index;
}

void cluster_checkers::task_event(std::uint64_t index, const TaskEvent& event) {
  const auto& row = event.task();
  auto [it, fresh] = tasks_.try_emplace(row.id());
  auto& known = it->second;
  if (known.removed)
    fail("tasks: " + row.id() + " comes back after it was removed, at " + num(index));
  if (event.kind() == CHANGE_KIND_REMOVED) {
    known.removed = true;
    return;
  }
  if (fresh) {
    known.created_us = now_us();
    known.created_index = index;
  }
  const auto& before = known.row;
  if (!fresh && row.status().state() < before.status().state())
    fail("task states: " + row.id() + " falls from " + TaskState_Name(before.status().state()) + " to "
         + TaskState_Name(row.status().state()) + " at " + num(index));
  if (!fresh && row.desired_state() < before.desired_state())
    fail("task states: the desired state of " + row.id() + " falls at " + num(index));
  if (!before.node_id().empty() && row.node_id() != before.node_id())
    fail("tasks: " + row.id() + " moves from " + before.node_id() + " to " + row.node_id());
  if (known.stop_wanted_us == 0 && row.desired_state() > TASK_STATE_COMPLETE) {
    known.stop_wanted_us = now_us() + 1;
    known.stop_wanted_index = index;
  }
  if (row.status().state() != before.status().state())
    check_report(row);
  known.row = row;
}

void cluster_checkers::check_report(const Task& task) const {
  const auto* const engine = engine_of(task.node_id());
  if (engine == nullptr)
    return;
  const auto state = task.status().state();
  if (state == TASK_STATE_RUNNING && !engine->has_started(task.id()))
    fail("reports: " + task.id() + " is RUNNING, its container has never been started");
  if (state >= TASK_STATE_COMPLETE && state <= TASK_STATE_REJECTED && engine->runs(task.id()))
    fail("reports: " + task.id() + " is " + TaskState_Name(state) + ", its container runs");
}

void cluster_checkers::container_started(const std::string& node, const std::string& task, unsigned times) {
  ++containers_;
  const auto it = tasks_.find(task);
  if (it == tasks_.end())
    fail("containers: " + task + " was never created as a task");
  const auto& known = it->second;
  if (known.row.node_id() != node)
    fail("containers: " + task + " starts on " + node + ", it was assigned to " + known.row.node_id());
  if (times > 1)
    fail("containers: " + task + " starts a second time");
  if (const auto state = known.row.status().state(); state >= TASK_STATE_COMPLETE && state <= TASK_STATE_REJECTED)
    fail("containers: " + task + " starts, its end was told: it is " + TaskState_Name(state));
  check_slot(task, known);
  check_delay(task, known);
  running_[slot_of(known.row)].insert(task);
}

// What the managers believe to have ended or to be out of reach may run on beside what replaces it.
bool cluster_checkers::is_given_up(const known_task& task) const {
  const auto down = last_down_.find(task.row.node_id());
  const bool node_was_down = down != last_down_.end() && down->second > task.created_index;
  const bool waited_for_long = task.stop_wanted_us != 0 && now_us() >= task.stop_wanted_us + stop_wait_us;
  return task.removed || task.row.status().state() > TASK_STATE_RUNNING || node_was_down || waited_for_long
         || task.row.desired_state() == TASK_STATE_REMOVE;
}

void cluster_checkers::check_slot(const std::string& task, const known_task& starting) const {
  const auto it = running_.find(slot_of(starting.row));
  if (it == running_.end() || start_first_.contains(starting.row.service_id()) || is_given_up(starting))
    return;
  for (const auto& other : it->second) {
    const auto& beside = tasks_.at(other);
    if (!is_given_up(beside))
      fail("one container per slot: " + task + " starts on " + starting.row.node_id() + " while " + other + " runs on "
           + beside.row.node_id() + " and is " + TaskState_Name(beside.row.status().state()) + " wanted "
           + TaskState_Name(beside.row.desired_state()));
  }
}

void cluster_checkers::check_delay(const std::string& task, const known_task& starting) const {
  const auto it = deaths_.find(slot_of(starting.row));
  if (it == deaths_.end() || clocks_jump || leader_began_us_ >= starting.created_us)
    return;
  const auto& dead = tasks_.at(it->second.task);
  const auto delay = delay_us_.find({starting.row.service_id(), starting.row.spec_version()});
  const auto down = last_down_.find(dead.row.node_id());
  if (delay == delay_us_.end() || dead.row.spec_version() != starting.row.spec_version()
      || starting.created_us < it->second.at_us || (down != last_down_.end() && down->second > dead.created_index))
    return; // nobody asked for a pause when it was the node that went away
  if (const auto changed = last_changed_.find(starting.row.service_id());
      changed != last_changed_.end() && changed->second > dead.created_index)
    return; // replaced by an update
  if (dead.stop_wanted_index != starting.created_index)
    return; // not its restart, but a new use of the slot
  if (now_us() < it->second.at_us + delay->second)
    fail("restart delay: " + task + " starts " + num(now_us() - it->second.at_us) + "us after " + it->second.task
         + " ended, the delay is " + num(delay->second) + "us");
}

void cluster_checkers::container_ended(const std::string&, const std::string& task, bool by_itself) {
  const auto it = tasks_.find(task);
  if (it == tasks_.end())
    return;
  const auto slot = slot_of(it->second.row);
  running_[slot].erase(task);
  if (by_itself && it->second.stop_wanted_us == 0)
    deaths_[slot] = {task, now_us()};
}

void cluster_checkers::told(const std::string& session, std::uint64_t sequence, std::set<std::string> tasks) {
  told_[{session, sequence}] = std::move(tasks);
}

void cluster_checkers::holds(const std::string& session, const Assignments& frame, const Assignments& held) const {
  const auto which = "frame " + num(frame.sequence()) + " of session " + frame.session_id();
  if (frame.session_id() != session)
    fail("assignments: " + which + " counts in session " + session);
  const auto it = told_.find({session, frame.sequence()});
  if (it == told_.end())
    return;
  std::set<std::string> ids;
  for (const auto& task : held.tasks())
    ids.insert(task.id());
  if (ids != it->second)
    fail("assignments: after " + which + " an agent holds " + num(ids.size()) + " tasks, it was told of " + num(it->second.size()));
}

void cluster_checkers::acknowledged(std::uint64_t index, const Command& command) const {
  if (index == 0 || index > history_.last())
    fail("acknowledged: a client was told that " + num(index) + " is done, known are " + num(history_.last()));
  if (history_.at(index).data() != command.SerializeAsString())
    fail("acknowledged: a client was told that its write is entry " + num(index) + ", which is another");
}

void cluster_checkers::state_of(std::uint64_t manager, std::uint64_t index, const std::function<std::uint64_t()>& digest) const {
  if (const auto wanted = history_.digest_at(index); wanted != 0 && digest() != wanted)
    fail("equal states: manager " + num(manager) + " holds another state after " + num(index));
}

void cluster_checkers::check_clients(const test::linearizability::history& clients) const {
  const auto found = test::linearizability::check(clients, {.steps = 20'000'000, .memory = 500'000'000});
  if (found.answer == test::linearizability::verdict::violated)
    fail("linearizable clients: key " + found.key + ": " + found.reason);
  if (found.answer == test::linearizability::verdict::undecided)
    fail("linearizable clients: undecided, " + found.reason);
}

} // namespace swarm::sim
