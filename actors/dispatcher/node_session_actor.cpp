// Events in, Assignments out.
#include "actors/dispatcher/node_session_actor.hpp"

namespace swarm::dispatcher {

namespace {

using self_ptr = observed_ptr<node_session_actor, node_session_state>;

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
    caf::anon_send(st.inbox, std::move(*frame));
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
  if (request.full())
    status.set_state(st.core->dump());
  return status;
}

} // namespace

node_session_actor::behavior_type run_node_session(self_ptr self, std::string node_id, std::string label) {
  self->state.core = std::make_unique<assignments_core>(std::move(node_id));
  self->set_label(std::move(label));
  return {
    [self](const NodeRegistered& session, const agent_inbox& inbox) {
      self->state.inbox = caf::actor_cast<caf::actor>(inbox);
      self->state.core->start_session(session.session_id());
      flush_soon(self);
    },
    [self](const EventBatch& batch) {
      self->state.core->apply(batch);
      flush_soon(self);
    },
    [self](flush_atom) { flush(self); },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::dispatcher
