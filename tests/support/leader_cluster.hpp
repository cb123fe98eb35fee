// A leader and its nodes without actors: the real cores of STORE, ORCHESTRATOR, SERVICE, SCHEDULER and NODE in one loop,
// and agents that only pretend to run tasks. Commands can be lost, refused or answered late.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "actors/store/store_core.hpp"
#include "messages/render.hpp"
#include "runtime/random.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/leader_cores.hpp"

namespace swarm::test {

class leader_cluster {
public:
  /// What happens to a proposal of the leader's own actors.
  enum class fate { commit, refuse, lose_answer };

  explicit leader_cluster(std::uint64_t seed = 1) : rng{seed} { lead(); }

  // -- knobs --------------------------------------------------------------------------------------------------------------
  std::function<fate()> decide = [] { return fate::commit; };
  /// Answers come before the events (true) or after them.
  std::function<bool()> answer_first = [] { return false; };
  /// How a task that starts ends: RUNNING, FAILED, REJECTED or COMPLETE.
  std::function<TaskState(const AssignedTask&)> outcome = [](const AssignedTask&) { return TASK_STATE_RUNNING; };
  /// Every change of the store, as lines for goldens.
  std::vector<std::string> log;
  bool keep_log = true;

  timestamp now{instant{seconds{1000}}, 1'700'000'000'000'000'000};
  random_source rng;
  store::core store;

  // -- the user and the clock ---------------------------------------------------------------------------------------------
  CommandResult write(const Command& command) {
    auto copy = command;
    copy.set_proposed_at(now.wall);
    auto done = store.apply(++index_, std::move(copy));
    publish(done.events);
    return done.result;
  }
  void advance(duration by) {
    now.now += by;
    now.wall += by.count();
    leader_->tick_all();
  }
  /// Nothing of the old leader but the store is left.
  void lead() {
    queue_.clear();
    leader_cores::host host;
    host.now = [this] { return now; };
    host.propose = [this](Command command, leader_cores::answer answer) {
      queue_.push_back({std::move(command), std::move(answer)});
    };
    host.read = [this](const ReadObjects& request, ObjectsRead& out) { return store.read(request, out); };
    leader_ = std::make_unique<leader_cores>(std::move(host), rng);
    leader_->load(store.snapshot());
    for (auto& [id, agent] : agents_)
      register_agent(id);
  }

  // -- nodes ----------------------------------------------------------------------------------------------------------------
  void add_node(const std::string& id, const std::string& hostname,
                const std::function<void(Node&)>& change = [](Node&) {}) {
    auto n = node(id, hostname);
    change(n);
    write(put_node(n));
    agents_[id];
    register_agent(id);
  }
  void change_node(const std::string& id, const std::function<void(Node&)>& change) {
    auto n = find_node(id);
    change(n);
    auto command = put_node(n, false);
    command.mutable_actions(0)->mutable_put_node()->set_expected_version(n.meta().version().index());
    write(command);
    write(put_node(n, true)); // description and status
  }
  void remove_node(const std::string& id) {
    write(command([&](StoreAction& a) {
      a.mutable_remove_node()->set_id(id);
      a.mutable_remove_node()->set_force(true);
    }));
    agents_.erase(id);
  }
  [[nodiscard]] Node find_node(const std::string& id) const {
    const auto it = known_nodes_.find(id);
    return it == known_nodes_.end() ? Node{} : it->second;
  }
  /// The agent does nothing any more; its tasks stay as they are.
  void silence(const std::string& id) { silent_.insert(id); }
  void wake(const std::string& id) { silent_.erase(id); }

