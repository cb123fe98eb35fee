// What DISPATCHER and the leader's other actors do around their cores, in virtual time.
#include "tests/sim/cluster_office.hpp"

#include <algorithm>

#include "tests/sim/cluster_checkers.hpp"
#include "tests/sim/cluster_links.hpp"

namespace swarm::sim {

using reader = test::leader_cores::reader;

namespace {

void look_ready(const cluster_bugs& bugs, reader who, Node& node) {
  const bool hide_down = (who == reader::orchestrator && bugs.orchestrator_ignores_down)
                         || (who == reader::scheduler && bugs.scheduler_ignores_down);
  if (hide_down && node.status().state() == NODE_STATE_DOWN)
    node.mutable_status()->set_state(NODE_STATE_READY);
  if (who == reader::scheduler && bugs.scheduler_ignores_drain)
    node.mutable_spec()->set_availability(NODE_AVAILABILITY_ACTIVE);
}

void forget_delay(TaskTemplate& what) { what.mutable_spec()->mutable_restart_policy()->set_delay(0); }

template <class Rows, class Which>
void drop(Rows& rows, Which which) {
  for (int i = rows.size() - 1; i >= 0; --i)
    if (which(rows[i]))
      rows.DeleteSubrange(i, 1);
}

void drop_removals(EventBatch& batch) {
  drop(*batch.mutable_nodes(), [](const NodeEvent& event) { return event.kind() == CHANGE_KIND_REMOVED; });
}

void forget_status(const cluster_bugs& bugs, Service& service) {
  const auto state = service.update_status().state();
  if (bugs.leader_forgets_pause && (state == UPDATE_STATE_PAUSED || state == UPDATE_STATE_ROLLBACK_PAUSED))
    service.clear_update_status();
  if (bugs.leader_forgets_rollback && state == UPDATE_STATE_ROLLBACK_STARTED)
    service.mutable_update_status()->set_state(UPDATE_STATE_UPDATING);
}

// What an ORCHESTRATOR that begins does not see.
void forget(const cluster_bugs& bugs, StoreSnapshot& state) {
  std::map<std::string, std::uint64_t> outdated;
  for (auto& service : *state.mutable_services()) {
    forget_status(bugs, service);
    if (bugs.leader_starts_update_anew && service.update_status().state() == UPDATE_STATE_UPDATING)
      outdated[service.id()] = service.previous_spec_version();
  }
  drop(*state.mutable_tasks(), [&](const Task& task) {
    const auto seen = task.status().state();
    return (bugs.leader_forgets_failures && seen > TASK_STATE_COMPLETE)
           || (bugs.leader_forgets_completions && seen == TASK_STATE_COMPLETE);
  });
  for (auto& task : *state.mutable_tasks()) {
    if (bugs.leader_forgets_waiting)
      task.mutable_meta()->set_created_at(0);
    if (bugs.leader_overlooks_starting && task.status().state() < TASK_STATE_RUNNING)
      task.mutable_status()->set_state(TASK_STATE_RUNNING);
    if (const auto it = outdated.find(task.service_id()); it != outdated.end())
      task.set_spec_version(it->second);
  }
}

bool forgets(const cluster_bugs& bugs) {
  return bugs.leader_forgets_failures || bugs.leader_forgets_completions || bugs.leader_forgets_waiting || bugs.leader_forgets_pause
         || bugs.leader_forgets_rollback || bugs.leader_starts_update_anew || bugs.leader_overlooks_starting;
}

bool edits(const cluster_bugs& bugs) {
  return forgets(bugs) || bugs.orchestrator_ignores_down || bugs.scheduler_ignores_down || bugs.scheduler_ignores_drain
         || bugs.restart_forgets_delay || bugs.removed_node_keeps_session;
}

} // namespace

test::leader_cores::host cluster_manager::leader_host() {
  test::leader_cores::host out;
  out.now = [this] { return time(); };
  out.propose = [this](Command command, test::leader_cores::answer answer) {
    const auto& bugs = env_.knobs.bugs;
    const bool fresh = env_.world.now() < office_->began_us + 2'000'000;
    for (int i = command.actions_size() - 1; i >= 0; --i) {
      auto& action = *command.mutable_actions(i);
      if (bugs.update_never_ends && action.has_update_service_state())
        action.mutable_update_service_state()->clear_update_status();
      if (!action.has_create_tasks())
        continue;
      auto& tasks = *action.mutable_create_tasks()->mutable_tasks();
      for (auto& task : tasks)
        if (bugs.replacement_does_not_wait && task.desired_state() == TASK_STATE_READY)
          task.set_desired_state(TASK_STATE_RUNNING);
      for (int n = bugs.double_create && fresh ? tasks.size() : 0; n > 0; --n) {
        auto& copy = *tasks.Add();
        copy = tasks[n - 1];
        copy.set_id(id128::random(env_.rng()).str());
      }
    }
    soon(1 + env_.rng().below(100), [this, command = std::move(command), answer = std::move(answer)] {
      propose(command, [answer](const CommandResult& result, const failure& outcome) {
        answer(outcome.ok() ? failure{static_cast<errc>(result.code()), result.message()} : outcome);
      });
    });
  };
  out.read = [this](const ReadObjects& request, ObjectsRead& found) { return store_->read(request, found); };
  out.wake = [this](instant at) {
    soon(env_.until(at), [this] {
      if (office_) {
        office_->leader.tick_due();
        send_frames();
      }
    });
  };
  if (edits(env_.knobs.bugs)) {
    out.edit = [this](reader who, EventBatch& batch) {
      const auto& bugs = env_.knobs.bugs;
      for (auto& event : *batch.mutable_nodes())
        look_ready(bugs, who, *event.mutable_node());
      if (bugs.restart_forgets_delay && who == reader::orchestrator)
        for (auto& event : *batch.mutable_templates())
          forget_delay(*event.mutable_template_());
      if (bugs.removed_node_keeps_session && who == reader::dispatcher)
        drop_removals(batch);
    };
    out.edit_start = [this](reader who, StoreSnapshot& snapshot) {
      if (who == reader::orchestrator && forgets(env_.knobs.bugs))
        forget(env_.knobs.bugs, snapshot);
      for (auto& node : *snapshot.mutable_nodes())
        look_ready(env_.knobs.bugs, who, node);
      if (env_.knobs.bugs.restart_forgets_delay && who == reader::orchestrator)
        for (auto& one : *snapshot.mutable_templates())
          forget_delay(one);
    };
  }
  return out;
}

void cluster_manager::lead() {
  env_.world.trace("lead", id_);
  env_.checkers.leader_began();
  const auto snapshot = store_->snapshot();
  office_ = std::make_unique<office>(leader_host(), env_.rng(), env_.rng()());
  office_->began_us = env_.world.now();
  office_->log_index = snapshot.log_index();
  office_->sessions.load(time(), snapshot);
  office_->leader.load(snapshot);
}

void cluster_manager::hear() {
  if (!office_)
    return;
  while (office_ && !office_->inbox.empty()) {
    auto batch = std::move(office_->inbox.front());
    office_->inbox.pop_front();
    if (batch.log_index() <= office_->log_index)
      continue;
    office_->log_index = batch.log_index();
    if (env_.knobs.bugs.leader_misses_events && batch.tasks_size() > 0 && !std::exchange(office_->missed_one, true))
      continue;
    auto told = batch;
    if (env_.knobs.bugs.removed_node_keeps_session)
      drop_removals(told);
    office_->sessions.apply(time(), told);
    office_->leader.publish(batch);
  }
  send_frames();
  flush();
}

void cluster_manager::flush() {
  if (!office_)
    return;
  const auto now = time();
  if (auto command = office_->sessions.next_command(now))
    propose(std::move(*command), [this, term = leading_term_](const CommandResult& result, const failure& outcome) {
      if (!office_ || term != leading_term_)
        return;
      office_->sessions.written(time(), outcome.ok() ? failure{static_cast<errc>(result.code()), result.message()} : outcome);
      flush();
    });
  if (auto command = office_->statuses.next_command(now))
    propose(std::move(*command), [this, term = leading_term_](const CommandResult& result, const failure& outcome) {
      if (!office_ || term != leading_term_)
        return;
      const auto how = outcome.ok() ? failure{static_cast<errc>(result.code()), result.message()} : outcome;
      for (auto& done : office_->statuses.committed(time(), how))
        if (const auto to = office_->agents.find(done.node);
            to != office_->agents.end() && office_->sessions.is_current(done.node, done.message.session_id()))
          down_.accepted(to->second.worker, id_, to->second.link, std::move(done.message));
      flush();
    });
}

// SECRET PROVIDER and its plugins: each answer takes its time. "each" has a value for every task, "flaky" often has none.
void cluster_manager::ask_drivers() {
  for (auto& [id, node] : office_->leader.nodes())
    for (auto& what : node->take_fetches())
      soon(1 + env_.rng().below(300'000), [this, id = id, what = std::move(what), term = leading_term_] {
        if (!office_ || term != leading_term_)
          return;
        const auto& driver = what.request.driver();
        const bool fails = driver == "flaky" && env_.rng().chance(30);
        SecretFetched answer;
        answer.set_value(driver == "each" ? "of " + what.request.task_id() : "of " + driver);
        answer.set_do_not_reuse(driver == "each" && !env_.knobs.bugs.provider_gives_one_for_all);
        office_->leader.node_of(id).fetched(what.number, fails ? failure{errc::unavailable, "flaky"} : failure{}, answer);
        send_frames();
      });
}

void cluster_manager::send_frames() {
  if (!office_)
    return;
  ask_drivers();
  for (auto& [id, node] : office_->leader.nodes())
    while (auto frame = node->take_frame()) {
      const auto to = office_->agents.find(id);
      if (to == office_->agents.end())
        continue;
      auto& told = to->second.told;
      if (frame->complete())
        told.clear();
      for (const auto& task : frame->tasks())
        told.insert(task.id());
      for (const auto& gone : frame->removed_task_ids())
        told.erase(gone);
      env_.checkers.told(frame->session_id(), frame->sequence(), told);
      if (env_.knobs.bugs.dispatcher_sends_increment_first && frame->complete())
        frame->set_complete(false);
      // A link that cannot take a frame is closed; what is on it may still arrive before it is.
      if (!env_.world.healing() && env_.rng().chance(env_.knobs.lose_frame_percent)) {
        env_.world.after(env_.rng().below(1'000'000), [this, worker = to->second.worker, link = to->second.link] {
          if (env_.links.number(worker, id_) == link)
            env_.links.drop(worker, id_);
        });
        continue;
      }
      down_.assign(to->second.worker, id_, to->second.link, std::move(*frame));
    }
}

void cluster_manager::tick() {
  if (!store_)
    return;
  const auto* const core = env_.world.core_of(id_);
  // LINKS tells whoever is connected who leads, whenever that changes.
  if (core->leader_id() != 0 && (core->leader_id() != hinted_ || core->term() != hinted_term_)) {
    hinted_ = core->leader_id();
    hinted_term_ = core->term();
    for (const auto worker : greeted_)
      down_.hint(worker, id_, hinted_, hinted_term_);
  }
  if (!office_)
    return;
  if (!env_.knobs.bugs.dispatcher_never_expires)
    (void)office_->sessions.expire(time());
  flush();
}

void cluster_manager::greet(unsigned worker) {
  greeted_.insert(worker);
  if (hinted_ != 0)
    down_.hint(worker, id_, hinted_, hinted_term_);
}

void cluster_manager::register_node(unsigned worker, std::uint64_t link, const RegisterNode& request,
                                    const std::function<void(const failure&, const NodeRegistered&)>& answer) {
  if (!office_)
    return answer({errc::unavailable, "no dispatcher is here"}, {});
  auto outcome = office_->sessions.add(time(), request);
  if (!outcome.refused.ok())
    return answer(outcome.refused, {});
  office_->agents[request.node_id()] = {worker, link, {}};
  answer({}, outcome.reply);
  office_->leader.node_of(request.node_id()).start_session(outcome.reply.session_id());
  send_frames();
  flush();
}

void cluster_manager::beat(unsigned worker, const NodeHeartbeat& beat) {
  if (office_ && office_->sessions.beat(time(), beat))
    return flush();
  if (office_)
    down_.invalid(worker, id_, beat.session_id());
}

void cluster_manager::report(unsigned worker, const UpdateTaskStatus& report) {
  if (!office_ || !office_->sessions.is_current(report.node_id(), report.session_id()))
    return down_.invalid(worker, id_, report.session_id());
  if (env_.knobs.bugs.dispatcher_forgets_statuses && office_->statuses.waiting() > 0) {
    TaskStatusAccepted early;
    early.set_session_id(report.session_id());
    early.set_sequence(report.sequence());
    const auto& to = office_->agents[report.node_id()];
    return down_.accepted(to.worker, id_, to.link, std::move(early));
  }
  (void)office_->statuses.add(report);
  soon(1, [this] { flush(); });
}

std::string cluster_manager::session_of(const std::string& node) const {
  return office_ ? office_->sessions.session_of(node) : std::string{};
}

std::string cluster_manager::dump() const {
  return office_ ? "leader " + std::to_string(id_) + " at " + std::to_string(time().now.time_since_epoch().count()) + '\n' + office_->leader.dump() : "";
}

void cluster_manager::check_invariants() const {
  if (!store_)
    return;
  store_->check_invariants();
  if (office_)
    office_->leader.check_invariants();
}

} // namespace swarm::sim
