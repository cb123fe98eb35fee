// `swarm init`: a new swarm of this node, or (--force-new-cluster) the old one with this node as its only manager.
#include "actors/ca/certificates.hpp"
#include "actors/node/node_parts.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/ids.hpp"
#include "runtime/log.hpp"

namespace swarm::node {

namespace {

constexpr std::chrono::seconds bootstrap_deadline{20};

Command bootstrap_command(const node_root_state& st, const init_plan& plan, const InitSwarm& request, const RootCA& root,
                          std::uint64_t raft_id, const crypto::secret_key* unlock_key) {
  Command command;
  command.set_machine_version(1);
  command.set_proposed_at(actor_registry::wall_now_ns());
  auto& cluster = *command.add_actions()->mutable_put_cluster()->mutable_cluster();
  cluster.set_id(st.cluster_id);
  *cluster.mutable_spec() = plan.spec;
  cluster.mutable_spec()->mutable_ca_config()->clear_signing_ca_cert();
  cluster.mutable_spec()->mutable_ca_config()->clear_signing_ca_key();
  *cluster.mutable_tls_info() = ca::tls_info(root.certificate_pem());
  for (const auto& pool : plan.default_addr_pool)
    cluster.add_default_addr_pool(pool);
  cluster.set_subnet_size(plan.subnet_size);
  cluster.set_data_path_port(plan.data_path_port);
  *cluster.mutable_root_ca() = root;
  cluster.mutable_root_ca()->set_last_forced_rotation(plan.spec.ca_config().force_rotate());
  if (unlock_key != nullptr)
    cluster.set_unlock_key(std::string{unlock_key->view()});
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
failure write_identity(node_root_state& st, const RootCA& root, duration expiry, const crypto::secret_key* unlock_key) {
  const auto credentials = ca::make_node_credentials(root, {st.cluster_id, st.node_id, NODE_ROLE_MANAGER},
                                                     actor_registry::wall_now_ns(), expiry);
  if (!credentials)
    return {errc::internal, "the node's certificate could not be made"};
  auto problem = st.disk->begin();
  if (problem.ok())
    problem = st.disk->save_addresses(st.addresses);
  if (problem.ok())
    problem = st.disk->make_raft();
  if (problem.ok())
    problem = st.keys->create(unlock_key);
  if (problem.ok())
    problem = ca::save_root(st.disk->certificates(), root.certificate_pem());
  return problem.ok() ? st.keys->save(*credentials) : problem;
}

failure make_root(const init_plan& plan, RootCA& root) {
  const auto now = actor_registry::wall_now_ns();
  const auto& given = plan.spec.ca_config();
  if (given.signing_ca_cert().empty()) {
    root = ca::create_root(now);
    return {};
  }
  auto accepted = ca::accept_root(given.signing_ca_cert(), given.signing_ca_key(), now);
  root = std::move(accepted.root);
  return accepted.error;
}

void take_addresses(node_root_state& st, const init_plan& plan) {
  st.addresses.set_listen_addr(plan.listen_addr);
  st.addresses.set_advertise_addr(plan.advertise_addr);
  st.addresses.set_data_path_addr(plan.data_path_addr);
  st.addresses.set_founder(true);
}

void finish_init(self_ptr self, failure problem) {
  auto& st = self->state;
  st.bootstrap.Clear();
  if (problem.ok())
    problem = st.disk->finish();
  if (!problem.ok()) {
    st.init_problem = std::move(problem); // answered when nothing is left of it
    undo_founding(self);
    return;
  }
  st.membership.become(membership::manager);
  start_agent(self);
  take_leadership(self, LeadershipChanged{st.leadership});
  MembershipChanged done;
  done.set_node_id(st.node_id);
  st.init_promise.deliver(done);
}

} // namespace

caf::result<MembershipChanged> init_swarm(self_ptr self, const InitSwarm& request) {
  auto& st = self->state;
  if (auto refused = st.membership.may_init(request.force_new_cluster()); !refused.ok())
    return changed(refused);
  const auto plan = plan_init(request, read_host_addresses(), st.opts.listen_addr, st.opts.advertise_addr);
  if (!plan.problem.ok())
    return changed(plan.problem);
  if (st.membership.is_manager()) { // --force-new-cluster
    take_addresses(st, plan);
    if (auto problem = st.disk->save_addresses(st.addresses); !problem.ok())
      return changed(problem);
    st.membership.become(membership::founding);
    st.force_new_cluster = true;
    st.init_promise = self->make_response_promise<MembershipChanged>();
    stop_manager(self);
    return st.init_promise;
  }
  RootCA root;
  if (auto refused = make_root(plan, root); !refused.ok())
    return changed(refused);
  auto rng = crypto::seeded_source();
  st.cluster_id = id128::random(rng).str();
  st.node_id = id128::random(rng).str();
  take_addresses(st, plan);
  const auto raft_id = rng() | 1;
  const bool locked = plan.spec.encryption_config().auto_lock_managers();
  const auto unlock_key = locked ? std::optional{crypto::secret_key::generate()} : std::nullopt;
  const auto* const key = unlock_key ? &*unlock_key : nullptr;
  auto problem = write_identity(st, root, duration{plan.spec.ca_config().node_cert_expiry()}, key);
  st.membership.become(membership::founding);
  if (problem.ok() && !use_identity(self))
    problem = {errc::internal, st.membership.error()};
  if (problem.ok()) {
    try {
      start_links(self);
      start_manager(self, raft_id);
    } catch (const storage::open_error& e) {
      problem = {errc::internal, e.what()};
    }
  }
  if (!problem.ok()) {
    const auto removed = st.disk->remove(); // half a membership is worse than none
    forget_membership(self);
    return changed(problem.code, problem.message + (removed.ok() ? "" : "; " + removed.message));
  }
  st.bootstrap = bootstrap_command(st, plan, request, root, raft_id, key);
  st.bootstrap_due = true;
  log::set_node(st.node_id);
  st.init_promise = self->make_response_promise<MembershipChanged>();
  return st.init_promise;
}

void founded_leads(self_ptr self) {
  auto& st = self->state;
  st.bootstrap_due = false;
  if (st.force_new_cluster) { // nothing to propose: the state is the old one
    st.force_new_cluster = false;
    st.membership.become(membership::manager);
    MembershipChanged done;
    done.set_node_id(st.node_id);
    st.init_promise.deliver(done);
    take_leadership(self, LeadershipChanged{st.leadership});
    return;
  }
  self->request(st.manager->raft(), bootstrap_deadline, st.bootstrap)
    .then(
      [self](const CommandResult& result) { finish_init(self, {static_cast<errc>(result.code()), result.message()}); },
      [self](const caf::error& err) { finish_init(self, to_failure(err)); });
}

void undo_founding(self_ptr self) {
  self->state.membership.become(membership::leaving);
  self->state.wipe_when_stopped = true;
  stop_manager(self);
}

void restart_alone(self_ptr self) {
  auto& st = self->state;
  try {
    start_manager(self, 0, true);
    st.bootstrap_due = true;
    log::warn(self->label(), "forced_new_cluster", {{"node", st.node_id}});
  } catch (const storage::open_error& e) {
    st.force_new_cluster = false;
    give_up_hope(self, e.what());
    st.init_promise.deliver(changed(errc::internal, e.what()));
  }
}

} // namespace swarm::node
