// `swarm join`: a first certificate, then a worker's or a manager's life; and how a node becomes a manager later.
#include "actors/ca/certificates.hpp"
#include "actors/links/outsider_actor.hpp"
#include "actors/node/join_plan.hpp"
#include "actors/node/node_parts.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/crypto/x509.hpp"
#include "runtime/ids.hpp"
#include "runtime/log.hpp"
#include "runtime/overload.hpp"

namespace swarm::node {

namespace {

constexpr duration join_patience = seconds{19};            // Swarm's 20 s, less what GATEWAY needs; joining goes on after it
constexpr std::chrono::seconds question_deadline{6};
constexpr std::chrono::milliseconds answer_margin{500};    // OUTSIDER gives up before we do
constexpr std::chrono::seconds manager_deadline{15};
constexpr duration promote_retry_min = milliseconds{500};
constexpr duration promote_retry_max = seconds{10};

void perform(self_ptr self, const join_steps::effect& effect);

// An answer of a join that was given up meanwhile is none.
bool is_current(self_ptr self, const std::string& node_id) {
  return self->state.joining && self->state.joining->node_id == node_id;
}

void ask(self_ptr self, const join_steps::ask_root& question) {
  auto& joining = *self->state.joining;
  self->request(joining.outsider, question_deadline, question.addr, ReadRootCertificate{})
    .then(
      [self, id = joining.node_id](const RootCertificate& root) {
        if (is_current(self, id))
          perform(self, self->state.joining->core.root_read(time_of(self).now, {}, root.pem()));
      },
      [self, id = joining.node_id](const caf::error& err) {
        if (is_current(self, id))
          perform(self, self->state.joining->core.root_read(time_of(self).now, to_failure(err), {}));
      });
}

void ask(self_ptr self, const join_steps::ask_certificate& question) {
  auto& joining = *self->state.joining;
  IssueNodeCertificate request;
  request.set_join_token(joining.token);
  request.set_public_key_der(joining.public_key_der);
  request.set_availability(joining.availability);
  request.set_node_id(joining.node_id);
  self->request(joining.outsider, question_deadline, question.addr, question.root_pem, request)
    .then(
      [self, id = joining.node_id](const NodeCertificateIssued& issued) {
        if (is_current(self, id))
          perform(self, self->state.joining->core.issued(time_of(self).now, {}, issued));
      },
      [self, id = joining.node_id](const caf::error& err) {
        if (is_current(self, id))
          perform(self, self->state.joining->core.issued(time_of(self).now, to_failure(err), {}));
      });
}

void refuse_join(self_ptr self, failure why) {
  auto& st = self->state;
  const auto removed = st.disk->remove();
  forget_membership(self);
  log::warn(self->label(), "join_refused", {{"reason", why.message}});
  if (!removed.ok())
    why.message += "; " + removed.message;
  if (st.join_waiting)
    std::exchange(st.join_waiting, std::nullopt)->promise.deliver(changed(why));
}

failure save_certificate(node_root_state& st, const join_steps::accepted& by) {
  const auto who = ca::verify_node_certificate(by.issued.certificate_pem(), by.issued.root_pem(), actor_registry::wall_now_ns());
  if (!who || who->node_id != st.joining->node_id || who->cluster_id != by.issued.cluster_id())
    return {errc::internal, "the certificate that the manager has issued is not for this node, or this host's clock is wrong"};
  st.node_id = who->node_id;
  st.cluster_id = who->cluster_id;
  // How others know this host, unless the operator says so: the address on the way to the manager.
  if (st.addresses.advertise_addr().empty()) {
    const auto ip = local_address_towards(by.addr);
    const auto& listen = st.addresses.listen_addr();
    if (ip.empty())
      return {errc::internal, "could not find the system's IP address - specify one with --advertise-addr"};
    const auto port = listen.substr(listen.rfind(':') + 1);
    st.addresses.set_advertise_addr(join_host_port(ip, static_cast<std::uint16_t>(std::stoul(port))));
  }
  st.managers.Clear();
  st.managers.add_managers()->set_addr(by.addr);
  auto problem = st.disk->save_addresses(st.addresses);
  if (problem.ok())
    problem = st.disk->save_managers(st.managers);
  if (problem.ok())
    problem = ca::save_root(st.disk->certificates(), by.issued.root_pem());
  if (problem.ok())
    problem = st.keys->save({by.issued.certificate_pem(), st.joining->private_key_pem});
  return problem.ok() ? st.disk->finish() : problem;
}

void take_certificate(self_ptr self, const join_steps::accepted& by) {
  auto& st = self->state;
  if (auto problem = save_certificate(st, by); !problem.ok())
    return refuse_join(self, std::move(problem));
  end_joining(self);
  log::set_node(st.node_id);
  log::info(self->label(), "joined", {{"cluster", st.cluster_id}, {"manager", by.addr}});
  if (use_identity(self))
    enter_role(self);
}

void perform(self_ptr self, const join_steps::effect& effect) {
  std::visit(overload{
               [](const join_steps::nothing&) {},
               [self](const join_steps::ask_root& e) { ask(self, e); },
               [self](const join_steps::ask_certificate& e) { ask(self, e); },
               [self](const join_steps::accepted& e) { take_certificate(self, e); },
               [self](const join_steps::refused& e) { refuse_join(self, e.why); },
             },
             effect);
}

// -- a manager's half of a node that has none -----------------------------------------------------------------------------------

void promotion_failed(self_ptr self, const failure& why) {
  auto& st = self->state;
  st.asking_for_raft = false;
  const auto wait = std::min<duration>(promote_retry_max, promote_retry_min * (1u << std::min(st.promotion_failures++, 6u)));
  st.promote_at = time_of(self).now + wait;
  tick_within(self, wait);
  log::warn(self->label(), "not_yet_a_manager", {{"reason", why.message}});
}

bool still_promoted(self_ptr self) {
  auto& st = self->state;
  return st.membership.at() == membership::promoted && st.remote.members && !st.stopping;
}

void start_raft_half(self_ptr self, std::uint64_t raft_id, const std::string& unlock_key) {
  auto& st = self->state;
  const auto key = crypto::parse_unlock_key(unlock_key);
  if (!key && !unlock_key.empty())
    return promotion_failed(self, {errc::internal, "the cluster's unlock key cannot be used"});
  auto loaded = st.keys->load();
  auto problem = loaded.status == ca::load_status::ok ? st.disk->make_raft() : failure{errc::storage_failed, loaded.message};
  if (problem.ok()) // sealed by the data key of a try that was cut off
    problem = st.keys->become_worker(loaded.credentials);
  if (problem.ok())
    problem = st.keys->create(key ? &*key : nullptr);
  if (problem.ok())
    problem = st.keys->save(loaded.credentials);
  crypto::wipe(loaded.credentials.key_pem);
  if (!problem.ok())
    return promotion_failed(self, problem);
  st.asking_for_raft = false;
  st.promotion_failures = 0;
  try {
    start_manager(self, raft_id);
  } catch (const storage::open_error& e) {
    return give_up_hope(self, e.what());
  }
  st.membership.become(membership::manager);
  log::info(self->label(), "manager", {{"raft_id", raft_id}});
}

} // namespace

caf::result<MembershipChanged> join_swarm(self_ptr self, const JoinSwarm& request) {
  auto& st = self->state;
  if (auto refused = st.membership.may_join(); !refused.ok())
    return changed(refused);
  auto plan = plan_join(request, read_host_addresses(), st.opts.listen_addr, st.opts.advertise_addr);
  if (!plan.problem.ok())
    return changed(plan.problem);
  if (st.opts.io == nullptr)
    return changed(errc::unimplemented, "this host has no links to others");
  if (auto problem = st.disk->begin(); !problem.ok())
    return changed(problem);
  auto rng = crypto::seeded_source();
  const auto now = time_of(self).now;
  const auto key = crypto::private_key::generate();
  st.addresses.set_listen_addr(plan.listen_addr);
  st.addresses.set_advertise_addr(plan.advertise_addr);
  st.addresses.set_data_path_addr(plan.data_path_addr);
  st.addresses.set_availability(request.availability());
  st.joining.emplace(joining_host{join_steps{plan.remote_addrs, plan.token, now, rng()}, request.join_token(), key.pem(),
                                  key.public_key_der(), id128::random(rng).str(), request.availability(),
                                  self->system().spawn(links::ask_as_outsider, st.opts.io, std::chrono::milliseconds{question_deadline} - answer_margin)});
  st.membership.become(membership::joining);
  auto promise = self->make_response_promise<MembershipChanged>();
  st.join_waiting = waiting_membership{promise, now + join_patience};
  tick_within(self, milliseconds{100});
  perform(self, st.joining->core.begin());
  return promise;
}

void end_joining(self_ptr self) {
  auto& st = self->state;
  if (!st.joining)
    return;
  crypto::wipe(st.joining->private_key_pem);
  crypto::wipe(st.joining->token);
  caf::anon_send_exit(st.joining->outsider, caf::exit_reason::user_shutdown);
  st.joining.reset();
}

void joining_tick(self_ptr self) {
  auto& st = self->state;
  if (st.joining)
    perform(self, st.joining->core.tick(time_of(self).now));
  if (st.join_waiting && time_of(self).now >= st.join_waiting->until)
    std::exchange(st.join_waiting, std::nullopt)->promise.deliver(changed(errc::unavailable, text_join_timeout));
  ask_for_raft(self);
}

void answer_join(self_ptr self) {
  auto& st = self->state;
  const bool takes_part = st.membership.at() == membership::manager ? st.leadership.leader_raft_id() != 0
                                                                   : st.membership.at() == membership::worker && st.ordered;
  if (!st.join_waiting || !takes_part)
    return;
  MembershipChanged done;
  done.set_node_id(st.node_id);
  std::exchange(st.join_waiting, std::nullopt)->promise.deliver(done);
}

void ask_for_raft(self_ptr self) {
  auto& st = self->state;
  if (!still_promoted(self) || st.asking_for_raft || time_of(self).now < st.promote_at)
    return;
  st.asking_for_raft = true;
  const auto failed = [self](const caf::error& err) { promotion_failed(self, to_failure(err)); };
  JoinRaft request;
  request.set_node_id(st.node_id);
  request.set_addr(st.addresses.advertise_addr());
  self->request(st.remote.members, manager_deadline, request)
    .then(
      [self, failed](const RaftJoined& joined) {
        if (!still_promoted(self))
          return promotion_failed(self, {errc::failed_precondition, "no longer wanted"});
        connect_managers(self, {joined.managers().begin(), joined.managers().end()});
        // A new database of a locked swarm never has its key in clear.
        self->request(self->state.remote.control, manager_deadline, ReadUnlockKey{})
          .then(
            [self, raft_id = joined.raft_id()](const UnlockKey& key) {
              if (!still_promoted(self))
                return promotion_failed(self, {errc::failed_precondition, "no longer wanted"});
              start_raft_half(self, raft_id, key.unlock_key());
            },
            failed);
      },
      failed);
}

} // namespace swarm::node
