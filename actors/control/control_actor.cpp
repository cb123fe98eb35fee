// Requests in, Commands to RAFT, answers out; reads pass a read index first.
#include "actors/control/control_actor.hpp"

#include "runtime/crypto/key_file.hpp"
#include "runtime/log.hpp"

namespace swarm::control {

namespace {

using self_ptr = observed_ptr<control_actor, control_state>;

const char* name_of(const ControlRequest& request) {
  const auto* field = ControlRequest::descriptor()->FindFieldByNumber(request.request_case());
  return field == nullptr ? "nothing" : field->name().c_str();
}

/// The audit line: every write with its outcome, refused ones too.
void audit(self_ptr self, const char* what, const Written& answer) {
  if (answer.code() == 0) {
    ++self->state.writes;
    log::info(self->label(), "written", {{"what", what}, {"id", answer.id()}, {"log_index", answer.log_index()}});
    return;
  }
  ++self->state.refused;
  log::info(self->label(), "refused",
            {{"what", what}, {"id", answer.id()}, {"code", static_cast<errc>(answer.code())}, {"why", answer.message()}});
}

/// The words that Swarm has for a request that ran out of time; other errors keep theirs.
caf::error explain(const caf::error& err) {
  auto reason = to_failure(err);
  if (reason.code == errc::deadline_exceeded)
    reason.message = "context deadline exceeded";
  return to_error(reason);
}

std::optional<caf::error> not_now(self_ptr self) {
  if (self->state.waiting >= self->state.opts.waiting_max)
    return to_error({errc::resource_exhausted, "too many requests are waiting (" + std::to_string(self->state.waiting)
                                                 + "); try again"});
  return std::nullopt;
}

// Whoever follows up an election or `swarm init` with a write is not told to come again: the view is filled in a moment.
caf::result<Written> write_later(self_ptr self, const ControlRequest& request) {
  auto promise = self->make_response_promise<Written>();
  ++self->state.waiting;
  self->state.early.push_back([self, promise, request]() mutable {
    --self->state.waiting;
    self->request(control_actor{self}, self->state.opts.request_timeout, std::move(request))
      .then([promise](Written& answer) mutable { promise.deliver(std::move(answer)); },
            [promise](const caf::error& err) mutable { promise.deliver(explain(err)); });
  });
  return promise;
}

caf::result<Written> write(self_ptr self, const ControlRequest& request) {
  if (auto problem = not_now(self))
    return std::move(*problem);
  if (!self->state.ready)
    return write_later(self, request);
  const auto* what = name_of(request);
  auto decided = self->state.core->handle(request, actor_registry::wall_now_ns());
  if (!decided.command) {
    audit(self, what, decided.answer);
    return std::move(decided.answer);
  }
  auto promise = self->make_response_promise<Written>();
  ++self->state.waiting;
  self->request(self->state.raft, self->state.opts.request_timeout, std::move(*decided.command))
    .then(
      [self, promise, what, answer = std::move(decided.answer)](const CommandResult& result) mutable {
        --self->state.waiting;
        auto written = core::conclude(std::move(answer), result);
        audit(self, what, written);
        promise.deliver(std::move(written));
      },
      [self, promise, what](const caf::error& err) mutable {
        --self->state.waiting;
        ++self->state.failed;
        log::warn(self->label(), "write_failed", {{"what", what}, {"error", to_failure(err)}});
        promise.deliver(explain(err));
      });
  return promise;
}

// A linearizable read; `view` makes the answer of what was read.
template <class Reply, class View>
caf::result<Reply> reading(self_ptr self, const ReadObjects& request, View view) {
  if (auto problem = not_now(self))
    return std::move(*problem);
  auto promise = self->make_response_promise<Reply>();
  ++self->state.waiting;
  const auto fail = [self, promise](const caf::error& err) mutable {
    --self->state.waiting;
    promise.deliver(explain(err));
  };
  self->request(self->state.raft, self->state.opts.request_timeout, ReadIndex{})
    .then(
      [self, promise, fail, request, view](const ReadIndexReached&) {
        self->request(self->state.store, self->state.opts.request_timeout, request)
          .then(
            [self, promise, view](ObjectsRead& objects) mutable {
              --self->state.waiting;
              ++self->state.reads;
              promise.deliver(view(objects));
            },
            fail);
      },
      fail);
  return promise;
}

caf::result<ObjectsRead> read(self_ptr self, const ReadObjects& request) {
  return reading<ObjectsRead>(self, request, [](ObjectsRead& objects) { return std::move(objects); });
}

caf::result<UnlockKey> read_unlock_key(self_ptr self) {
  ReadObjects request;
  request.set_kind(OBJECT_KIND_CLUSTER);
  return reading<UnlockKey>(self, request, [](const ObjectsRead& read) {
    UnlockKey out;
    const auto& bytes = read.cluster().unlock_key();
    if (bytes.size() == crypto::secret_key::size)
      out.set_unlock_key(crypto::format_unlock_key(crypto::secret_key::from_bytes(bytes)));
    return out;
  });
}

void tell_changes(self_ptr self, bool cluster) {
  auto& st = self->state;
  if (cluster && st.opts.cluster_changed)
    st.opts.cluster_changed();
  if (!st.opts.peers_changed)
    return;
  if (const auto peers = st.core->take_peers())
    st.opts.peers_changed(*peers);
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["ready"] = self->state.ready ? "true" : "false";
  facts["waiting"] = std::to_string(self->state.waiting);
  facts["writes"] = std::to_string(self->state.writes);
  facts["refused"] = std::to_string(self->state.refused);
  facts["failed"] = std::to_string(self->state.failed);
  facts["reads"] = std::to_string(self->state.reads);
  if (request.full())
    status.set_state(self->state.core->dump());
  return status;
}

} // namespace

control_actor::behavior_type control_door(self_ptr self, control_options opts, raft_actor raft, store_actor store,
                                          random_source rng) {
  auto& state = self->state;
  state.core.emplace(opts.core, rng);
  state.opts = std::move(opts);
  state.raft = std::move(raft);
  state.store = std::move(store);
  self->request(state.store, state.opts.request_timeout, subscribe_atom::value, store_subscriber{self})
    .then(
      [self](const StoreSnapshot& snapshot) {
        self->state.core->reset(snapshot);
        self->state.ready = true;
        for (auto& go : std::exchange(self->state.early, {}))
          go();
        tell_changes(self, true);
      },
      [self](const caf::error& err) {
        log::warn(self->label(), "subscription_failed", {{"error", to_failure(err)}});
        self->quit(err);
      });
  return {
    [self](const ControlRequest& request) { return write(self, request); },
    [self](const ReadObjects& request) { return read(self, request); },
    [self](const ReadUnlockKey&) { return read_unlock_key(self); },
    [self](const EventBatch& batch) {
      self->state.core->observe(batch);
      if (batch.nodes_size() + batch.clusters_size() > 0)
        tell_changes(self, batch.clusters_size() > 0);
    },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::control