  // -- the loop ---------------------------------------------------------------------------------------------------------------
  /// One proposal; false when there was none.
  bool commit_one() {
    if (queue_.empty())
      return false;
    auto next = std::move(queue_.front());
    queue_.pop_front();
    const auto what = decide();
    if (what == fate::refuse) {
      next.answer({errc::resource_exhausted, "busy"});
      return true;
    }
    ++commands;
    auto done = store.apply(++index_, std::move(next.command));
    const failure outcome = what == fate::lose_answer
                              ? failure{errc::deadline_exceeded, "no answer"}
                              : failure{static_cast<errc>(done.result.code()), done.result.message()};
    const bool first = answer_first();
    if (first)
      next.answer(outcome);
    publish(done.events);
    if (!first)
      next.answer(outcome);
    return true;
  }
  void commit_all() {
    while (commit_one()) {
    }
  }
  /// Each living agent takes one step with each of its tasks; true when something was reported.
  bool step_agents() {
    std::vector<TaskChange> changes;
    for (auto& [id, agent] : agents_) {
      deliver_frames(id);
      if (!silent_.contains(id))
        for (auto& [task, row] : agent)
          step_task(id, row, changes);
    }
    if (changes.empty())
      return false;
    Command report;
    for (auto& change : changes)
      *report.add_actions()->mutable_update_tasks()->add_changes() = std::move(change);
    write(report);
    return true;
  }
  /// Until nothing moves at this moment; false when that takes too long.
  bool settle(int rounds = 2000) {
    for (int i = 0; i < rounds; ++i) {
      const bool committed = commit_one();
      const bool stepped = !committed && step_agents();
      if (!committed && !stepped)
        return true;
    }
    return false;
  }
  /// As an agent would report it.
  void report(const std::string& task, TaskState state, const std::string& err = {}) {
    auto change = observed(task, state, state == TASK_STATE_RUNNING ? "started" : "finished", now.wall);
    change.mutable_status()->set_err(err);
    for (auto& [id, agent] : agents_)
      if (const auto it = agent.find(task); it != agent.end())
        it->second.set_observed_state(state);
    write(update_task(change));
  }

  [[nodiscard]] std::vector<Task> tasks(const std::string& service = {}) const {
    std::vector<Task> out;
    const auto all = store.snapshot();
    for (const auto& t : all.tasks())
      if (service.empty() || t.service_id() == service)
        out.push_back(t);
    std::sort(out.begin(), out.end(), [](const Task& a, const Task& b) {
      return std::tuple{a.service_id(), a.slot(), a.node_id(), a.meta().created_at(), a.meta().version().index(), a.id()} <
             std::tuple{b.service_id(), b.slot(), b.node_id(), b.meta().created_at(), b.meta().version().index(), b.id()};
    });
    return out;
  }
  [[nodiscard]] Service service(const std::string& id) const {
    const auto it = known_services_.find(id);
    return it == known_services_.end() ? Service{} : it->second;
  }
  [[nodiscard]] std::string image_of(const std::string& service, std::uint64_t spec_version) const {
    const auto it = images_.find({service, spec_version});
    return it == images_.end() ? "" : it->second;
  }
  /// "t3" for the third task that was ever created.
  std::string name_of(const std::string& task) {
    const auto [it, fresh] = names_.try_emplace(task, "t" + std::to_string(names_.size() + 1));
    return it->second;
  }
  [[nodiscard]] std::size_t waiting_proposals() const { return queue_.size(); }
  [[nodiscard]] std::size_t service_actors() const { return leader_->service_count(); }
  [[nodiscard]] const scheduler::core& placing() const { return leader_->placing(); }
  [[nodiscard]] orchestrator::service_core& deciding(const std::string& id) { return leader_->deciding(service_id{id}); }
  [[nodiscard]] const std::map<std::string, std::map<std::string, AssignedTask>>& agents() const { return agents_; }
  std::size_t commands = 0;

  void check_invariants() const {
    store.check_invariants();
    leader_->check_invariants();
  }

private:
  struct proposal {
    Command command;
    std::function<void(const failure&)> answer;
  };

  void publish(const EventBatch& batch) {
    note(batch);
    leader_->publish(batch);
  }

  void register_agent(const std::string& id) {
    if (const auto it = leader_->nodes().find(id); it != leader_->nodes().end())
      it->second->start_session("session" + std::to_string(++sessions_));
  }

  void deliver_frames(const std::string& id) {
    const auto it = leader_->nodes().find(id);
    if (it == leader_->nodes().end())
      return;
    auto& agent = agents_[id];
    while (const auto frame = it->second->take_frame()) {
      std::map<std::string, AssignedTask> kept;
      for (const auto& task : frame->tasks()) {
        auto row = task;
        if (const auto known = agent.find(task.id()); known != agent.end())
          row.set_observed_state(std::max(known->second.observed_state(), task.observed_state()));
        (frame->complete() ? kept : agent)[task.id()] = row;
      }
      if (frame->complete())
        agent = std::move(kept);
      for (const auto& task : frame->removed_task_ids())
        agent.erase(task);
    }
  }

