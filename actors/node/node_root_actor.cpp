// NODE ROOT's door: which part of it, or which other actor, answers what.
#include "actors/node/node_root_actor.hpp"

#include "actors/node/node_parts.hpp"
#include "runtime/log.hpp"

namespace swarm::node {

namespace {

constexpr duration busy_period = milliseconds{100};
constexpr duration idle_period = milliseconds{500};
constexpr duration call_patience = seconds{10}; // for a leader; Swarm's is 20 s, and less after 10 s without one
constexpr duration call_deadline = seconds{18}; // a little less than GATEWAY's
constexpr duration call_pause = milliseconds{250};
constexpr std::size_t calls_max = 4096;

LocalNode describe_node(self_ptr self) {
  const auto& st = self->state;
  LocalNode out;
  out.set_state(st.membership.local_state());
  out.set_error(st.membership.error());
  out.set_cluster_id(st.cluster_id);
  if (st.membership.at() == membership::inactive)
    return out;
  out.set_node_addr(host_of(st.addresses.advertise_addr()));
  if (st.membership.at() == membership::locked)
    return out;
  out.set_node_id(st.node_id);
  out.set_control_available(st.membership.is_manager());
  const auto add = [&out](const std::string& id, const std::string& addr) {
    auto& peer = *out.add_remote_managers();
    peer.set_node_id(id);
    peer.set_addr(addr);
  };
  for (const auto& manager : st.managers.managers())
    add(manager.node_id(), manager.addr());
  if (st.managers.managers().empty() && out.control_available())
    add(st.node_id, st.addresses.advertise_addr());
  return out;
}

// -- requests about the cluster ------------------------------------------------------------------------------------------------

// What the user is told when nobody could be asked for as long as users wait.
caf::error give_up_call(const failure& last) {
  return to_error(last.code == errc::not_leader || last.code == errc::unavailable ? failure{errc::internal, text_no_leader} : last);
}

// A read may be repeated. A write that was under way when a link went down may have been written: only what has not left
// this host, or has met somebody who does not lead, is tried again.
bool nothing_happened(const failure& why, bool write) {
  if (why.code == errc::not_leader)
    return true;
  return why.code == errc::unavailable && (!write || why.message.starts_with("there is no link to node"));
}

// Reads are answered here, behind a read index; writes by the leader. Nothing has happened when there is no leader, so the
// request waits for one; any other answer is the answer. `request` is a message so that keeping it for another try costs
// no copy of what may be a large spec.
template <class Reply>
void call_control(self_ptr self, const caf::message& request, caf::typed_response_promise<Reply> promise, bool write, instant began) {
  auto& st = self->state;
  if (auto refused = st.membership.may_manage(); !refused.ok()) {
    promise.deliver(to_error(refused));
    return;
  }
  auto again = [self, request, promise, write, began](const failure& why) mutable {
    auto& s = self->state;
    if (time_of(self).now - began >= call_patience || s.calls.size() >= calls_max) {
      promise.deliver(give_up_call(why));
      return;
    }
    s.calls.push_back({[self, request, promise, write, began] { call_control<Reply>(self, request, promise, write, began); },
                       time_of(self).now + call_pause});
    tick_within(self, call_pause);
  };
  const auto target = !write || st.leader ? st.control : st.remote.control;
  if (!target)
    return again({errc::not_leader, "no leader is known"});
  self->request(caf::actor_cast<caf::actor>(target), call_deadline - (time_of(self).now - began), request)
    .then([promise](Reply& reply) mutable { promise.deliver(std::move(reply)); },
          [promise, again, write](const caf::error& err) mutable {
            const auto why = to_failure(err);
            if (nothing_happened(why, write))
              again(why);
            else
              promise.deliver(to_error(why));
          });
}

template <class Reply, class Request>
caf::result<Reply> control(self_ptr self, Request&& request, bool write) {
  if (auto refused = self->state.membership.may_manage(); !refused.ok())
    return to_error(refused);
  auto promise = self->make_response_promise<Reply>();
  call_control<Reply>(self, caf::make_message(std::forward<Request>(request)), promise, write, time_of(self).now);
  return promise;
}

std::optional<logs_actor> logs_of(self_ptr self) {
  auto& st = self->state;
  if (st.leader)
    return st.leader->handles().logs;
  if (st.membership.is_manager() && st.remote.logs)
    return st.remote.logs;
  return std::nullopt;
}

void subscribe_logs(self_ptr self, const SubscribeLogs& request, const log_sink& sink) {
  if (const auto logs = logs_of(self)) {
    self->send(*logs, request, sink);
    return;
  }
  LogChunk end;
  end.set_subscription(request.subscription());
  end.set_end(true);
  end.set_error(self->state.membership.may_manage().message);
  self->send(sink, end);
}

// Whoever subscribes before `swarm init` sees its first service: the subscription waits here, not at the client.
caf::result<StoreSnapshot> subscribe(self_ptr self, const store_subscriber& reader) {
  auto& st = self->state;
  if (st.manager && st.control)
    return self->delegate(st.manager->store(), subscribe_atom_v, reader);
  if (st.readers.size() >= calls_max)
    return to_error({errc::resource_exhausted, std::to_string(st.readers.size()) + " readers wait for this node to be a manager"});
  auto promise = self->make_response_promise<StoreSnapshot>();
  st.readers.push_back({promise, reader, time_of(self).now + call_patience});
  return promise;
}

void end_waiting_readers(self_ptr self, instant now) {
  auto& st = self->state;
  while (!st.readers.empty() && st.readers.front().until <= now) {
    auto promise = std::move(st.readers.front().promise);
    st.readers.pop_front();
    promise.deliver(to_error({errc::deadline_exceeded, st.membership.may_manage().message}));
  }
}

// -- time -------------------------------------------------------------------------------------------------------------------

void tick(self_ptr self) {
  auto& st = self->state;
  const auto now = time_of(self).now;
  if (st.stopping)
    return;
  const bool busy = st.joining || st.join_waiting || st.membership.at() == membership::promoted || !st.calls.empty() ||
                    !st.unlocking.empty();
  tick_within(self, busy ? busy_period : idle_period);
  joining_tick(self);
  renew_when_due(self);
  read_group(self);
  listen_again(self);
  end_waiting_readers(self, now);
  if (!st.unlocking.empty() && now >= st.unlocking.front().until)
    answer_unlocking(self);
  std::deque<waiting_call> due;
  while (!st.calls.empty() && st.calls.front().due <= now) {
    due.push_back(std::move(st.calls.front()));
    st.calls.pop_front();
  }
  for (auto& call : due)
    call.again();
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["membership"] = to_string(st.membership.at());
  facts["leading"] = st.leading ? "true" : "false";
  facts["node_id"] = st.node_id;
  facts["waiting_calls"] = std::to_string(st.calls.size());
  if (!st.membership.error().empty())
    facts["error"] = st.membership.error();
  return status;
}

} // namespace

MembershipChanged changed(errc code, std::string message) {
  MembershipChanged out;
  out.set_code(static_cast<std::uint32_t>(code));
  out.set_message(std::move(message));
  return out;
}

void tick_within(self_ptr self, duration time) {
  auto& st = self->state;
  const auto now = time_of(self).now;
  if (st.tick_at > now && st.tick_at <= now + time)
    return;
  st.tick_at = now + time;
  self->delayed_send(self, time, tick_atom_v);
}

timestamp time_of(self_ptr self) {
  return {instant{std::chrono::duration_cast<duration>(now_of(self))}, actor_registry::wall_now_ns()};
}

namespace {

void link_changed(self_ptr self, const LinkChanged& news) {
  auto& st = self->state;
  if (st.manager && st.control)
    self->send(st.manager->raft(), news);
  if (news.broke_off())
    st.broke_off.insert(news.node_id());
  else if (news.up())
    st.broke_off.erase(news.node_id());
  if (st.leader)
    self->send(st.leader->handles().dispatcher, news);
  if (news.up()) {
    st.promote_at = {};
    ask_for_raft(self);
  }
  log::info(self->label(), news.up() ? "link_up" : "link_down",
            {{"node", news.node_id()}, {"addr", news.addr()}, {"reason", news.reason()}});
}

} // namespace

node_root_interface::behavior_type node_root(self_ptr self, node_options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.disk = std::make_unique<local_state>(st.opts.data_root);
  self->set_down_handler([self](caf::down_msg& down) { take_down(self, down); });
  st.keys = std::make_unique<key_guard>(st.disk->certificates(), st.disk->data_key());
  start_driver(self);
  resume_membership(self);
  tick_within(self, idle_period);
  return {
    [self](const NodeOrders& orders) { take_orders(self, orders); },
    [self](const InitSwarm& request) { return init_swarm(self, request); },
    [self](const JoinSwarm& request) { return join_swarm(self, request); },
    [self](const LeaveSwarm& request) { return leave_swarm(self, request); },
    [self](const UnlockSwarm& request) { return unlock_swarm(self, request); },
    [self](const ReadUnlockKey& request) { return control<UnlockKey>(self, request, false); },
    [self](const ReadLocalNode&) -> caf::result<LocalNode> { return describe_node(self); },
    [self](ControlRequest& request) { return control<Written>(self, std::move(request), true); },
    [self](const ReadObjects& request) { return control<ObjectsRead>(self, request, false); },
    [self](subscribe_atom, const store_subscriber& reader) { return subscribe(self, reader); },
    [self](const SubscribeLogs& request, const log_sink& sink) { subscribe_logs(self, request, sink); },
    [self](const LogCredit& credit) {
      if (const auto logs = logs_of(self))
        self->send(*logs, credit);
    },
    [self](const CancelLogs& cancel) {
      if (const auto logs = logs_of(self))
        self->send(*logs, cancel);
    },
    [self](const ReadStatus& request) { return status_of(self, request); },
    [self](const LeadershipChanged& change) { take_leadership(self, change); },
    [self](flush_atom) { follow_cluster(self); },
    [self](const PeerRoles& roles) {
      for (const auto& id : roles.removed())
        self->state.broke_off.erase(id);
      if (self->state.links)
        self->send(self->state.links->links, roles);
    },
    [self](const LinkChanged& news) { link_changed(self, news); },
    [self](const LeaderHint& hint) { take_hint(self, hint); },
    [self](tick_atom) { tick(self); },
    [self](stop_atom) { stop_node(self); },
  };
}

} // namespace swarm::node
