// This node's certificate: taken up at a start, renewed, and kept on disk in the state that the cluster wants.
#include "actors/ca/certificates.hpp"
#include "actors/node/node_parts.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/crypto/x509.hpp"
#include "runtime/log.hpp"

namespace swarm::node {

namespace {

constexpr duration unlock_patience = seconds{10}; // for a leader; the node is unlocked anyway
constexpr std::chrono::seconds follow_deadline{20};
constexpr std::chrono::seconds follow_retry{2};
constexpr std::chrono::seconds renew_deadline{15};

// Takes up the membership that is on disk. Without the unlock key of a locked manager the node ends as LOCKED.
key_guard::status resume(self_ptr self, const crypto::secret_key* unlock_key) {
  using status = key_guard::status;
  auto& st = self->state;
  auto found = st.keys->open(unlock_key);
  crypto::wipe(found.identity.credentials.key_pem);
  if (found.what == status::missing || found.what == status::wrong_unlock_key)
    return found.what;
  const auto fail = [&](const std::string& why) {
    give_up_hope(self, why);
    return status::failed;
  };
  if (found.what == status::failed)
    return fail(found.message);
  const auto addresses = st.disk->addresses();
  if (!addresses)
    return fail("the addresses of this node cannot be read");
  st.addresses = *addresses;
  st.managers = st.disk->managers();
  const auto who = ca::verify_node_certificate(found.identity.credentials.certificate_pem, found.identity.root_pem,
                                               actor_registry::wall_now_ns());
  if (!who)
    return fail(text_certificates_expired);
  st.cluster_id = who->cluster_id;
  st.node_id = who->node_id;
  log::set_node(st.node_id);
  if (found.what == status::locked) {
    st.membership.become(membership::locked);
    log::info(self->label(), "locked");
    return status::locked;
  }
  if (!use_identity(self))
    return status::failed;
  enter_role(self);
  return st.membership.at() == membership::error ? status::failed : status::ok;
}

struct fresh_certificate {
  std::string key_pem;
  NodeCertificateIssued issued;
};

failure save_renewed(node_root_state& st, const fresh_certificate& fresh) {
  const auto& issued = fresh.issued;
  const auto who = ca::verify_node_certificate(issued.certificate_pem(), issued.root_pem(), actor_registry::wall_now_ns());
  const auto key = crypto::private_key::parse_pem(fresh.key_pem);
  const auto chain = crypto::certificate::parse_pem(issued.certificate_pem());
  if (!who || who->node_id != st.node_id || who->cluster_id != st.cluster_id || !key || !chain || !chain->front().belongs_to(*key))
    return {errc::internal, "the certificate that the CA has issued is not for this node, or this host's clock is wrong"};
  if (auto problem = ca::save_root(st.disk->certificates(), issued.root_pem()); !problem.ok())
    return problem;
  const ca::node_credentials credentials{issued.certificate_pem(), fresh.key_pem};
  const bool clear = who->role == NODE_ROLE_WORKER || st.membership.at() == membership::demoted; // the data key goes
  return clear ? st.keys->become_worker(credentials) : st.keys->save(credentials);
}

void take_renewed(self_ptr self, fresh_certificate fresh) {
  auto& st = self->state;
  if (!st.identity)
    return; // left meanwhile
  const auto before = st.identity->own().role;
  const auto problem = save_renewed(st, fresh);
  crypto::wipe(fresh.key_pem);
  if (!problem.ok()) {
    st.identity->failed(time_of(self));
    log::warn(self->label(), "certificate_not_renewed", {{"reason", problem.message}});
    return;
  }
  st.identity->renewed();
  if (!use_identity(self))
    return;
  const auto role = st.identity->own().role;
  log::info(self->label(), "certificate_renewed", {{"role", ca::role_name(role)}});
  if (role != before)
    dial_again(self);
  if (role == NODE_ROLE_WORKER && st.manager && st.membership.at() == membership::manager)
    demote(self);
  else if (role != before || st.membership.at() == membership::demoted)
    enter_role(self);
}

} // namespace

namespace {

// Who has founded the swarm and comes back as a manager has an empty database like any other: it must wait for a leader.
failure forget_raft(node_root_state& st) {
  if (st.addresses.founder()) {
    st.addresses.set_founder(false);
    if (auto problem = st.disk->save_addresses(st.addresses); !problem.ok())
      return problem;
  }
  return st.disk->remove_raft();
}

} // namespace

void enter_role(self_ptr self) {
  auto& st = self->state;
  if (st.membership.at() == membership::demoted && st.manager)
    return; // its Raft half is still ending
  const bool manager = st.identity->own().role == NODE_ROLE_MANAGER;
  if (st.membership.at() == membership::manager && manager)
    return;
  // What is left of an earlier life as a manager: of a worker, or of one that was removed from the Raft group.
  if (!manager || st.membership.at() == membership::demoted) {
    if (auto problem = forget_raft(st); !problem.ok())
      return give_up_hope(self, problem.message);
  } else if (st.disk->has_database() ? !st.keys->has_data_key() : st.addresses.founder()) {
    // Not somebody whom the Raft group has not taken in yet.
    return give_up_hope(self, st.disk->has_database() ? "the data key that opens this manager's database is missing"
                                                      : "this manager's database is missing");
  }
  start_links(self);
  if (!manager) {
    st.membership.become(membership::worker);
  } else if (st.keys->has_data_key() && st.disk->has_database() && st.membership.at() != membership::demoted
             && st.membership.at() != membership::worker) {
    try {
      start_manager(self, 0);
    } catch (const storage::open_error& e) {
      return give_up_hope(self, e.what());
    }
    st.membership.become(membership::manager);
  } else {
    st.membership.become(membership::promoted);
    st.promote_at = {};
  }
  if (!st.agent)
    start_agent(self);
  publish(self);
  ask_for_raft(self);
}

bool use_identity(self_ptr self) {
  auto& st = self->state;
  auto loaded = st.keys->load();
  if (loaded.status != ca::load_status::ok) {
    give_up_hope(self, loaded.message);
    return false;
  }
  const auto who = ca::verify_node_certificate(loaded.credentials.certificate_pem, loaded.root_pem, actor_registry::wall_now_ns());
  link::credentials with{st.cluster_id, loaded.credentials.certificate_pem, loaded.credentials.key_pem, loaded.root_pem};
  const auto problem = who ? st.credentials->replace(with) : failure{errc::internal, text_certificates_expired};
  crypto::wipe(with.key_pem);
  crypto::wipe(loaded.credentials.key_pem);
  if (!problem.ok()) {
    give_up_hope(self, problem.message);
    return false;
  }
  auto rng = crypto::seeded_source();
  if (!st.identity)
    st.identity.emplace(rng());
  st.certificate_pem = loaded.credentials.certificate_pem;
  st.identity->use({who->role, loaded.root_pem, ca::issued_by_last(st.certificate_pem, loaded.root_pem),
                    ca::renewal_time(st.certificate_pem, rng).value_or(0)});
  if (st.agent)
    self->send(st.agent, ca::node_tls_info(st.certificate_pem, loaded.root_pem));
  return true;
}

void resume_membership(self_ptr self) {
  auto& st = self->state;
  if (st.disk->unfinished()) {
    const auto removed = st.disk->remove();
    if (!removed.ok())
      return give_up_hope(self, removed.message);
    log::warn(self->label(), "unfinished_membership_removed");
  }
  resume(self, nullptr);
}

// -- autolock -------------------------------------------------------------------------------------------------------------

void answer_unlocking(self_ptr self) {
  for (auto& waiting : std::exchange(self->state.unlocking, {}))
    waiting.promise.deliver(MembershipChanged{});
}

caf::result<MembershipChanged> unlock_swarm(self_ptr self, const UnlockSwarm& request) {
  auto& st = self->state;
  if (auto refused = st.membership.may_unlock(); !refused.ok())
    return changed(refused);
  const auto key = crypto::parse_unlock_key(request.unlock_key());
  if (!key)
    return changed(errc::invalid_argument, "invalid key string");
  switch (resume(self, &*key)) {
    case key_guard::status::ok: break;
    case key_guard::status::wrong_unlock_key:
      return changed(errc::permission_denied, "swarm could not be unlocked: invalid key provided");
    default: return changed(errc::internal, "swarm component could not be started: " + st.membership.error());
  }
  log::info(self->label(), "unlocked");
  auto promise = self->make_response_promise<MembershipChanged>();
  st.unlocking.push_back({promise, time_of(self).now + unlock_patience});
  return promise;
}

// Brings the disk to what the cluster says now: a read that passes a read index, because right after a start the local
// state may be older than what the disk has already followed.
void follow_cluster(self_ptr self) {
  auto& st = self->state;
  if (!st.control || st.stopping)
    return;
  st.follow_again = st.following;
  if (std::exchange(st.following, true))
    return;
  const auto done = [self](const failure& problem) {
    auto& s = self->state;
    s.following = false;
    if (!problem.ok()) {
      const bool usual = problem.code == errc::unavailable || problem.code == errc::not_leader; // right after a start
      log::write(usual ? log::level::info : log::level::warn, self->label(), "cluster_not_followed", {{"reason", problem.message}});
      self->delayed_send(self, follow_retry, flush_atom_v);
    } else if (s.follow_again) {
      follow_cluster(self);
    }
  };
  ReadObjects request;
  request.set_kind(OBJECT_KIND_CLUSTER);
  self->request(st.control, follow_deadline, request)
    .then(
      [self, done](const ObjectsRead& read) {
        const auto& bytes = read.cluster().unlock_key();
        const bool locked = read.cluster().spec().encryption_config().auto_lock_managers();
        if (locked && bytes.size() != crypto::secret_key::size)
          return done({errc::internal, "the cluster has no usable unlock key"});
        if (!self->state.control)
          return done({}); // no manager any more
        const auto key = locked ? std::optional{crypto::secret_key::from_bytes(bytes)} : std::nullopt;
        const bool differs = locked != (self->state.keys->unlock_key() != nullptr);
        const auto problem = self->state.keys->follow(key ? &*key : nullptr);
        if (problem.ok() && differs)
          log::info(self->label(), locked ? "disk_locked" : "disk_unlocked");
        done(problem);
      },
      [done](const caf::error& err) { done(to_failure(err)); });
}

// -- renewal ----------------------------------------------------------------------------------------------------------------

namespace {

// Demoted and promoted before its certificate was renewed: it has the right one, but begins with an empty database.
void promote_again(self_ptr self) {
  auto& st = self->state;
  auto loaded = st.keys->load();
  const auto problem = loaded.status == ca::load_status::ok ? st.keys->become_worker(loaded.credentials)
                                                           : failure{errc::storage_failed, loaded.message};
  crypto::wipe(loaded.credentials.key_pem);
  if (problem.ok())
    enter_role(self);
  else
    log::warn(self->label(), "not_promoted_again", {{"reason", problem.message}});
}

} // namespace

void take_orders(self_ptr self, const NodeOrders& orders) {
  auto& st = self->state;
  if (!st.identity || st.stopping || st.membership.at() == membership::leaving)
    return;
  st.ordered = true;
  if (orders.managers_size() > 0) {
    LocalManagers managers;
    *managers.mutable_managers() = orders.managers();
    if (managers.SerializeAsString() != st.managers.SerializeAsString()) {
      st.managers = managers;
      if (const auto problem = st.disk->save_managers(managers); !problem.ok())
        log::warn(self->label(), "managers_not_saved", {{"reason", problem.message}});
    }
    // A manager follows the Raft group itself, which knows learners too.
    if (!st.manager)
      connect_managers(self, {orders.managers().begin(), orders.managers().end()});
  }
  if (const auto roots = st.identity->orders(time_of(self), orders)) {
    const bool fits = ca::verify_node_certificate(st.certificate_pem, *roots, actor_registry::wall_now_ns()).has_value();
    const auto problem = fits ? ca::save_root(st.disk->certificates(), *roots)
                              : failure{errc::failed_precondition, "this node's certificate does not lead to them"};
    if (!problem.ok())
      log::warn(self->label(), "roots_not_saved", {{"reason", problem.message}});
    else if (!use_identity(self))
      return;
  }
  if (st.membership.at() == membership::demoted && !st.manager && orders.role() == NODE_ROLE_MANAGER)
    promote_again(self);
  renew_when_due(self);
  answer_join(self);
}

void renew_when_due(self_ptr self) {
  auto& st = self->state;
  if (!st.identity || st.stopping || !st.membership.has_identity() || !st.identity->begin_renewal(time_of(self)))
    return;
  const auto ca = st.leader ? st.leader->handles().ca : st.remote.ca;
  if (!ca)
    return st.identity->failed(time_of(self));
  const auto key = crypto::private_key::generate();
  RenewNodeCertificate request;
  request.set_node_id(st.node_id);
  request.set_public_key_der(key.public_key_der());
  self->request(ca, renew_deadline, request)
    .then([self, key](const NodeCertificateIssued& issued) { take_renewed(self, {key.pem(), issued}); },
          [self](const caf::error& err) {
            auto& s = self->state;
            if (!s.identity)
              return;
            const auto why = to_failure(err);
            s.identity->failed(time_of(self));
            log::warn(self->label(), "certificate_not_renewed", {{"reason", why.message}});
            if (why.code == errc::permission_denied && why.message.ends_with("was removed from swarm"))
              give_up_hope(self, why.message);
          });
}

} // namespace swarm::node