  void step_task(const std::string& node, AssignedTask& row, std::vector<TaskChange>& changes) {
    const auto state = row.observed_state();
    if (state > TASK_STATE_RUNNING)
      return;
    auto next = state;
    if (row.desired_state() > TASK_STATE_COMPLETE)
      next = TASK_STATE_SHUTDOWN;
    else if (state < TASK_STATE_READY)
      next = TASK_STATE_READY;
    else if (state == TASK_STATE_READY && row.desired_state() > TASK_STATE_READY)
      next = outcome(row);
    else if (state == TASK_STATE_STARTING)
      next = TASK_STATE_RUNNING;
    if (next == state)
      return;
    row.set_observed_state(next);
    auto change = observed(row.id(), next, next == TASK_STATE_RUNNING ? "started" : "", now.wall);
    change.set_reporter_node_id(node);
    changes.push_back(std::move(change));
  }

  void note(const EventBatch& batch) {
    for (const auto& event : batch.nodes())
      if (event.kind() == CHANGE_KIND_REMOVED)
        known_nodes_.erase(event.node().id());
      else
        known_nodes_[event.node().id()] = event.node();
    for (const auto& event : batch.services())
      if (event.kind() == CHANGE_KIND_REMOVED)
        known_services_.erase(event.service().id());
      else
        known_services_[event.service().id()] = event.service();
    for (const auto& event : batch.templates())
      images_[{event.template_().service_id(), event.template_().spec_version()}] =
        event.template_().spec().container_spec().image();
    if (!keep_log)
      return;
    for (const auto& event : batch.services())
      if (event.kind() == CHANGE_KIND_UPDATED &&
          render(event.service().update_status()) != render(event.old().update_status()))
        log.push_back("update " + short_state(event.service().update_status()));
    for (const auto& event : batch.tasks()) {
      const auto& t = event.task();
      auto line = name_of(t.id());
      if (event.kind() == CHANGE_KIND_REMOVED) {
        seen_.erase(t.id());
        log.push_back(line + " removed");
        continue;
      }
      const auto text = describe(t);
      if (seen_[t.id()] != text)
        log.push_back(line + " " + text);
      seen_[t.id()] = text;
    }
  }

  static std::string short_of(TaskState state) { return short_name(*TaskState_descriptor()->FindValueByNumber(state)); }

public:
  std::string describe(const Task& t) const {
    std::string out = t.slot() > 0 || t.node_id().empty() || !is_global(t.service_id()) ? "slot " + std::to_string(t.slot()) : "node";
    const auto n = t.node_id().empty() ? std::string{"-"} : find_node(t.node_id()).description().hostname();
    out += " on " + (n.empty() ? "gone" : n) + " " + short_of(t.status().state()) + "→" + short_of(t.desired_state());
    if (!t.status().err().empty())
      out += " (" + t.status().err() + ")";
    if (!t.held().empty())
      out += " [" + t.held() + "]";
    return out;
  }
  static std::string short_state(const UpdateStatus& status) {
    return short_name(*UpdateState_descriptor()->FindValueByNumber(status.state())) +
           (status.message().empty() ? "" : ": " + status.message());
  }

private:
  bool is_global(const std::string& id) const {
    const auto s = service(id);
    return s.spec().mode().has_global() || s.spec().mode().has_global_job();
  }

  std::uint64_t index_ = 0;
  std::uint64_t sessions_ = 0;
  std::unique_ptr<leader_cores> leader_;
  std::map<std::string, std::map<std::string, AssignedTask>> agents_;
  std::set<std::string> silent_;
  std::deque<proposal> queue_;
  std::map<std::pair<std::string, std::uint64_t>, std::string> images_;
  std::map<std::string, Node> known_nodes_;
  std::map<std::string, Service> known_services_;
  std::map<std::string, std::string> names_;
  std::map<std::string, std::string> seen_;
};

} // namespace swarm::test
