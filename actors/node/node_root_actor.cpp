// Membership of this host: start, init, leave, stop; everything else is delegated to whoever runs here.
#include "actors/node/node_root_actor.hpp"

#include "actors/agent/agent_sup.hpp"
#include "actors/ca/cert_files.hpp"
#include "actors/ca/certificates.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/crypto/key_file.hpp"
#include "runtime/ids.hpp"
#include "runtime/log.hpp"

namespace swarm::node {

namespace {

using self_ptr = observed_ptr<node_root_interface, node_root_state>;

constexpr std::chrono::seconds leave_deadline{45};
constexpr std::chrono::seconds bootstrap_deadline{20};
constexpr std::chrono::seconds unlock_patience{10}; // for a leader; the node is unlocked anyway
constexpr std::chrono::seconds follow_deadline{20};
constexpr std::chrono::seconds follow_retry{2};

constexpr const char* text_inactive =
  "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
constexpr const char* text_preparing =
  "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster.";
constexpr const char* text_worker =
  "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a"
  " manager node or promote the current node to a manager.";
constexpr const char* text_locked =
  "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to unlock it.";
constexpr const char* text_leave_locked =
  "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.";
constexpr const char* text_expired =
  "Swarm certificates have expired. To replace them, leave the swarm and join again.";
constexpr const char* text_member =
  "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another one.";

MembershipChanged changed(errc code, std::string message) {
  MembershipChanged out;
  out.set_code(static_cast<std::uint32_t>(code));
  out.set_message(std::move(message));
  return out;
}

failure not_a_manager(const node_root_state& st) {
  switch (st.phase) {
    case LOCAL_NODE_STATE_INACTIVE: return {errc::unavailable, text_inactive};
    case LOCAL_NODE_STATE_LOCKED: return {errc::unavailable, text_locked};
    case LOCAL_NODE_STATE_ERROR:
      if (st.error == text_expired)
        return {errc::unavailable, text_expired};
      break;
    default: break;
  }
  return {errc::unavailable, st.manager ? text_preparing : st.phase == LOCAL_NODE_STATE_ACTIVE ? text_worker : text_preparing};
}

std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

void forget_membership(node_root_state& st) {
  st.phase = LOCAL_NODE_STATE_INACTIVE;
  st.error.clear();
  st.cluster_id.clear();
  st.node_id.clear();
  st.addresses.Clear();
  st.keys = std::make_unique<key_guard>(st.disk->certificates(), st.disk->data_key());
}

void give_up(self_ptr self, const std::string& why) {
  log::error(self->label(), "node_gives_up", {{"reason", why}});
  if (self->state.opts.give_up)
    self->state.opts.give_up(why);
}

// -- children -------------------------------------------------------------------------------------------------------------

void start_driver(self_ptr self) {
  self->state.drivers = child_group::make(self, {}, {{"driver", restart_kind::permanent, [self] {
    self->state.driver = self->state.opts.spawn_driver(self->system());
    return caf::actor_cast<caf::actor>(self->state.driver);
  }}});
  self->state.drivers.start_all();
}

void connect_agent(self_ptr self) {
  auto& st = self->state;
  if (st.leader && st.agent)
    self->send(st.agent, subscribe_atom_v, st.leader->handles().dispatcher);
}

void start_agent(self_ptr self) {
  self->state.agents = child_group::make(self, {}, {{"agent", restart_kind::permanent, [self] {
    auto& st = self->state;
    st.agent = agent::spawn_agent(self->system(), st.driver, st.cluster_id, st.node_id, host_of(st.addresses.advertise_addr()),
                                  st.opts.node_name, (st.disk->root() / "agent").string());
    connect_agent(self);
    return caf::actor_cast<caf::actor>(st.agent);
  }}});
  self->state.agents.start_all();
}

void start_leading(self_ptr self) {
  auto& st = self->state;
  if (st.leader)
    return;
  st.leader = std::make_unique<leader_part>(
    self, leader_part::context{self->system(), st.manager->raft(), st.manager->store(), st.cluster_id, st.node_id, st.agent,
                               [root = caf::actor_cast<caf::actor>(self)] { caf::anon_send(root, flush_atom_v); }});
  connect_agent(self);
  log::info(self->label(), "leading");
}

void start_manager(self_ptr self, std::uint64_t raft_id) {
  auto& st = self->state;
  manager_options opts;
  opts.directory = st.disk->raft().string();
  opts.cluster_id = st.cluster_id;
  opts.node_id = st.node_id;
  opts.advertise_addr = st.addresses.advertise_addr();
  opts.raft_id = raft_id;
  opts.unlock_key = st.keys->unlock_key();
  opts.map_bytes = st.opts.map_bytes;
  opts.heartbeat = st.opts.raft_heartbeat;
  opts.election = st.opts.raft_election;
  st.manager = std::make_unique<manager_part>(self->system(), std::move(opts), leadership_listener{node_root_interface{self}},
                                              [self](const caf::actor& a) { self->monitor(a); });
  st.manager_actors_ending = 3;
}

// -- start --------------------------------------------------------------------------------------------------------------

void fail_membership(self_ptr self, const std::string& why) {
  self->state.phase = LOCAL_NODE_STATE_ERROR;
  self->state.error = why;
  log::error(self->label(), "membership_lost", {{"reason", why}});
}

// Takes up the membership that is on disk. Without the unlock key of a locked manager the node ends as LOCKED.
key_guard::status resume_membership(self_ptr self, const crypto::secret_key* unlock_key) {
  using status = key_guard::status;
  auto& st = self->state;
  auto found = st.keys->open(unlock_key);
  if (found.what == status::missing || found.what == status::wrong_unlock_key)
    return found.what;
  const auto fail = [&](const std::string& why) {
    fail_membership(self, why);
    return status::failed;
  };
  if (found.what == status::failed)
    return fail(found.message);
  const auto addresses = st.disk->addresses();
  if (!addresses)
    return fail("the addresses of this node cannot be read");
  st.addresses = *addresses;
  const auto who = ca::verify_node_certificate(found.identity.credentials.certificate_pem, found.identity.root_pem,
                                               actor_registry::wall_now_ns());
  crypto::wipe(found.identity.credentials.key_pem);
  if (!who)
    return fail(text_expired);
  st.cluster_id = who->cluster_id;
  st.node_id = who->node_id;
  log::set_node(st.node_id);
  if (found.what == status::locked) {
    st.phase = LOCAL_NODE_STATE_LOCKED;
    st.error = text_locked;
    log::info(self->label(), "locked");
    return status::locked;
  }
  try {
    start_manager(self, 0);
  } catch (const storage::open_error& e) {
    return fail(e.what());
  }
  st.phase = LOCAL_NODE_STATE_ACTIVE;
  st.error.clear();
  start_agent(self);
  return status::ok;
}

void start(self_ptr self) {
  auto& st = self->state;
  if (st.disk->unfinished()) {
    const auto removed = st.disk->remove();
    if (!removed.ok())
      return fail_membership(self, removed.message);
    log::warn(self->label(), "unfinished_membership_removed");
  }
  resume_membership(self, nullptr);
}

// -- autolock -------------------------------------------------------------------------------------------------------------

void answer_unlocking(self_ptr self) {
  for (auto& promise : std::exchange(self->state.unlocking, {}))
    promise.deliver(MembershipChanged{});
}

caf::result<MembershipChanged> unlock_swarm(self_ptr self, const UnlockSwarm& request) {
  auto& st = self->state;
  if (st.phase == LOCAL_NODE_STATE_ACTIVE && st.manager)
    return changed(errc::conflict, "swarm is not locked");
  if (st.phase != LOCAL_NODE_STATE_LOCKED)
    return changed(errc::unavailable, not_a_manager(st).message);
  const auto key = crypto::parse_unlock_key(request.unlock_key());
  if (!key)
    return changed(errc::invalid_argument, "invalid key string");
  switch (resume_membership(self, &*key)) {
    case key_guard::status::ok: break;
    case key_guard::status::wrong_unlock_key:
      return changed(errc::permission_denied, "swarm could not be unlocked: invalid key provided");
    default: return changed(errc::internal, "swarm component could not be started: " + st.error);
  }
  log::info(self->label(), "unlocked");
  auto promise = self->make_response_promise<MembershipChanged>();
  st.unlocking.push_back(promise);
  self->delayed_send(self, unlock_patience, tick_atom_v);
  return promise;
}

// Brings the disk to what the cluster says now: a read that passes a read index, because right after a start the local
// state may be older than what the disk has already followed.
void follow_cluster(self_ptr self) {
  auto& st = self->state;
  if (!st.leader || st.stopping)
    return;
  st.follow_again = st.following;
  if (std::exchange(st.following, true))
    return;
  const auto done = [self](const failure& problem) {
    auto& s = self->state;
    s.following = false;
    if (!problem.ok()) {
      log::warn(self->label(), "cluster_not_followed", {{"reason", problem.message}});
      self->delayed_send(self, follow_retry, flush_atom_v);
    } else if (s.follow_again) {
      follow_cluster(self);
    }
  };
  ReadObjects request;
  request.set_kind(OBJECT_KIND_CLUSTER);
  self->request(st.leader->handles().control, follow_deadline, request)
    .then(
      [self, done](const ObjectsRead& read) {
        const auto& bytes = read.cluster().unlock_key();
        const bool locked = read.cluster().spec().encryption_config().auto_lock_managers();
        if (locked && bytes.size() != crypto::secret_key::size)
          return done({errc::internal, "the cluster has no usable unlock key"});
        const auto key = locked ? std::optional{crypto::secret_key::from_bytes(bytes)} : std::nullopt;
        const bool differs = locked != (self->state.keys->unlock_key() != nullptr);
        const auto problem = self->state.manager ? self->state.keys->follow(key ? &*key : nullptr) : failure{};
        if (problem.ok() && differs)
          log::info(self->label(), locked ? "disk_locked" : "disk_unlocked");
        done(problem);
      },
      [done](const caf::error& err) { done(to_failure(err)); });
}

// -- init ---------------------------------------------------------------------------------------------------------------

Command bootstrap_command(const node_root_state& st, const init_plan& plan, const InitSwarm& request, const RootCA& root,
                          std::uint64_t raft_id) {
  Command command;
  command.set_machine_version(1);
  command.set_proposed_at(actor_registry::wall_now_ns());
  auto& cluster = *command.add_actions()->mutable_put_cluster()->mutable_cluster();
  cluster.set_id(st.cluster_id);
  *cluster.mutable_spec() = plan.spec;
  *cluster.mutable_tls_info() = ca::tls_info(root.certificate_pem());
  for (const auto& pool : plan.default_addr_pool)
    cluster.add_default_addr_pool(pool);
  cluster.set_subnet_size(plan.subnet_size);
  cluster.set_data_path_port(plan.data_path_port);
  *cluster.mutable_root_ca() = root;
  auto& node = *command.add_actions()->mutable_put_node()->mutable_node();
  node.set_id(st.node_id);
  node.mutable_spec()->set_role(NODE_ROLE_MANAGER);
  node.mutable_spec()->set_availability(request.availability() == NODE_AVAILABILITY_UNSPECIFIED ? NODE_AVAILABILITY_ACTIVE
                                                                                               : request.availability());
  node.set_certificate_role(NODE_ROLE_MANAGER);
  node.set_raft_id(raft_id);
  node.mutable_status()->set_state(NODE_STATE_UNKNOWN);
  auto& status = *node.mutable_manager_status();
  status.set_leader(true);
  status.set_reachability(REACHABILITY_REACHABLE);
  status.set_addr(plan.advertise_addr);
  *node.mutable_description()->mutable_tls_info() = cluster.tls_info();
  return command;
}

// Before the database: its data key, and the node's key with it, shall never lie in clear when the swarm is to be locked.
failure write_identity(node_root_state& st, const RootCA& root, const crypto::secret_key* unlock_key) {
  const auto credentials = ca::make_node_credentials(root, {st.cluster_id, st.node_id, NODE_ROLE_MANAGER},
                                                     actor_registry::wall_now_ns(), ca::default_node_expiry);
  if (!credentials)
    return {errc::internal, "the node's certificate could not be made"};
  if (auto f = st.disk->begin(); !f.ok())
    return f;
  if (auto f = st.disk->save_addresses(st.addresses); !f.ok())
    return f;
  if (auto f = st.keys->create(unlock_key); !f.ok())
    return f;
  if (auto f = ca::save_root(st.disk->certificates(), root.certificate_pem()); !f.ok())
    return f;
  return st.keys->save(*credentials);
}

caf::result<MembershipChanged> init_swarm(self_ptr self, const InitSwarm& request) {
  auto& st = self->state;
  if (request.force_new_cluster())
    return changed(errc::unimplemented, "--force-new-cluster is not available in this version of swarm-node");
  if (st.phase != LOCAL_NODE_STATE_INACTIVE)
    return changed(errc::unavailable, text_member);
  const auto plan = plan_init(request, read_host_addresses(), st.opts.listen_addr, st.opts.advertise_addr);
  if (!plan.problem.ok())
    return changed(plan.problem.code, plan.problem.message);
  auto rng = crypto::seeded_source();
  const auto now = actor_registry::wall_now_ns();
  RootCA root;
  if (const auto& given = plan.spec.ca_config(); !given.signing_ca_cert().empty()) {
    auto accepted = ca::accept_root(given.signing_ca_cert(), given.signing_ca_key(), now);
    if (!accepted.error.ok())
      return changed(accepted.error.code, accepted.error.message);
    root = std::move(accepted.root);
  } else {
    root = ca::create_root(now);
  }
  st.cluster_id = id128::random(rng).str();
  st.node_id = id128::random(rng).str();
  st.addresses.set_listen_addr(plan.listen_addr);
  st.addresses.set_advertise_addr(plan.advertise_addr);
  st.addresses.set_data_path_addr(plan.data_path_addr);
  const auto raft_id = rng() | 1;
  const auto unlock_key = plan.spec.encryption_config().auto_lock_managers() ? std::optional{crypto::secret_key::generate()} : std::nullopt;
  auto f = write_identity(st, root, unlock_key ? &*unlock_key : nullptr);
  if (f.ok()) {
    try {
      start_manager(self, raft_id);
    } catch (const storage::open_error& e) {
      f = {errc::internal, e.what()};
    }
  }
  if (!f.ok()) {
    const auto removed = st.disk->remove(); // half a membership is worse than none
    forget_membership(st);
    return changed(f.code, f.message + (removed.ok() ? "" : "; " + removed.message));
  }
  st.bootstrap = bootstrap_command(st, plan, request, root, raft_id);
  if (unlock_key)
    st.bootstrap.mutable_actions(0)->mutable_put_cluster()->mutable_cluster()->set_unlock_key(std::string{unlock_key->view()});
  st.bootstrap_due = true;
  st.phase = LOCAL_NODE_STATE_PENDING;
  log::set_node(st.node_id);
  st.init_promise = self->make_response_promise<MembershipChanged>();
  return st.init_promise;
}

void stop_manager(self_ptr self);

void finish_init(self_ptr self, failure f) {
  auto& st = self->state;
  st.bootstrap.Clear();
  if (f.ok())
    f = st.disk->finish();
  if (f.ok()) {
    st.phase = LOCAL_NODE_STATE_ACTIVE;
    start_agent(self);
    start_leading(self);
    MembershipChanged done;
    done.set_node_id(st.node_id);
    st.init_promise.deliver(done);
  } else {
    st.init_problem = std::move(f); // answered when nothing is left of it
    st.wipe_when_stopped = true;
    stop_manager(self);
  }
}

void take_leadership(self_ptr self, const LeadershipChanged& change) {
  auto& st = self->state;
  st.leading = change.role() == RAFT_ROLE_LEADER;
  if (!st.manager || st.stopping)
    return;
  if (!st.leading && change.leader_raft_id() != 0)
    answer_unlocking(self);
  if (!st.leading) {
    st.leader.reset();
    return;
  }
  if (!st.bootstrap_due) {
    start_leading(self);
    answer_unlocking(self);
    return;
  }
  st.bootstrap_due = false;
  self->request(st.manager->raft(), bootstrap_deadline, st.bootstrap)
    .then(
      [self](const CommandResult& result) {
        finish_init(self, {static_cast<errc>(result.code()), result.message()});
      },
      [self](const caf::error& err) { finish_init(self, to_failure(err)); });
}

// -- leave, stop ------------------------------------------------------------------------------------------------------------

void stop_manager(self_ptr self) {
  auto& st = self->state;
  st.leader.reset();
  st.leading = false;
  if (st.manager)
    st.manager->stop();
}

void manager_ended(self_ptr self) {
  auto& st = self->state;
  st.manager.reset();
  if (!st.wipe_when_stopped)
    return;
  st.wipe_when_stopped = false;
  const auto removed = st.disk->remove();
  forget_membership(st);
  answer_unlocking(self);
  if (!st.init_problem.ok())
    st.init_promise.deliver(changed(st.init_problem.code, st.init_problem.message));
  st.init_problem = {};
  for (auto& promise : st.leaving)
    promise.deliver(removed.ok() ? MembershipChanged{} : changed(removed.code, removed.message));
  st.leaving.clear();
  log::info(self->label(), "left_the_swarm");
}

void leave_now(self_ptr self) {
  auto& st = self->state;
  st.agents.stop_all();
  st.agent = agent_actor{};
  st.wipe_when_stopped = true;
  if (st.manager)
    stop_manager(self);
  else
    manager_ended(self);
}

caf::result<MembershipChanged> leave_swarm(self_ptr self, const LeaveSwarm& request) {
  auto& st = self->state;
  if (st.phase == LOCAL_NODE_STATE_INACTIVE)
    return changed(errc::unavailable, "This node is not part of a swarm");
  if (!request.force() && st.phase == LOCAL_NODE_STATE_LOCKED)
    return changed(errc::unavailable, text_leave_locked);
  if (!request.force() && st.manager)
    return changed(errc::unavailable, leave_warning(1, st.leading ? 1 : 0, st.leading));
  auto promise = self->make_response_promise<MembershipChanged>();
  st.leaving.push_back(promise);
  if (st.leaving.size() > 1)
    return promise;
  st.leader.reset(); // nobody may start what is being stopped
  if (!st.agent && !st.node_id.empty())
    start_agent(self); // a locked or broken node has tasks too
  if (!st.agent) {
    leave_now(self);
    return promise;
  }
  self->request(st.agent, leave_deadline, request)
    .then([self](const MembershipChanged&) { leave_now(self); },
          [self](const caf::error& err) {
            log::warn(self->label(), "tasks_not_stopped_in_time", {{"reason", to_failure(err).message}});
            leave_now(self);
          });
  return promise;
}

void take_down(self_ptr self, const caf::down_msg& down) {
  auto& st = self->state;
  if (st.manager && st.manager->is_core(down.source)) {
    const bool wanted = st.stopping || st.wipe_when_stopped;
    if (!wanted)
      give_up(self, "a core actor of the manager has ended: " + to_failure(down.reason).message);
    else if (--st.manager_actors_ending == 0)
      manager_ended(self);
    return;
  }
  if (st.leader) {
    const auto outcome = st.leader->child_down(down);
    if (outcome == child_group::outcome::gave_up)
      return give_up(self, "the leader's actors keep failing");
    if (outcome == child_group::outcome::handled)
      return connect_agent(self);
  }
  for (auto* group : {&st.drivers, &st.agents})
    if (group->child_down(down) == child_group::outcome::gave_up)
      give_up(self, group == &st.drivers ? "the driver keeps failing" : "the agent keeps failing");
}

LocalNode describe_node(self_ptr self) {
  const auto& st = self->state;
  LocalNode out;
  out.set_state(st.phase);
  if (st.phase != LOCAL_NODE_STATE_LOCKED)
    out.set_node_id(st.node_id);
  if (st.phase != LOCAL_NODE_STATE_INACTIVE)
    out.set_node_addr(host_of(st.addresses.advertise_addr()));
  out.set_control_available(st.phase == LOCAL_NODE_STATE_ACTIVE && st.manager != nullptr);
  out.set_error(st.error);
  out.set_cluster_id(st.cluster_id);
  if (out.control_available()) {
    auto& peer = *out.add_remote_managers();
    peer.set_node_id(st.node_id);
    peer.set_addr(st.addresses.advertise_addr());
  }
  return out;
}

// Ends everything but running tasks; the actor itself ends when its core has.
void stop_node(self_ptr self) {
  auto& st = self->state;
  st.stopping = true;
  st.agents.stop_all();
  st.drivers.stop_all();
  stop_manager(self);
}

template <class Reply, class Request>
caf::result<Reply> delegate_to_control(self_ptr self, const Request& request) {
  auto& st = self->state;
  if (!st.leader)
    return to_error(not_a_manager(st));
  return self->delegate(st.leader->handles().control, request);
}

} // namespace

node_root_interface::behavior_type node_root(self_ptr self, node_options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.disk = std::make_unique<local_state>(st.opts.data_root);
  self->set_down_handler([self](caf::down_msg& down) { take_down(self, down); });
  st.keys = std::make_unique<key_guard>(st.disk->certificates(), st.disk->data_key());
  start_driver(self);
  start(self);
  return {
    [](const NodeOrders&) {}, // one node alone has nobody who changes its role
    [self](const InitSwarm& request) { return init_swarm(self, request); },
    [](const JoinSwarm&) -> caf::result<MembershipChanged> {
      return changed(errc::unimplemented, "joining another node's swarm is not available in this version of swarm-node");
    },
    [self](const LeaveSwarm& request) { return leave_swarm(self, request); },
    [self](const UnlockSwarm& request) { return unlock_swarm(self, request); },
    [self](const ReadUnlockKey& request) { return delegate_to_control<UnlockKey>(self, request); },
    [self](const ReadLocalNode&) -> caf::result<LocalNode> { return describe_node(self); },
    [self](const ControlRequest& request) { return delegate_to_control<Written>(self, request); },
    [self](const ReadObjects& request) { return delegate_to_control<ObjectsRead>(self, request); },
    [self](subscribe_atom, const store_subscriber& subscriber) -> caf::result<StoreSnapshot> {
      auto& s = self->state;
      if (!s.manager || s.phase != LOCAL_NODE_STATE_ACTIVE)
        return to_error(not_a_manager(s));
      return self->delegate(s.manager->store(), subscribe_atom_v, subscriber);
    },
    [self](const SubscribeLogs& request, const log_sink& sink) {
      if (self->state.leader) {
        self->send(self->state.leader->handles().logs, request, sink);
        return;
      }
      LogChunk end;
      end.set_subscription(request.subscription());
      end.set_end(true);
      end.set_error(not_a_manager(self->state).message);
      self->send(sink, end);
    },
    [self](const LogCredit& credit) {
      if (self->state.leader)
        self->send(self->state.leader->handles().logs, credit);
    },
    [self](const CancelLogs& cancel) {
      if (self->state.leader)
        self->send(self->state.leader->handles().logs, cancel);
    },
    [self](const ReadStatus& request) {
      auto status = self->base_status(request);
      auto& facts = *status.mutable_facts();
      facts["state"] = LocalNodeState_Name(self->state.phase).substr(sizeof("LOCAL_NODE_STATE_") - 1);
      facts["leading"] = self->state.leading ? "true" : "false";
      facts["node_id"] = self->state.node_id;
      return status;
    },
    [self](const LeadershipChanged& change) { take_leadership(self, change); },
    [self](tick_atom) { answer_unlocking(self); },
    [self](flush_atom) { follow_cluster(self); },
    [self](stop_atom) { stop_node(self); },
  };
}

} // namespace swarm::node
