// Events in, Assignments out.
#include "actors/dispatcher/node_session_actor.hpp"

#include "runtime/log.hpp"

namespace swarm::dispatcher {

namespace {

using self_ptr = observed_ptr<node_session_actor, node_session_state>;

// Longer than SECRET PROVIDER takes to say that its plugin does not answer.
constexpr std::chrono::seconds fetch_deadline{15};
// A link's queue is bounded: after so much of secrets in one frame the next one has to wait.
constexpr std::size_t paced_bytes = 1024 * 1024;
constexpr std::chrono::milliseconds pause{250};

bool is_large(const Assignments& frame) {
  std::size_t bytes = 0;
  for (const auto& secret : frame.secrets())
    bytes += secret.spec().data().size();
  return bytes >= paced_bytes;
}

void flush_soon(self_ptr self) {
  auto& st = self->state;
  if (st.flush_due || !st.core->has_session())
    return;
  st.flush_due = true;
  self->send(self, flush_atom_v);
}

void flush(self_ptr self) {
  auto& st = self->state;
  st.flush_due = false;
  while (auto frame = st.core->take_frame()) {
    ++st.frames;
    self->tap().effect((frame->complete() ? "complete tasks=" : "incremental tasks=") + std::to_string(frame->tasks_size()) +
                       " removed=" + std::to_string(frame->removed_task_ids_size()) +
                       " sequence=" + std::to_string(frame->sequence()));
    const bool large = is_large(*frame);
    caf::anon_send(st.inbox, std::move(*frame));
    if (large) {
      st.flush_due = true;
      self->delayed_send(self, pause, flush_atom_v);
      return;
    }
  }
}

void ask_drivers(self_ptr self);

void fetched(self_ptr self, const assignments_core::fetch& what, const failure& problem, const SecretFetched& answer) {
  const auto& [number, request] = what;
  if (!problem.ok())
    log::warn(self->label(), "secret_not_fetched", {{"secret", request.secret_name()}, {"driver", request.driver()},
                                                    {"service", request.service_name()}, {"task", request.task_id()},
                                                    {"reason", problem.message}});
  self->state.core->fetched(number, problem, answer);
  ask_drivers(self);
  flush_soon(self);
}

void ask_drivers(self_ptr self) {
  auto& st = self->state;
  for (auto& what : st.core->take_fetches()) {
    self->tap().effect("fetch secret=" + what.request.secret_name() + " task=" + what.request.task_id());
    if (!st.secrets) {
      fetched(self, what, {errc::unavailable, "plugins are not asked on this manager"}, {});
      continue;
    }
    auto request = self->request(st.secrets, fetch_deadline, what.request);
    request.then([self, what](const SecretFetched& answer) { fetched(self, what, {}, answer); },
                 [self, what](const caf::error& err) { fetched(self, what, to_failure(err), {}); });
  }
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["tasks"] = std::to_string(st.core->size());
  facts["session"] = st.core->has_session() ? "yes" : "no";
  facts["sequence"] = std::to_string(st.core->sequence());
  facts["frames"] = std::to_string(st.frames);
  facts["secrets_awaited"] = std::to_string(st.core->fetches().waiting());
  facts["secrets_failed"] = std::to_string(st.core->fetches().failures());
  if (request.full())
    status.set_state(st.core->dump());
  return status;
}

} // namespace

node_session_actor::behavior_type run_node_session(self_ptr self, std::string node_id, std::string label,
                                                   secret_provider_actor secrets) {
  self->state.secrets = std::move(secrets);
  self->state.core = std::make_unique<assignments_core>(std::move(node_id));
  self->set_label(std::move(label));
  return {
    [self](const NodeRegistered& session, const agent_inbox& inbox) {
      self->state.inbox = caf::actor_cast<caf::actor>(inbox);
      self->state.core->start_session(session.session_id());
      ask_drivers(self);
      flush_soon(self);
    },
    [self](const EventBatch& batch) {
      self->state.core->apply(batch);
      ask_drivers(self);
      flush_soon(self);
    },
    [self](flush_atom) { flush(self); },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::dispatcher
