// Agents' messages and the store's events to the cores; their Commands to RAFT, frames to NODE actors.
#include "actors/dispatcher/dispatcher_actor.hpp"

#include <algorithm>

#include "runtime/log.hpp"

namespace swarm::dispatcher {

namespace {

using self_ptr = observed_ptr<dispatcher_actor, dispatcher_state>;

timestamp time_of(self_ptr self) {
  return {instant{std::chrono::duration_cast<duration>(now_of(self))}, actor_registry::wall_now_ns()};
}

// -- NODE actors --------------------------------------------------------------------------------------------------------------

dispatcher_state::node& node_of(self_ptr self, const std::string& id, const std::string& hostname) {
  auto& st = self->state;
  auto& node = st.nodes[id];
  if (!node.session)
    node.session = caf::actor_cast<caf::actor>(st.opts.spawn_node(self, id, "node/" + (hostname.empty() ? id : hostname)));
  return node;
}

void deliver(self_ptr self, routed plan, const google::protobuf::RepeatedPtrField<NodeEvent>& events) {
  auto& st = self->state;
  const auto hostname = [&](const std::string& id) -> std::string {
    const auto it = std::find_if(events.begin(), events.end(), [&](const auto& e) { return e.node().id() == id; });
    return it == events.end() ? "" : it->node().description().hostname();
  };
  for (const auto& id : plan.fresh)
    (void) node_of(self, id, hostname(id));
  if (plan.to_all.services_size() + plan.to_all.templates_size() > 0) {
    const auto message = caf::make_message(std::move(plan.to_all));
    for (const auto& [id, node] : st.nodes)
      caf::anon_send(node.session, message);
  }
  for (auto& [id, part] : plan.parts)
    caf::anon_send(node_of(self, id, "").session, std::move(part));
  for (const auto& id : plan.gone)
    if (const auto it = st.nodes.find(id); it != st.nodes.end()) {
      self->unlink_from(it->second.session); // its end is wanted
      caf::anon_send_exit(it->second.session, caf::exit_reason::user_shutdown);
      st.nodes.erase(it);
    }
}

// -- proposals ------------------------------------------------------------------------------------------------------------------

void flush(self_ptr self);

void statuses_done(self_ptr self, const failure& outcome) {
  auto& st = self->state;
  if (!outcome.ok())
    log::debug(self->label(), "statuses_not_committed", {{"error", outcome}});
  for (auto& done : st.statuses.committed(time_of(self), outcome))
    if (const auto it = st.nodes.find(done.node); it != st.nodes.end() && it->second.inbox &&
                                                  st.sessions->is_current(done.node, done.message.session_id()))
      caf::anon_send(it->second.inbox, std::move(done.message));
  flush(self);
}

void nodes_done(self_ptr self, const failure& outcome) {
  if (!outcome.ok())
    log::debug(self->label(), "nodes_not_committed", {{"error", outcome}});
  self->state.sessions->written(time_of(self), outcome);
  flush(self);
}

void propose(self_ptr self, Command command, void (*done)(self_ptr, const failure&)) {
  auto& st = self->state;
  self->request(st.opts.raft, st.opts.raft_deadline, std::move(command))
    .then([self, done](const CommandResult& r) { done(self, {static_cast<errc>(r.code()), r.message()}); },
          [self, done](const caf::error& err) { done(self, to_failure(err)); });
}

void flush(self_ptr self) {
  auto& st = self->state;
  if (auto command = st.sessions->next_command(time_of(self))) {
    self->tap().effect("propose nodes=" + std::to_string(command->actions_size()));
    propose(self, std::move(*command), nodes_done);
  }
  if (auto command = st.statuses.next_command(time_of(self))) {
    self->tap().effect("propose statuses=" + std::to_string(command->actions(0).update_tasks().changes_size()));
    propose(self, std::move(*command), statuses_done);
  }
}

// A tick at the end of the mailbox: whatever has arrived by then goes into the same Command.
void flush_soon(self_ptr self) {
  auto& st = self->state;
  if (st.flush_due)
    return;
  st.flush_due = true;
  self->send(self, tick_atom_v);
}

void tick(self_ptr self) {
  auto& st = self->state;
  st.flush_due = false;
  const auto now = time_of(self);
  const bool due = now.now >= st.next_tick;
  if (due) {
    st.next_tick = now.now + st.opts.tick;
    self->delayed_send(self, st.opts.tick, tick_atom_v);
  }
  if (st.loaded && (due || (st.expire_at && now.now >= *st.expire_at))) {
    st.expire_at.reset();
    for (const auto& id : st.sessions->expire(now))
      log::info(self->label(), "node_down", {{"node", id}, {"reason", "heartbeat failure"}});
  }
  flush(self);
}

// -- orders -----------------------------------------------------------------------------------------------------------------------

void send_orders(self_ptr self, const std::string& id) {
  const auto& st = self->state;
  const auto it = st.nodes.find(id);
  if (it != st.nodes.end() && it->second.inbox)
    caf::anon_send(it->second.inbox, st.orders.orders_of(id, st.sessions->session_of(id)));
}

// -- agents -----------------------------------------------------------------------------------------------------------------------

void refuse_session(self_ptr self, const std::string& session) {
  auto sender = caf::actor_cast<caf::actor>(self->current_sender());
  if (!sender)
    return;
  SessionInvalid answer;
  answer.set_session_id(session);
  caf::anon_send(sender, std::move(answer));
}

caf::result<NodeRegistered> register_node(self_ptr self, const RegisterNode& request, const agent_inbox& inbox) {
  auto& st = self->state;
  if (!st.loaded)
    return to_error({errc::unavailable, "the dispatcher is not ready"});
  auto outcome = st.sessions->add(time_of(self), request);
  if (!outcome.refused.ok()) {
    log::warn(self->label(), "registration_refused", {{"node", request.node_id()}, {"error", outcome.refused}});
    return to_error(outcome.refused);
  }
  log::info(self->label(), "node_registered",
            {{"node", request.node_id()}, {"hostname", request.description().hostname()}, {"addr", request.addr()}});
  auto& node = node_of(self, request.node_id(), request.description().hostname());
  node.inbox = caf::actor_cast<caf::actor>(inbox);
  // The agent must hear of its session before the first Assignments of it, which come from another actor.
  auto promise = self->make_response_promise<NodeRegistered>();
  promise.deliver(outcome.reply);
  caf::anon_send(node.session, outcome.reply, inbox);
  send_orders(self, request.node_id());
  flush_soon(self);
  return promise;
}

void report(self_ptr self, const UpdateTaskStatus& message) {
  auto& st = self->state;
  if (!st.loaded || !st.sessions->is_current(message.node_id(), message.session_id())) {
    refuse_session(self, message.session_id());
    return;
  }
  ++st.reports;
  if (!st.statuses.add(message)) {
    ++st.reports_dropped;
    log::warn(self->label(), "report_dropped", {{"node", message.node_id()}, {"updates", message.updates_size()},
                                                {"waiting", st.statuses.waiting()}});
  }
  flush_soon(self);
}

// -- links ------------------------------------------------------------------------------------------------------------------------

void link_lost(self_ptr self, const std::string& id) {
  auto& st = self->state;
  const auto now = time_of(self);
  const auto until = st.sessions->link_lost(now, id);
  if (!until)
    return;
  log::info(self->label(), "link_broke_off", {{"node", id}});
  st.expire_at = std::min(st.expire_at.value_or(*until), *until);
  self->delayed_send(self, std::max(duration{}, *until - now.now), tick_atom_v);
}

void link_changed(self_ptr self, const LinkChanged& news) {
  auto& st = self->state;
  if (news.up()) {
    st.broke_off.erase(news.node_id());
    st.sessions->link_back(news.node_id());
  } else if (news.broke_off() && st.loaded) {
    link_lost(self, news.node_id());
  } else if (news.broke_off()) {
    st.broke_off.insert(news.node_id());
  }
}

// -- events -----------------------------------------------------------------------------------------------------------------------

void loaded(self_ptr self, const StoreSnapshot& snapshot) {
  auto& st = self->state;
  st.loaded = true;
  st.log_index = snapshot.log_index();
  st.sessions->load(time_of(self), snapshot);
  for (const auto& id : std::exchange(st.broke_off, {}))
    link_lost(self, id);
  st.orders.load(snapshot);
  google::protobuf::RepeatedPtrField<NodeEvent> nodes;
  for (const auto& node : snapshot.nodes())
    *nodes.Add()->mutable_node() = node;
  deliver(self, st.routes.load(snapshot), nodes);
}

void changed(self_ptr self, const EventBatch& batch) {
  auto& st = self->state;
  if (!st.loaded || batch.log_index() <= st.log_index)
    return;
  st.log_index = batch.log_index();
  st.sessions->apply(time_of(self), batch);
  if (may_be_kept(batch)) {
    const auto kept = self->keep_message<EventBatch>();
    deliver(self, st.routes.route(*kept, kept), batch.nodes());
  } else {
    deliver(self, st.routes.route(batch), batch.nodes());
  }
  if (batch.nodes_size() + batch.clusters_size() > 0)
    for (const auto& id : st.orders.apply(batch))
      send_orders(self, id);
  if (batch.nodes_size() > 0)
    flush_soon(self);
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["nodes"] = std::to_string(st.nodes.size());
  facts["sessions"] = std::to_string(st.sessions->sessions());
  facts["heartbeats"] = std::to_string(st.heartbeats);
  facts["reports"] = std::to_string(st.reports);
  facts["reports_dropped"] = std::to_string(st.reports_dropped);
  facts["statuses_waiting"] = std::to_string(st.statuses.waiting());
  facts["at"] = std::to_string(st.log_index);
  if (request.full())
    status.set_state(st.sessions->dump());
  return status;
}

} // namespace

dispatcher_actor::behavior_type run_dispatcher(self_ptr self, dispatcher_options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.sessions = std::make_unique<session_core>(st.opts.seed);
  self->request(st.opts.store, st.opts.store_deadline, subscribe_atom_v, caf::actor_cast<store_subscriber>(self))
    .then([self](const StoreSnapshot& snapshot) { loaded(self, snapshot); },
          [self](const caf::error& err) {
            log::warn(self->label(), "subscription_failed", {{"error", to_failure(err)}});
            self->quit(err);
          });
  self->send(self, tick_atom_v);
  return {
    [self](const RegisterNode& request, const agent_inbox& inbox) { return register_node(self, request, inbox); },
    [self](const NodeHeartbeat& beat) {
      ++self->state.heartbeats;
      if (!self->state.sessions->beat(time_of(self), beat))
        refuse_session(self, beat.session_id());
      else
        flush(self);
    },
    [self](const UpdateNodeDescription& request) {
      if (!self->state.sessions->describe(request))
        refuse_session(self, request.session_id());
      else
        flush_soon(self);
    },
    [self](const UpdateTaskStatus& message) { report(self, message); },
    [self](const LinkChanged& news) { link_changed(self, news); },
    [self](const EventBatch& batch) { changed(self, batch); },
    [self](tick_atom) { tick(self); },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::dispatcher
