// What AGENT, TASK and JOURNAL do around their cores, in virtual time.
#include "tests/sim/cluster_worker.hpp"

#include <algorithm>

#include "actors/agent/journal_core.hpp"
#include "runtime/overload.hpp"
#include "tests/sim/cluster_checkers.hpp"
#include "tests/sim/cluster_links.hpp"
#include "tests/sim/cluster_script.hpp"

namespace swarm::sim {

using raft::raft_id;
namespace session = agent::session;
namespace worker = agent::worker;

namespace {

constexpr const char* cluster_name = "cluster";
constexpr std::uint64_t register_deadline_us = 2'000'000;
constexpr std::uint64_t fingerprint_us = 1'000'000;

session::options session_options() {
  session::options out;
  out.backoff_first = milliseconds{50};
  out.backoff_max = seconds{2};
  out.accept_deadline = seconds{4};
  return out;
}

agent::task::options task_options() { return {milliseconds{200}, seconds{2}}; }

} // namespace

cluster_worker::cluster_worker(cluster_env& env, unsigned number, std::string node_id, worker_uplink uplink)
    : env_{env}, number_{number}, node_id_{std::move(node_id)}, uplink_{std::move(uplink)}, engine_{env, node_id_} {}

bool cluster_worker::is_frozen() const { return frozen_until_ > env_.world.now(); }

void cluster_worker::soon(std::uint64_t delay, std::function<void()> run) {
  env_.world.after(delay, [this, life = life_, run = std::move(run)]() mutable {
    if (life != life_ || !agent_)
      return;
    if (is_frozen())
      return soon(frozen_until_ - env_.world.now(), std::move(run));
    run();
  });
}

void cluster_worker::arrive(std::function<void(cluster_worker&)> what) {
  if (!is_frozen() && agent_)
    return what(*this);
  soon(1, [this, what = std::move(what)] { what(*this); });
}

// -- life of the agent ------------------------------------------------------------------------------------------------------

void cluster_worker::start() {
  if (agent_ || lost_)
    return;
  ++life_;
  frozen_until_ = 0;
  env_.world.trace("agent_start", number_);
  agent_ = std::make_unique<incarnation>(agent::node_facts{node_id_, "host", "", "", cluster_name}, session_options(), env_.rng()(),
                                         !env_.knobs.bugs.agent_tells_before_kept);
  auto kept = agent::journal::read(journal_, node_id_, cluster_name);
  if (kept)
    agent_->worker.restore(kept->assignments, std::move(kept->statuses));
  else if (env_.knobs.bugs.agent_trusts_empty_journal)
    agent_->worker.restore({}, {});
  engine_.listen({[this, life = life_](const TaskHandle& seen) {
                    if (life == life_)
                      soon(1, [this, seen] {
                        if (agent_->tasks.contains(seen.task_id()))
                          return step_task(seen.task_id(), agent::task::seen{seen});
                        agent_->worker.seen(seen);
                        if (seen.phase() != TaskHandle::PHASE_ABSENT)
                          perform(agent_->worker.stray(seen.task_id()));
                      });
                  },
                  [this, life = life_](bool healthy) {
                    if (life == life_)
                      soon(1, [this, healthy] { set_health(healthy); });
                  }});
  if (env_.knobs.bugs.agent_skips_recovery) {
    agent_->recovered = true;
    perform(agent_->worker.recovered({}));
  }
  ask_fingerprint();
}

void cluster_worker::crash_agent(bool journal_too) {
  if (!agent_)
    return;
  env_.world.trace("agent_crash", number_);
  ++life_;
  agent_.reset();
  engine_.listen({});
  journal_queue_.clear();
  if (journal_too)
    journal_.clear();
  env_.links.worker_gone(number_);
}

void cluster_worker::power_off() {
  env_.world.trace("power_off", number_);
  crash_agent(false);
  const auto kept = synced_ + env_.rng().below(journal_.size() - std::min(synced_, journal_.size()) + 1);
  journal_.resize(std::min(kept, journal_.size()));
  engine_.power_off();
}

void cluster_worker::lose() {
  power_off();
  lost_ = true;
}

void cluster_worker::heal() {
  frozen_until_ = std::min(frozen_until_, env_.world.now());
  engine_.heal();
  start();
}

// -- journal ------------------------------------------------------------------------------------------------------------------

void cluster_worker::write_journal(std::string bytes, bool replace) {
  journal_queue_.emplace_back(replace, std::move(bytes));
  if (journal_queue_.size() > 1)
    return;
  soon(1 + env_.rng().below(300), [this] { write_queued(); });
}

// A new file is on disk before it has its name.
void cluster_worker::write_queued() {
  for (auto& [whole, text] : journal_queue_) {
    if (whole) {
      journal_ = std::move(text);
      synced_ = journal_.size();
    } else {
      journal_ += text;
    }
  }
  journal_queue_.clear();
}

void cluster_worker::sync_journal() {
  soon(1 + env_.rng().below(env_.knobs.raft.sync_us_max), [this] {
    write_queued();
    synced_ = journal_.size();
    agent_->outbox.kept();
    flush();
  });
}

void cluster_worker::rewrite_journal() {
  std::map<std::string, TaskStatus> statuses;
  for (const auto& [id, t] : agent_->tasks)
    statuses.emplace(id, t.status);
  write_journal(agent::journal::rewrite(node_id_, cluster_name, agent_->worker.snapshot(), statuses), true);
}

// -- statuses -----------------------------------------------------------------------------------------------------------------

void cluster_worker::flush() {
  if (agent_->outbox.begin_sync())
    sync_journal();
  if (!agent_->session.in_session())
    return;
  auto message = agent_->outbox.next(node_id_, agent_->session.session_id());
  if (!message)
    return;
  uplink_.report(number_, agent_->leader, std::move(*message));
  step(session::status_sent{});
}

void cluster_worker::keep_status(const UpdateTaskStatus& message) {
  for (const auto& update : message.updates()) {
    const auto it = agent_->tasks.find(update.task_id());
    if (it == agent_->tasks.end())
      continue;
    it->second.status = update.status();
    if (agent_->worker.knows(update.task_id()))
      agent_->outbox.put(update.task_id(), update.status());
  }
  if (journal_.empty() && journal_queue_.empty())
    rewrite_journal();
  else
    write_journal(agent::journal::record(message), false);
  flush();
}

// -- tasks ----------------------------------------------------------------------------------------------------------------------

void cluster_worker::begin_task(const worker::begin_task& what) {
  auto& t = agent_->tasks[what.task_id];
  t.status = what.from.status;
  if (t.status.state() < what.from.state)
    t.status.set_state(what.from.state);
  t.rng = std::make_shared<random_source>(env_.rng()());
  t.core = std::make_unique<agent::task::core>(task_options(), t.rng.get());
  t.has_description = what.what != nullptr;
  if (env_.script != nullptr && what.what)
    env_.script->described(*what.what);
  const auto now = time();
  perform(what.task_id, t.core->begin(now.now, now.wall, what.desired, what.from, agent_->healthy));
}

void cluster_worker::reject_task(const worker::reject_task& what) {
  UpdateTaskStatus message;
  auto& update = *message.add_updates();
  update.set_task_id(what.task_id);
  update.mutable_status()->set_state(TASK_STATE_REJECTED);
  update.mutable_status()->set_err(what.why);
  update.mutable_status()->set_timestamp(time().wall);
  agent_->tasks[what.task_id];
  keep_status(message);
}

void cluster_worker::gone(const std::string& id) {
  agent_->tasks.erase(id);
  agent_->worker.forgotten(id);
  agent_->outbox.forget(id);
}

void cluster_worker::forget_task(const std::string& id) {
  if (env_.knobs.bugs.agent_keeps_removed)
    return;
  agent_->outbox.forget(id);
  const auto it = agent_->tasks.find(id);
  if (it == agent_->tasks.end())
    return;
  if (it->second.core)
    step_task(id, agent::task::forgotten{});
  else
    gone(id);
}

void cluster_worker::step_task(const std::string& id, const agent::task::event& what) {
  const auto it = agent_->tasks.find(id);
  if (it == agent_->tasks.end() || !it->second.core)
    return;
  const auto now = time();
  const auto todo = it->second.core->step(now.now, now.wall, what);
  it->second.core->check_invariants();
  perform(id, todo);
}

void cluster_worker::perform(const std::string& id, const agent::task::effects& todo) {
  for (const auto& effect : todo)
    std::visit(overload{
                 [&](const agent::task::ask& e) { ask(id, e); },
                 [&](const agent::task::report& e) {
                   UpdateTaskStatus message;
                   auto& update = *message.add_updates();
                   update.set_task_id(id);
                   *update.mutable_status() = e.status;
                   if (env_.knobs.bugs.agent_reports_early && e.status.state() == TASK_STATE_STARTING)
                     update.mutable_status()->set_state(TASK_STATE_RUNNING);
                   soon(1, [this, message] { keep_status(message); });
                 },
                 [&](const agent::task::wake& e) {
                   soon(static_cast<std::uint64_t>(e.after.count() / 1'000) + 1, [this, id] { step_task(id, agent::task::ticked{}); });
                 },
                 [&](const agent::task::ended&) {
                   soon(1, [this, id] { gone(id); });
                 },
               },
               effect);
}

void cluster_worker::ask(const std::string& id, const agent::task::ask& what) {
  const auto life = life_;
  const auto answer = [this, life, id, number = what.request](const failure& outcome, const TaskHandle& handle) {
    if (life != life_)
      return;
    soon(1, [this, id, number, outcome, handle] { step_task(id, agent::task::answered{number, outcome, handle}); });
  };
  switch (what.verb) {
    case agent::task::verb::prepare:
      if (!agent_->tasks[id].has_description)
        return answer({errc::unavailable, "the specification has not arrived on this node"}, {});
      return engine_.prepare(id, answer);
    case agent::task::verb::start:
      return engine_.start(id, answer);
    case agent::task::verb::stop:
      return engine_.stop(id, answer);
    case agent::task::verb::remove:
      return engine_.remove(id, answer);
    case agent::task::verb::inspect:
      return engine_.inspect(id, answer);
  }
}

void cluster_worker::remove_leftover(const std::string& id, unsigned failures) {
  engine_.remove(id, [this, life = life_, id, failures](const failure& outcome, const TaskHandle&) {
    if (life == life_ && !outcome.ok())
      soon(200'000ull << std::min(failures, 6u), [this, id, failures] {
        if (!agent_->worker.knows(id))
          remove_leftover(id, failures + 1);
      });
  });
}

void cluster_worker::perform(const worker::effects& todo) {
  for (const auto& effect : todo)
    std::visit(overload{
                 [&](const worker::begin_task& e) { begin_task(e); },
                 [&](const worker::reject_task& e) { reject_task(e); },
                 [&](const worker::set_desired& e) {
                   soon(1, [this, e] { step_task(e.task_id, agent::task::desired{e.state}); });
                 },
                 [&](const worker::forget_task& e) {
                   soon(1, [this, id = e.task_id] { forget_task(id); });
                 },
                 [&](const worker::remove_leftover& e) { remove_leftover(e.task_id, 0); },
                 [&](const worker::repeat_status& e) {
                   if (env_.knobs.bugs.agent_never_repeats)
                     return;
                   if (const auto it = agent_->tasks.find(e.task_id); it != agent_->tasks.end())
                     agent_->outbox.put(e.task_id, it->second.status);
                 },
                 [&](const worker::register_again&) { step(session::out_of_step{}); },
               },
               effect);
}

// -- driver -----------------------------------------------------------------------------------------------------------------------

void cluster_worker::set_health(bool healthy) {
  if (std::exchange(agent_->healthy, healthy) == healthy)
    return;
  std::vector<std::string> ids;
  for (const auto& [id, t] : agent_->tasks)
    ids.push_back(id);
  for (const auto& id : ids)
    step_task(id, agent::task::driver_health{healthy});
  step(session::news{});
}

void cluster_worker::recover() {
  engine_.recover([this, life = life_](const failure& outcome, const RecoveredTasks& found) {
    if (life != life_ || !outcome.ok())
      return;
    soon(1, [this, found] {
      if (std::exchange(agent_->recovered, true))
        return;
      perform(agent_->worker.recovered(found));
      flush();
    });
  });
}

void cluster_worker::ask_fingerprint() {
  engine_.fingerprint([this, life = life_](const NodeFingerprint& print) {
    if (life != life_)
      return;
    soon(1, [this, print] {
      set_health(print.healthy());
      if (!agent_->recovered)
        recover();
      if (!std::exchange(agent_->described, true))
        step(session::described{});
    });
    soon(fingerprint_us, [this] { ask_fingerprint(); });
  });
}

// -- session ------------------------------------------------------------------------------------------------------------------------

void cluster_worker::arm() {
  const auto due = agent_->session.next_due();
  if (!due || (agent_->armed && *agent_->armed <= *due))
    return;
  agent_->armed = due;
  soon(env_.until(*due), [this] {
    agent_->armed.reset();
    step(session::ticked{});
  });
}

void cluster_worker::step(const session::event& what) {
  for (const auto& effect : agent_->session.step(time().now, what))
    std::visit(overload{
                 [&](const session::register_now&) {
                   RegisterNode message;
                   message.set_node_id(node_id_);
                   message.mutable_description()->set_hostname("host" + std::to_string(number_));
                   message.mutable_description()->mutable_resources()->set_nano_cpus(4'000'000'000);
                   message.mutable_description()->mutable_resources()->set_memory_bytes(8ll << 30);
                   message.set_addr("10.0.1." + std::to_string(number_));
                   message.set_driver_healthy(agent_->healthy);
                   const auto attempt = ++agent_->attempt;
                   agent_->registered_with = agent_->leader;
                   if (!env_.links.up(number_, agent_->leader))
                     return soon(1, [this, attempt] { registered(attempt, {errc::unavailable, "no link"}, {}); });
                   uplink_.register_node(number_, agent_->leader, std::move(message), attempt);
                   soon(register_deadline_us, [this, attempt] { registered(attempt, {errc::deadline_exceeded, "no answer"}, {}); });
                 },
                 [&](const session::begin& e) {
                   env_.world.trace("session", number_, [&] { return e.session_id; });
                   agent_->worker.session_begins();
                   flush();
                 },
                 [&](const session::end&) { agent_->outbox.session_lost(); },
                 [&](const session::beat&) {
                   NodeHeartbeat message;
                   message.set_node_id(node_id_);
                   message.set_session_id(agent_->session.session_id());
                   message.set_driver_healthy(agent_->healthy);
                   uplink_.beat(number_, agent_->leader, std::move(message));
                 },
               },
               effect);
  arm();
}

void cluster_worker::registered(std::uint64_t attempt, const failure& outcome, const NodeRegistered& answer) {
  if (!agent_ || attempt != agent_->attempt)
    return;
  ++agent_->attempt; // the other of answer and deadline comes too late
  if (outcome.ok())
    step(session::registered{answer});
  else
    step(session::register_failed{outcome});
}

void cluster_worker::link_changed(raft_id manager, bool up) {
  if (!agent_ || up || manager != agent_->registered_with)
    return;
  soon(1, [this] { step(session::invalidated{}); });
}

void cluster_worker::hint(raft_id leader, raft::term_number term) {
  if (!agent_ || leader == 0 || term < agent_->leader_term)
    return;
  agent_->leader_term = term;
  if (leader == agent_->leader)
    return;
  agent_->leader = leader;
  step(session::dispatcher_found{});
}

void cluster_worker::assign(const Assignments& original) {
  if (!agent_ || !agent_->session.in_session())
    return;
  auto message = original;
  if (env_.knobs.bugs.agent_takes_old_session)
    message.set_session_id(agent_->session.session_id());
  if (message.session_id() != agent_->session.session_id())
    return;
  std::map<std::string, TaskState> states;
  if (message.complete())
    for (const auto& [id, t] : agent_->tasks)
      states.emplace(id, t.status.state());
  if (env_.knobs.bugs.agent_applies_out_of_order && !message.complete())
    message.set_applies_to(last_sequence_);
  last_sequence_ = message.sequence();
  env_.world.trace("assign", number_, [&] {
    return std::string{message.complete() ? "complete" : "increment"} + " tasks=" + std::to_string(message.tasks_size())
           + " removed=" + std::to_string(message.removed_task_ids_size()) + " sequence=" + std::to_string(message.sequence());
  });
  const auto todo = agent_->worker.apply(message, agent_->session.session_id(), states);
  agent_->worker.check_invariants();
  const bool lost_one = std::any_of(todo.begin(), todo.end(),
                                    [](const auto& e) { return std::holds_alternative<worker::register_again>(e); });
  if (!lost_one)
    env_.checkers.holds(agent_->session.session_id(), original, agent_->worker.snapshot());
  perform(todo);
  flush();
  if (message.complete())
    rewrite_journal();
  else
    write_journal(agent::journal::record(worker::without_secrets(message)), false);
}

void cluster_worker::accepted(const TaskStatusAccepted& message) {
  if (!agent_ || message.session_id() != agent_->session.session_id() || !agent_->outbox.accepted(message.sequence()))
    return;
  step(session::status_accepted{});
  flush();
}

void cluster_worker::invalid(const std::string& session_id) {
  if (agent_)
    step(session::invalidated{session_id});
}

std::string cluster_worker::dump() const {
  auto out = "worker " + std::to_string(number_) + ' ' + node_id_ + (lost_ ? " lost" : agent_ ? "" : " down") + "\n";
  if (agent_) {
    out += "  " + agent_->session.dump() + " leader=" + std::to_string(agent_->leader) + '\n' + "  " + agent_->worker.dump() + '\n';
    for (const auto& [id, t] : agent_->tasks)
      out += "    " + id + ' ' + (t.core ? t.core->dump() : "rejected") + '\n';
  }
  for (const auto& id : engine_.running())
    out += "    runs " + id + '\n';
  return out;
}

} // namespace swarm::sim
