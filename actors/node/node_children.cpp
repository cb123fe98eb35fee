// The actors of this host: who is started and ended when, and who is told of whom.
#include "actors/agent/agent_sup.hpp"
#include "actors/ca/certificates.hpp"
#include "actors/ca/join_token.hpp"
#include "actors/ca/root_rotation.hpp"
#include "actors/control/control_actor.hpp"
#include "actors/node/node_parts.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/log.hpp"

namespace swarm::node {

namespace {

constexpr std::chrono::seconds group_deadline{2};
constexpr duration group_period = milliseconds{900};
constexpr std::chrono::seconds listen_deadline{10};
constexpr duration listen_retry = seconds{2};

control::control_options control_options_of(self_ptr self) {
  control::control_options out;
  const auto root = caf::actor_cast<caf::actor>(self);
  out.cluster_changed = [root] { caf::anon_send(root, flush_atom_v); };
  out.peers_changed = [root](const PeerRoles& roles) { caf::anon_send(root, roles); };
  out.core.rotate_join_tokens = [](Cluster& cluster, bool worker, bool manager) {
    ca::rotate_join_tokens(*cluster.mutable_root_ca()->mutable_join_tokens(), cluster.root_ca().certificate_pem(), worker, manager);
  };
  out.core.follow_ca_config = ca::follow_ca_config;
  out.core.make_unlock_key = [] { return crypto::random_bytes(crypto::secret_key::size); };
  return out;
}

void start_control(self_ptr self) {
  self->state.controls = child_group::make(self, {}, {{"control", restart_kind::permanent, [self] {
    auto& st = self->state;
    st.control = self->system().spawn(control::control_door, control_options_of(self), st.manager->raft(), st.manager->store(),
                                      crypto::seeded_source());
    publish(self);
    return caf::actor_cast<caf::actor>(st.control);
  }}});
  self->state.controls.start_all();
}

void let_readers_in(self_ptr self) {
  auto& st = self->state;
  for (auto& waiting : std::exchange(st.readers, {}))
    waiting.promise.delegate(st.manager->store(), subscribe_atom_v, waiting.reader);
}

void start_leading(self_ptr self) {
  auto& st = self->state;
  if (st.leader)
    return;
  leader_part::context context{self->system(), st.manager->raft(), st.manager->store(), st.cluster_id, st.node_id, st.agent, {}};
  if (st.links)
    context.logs_of = st.links->logs_of;
  context.spawn_secret_provider = st.opts.spawn_secret_provider;
  st.leader = std::make_unique<leader_part>(self, std::move(context));
  log::info(self->label(), "leading");
}

void flush_calls(self_ptr self) {
  for (auto& call : std::exchange(self->state.calls, {}))
    call.again();
}

} // namespace

void give_up(self_ptr self, const std::string& why) {
  log::error(self->label(), "node_gives_up", {{"reason", why}});
  if (self->state.opts.give_up)
    self->state.opts.give_up(why);
}

void give_up_hope(self_ptr self, const std::string& why) {
  self->state.membership.become(membership::error, why);
  log::error(self->label(), "membership_lost", {{"reason", why}});
}

void start_driver(self_ptr self) {
  self->state.drivers = child_group::make(self, {}, {{"driver", restart_kind::permanent, [self] {
    self->state.driver = self->state.opts.spawn_driver(self->system());
    return caf::actor_cast<caf::actor>(self->state.driver);
  }}});
  self->state.drivers.start_all();
}

void start_agent(self_ptr self) {
  self->state.agents = child_group::make(self, {}, {{"agent", restart_kind::permanent, [self] {
    auto& st = self->state;
    st.agent = agent::spawn_agent(self->system(), st.driver, st.cluster_id, st.node_id, host_of(st.addresses.advertise_addr()),
                                  st.opts.node_name, (st.disk->root() / "agent").string());
    if (st.identity)
      self->send(st.agent, ca::node_tls_info(st.certificate_pem, st.identity->own().roots_pem));
    self->send(st.agent, subscribe_atom_v, node_listener{node_root_interface{self}});
    st.dispatcher_told = dispatcher_actor{};
    publish(self);
    return caf::actor_cast<caf::actor>(st.agent);
  }}});
  self->state.agents.start_all();
}

void start_manager(self_ptr self, std::uint64_t raft_id, bool force_new_cluster) {
  auto& st = self->state;
  manager_options opts;
  opts.directory = st.disk->raft().string();
  opts.cluster_id = st.cluster_id;
  opts.node_id = st.node_id;
  opts.advertise_addr = st.addresses.advertise_addr();
  opts.raft_id = raft_id;
  opts.founder = st.addresses.founder();
  opts.force_new_cluster = force_new_cluster;
  opts.unlock_key = st.keys->unlock_key();
  opts.map_bytes = st.opts.map_bytes;
  opts.heartbeat = st.opts.raft_heartbeat;
  opts.election = st.opts.raft_election;
  if (st.links)
    opts.peers = st.links->peers;
  st.leadership.Clear();
  st.group.Clear();
  st.manager = std::make_unique<manager_part>(self->system(), std::move(opts), leadership_listener{node_root_interface{self}},
                                              [self](const caf::actor& a) { self->monitor(a); });
  st.manager_actors_ending = 3;
  start_control(self);
  let_readers_in(self);
  st.listen_at = instant::min();
  listen_again(self);
}

// The port may be taken for a while, by an instance of ours that is ending. `swarm init` says so, a start goes on trying.
void listen_again(self_ptr self) {
  auto& st = self->state;
  if (!st.manager || !st.links || time_of(self).now < st.listen_at)
    return;
  st.listen_at = instant::max();
  ListenForPeers listen;
  listen.set_addr(st.addresses.listen_addr());
  self->request(st.links->links, listen_deadline, listen)
    .then([self](const ListeningForPeers& at) { log::info(self->label(), "listening", {{"addr", at.addr()}}); },
          [self](const caf::error& err) {
            auto& s = self->state;
            const auto why = to_failure(err);
            log::error(self->label(), "not_listening", {{"addr", s.addresses.listen_addr()}, {"reason", why.message}});
            s.listen_at = time_of(self).now + listen_retry;
            if (s.membership.at() != membership::founding || s.force_new_cluster)
              return;
            s.init_problem = {errc::internal, "failed to listen on remote API address: " + why.message};
            undo_founding(self);
          });
}

void stop_manager(self_ptr self) {
  auto& st = self->state;
  st.leader.reset();
  st.leading = false;
  st.controls.stop_all();
  st.control = control_actor{};
  publish(self);
  if (st.links) {
    const ListenForPeers nowhere;
    self->request(st.links->links, listen_deadline, nowhere).then([](const ListeningForPeers&) {}, [](const caf::error&) {});
  }
  if (st.manager)
    st.manager->stop();
}

// -- links ------------------------------------------------------------------------------------------------------------------

void start_links(self_ptr self) {
  auto& st = self->state;
  if (st.links || st.opts.io == nullptr)
    return;
  st.links = make_cluster_links(self->system(), *st.opts.io, st.credentials);
  self->monitor(st.links->links);
  self->send(st.links->links, subscribe_atom_v, link_listener{node_root_interface{self}});
  connect_managers(self, {st.managers.managers().begin(), st.managers.managers().end()});
}

void stop_links(self_ptr self) {
  auto& st = self->state;
  if (!st.links)
    return;
  self->demonitor(st.links->links.address());
  end(st.remote);
  st.remote = {};
  st.remote_term = 0;
  end(*st.links);
  st.links.reset();
  st.connected.clear();
}

void connect_managers(self_ptr self, const std::vector<ManagerAddress>& managers) {
  auto& st = self->state;
  if (!st.links || managers.empty())
    return;
  std::map<std::string, ManagerAddress> wanted;
  for (const auto& manager : managers)
    if (manager.node_id() != st.node_id && !manager.addr().empty())
      wanted[manager.node_id().empty() ? "@" + manager.addr() : manager.node_id()] = manager;
  for (auto it = st.connected.begin(); it != st.connected.end();) {
    // The manager that we joined at is known by its address only: it stays as long as it is one of them.
    const bool named_now = it->second.node_id().empty() && std::any_of(managers.begin(), managers.end(), [&](const auto& m) {
                             return m.addr() == it->second.addr();
                           });
    if (wanted.contains(it->first) || named_now) {
      ++it;
      continue;
    }
    ForgetPeer forget;
    forget.set_node_id(it->second.node_id());
    if (it->second.node_id().empty())
      forget.set_addr(it->second.addr());
    self->send(st.links->links, forget);
    it = st.connected.erase(it);
  }
  for (const auto& [key, manager] : wanted) {
    auto& known = st.connected[key];
    if (known.addr() == manager.addr())
      continue;
    known = manager;
    ConnectPeer connect;
    connect.set_node_id(manager.node_id());
    connect.set_addr(manager.addr());
    self->send(st.links->links, connect);
  }
}

void dial_again(self_ptr self) {
  auto& st = self->state;
  if (!st.links)
    return;
  std::vector<ManagerAddress> managers;
  for (const auto& [key, manager] : std::exchange(st.connected, {})) {
    ForgetPeer forget;
    forget.set_node_id(manager.node_id());
    if (manager.node_id().empty())
      forget.set_addr(manager.addr());
    self->send(st.links->links, forget);
    managers.push_back(manager);
  }
  connect_managers(self, managers);
}

// A new leader's dispatcher learns what happened before it was there, as when the old leader's process died.
void tell_broke_off(self_ptr self) {
  auto& st = self->state;
  LinkChanged news;
  news.set_broke_off(true);
  for (const auto& id : st.leader ? st.broke_off : std::set<std::string>{}) {
    news.set_node_id(id);
    self->send(st.leader->handles().dispatcher, news);
  }
}

void publish(self_ptr self) {
  auto& st = self->state;
  const auto dispatcher = st.leader ? st.leader->handles().dispatcher : st.remote.dispatcher;
  if (st.agent && dispatcher && dispatcher != st.dispatcher_told) {
    st.dispatcher_told = dispatcher;
    self->send(st.agent, subscribe_atom_v, dispatcher);
    tell_broke_off(self);
  }
  if (!st.links)
    return;
  local_destinations here;
  if (st.agent)
    here.agent = st.agent;
  if (st.manager && st.control) {
    here.raft = st.manager->raft();
    here.absent = {errc::not_leader, st.leadership.leader_node_id().empty()
                                       ? "no leader is known"
                                       : "node " + st.leadership.leader_node_id() + " leads"};
    // Who joins knows one manager only, which need not be the leader.
    here.ca = st.leader ? st.leader->handles().ca : st.remote.ca;
    if (st.leader) {
      here.control = st.control;
      here.dispatcher = st.leader->handles().dispatcher;
      here.members = st.leader->handles().members;
      here.logs = st.leader->handles().logs;
    }
  }
  self->send(st.links->links, here);
}

void read_group(self_ptr self) {
  auto& st = self->state;
  if (!st.manager || !st.control || !st.links || st.reading_group || time_of(self).now < st.read_group_at)
    return;
  st.reading_group = true;
  self->request(st.manager->raft(), group_deadline, ReadMembership{})
    .then(
      [self](const MembershipRead& read) {
        auto& s = self->state;
        s.reading_group = false;
        s.read_group_at = time_of(self).now + group_period;
        if (!s.links || read.membership().SerializeAsString() == s.group.SerializeAsString())
          return;
        s.group = read.membership();
        self->send(s.links->links, s.group);
        std::vector<ManagerAddress> managers;
        for (const auto* list : {&s.group.voters(), &s.group.learners()})
          for (const auto& member : *list) {
            auto& manager = managers.emplace_back();
            manager.set_node_id(member.node_id());
            manager.set_addr(member.addr());
          }
        connect_managers(self, managers);
      },
      [self](const caf::error&) {
        self->state.reading_group = false;
        self->state.read_group_at = time_of(self).now + group_period;
      });
}

// -- leadership ---------------------------------------------------------------------------------------------------------------

void take_leadership(self_ptr self, const LeadershipChanged& change) {
  auto& st = self->state;
  if (!st.manager || !st.control || st.stopping)
    return;
  st.leadership = change;
  st.leading = change.role() == RAFT_ROLE_LEADER;
  st.read_group_at = {};
  if (!st.leading)
    st.leader.reset();
  else if (st.bootstrap_due)
    founded_leads(self);
  else if (st.membership.at() != membership::founding)
    start_leading(self);
  LeaderHint hint;
  hint.set_node_id(change.leader_node_id());
  hint.set_addr(change.leader_addr());
  hint.set_term(change.term());
  if (st.links)
    self->send(st.links->links, hint);
  take_hint(self, hint);
  publish(self);
  read_group(self);
  if (change.leader_raft_id() == 0)
    return;
  answer_unlocking(self);
  answer_join(self);
  flush_calls(self);
}

// From RAFT of this host or from another manager, in no particular order: the later term is right. That nobody leads at the
// moment is no reason to let go of whom we know: it may be elected again.
void take_hint(self_ptr self, const LeaderHint& hint) {
  auto& st = self->state;
  if (!st.links || hint.node_id().empty() || hint.term() < st.remote_term)
    return;
  st.remote_term = hint.term();
  if (hint.node_id() == st.remote.node_id)
    return;
  end(st.remote);
  st.remote = {};
  if (hint.node_id() != st.node_id) {
    st.remote = st.links->proxies_of(hint.node_id());
    if (!st.connected.contains(hint.node_id()) && !hint.addr().empty()) {
      auto& peer = st.connected[hint.node_id()];
      peer.set_node_id(hint.node_id());
      peer.set_addr(hint.addr());
      ConnectPeer connect;
      connect.set_node_id(hint.node_id());
      connect.set_addr(hint.addr());
      self->send(st.links->links, connect);
    }
  }
  log::info(self->label(), "leader", {{"node", hint.node_id()}, {"addr", hint.addr()}, {"term", hint.term()}});
  publish(self);
  flush_calls(self);
}

// -- ends -------------------------------------------------------------------------------------------------------------------

void take_down(self_ptr self, const caf::down_msg& down) {
  auto& st = self->state;
  if (st.manager && st.manager->is_core(down.source)) {
    const bool wanted = st.stopping || st.wipe_when_stopped || st.force_new_cluster || st.membership.at() == membership::demoted;
    --st.manager_actors_ending;
    if (!wanted && to_failure(down.reason).code == errc::failed_precondition)
      demote(self); // removed from the Raft group, and told so before the orders have come
    else if (!wanted)
      return give_up(self, "a core actor of the manager has ended: " + to_failure(down.reason).message);
    if (st.manager_actors_ending == 0)
      manager_ended(self);
    return;
  }
  if (st.links && st.links->links.address() == down.source && !st.stopping)
    return give_up(self, "the links have ended: " + to_failure(down.reason).message);
  if (st.leader) {
    const auto outcome = st.leader->child_down(down);
    if (outcome == child_group::outcome::gave_up)
      return give_up(self, "the leader's actors keep failing");
    if (outcome == child_group::outcome::handled)
      return publish(self);
  }
  const std::pair<child_group*, const char*> groups[] = {
    {&st.drivers, "the driver keeps failing"}, {&st.agents, "the agent keeps failing"}, {&st.controls, "control keeps failing"}};
  for (const auto& [group, why] : groups)
    if (group->child_down(down) == child_group::outcome::gave_up)
      give_up(self, why);
}

} // namespace swarm::node
