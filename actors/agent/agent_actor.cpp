// AGENT, see agent_actor.hpp.
#include "actors/agent/agent_actor.hpp"

#include <algorithm>

#include "actors/agent/journal_core.hpp"
#include "runtime/log.hpp"
#include "runtime/overload.hpp"

namespace swarm::agent {
namespace {

using self_ptr = observed_ptr<agent_actor, agent_state>;

constexpr std::size_t journal_slack_bytes = 1024 * 1024;
constexpr unsigned leftover_backoff_max = 6; // doublings of driver_retry

timestamp now(self_ptr self) {
  return {instant{now_of(self)}, actor_registry::wall_now_ns()};
}

void perform(self_ptr self, const worker::effects& todo);
void flush(self_ptr self);
void handle(self_ptr self, const session::event& ev);

// -- timer: one, for whatever is due first ---------------------------------------------------------------------------------

void arm(self_ptr self) {
  auto& st = self->state;
  std::optional<instant> due = st.session->next_due();
  auto also = [&](std::optional<instant> at) {
    if (at)
      due = due ? std::min(*due, *at) : *at;
  };
  if (st.rows)
    also(st.rows->next_due());
  else if (!st.fingerprinting)
    also(st.fingerprint_at);
  if (st.leaving)
    also(st.leave_by);
  for (const auto& [task_id, again] : st.leftovers)
    also(again.due);
  if (!due || (st.armed && *st.armed <= *due))
    return;
  st.armed = due;
  self->delayed_send(self, std::max(duration{}, *due - instant{now_of(self)}), tick_atom_v);
}

// -- journal ------------------------------------------------------------------------------------------------------------------

void rewrite_journal(self_ptr self) {
  auto& st = self->state;
  if (!st.opts.journal)
    return;
  std::map<std::string, TaskStatus> statuses;
  for (const auto& [id, t] : st.tasks)
    statuses.emplace(id, t.status);
  auto bytes = journal::rewrite(st.opts.node_id, st.opts.cluster_id, st.worker->snapshot(), statuses);
  st.journal_whole = bytes.size();
  st.journal_bytes = 0;
  self->send(st.opts.journal->writer, replace_atom::value, std::move(bytes));
}

void append_journal(self_ptr self, std::string bytes) {
  auto& st = self->state;
  st.journal_bytes += bytes.size();
  if (st.journal_whole == 0 || st.journal_bytes > st.journal_whole + journal_slack_bytes)
    return rewrite_journal(self);
  self->send(st.opts.journal->writer, append_atom::value, std::move(bytes));
}

// Until it is answered: an end that is told late is made up for, one that comes to life again is not. Without a file on
// disk there is nothing that could bring it back.
void sync_journal(self_ptr self) {
  const auto& st = self->state;
  self->request(st.opts.journal->writer, st.opts.journal_deadline, sync_atom::value)
    .then([self](bool) {
            self->state.outbox.kept();
            flush(self);
          },
          [self](const caf::error& error) {
            log::warn(self->label(), "journal_not_on_disk", {{"error", to_failure(error)}});
            if (error == caf::sec::request_timeout) // else it has ended, and child_down() knows
              sync_journal(self);
          });
}

// -- statuses -----------------------------------------------------------------------------------------------------------------

void flush(self_ptr self) {
  auto& st = self->state;
  if (st.outbox.begin_sync())
    sync_journal(self);
  if (!st.session->in_session())
    return;
  auto message = st.outbox.next(st.opts.node_id, st.session->session_id());
  if (!message)
    return;
  self->send(st.dispatcher, std::move(*message));
  handle(self, session::status_sent{});
}

// What inline tasks have come to; nothing else is told about intermediate states.
void gather_rows(self_ptr self) {
  auto& st = self->state;
  for (auto& change : st.rows->changes()) {
    if (change.ended) {
      st.worker->forgotten(change.task_id);
      st.outbox.forget(change.task_id);
      continue;
    }
    if (st.worker->knows(change.task_id))
      st.outbox.put(change.task_id, std::move(change.status));
  }
  flush(self);
}

void keep_status(self_ptr self, const UpdateTaskStatus& message) {
  auto& st = self->state;
  for (const auto& update : message.updates()) {
    const auto it = st.tasks.find(update.task_id());
    if (it == st.tasks.end())
      continue;
    it->second.status = update.status();
    if (st.worker->knows(update.task_id()))
      st.outbox.put(update.task_id(), update.status());
  }
  if (st.opts.journal)
    append_journal(self, journal::record(message));
  flush(self);
}

// -- tasks ----------------------------------------------------------------------------------------------------------------------

void begin_task(self_ptr self, const worker::begin_task& e) {
  auto& st = self->state;
  if (st.rows)
    return st.rows->begin(now(self), e.task_id, e.desired, e.from, e.what);
  auto& t = st.tasks[e.task_id];
  t.status = e.from.status;
  if (t.status.state() < e.from.state)
    t.status.set_state(e.from.state);
  t.actor = st.opts.spawn_task({e.task_id, e.desired, e.from, e.what, st.health.healthy(), st.opts.seed + st.next_seed++}, st.driver,
                               agent_actor{self});
  st.by_address[t.actor.address()] = e.task_id;
  self->monitor(t.actor);
}

void reject_task(self_ptr self, const worker::reject_task& e) {
  UpdateTaskStatus message;
  auto& update = *message.add_updates();
  update.set_task_id(e.task_id);
  update.mutable_status()->set_state(TASK_STATE_REJECTED);
  update.mutable_status()->set_message("preparing");
  update.mutable_status()->set_err(e.why);
  update.mutable_status()->set_timestamp(actor_registry::wall_now_ns());
  self->state.tasks[e.task_id];
  keep_status(self, message);
}

void finish_leaving(self_ptr self) {
  auto& st = self->state;
  if (!st.leaving || !st.tasks.empty() || (st.rows && st.rows->size() > 0))
    return;
  MembershipChanged done;
  done.set_node_id(st.opts.node_id);
  st.leaving->deliver(std::move(done));
  st.leaving.reset();
  rewrite_journal(self);
  self->quit();
}

void gone(self_ptr self, const std::string& task_id) {
  auto& st = self->state;
  st.tasks.erase(task_id);
  st.worker->forgotten(task_id);
  st.outbox.forget(task_id);
  finish_leaving(self);
}

void forget_task(self_ptr self, const std::string& task_id) {
  auto& st = self->state;
  st.outbox.forget(task_id);
  if (st.rows && st.rows->contains(task_id))
    return st.rows->step(now(self), task_id, task::forgotten{});
  const auto it = st.tasks.find(task_id);
  if (it == st.tasks.end())
    return;
  if (it->second.actor)
    self->send(it->second.actor, forget_atom_v);
  else
    gone(self, task_id);
}

// Tried again until it is gone or, after all, wanted.
void remove_leftover(self_ptr self, const std::string& task_id) {
  auto& st = self->state;
  log::info(self->label(), "leftover_removed", {{"task", task_id}});
  if (st.rows)
    return;
  st.leftovers[task_id].due.reset();
  RemoveTask message;
  message.set_task_id(task_id);
  self->request(st.driver, st.opts.driver_deadline, std::move(message))
    .then([self, task_id](const TaskHandle&) { self->state.leftovers.erase(task_id); },
          [self, task_id](const caf::error& error) {
            log::warn(self->label(), "leftover_stays", {{"task", task_id}, {"error", to_failure(error)}});
            auto& st = self->state;
            auto& again = st.leftovers[task_id];
            again.due = instant{now_of(self)} + st.opts.driver_retry * (1 << std::min(again.failures++, leftover_backoff_max));
            arm(self);
          });
}

void retry_leftovers(self_ptr self, instant at) {
  auto& st = self->state;
  std::vector<std::string> due;
  for (const auto& [task_id, again] : st.leftovers)
    if (again.due && *again.due <= at)
      due.push_back(task_id);
  for (const auto& task_id : due)
    if (st.worker->knows(task_id))
      st.leftovers.erase(task_id);
    else
      remove_leftover(self, task_id);
}

void perform(self_ptr self, const worker::effects& todo) {
  auto& st = self->state;
  for (const auto& effect : todo)
    std::visit(overload{
      [&](const worker::begin_task& e) { begin_task(self, e); },
      [&](const worker::reject_task& e) { reject_task(self, e); },
      [&](const worker::set_desired& e) {
        if (st.rows)
          return st.rows->step(now(self), e.task_id, task::desired{e.state});
        AssignedTask message;
        message.set_desired_state(e.state);
        if (const auto it = st.tasks.find(e.task_id); it != st.tasks.end() && it->second.actor)
          self->send(it->second.actor, std::move(message));
      },
      [&](const worker::forget_task& e) { forget_task(self, e.task_id); },
      [&](const worker::remove_leftover& e) { remove_leftover(self, e.task_id); },
      [&](const worker::repeat_status& e) {
        if (st.rows && st.rows->contains(e.task_id))
          st.outbox.put(e.task_id, st.rows->status(e.task_id));
        else if (const auto it = st.tasks.find(e.task_id); it != st.tasks.end())
          st.outbox.put(e.task_id, it->second.status);
      },
      [&](const worker::register_again&) { handle(self, session::out_of_step{}); },
    }, effect);
  if (st.rows)
    gather_rows(self);
  finish_leaving(self);
}

void assign(self_ptr self, const Assignments& message) {
  auto& st = self->state;
  if (st.leaving || !st.session->in_session() || message.session_id() != st.session->session_id())
    return;
  std::map<std::string, TaskState> states;
  if (message.complete() && st.rows)
    states = st.rows->states();
  if (message.complete())
    for (const auto& [id, t] : st.tasks)
      states.emplace(id, t.status.state());
  const auto todo = st.worker->apply(message, st.session->session_id(), states);
  st.worker->check_invariants();
  perform(self, todo);
  flush(self);
  if (!st.opts.journal)
    return;
  if (message.complete())
    rewrite_journal(self);
  else
    append_journal(self, journal::record(worker::without_secrets(message)));
}

// A TASK actor that ended by itself is done; one that died is made anew from what the driver finds.
void child_down(self_ptr self, const caf::down_msg& down) {
  auto& st = self->state;
  if (st.driver && down.source == st.driver.address()) {
    log::error(self->label(), "driver_ended", {{"reason", self->system().render(down.reason)}});
    if (st.leaving)
      st.leaving->deliver(to_error({errc::unavailable, "the driver has ended"}));
    return self->quit(to_error({errc::unavailable, "the driver has ended"})); // our supervisor knows the new one
  }
  if (st.opts.journal && down.source == st.opts.journal->writer.address()) {
    log::error(self->label(), "journal_ended", {{"reason", self->system().render(down.reason)}});
    return self->quit(to_error({errc::internal, "the journal has ended"})); // the next one gets a new journal
  }
  const auto it = st.by_address.find(down.source);
  if (it == st.by_address.end())
    return;
  const auto task_id = it->second;
  st.by_address.erase(it);
  if (!down.reason || !st.worker->knows(task_id))
    return gone(self, task_id);
  log::error(self->label(), "task_actor_died", {{"task", task_id}, {"reason", self->system().render(down.reason)}});
  InspectTask message;
  message.set_task_id(task_id);
  auto again = [self, task_id](const TaskHandle& found) {
    const auto* assigned = self->state.worker->assignment(task_id);
    if (assigned == nullptr)
      return gone(self, task_id);
    auto what = std::make_shared<TaskDescription>();
    if (!self->state.worker->description(task_id, *what).ok())
      what.reset();
    const auto status = self->state.tasks[task_id].status;
    begin_task(self, {task_id, assigned->desired_state(), {status.state(), status, found}, std::move(what)});
  };
  self->request(st.driver, st.opts.driver_deadline, std::move(message)).then(again, [self, task_id](const caf::error& error) {
    log::error(self->label(), "task_not_recovered", {{"task", task_id}, {"error", to_failure(error)}});
    gone(self, task_id);
  });
}

// -- driver -----------------------------------------------------------------------------------------------------------------------

void set_health(self_ptr self, const DriverHealth& news) {
  auto& st = self->state;
  const auto changed = st.health.healthy() != news.healthy() || st.health.message() != news.message();
  st.health = news;
  if (!changed)
    return;
  for (const auto& [id, t] : st.tasks)
    if (t.actor)
      self->send(t.actor, news);
  handle(self, session::news{});
}

void recover(self_ptr self) {
  auto& st = self->state;
  RecoverTasks message;
  message.set_cluster_id(st.opts.cluster_id);
  self->request(st.driver, st.opts.driver_deadline, std::move(message))
    .then([self](const RecoveredTasks& found) {
            auto& st = self->state;
            st.recovered = true;
            log::info(self->label(), "tasks_recovered", {{"found", found.tasks_size()}, {"assigned", st.worker->size()}});
            perform(self, st.worker->recovered(found));
            flush(self);
          },
          [self](const caf::error& error) {
            log::warn(self->label(), "recovery_failed", {{"error", to_failure(error)}});
          });
}

void tell_description(self_ptr self) {
  auto& st = self->state;
  if (!st.session->in_session())
    return;
  UpdateNodeDescription message;
  message.set_node_id(st.opts.node_id);
  message.set_session_id(st.session->session_id());
  *message.mutable_description() = st.description;
  self->send(st.dispatcher, std::move(message));
}

void described(self_ptr self, const NodeFingerprint& print) {
  auto& st = self->state;
  const auto known = print.has_description() && !print.description().hostname().empty();
  auto description = print.description();
  if (!st.opts.name.empty())
    description.set_hostname(st.opts.name);
  *description.mutable_tls_info() = st.description.tls_info(); // ours, not the driver's
  if (known && description.SerializeAsString() != st.description.SerializeAsString()) {
    st.description = std::move(description);
    const auto& platform = st.description.platform();
    st.worker->set_node({st.opts.node_id, st.description.hostname(), platform.architecture(), platform.os(), st.opts.cluster_id});
    tell_description(self);
  }
  DriverHealth health;
  health.set_healthy(print.healthy());
  health.set_message(print.message());
  set_health(self, health);
  if (known && !st.recovered)
    recover(self); // templates need the host's name
  handle(self, session::described{});
}

void ask_fingerprint(self_ptr self) {
  auto& st = self->state;
  st.fingerprinting = true;
  auto again_in = [self](duration wait) {
    self->state.fingerprinting = false;
    self->state.fingerprint_at = instant{now_of(self)} + wait;
    arm(self);
  };
  self->request(st.driver, st.opts.driver_deadline, FingerprintNode{})
    .then([self, again_in](const NodeFingerprint& print) {
            described(self, print);
            again_in(self->state.recovered ? self->state.opts.fingerprint_period : self->state.opts.driver_retry);
          },
          [self, again_in](const caf::error& error) {
            NodeFingerprint silent;
            silent.set_message(to_failure(error).message);
            described(self, silent);
            again_in(self->state.opts.driver_retry);
          });
}

// -- session ------------------------------------------------------------------------------------------------------------------------

// Orders may overtake the answer that names their session.
void pass_orders(self_ptr self) {
  const auto& st = self->state;
  if (st.listener && st.session->in_session() && st.orders.session_id() == st.session->session_id())
    self->send(st.listener, st.orders);
}

void register_now(self_ptr self) {
  auto& st = self->state;
  RegisterNode message;
  message.set_node_id(st.opts.node_id);
  *message.mutable_description() = st.description;
  message.set_addr(st.opts.addr);
  message.set_driver_healthy(st.health.healthy());
  message.set_driver_message(st.health.message());
  self->request(st.dispatcher, st.opts.register_deadline, std::move(message), agent_inbox{agent_actor{self}})
    .then([self](const NodeRegistered& session) {
            handle(self, session::registered{session});
            pass_orders(self);
          },
          [self](const caf::error& error) {
            const auto why = to_failure(error);
            log::warn(self->label(), "not_registered", {{"error", why}});
            handle(self, session::register_failed{why});
          });
}

void handle(self_ptr self, const session::event& ev) {
  auto& st = self->state;
  for (const auto& effect : st.session->step(instant{now_of(self)}, ev))
    std::visit(overload{
      [&](const session::register_now&) { register_now(self); },
      [&](const session::begin& e) {
        log::info(self->label(), "session_begins", {{"session", e.session_id}});
        st.worker->session_begins();
        flush(self);
      },
      [&](const session::end&) {
        st.outbox.session_lost();
        log::info(self->label(), "session_ends");
      },
      [&](const session::beat&) {
        NodeHeartbeat message;
        message.set_node_id(st.opts.node_id);
        message.set_session_id(st.session->session_id());
        message.set_driver_healthy(st.health.healthy());
        message.set_driver_message(st.health.message());
        self->send(st.dispatcher, std::move(message));
      },
    }, effect);
  arm(self);
}

// -- ends ----------------------------------------------------------------------------------------------------------------------------

caf::result<MembershipChanged> leave(self_ptr self) {
  auto& st = self->state;
  if (st.leaving)
    return to_error({errc::failed_precondition, "this node is leaving already"});
  auto promise = self->make_response_promise<MembershipChanged>();
  st.leaving = promise;
  st.leave_by = instant{now_of(self)} + st.opts.leave_deadline;
  perform(self, st.worker->forget_all());
  if (self->state.leaving)
    arm(self);
  return promise;
}

void tick(self_ptr self) {
  auto& st = self->state;
  const auto at = now(self);
  st.armed.reset();
  if (st.leaving && at.now >= st.leave_by) {
    st.leaving->deliver(to_error({errc::deadline_exceeded, std::to_string(st.tasks.size()) + " tasks could not be removed in time"}));
    st.leaving.reset();
    return self->quit();
  }
  if (st.rows) {
    st.rows->tick(at);
    gather_rows(self);
  } else if (!st.fingerprinting && at.now >= st.fingerprint_at) {
    ask_fingerprint(self);
  }
  retry_leftovers(self, at.now);
  handle(self, session::ticked{});
}

void observed_task(self_ptr self, const TaskObserved& news) {
  auto& st = self->state;
  const auto& id = news.handle().task_id();
  const auto it = st.tasks.find(id);
  if (it != st.tasks.end() && it->second.actor)
    return self->send(it->second.actor, news);
  if (it == st.tasks.end())
    st.worker->seen(news.handle());
  if (it == st.tasks.end() && news.handle().phase() != TaskHandle::PHASE_ABSENT)
    perform(self, st.worker->stray(id));
}

ActorStatus describe_self(self_ptr self, const ReadStatus& request) {
  auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["node"] = st.opts.node_id;
  facts["session"] = st.session->session_id();
  facts["tasks"] = std::to_string(st.tasks.size() + (st.rows ? st.rows->size() : 0));
  facts["driver_healthy"] = st.health.healthy() ? "true" : "false";
  if (!st.health.message().empty())
    facts["driver_message"] = st.health.message();
  facts["statuses_waiting"] = std::to_string(st.outbox.waiting());
  if (request.full())
    status.set_state(st.session->dump() + "\n" + st.worker->dump());
  return status;
}

void restore(self_ptr self) {
  auto& st = self->state;
  if (!st.opts.journal)
    return;
  auto kept = journal::read(st.opts.journal->content, st.opts.node_id, st.opts.cluster_id);
  st.opts.journal->content.clear();
  if (!kept)
    return log::info(self->label(), "journal_empty");
  log::info(self->label(), "journal_read", {{"tasks", kept->assignments.tasks_size()}});
  st.worker->restore(kept->assignments, std::move(kept->statuses));
}

} // namespace

agent_actor::behavior_type node_agent(self_ptr self, agent_options opts, driver_actor driver) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.outbox = outbox_core{st.opts.journal.has_value()};
  st.driver = std::move(driver);
  st.description = st.opts.description;
  const auto& platform = st.description.platform();
  st.worker = std::make_unique<worker::core>(
    node_facts{st.opts.node_id, st.description.hostname(), platform.architecture(), platform.os(), st.opts.cluster_id});
  st.session = std::make_unique<session::core>(st.opts.session, st.opts.seed);
  self->set_label(st.opts.inline_tasks ? "agent/" + st.opts.node_id : "agent");
  self->set_down_handler([self](caf::down_msg& down) { child_down(self, down); });
  if (st.opts.inline_tasks) {
    st.rows = std::make_unique<inline_tasks>(*st.opts.inline_tasks, st.opts.retries, st.opts.seed);
    st.health.set_healthy(true);
    st.recovered = true;
    (void)st.worker->recovered({});
    handle(self, session::described{});
  } else {
    restore(self);
    self->monitor(st.driver);
    if (st.opts.journal)
      self->monitor(st.opts.journal->writer);
    self->send(st.driver, subscribe_atom_v, driver_listener{agent_actor{self}});
    ask_fingerprint(self);
  }
  return {
    [self](const Assignments& message) { assign(self, message); },
    [self](const TaskStatusAccepted& message) {
      auto& st = self->state;
      if (message.session_id() != st.session->session_id() || !st.outbox.accepted(message.sequence()))
        return;
      handle(self, session::status_accepted{});
      flush(self);
    },
    [self](const SessionInvalid& message) { handle(self, session::invalidated{message.session_id()}); },
    [self](const NodeOrders& orders) {
      self->state.orders = orders;
      pass_orders(self);
    },
    [self](const TaskObserved& news) { observed_task(self, news); },
    [self](const DriverHealth& news) { set_health(self, news); },
    [self](const UpdateTaskStatus& message) { keep_status(self, message); },
    [self](subscribe_atom, const dispatcher_actor& dispatcher) {
      self->state.dispatcher = dispatcher;
      handle(self, session::dispatcher_found{});
    },
    [self](subscribe_atom, const node_listener& listener) {
      self->state.listener = listener;
      pass_orders(self);
    },
    [self](const NodeTLSInfo& identity) {
      *self->state.description.mutable_tls_info() = identity;
      tell_description(self);
    },
    [self](const ReadTaskLogs& request, const log_sink& sink) { self->send(self->state.driver, request, sink); },
    [self](const LogCredit& credit) { self->send(self->state.driver, credit); },
    [self](const CancelLogs& cancel) { self->send(self->state.driver, cancel); },
    [self](const LeaveSwarm&) { return leave(self); },
    [self](tick_atom) { tick(self); },
    [self](const ReadStatus& request) { return describe_self(self, request); },
  };
}

} // namespace swarm::agent
