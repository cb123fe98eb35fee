// Effects of peers_core on sockets, and news of sockets to peers_core.
#include "actors/links/links_actor.hpp"

#include "runtime/log.hpp"
#include "runtime/overload.hpp"

namespace swarm::links {

namespace {

using self_ptr = observed_ptr<links_interface, links_state>;

constexpr std::uint64_t streams_per_link = std::uint64_t{1} << 32;

instant now(self_ptr self) { return instant{std::chrono::duration_cast<duration>(now_of(self))}; }

NodeRole node_role(PeerRole role) { return role == PEER_ROLE_MANAGER ? NODE_ROLE_MANAGER : NODE_ROLE_WORKER; }

std::string own_node_id(const links_state& st) {
  const auto current = st.credentials->current();
  return current ? current->self.node_id : "";
}

void arm(self_ptr self) {
  auto& st = self->state;
  const auto due = st.peers->next_due();
  if (!due || (st.armed && *st.armed <= *due))
    return;
  st.armed = due;
  self->delayed_send(self, std::max(duration{}, *due - now(self)), tick_atom_v);
}

// The peer is told why before the connection ends: an answer that nobody has asked for.
void hang_up_on(const link::connection_ptr& connection, const failure& why) {
  Envelope goodbye;
  goodbye.set_kind(Envelope::KIND_ERROR);
  goodbye.set_code(static_cast<std::uint32_t>(why.code));
  goodbye.set_message(why.message);
  connection->send(link::priority::urgent, goodbye);
  connection->close(why);
}

void tell_listeners(self_ptr self, const LinkChanged& news) {
  log::info(self->label(), news.up() ? "link_up" : "link_down",
            {{"peer", news.node_id()}, {"addr", news.addr()}, {"reason", news.reason()}});
  for (const auto& listener : self->state.listeners)
    self->send(listener, news);
}

void perform(self_ptr self, const effects& todo) {
  auto& st = self->state;
  for (const auto& what : todo)
    std::visit(overload{
      [&](const dial& e) {
        // Without an identity of its own a node keeps no links.
        const auto who = st.credentials->current();
        const auto made = who && who->self.role != PEER_ROLE_ANYONE ? st.endpoint->dial({e.addr, e.node_id, true}) : nullptr;
        if (made)
          st.peers->dialling(e.key, made->id());
        else
          st.peers->dial_failed(now(self), e.key, {errc::unavailable, "this node has no certificate"});
      },
      [&](const hang_up& e) {
        if (const auto it = st.open.find(e.link); it != st.open.end())
          hang_up_on(it->second.connection, e.why);
      },
      [&](const adopt& e) {
        if (const auto it = st.open.find(e.link); it != st.open.end())
          st.directory->adopt(it->second.connection->peer().node_id, it->second);
      },
      [&](const report& e) { tell_listeners(self, e.what); },
    }, what);
  arm(self);
}

// -- links that come and go ------------------------------------------------------------------------------------------------

void link_up(self_ptr self, const link::connection_ptr& connection) {
  auto& st = self->state;
  const auto& peer = connection->peer();
  if (st.directory->current()->removed.contains(peer.node_id)) {
    ++st.refused;
    log::warn(self->label(), "removed_node_refused", {{"peer", peer.node_id}, {"addr", connection->addr()}});
    return hang_up_on(connection, {errc::permission_denied, "node " + peer.node_id + " was removed from swarm"});
  }
  const auto actor = st.opts.spawn_link(self, connection, own_node_id(st), st.streams_from);
  st.streams_from += streams_per_link;
  st.open.emplace(connection->id(), link::open_link{connection, actor});
  if (peer.role == PEER_ROLE_ANYONE)
    return;
  if (!st.leader.node_id().empty())
    caf::anon_send(actor, st.leader);
  perform(self, st.peers->up(now(self), own_node_id(st),
                             {connection->id(), peer.node_id, connection->addr(), node_role(peer.role), connection->dialled()}));
}

void link_down(self_ptr self, const link::connection_ptr& connection, const failure& why) {
  auto& st = self->state;
  const auto id = connection->id();
  if (const auto it = st.open.find(id); it != st.open.end()) {
    st.directory->drop(connection->peer().node_id, id);
    caf::anon_send(it->second.actor, link::link_ended{why});
    st.open.erase(it);
  } else if (connection->dialled()) {
    log::debug(self->label(), "dial_failed", {{"addr", connection->addr()}, {"error", why}});
  }
  perform(self, st.peers->down(now(self), id, why, connection->broke_off()));
}

// -- what the owner says ---------------------------------------------------------------------------------------------------

void place(link::rules& to, const std::string& name, caf::strong_actor_ptr actor) {
  if (actor)
    to.destinations.insert_or_assign(name, std::move(actor));
  else
    to.destinations.erase(name);
}

void set_destinations(self_ptr self, const local_destinations& here) {
  self->state.directory->change([&](link::rules& r) {
    const auto pointer = [](const auto& handle) { return caf::actor_cast<caf::strong_actor_ptr>(handle); };
    r.absent = here.absent;
    place(r, "raft", pointer(here.raft));
    place(r, "dispatcher", pointer(here.dispatcher));
    place(r, "control", pointer(here.control));
    place(r, "ca", pointer(here.ca));
    place(r, "members", pointer(here.members));
    place(r, "logs", pointer(here.logs));
    place(r, "agent", pointer(here.agent));
  });
}

void set_roles(self_ptr self, const PeerRoles& who) {
  auto& st = self->state;
  st.directory->change([&](link::rules& r) {
    r.roles.clear();
    for (const auto& [id, role] : who.roles())
      if (role != NODE_ROLE_UNSPECIFIED)
        r.roles.emplace(id, role == NODE_ROLE_MANAGER ? PEER_ROLE_MANAGER : PEER_ROLE_WORKER);
    r.removed = {who.removed().begin(), who.removed().end()};
  });
  for (const auto& id : who.removed())
    perform(self, st.peers->refuse(id, {errc::permission_denied, "node " + id + " was removed from swarm"}));
}

void set_members(self_ptr self, const Membership& members) {
  self->state.directory->change([&](link::rules& r) {
    r.nodes_by_number.clear();
    for (const auto* list : {&members.voters(), &members.learners(), &members.voters_outgoing(), &members.learners_next()})
      for (const auto& m : *list)
        r.nodes_by_number.insert_or_assign(m.raft_id(), m.node_id());
  });
}

void set_leader(self_ptr self, const LeaderHint& hint) {
  auto& st = self->state;
  if (hint.node_id() == st.leader.node_id() && hint.addr() == st.leader.addr() && hint.term() == st.leader.term())
    return;
  st.leader = hint;
  for (const auto& [id, link] : st.open)
    if (link.connection->peer().role != PEER_ROLE_ANYONE)
      caf::anon_send(link.actor, hint);
}

caf::result<ListeningForPeers> listen(self_ptr self, const ListenForPeers& request) {
  ListeningForPeers answer;
  self->state.peers->among_managers(!request.addr().empty());
  if (request.addr().empty()) {
    self->state.endpoint->stop_listening();
    return answer;
  }
  if (const auto why = self->state.endpoint->listen(request.addr(), answer.mutable_addr()); !why.ok())
    return to_error(why);
  log::info(self->label(), "listening", {{"addr", answer.addr()}});
  return answer;
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  const auto s = st.endpoint->stats();
  facts["peers"] = std::to_string(st.peers->size());
  facts["connections"] = std::to_string(s.connections);
  facts["strangers"] = std::to_string(s.strangers);
  facts["accepted"] = std::to_string(s.accepted);
  facts["dialled"] = std::to_string(s.dialled);
  facts["refused"] = std::to_string(s.refused + st.refused);
  facts["handshakes_failed"] = std::to_string(s.handshakes_failed);
  facts["malformed"] = std::to_string(s.malformed);
  facts["silent"] = std::to_string(s.silent);
  facts["stalled"] = std::to_string(s.stalled);
  facts["frames_in"] = std::to_string(s.frames_in);
  facts["frames_out"] = std::to_string(s.frames_out);
  facts["bytes_in"] = std::to_string(s.bytes_in);
  facts["bytes_out"] = std::to_string(s.bytes_out);
  facts["leader"] = st.leader.node_id();
  if (request.full())
    status.set_state(st.peers->dump());
  return status;
}

link::events news_to(const links_interface& self) {
  // Weak: what the sockets hold must not keep the actor that owns them.
  const auto tell = [self = caf::actor_cast<caf::actor_addr>(self)](link_news news) {
    if (const auto actor = caf::actor_cast<caf::actor>(self))
      caf::anon_send(actor, std::move(news));
  };
  link::events out;
  out.up = [tell](const link::connection_ptr& c) { tell({c, true, {}}); };
  out.down = [tell](const link::connection_ptr& c, const failure& why) { tell({c, false, why}); };
  return out;
}

void set_up(self_ptr self, io_threads* io, std::shared_ptr<link::credential_store> credentials,
            std::shared_ptr<link::directory> directory, links_options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.credentials = std::move(credentials);
  st.directory = std::move(directory);
  st.peers = std::make_unique<peers_core>(st.opts.peers, st.opts.seed);
  st.endpoint = std::make_unique<link::endpoint>(*io, st.credentials, news_to(links_interface{self}), st.opts.limits);
  self->set_down_handler([self](caf::down_msg& down) {
    std::erase_if(self->state.listeners, [&](const link_listener& l) { return l.address() == down.source; });
  });
  self->attach_functor([directory = st.directory] { directory->clear(); });
}

} // namespace

links_interface::behavior_type keep_links(self_ptr self, io_threads* io, std::shared_ptr<link::credential_store> credentials,
                                          std::shared_ptr<link::directory> directory, links_options opts) {
  set_up(self, io, std::move(credentials), std::move(directory), opts);
  return {
    [self](const link_news& news) {
      if (news.up)
        link_up(self, news.connection);
      else
        link_down(self, news.connection, news.why);
    },
    [self](const link::peer_hint& news) {
      for (const auto& listener : self->state.listeners)
        self->send(listener, news.hint);
    },
    [self](const local_destinations& here) { set_destinations(self, here); },
    [self](const ListenForPeers& request) { return listen(self, request); },
    [self](const ConnectPeer& peer) {
      if (peer.node_id().empty() || peer.node_id() != own_node_id(self->state))
        perform(self, self->state.peers->connect(now(self), peer.node_id(), peer.addr()));
    },
    [self](const ForgetPeer& peer) { perform(self, self->state.peers->forget(peer.node_id(), peer.addr())); },
    [self](const PeerRoles& who) { set_roles(self, who); },
    [self](const Membership& members) { set_members(self, members); },
    [self](const LeaderHint& hint) { set_leader(self, hint); },
    [self](subscribe_atom, const link_listener& listener) {
      if (self->state.listeners.insert(listener).second)
        self->monitor(listener);
      for (const auto& news : self->state.peers->links())
        self->send(listener, news);
    },
    [self](tick_atom) {
      self->state.armed.reset();
      perform(self, self->state.peers->tick(now(self)));
    },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::links
