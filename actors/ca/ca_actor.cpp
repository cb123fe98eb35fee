// A join is answered when its Node object is committed; a renewal when a read index proves that we still lead.
#include "actors/ca/ca_actor.hpp"

#include "runtime/log.hpp"

namespace swarm::ca {

namespace {

using self_ptr = observed_ptr<ca_actor, ca_state>;
using promise = caf::typed_response_promise<NodeCertificateIssued>;

constexpr const char* text_not_ready = "the CA is not ready";

// Every certificate and every refusal, with the node, is in the log: who became a member, when.
failure note(self_ptr self, const char* what, const std::string& node_id, failure problem) {
  if (problem.ok()) {
    log::info(self->label(), what, {{"node", node_id}});
  } else {
    ++self->state.refused;
    log::warn(self->label(), "certificate_refused", {{"what", what}, {"node", node_id}, {"error", problem}});
  }
  return problem;
}

caf::result<NodeCertificateIssued> join(self_ptr self, const IssueNodeCertificate& request) {
  auto& st = self->state;
  auto decided = st.core->join(actor_registry::wall_now_ns(), request);
  const auto id = decided.answer.node_id();
  if (!decided.command) {
    if (!note(self, "node_joined_again", id, decided.refused).ok())
      return to_error(decided.refused);
    return std::move(decided.answer);
  }
  auto answered = self->make_response_promise<NodeCertificateIssued>();
  self->request(st.raft, st.opts.raft_deadline, std::move(*decided.command))
    .then(
      [self, answered, id, answer = std::move(decided.answer)](const CommandResult& result) mutable {
        self->state.core->joined();
        const auto outcome = note(self, "node_joined", id, {static_cast<errc>(result.code()), result.message()});
        if (!outcome.ok()) {
          answered.deliver(to_error(outcome));
          return;
        }
        ++self->state.issued;
        answered.deliver(std::move(answer));
      },
      [self, answered, id](const caf::error& err) mutable {
        self->state.core->joined();
        answered.deliver(to_error(note(self, "node_joined", id, to_failure(err))));
      });
  return answered;
}

caf::result<NodeCertificateIssued> renew(self_ptr self, const RenewNodeCertificate& request) {
  auto answered = self->make_response_promise<NodeCertificateIssued>();
  self->request(self->state.raft, self->state.opts.raft_deadline, ReadIndex{})
    .then(
      [self, answered, request](const ReadIndexReached&) mutable {
        auto decided = self->state.core->renew(actor_registry::wall_now_ns(), request);
        if (!note(self, "certificate_renewed", request.node_id(), decided.refused).ok()) {
          answered.deliver(to_error(decided.refused));
          return;
        }
        ++self->state.renewed;
        answered.deliver(std::move(decided.answer));
      },
      [answered](const caf::error& err) mutable { answered.deliver(to_error(to_failure(err))); });
  return answered;
}

void go_on(self_ptr self) {
  auto& st = self->state;
  auto command = st.core->next_command(actor_registry::wall_now_ns());
  if (!command)
    return;
  const auto done = [self](const failure& outcome) {
    self->state.core->written();
    if (outcome.ok()) {
      log::info(self->label(), "root_rotated");
    } else {
      log::warn(self->label(), "root_not_rotated_yet", {{"error", outcome}});
      self->delayed_send(self, self->state.opts.retry, tick_atom_v);
    }
  };
  self->request(st.raft, st.opts.raft_deadline, std::move(*command))
    .then([done](const CommandResult& r) { done({static_cast<errc>(r.code()), r.message()}); },
          [done](const caf::error& err) { done(to_failure(err)); });
}

void changed(self_ptr self, const EventBatch& batch) {
  auto& st = self->state;
  if (!st.loaded || batch.log_index() <= st.log_index)
    return;
  st.log_index = batch.log_index();
  if (batch.nodes_size() + batch.clusters_size() == 0)
    return;
  st.core->apply(batch);
  go_on(self);
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["nodes"] = std::to_string(st.core->nodes());
  facts["issued"] = std::to_string(st.issued);
  facts["renewed"] = std::to_string(st.renewed);
  facts["refused"] = std::to_string(st.refused);
  facts["rotating"] = st.core->rotating() ? "waits for " + std::to_string(st.core->lagging()) + " nodes" : "no";
  if (request.full())
    status.set_state(st.core->dump());
  return status;
}

} // namespace

ca_actor::behavior_type certificate_authority(self_ptr self, ca_options opts, raft_actor raft, store_actor store,
                                              random_source rng) {
  auto& st = self->state;
  st.core.emplace(opts.core, rng);
  st.opts = opts;
  st.raft = std::move(raft);
  st.store = std::move(store);
  self->request(st.store, st.opts.store_deadline, subscribe_atom_v, store_subscriber{self})
    .then(
      [self](const StoreSnapshot& snapshot) {
        self->state.core->load(snapshot);
        self->state.log_index = snapshot.log_index();
        self->state.loaded = true;
        go_on(self);
      },
      [self](const caf::error& err) {
        log::warn(self->label(), "subscription_failed", {{"error", to_failure(err)}});
        self->quit(err);
      });
  return {
    [self](const ReadRootCertificate&) -> caf::result<RootCertificate> {
      if (auto root = self->state.core->root())
        return std::move(*root);
      return to_error({errc::unavailable, text_not_ready});
    },
    [self](const IssueNodeCertificate& request) { return join(self, request); },
    [self](const RenewNodeCertificate& request) { return renew(self, request); },
    [self](const EventBatch& batch) { changed(self, batch); },
    [self](tick_atom) { go_on(self); },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::ca
