// Events to the core, its Commands to RAFT.
#include "actors/scheduler/scheduler_actor.hpp"

#include <algorithm>

#include "runtime/log.hpp"

namespace swarm::scheduler {

namespace {

using self_ptr = observed_ptr<scheduler_actor, scheduler_state>;

timestamp time_of(self_ptr self) {
  return {instant{std::chrono::duration_cast<duration>(now_of(self))}, actor_registry::wall_now_ns()};
}

void handle(self_ptr self, effects what);

void propose(self_ptr self, proposal p) {
  auto& st = self->state;
  ++st.proposals;
  self->tap().effect("propose changes=" + std::to_string(p.command.actions(0).update_tasks().changes_size()));
  self->request(st.opts.raft, st.opts.raft_deadline, std::move(p.command))
    .then(
      [self, ticket = p.ticket](const CommandResult& result) {
        const failure outcome{static_cast<errc>(result.code()), result.message()};
        self->state.refused += outcome.ok() ? 0 : 1;
        handle(self, self->state.core->proposed(time_of(self), ticket, outcome));
      },
      [self, ticket = p.ticket](const caf::error& err) {
        ++self->state.refused;
        log::debug(self->label(), "proposal_failed", {{"error", to_failure(err)}});
        handle(self, self->state.core->proposed(time_of(self), ticket, to_failure(err)));
      });
}

void handle(self_ptr self, effects what) {
  auto& st = self->state;
  for (auto& p : what.proposals)
    propose(self, std::move(p));
  if (!what.wake || (st.armed && *st.armed <= *what.wake))
    return;
  st.armed = *what.wake;
  self->delayed_send(self, std::max(duration{0}, *what.wake - time_of(self).now), tick_atom_v);
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  const auto counts = st.core->count();
  facts["tasks"] = std::to_string(counts.tasks);
  facts["waiting"] = std::to_string(counts.waiting);
  facts["nodes"] = std::to_string(counts.nodes);
  facts["placed"] = std::to_string(counts.placed);
  facts["in_flight"] = std::to_string(counts.in_flight);
  facts["proposals"] = std::to_string(st.proposals);
  facts["refused"] = std::to_string(st.refused);
  facts["at"] = std::to_string(st.log_index);
  if (request.full())
    status.set_state(st.core->dump());
  return status;
}

} // namespace

scheduler_actor::behavior_type run_scheduler(self_ptr self, scheduler_options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.core = std::make_unique<scheduler::core>();
  self->request(st.opts.store, st.opts.store_deadline, subscribe_atom_v, caf::actor_cast<store_subscriber>(self))
    .then(
      [self](const StoreSnapshot& snapshot) {
        self->state.loaded = true;
        self->state.log_index = snapshot.log_index();
        handle(self, self->state.core->load(time_of(self), snapshot));
      },
      [self](const caf::error& err) {
        log::warn(self->label(), "subscription_failed", {{"error", to_failure(err)}});
        self->quit(err);
      });
  return {
    [self](const EventBatch& batch) {
      auto& state = self->state;
      if (!state.loaded || batch.log_index() <= state.log_index)
        return;
      state.log_index = batch.log_index();
      handle(self, state.core->apply(time_of(self), batch));
    },
    [self](tick_atom) {
      self->state.armed.reset();
      if (self->state.loaded)
        handle(self, self->state.core->tick(time_of(self)));
    },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::scheduler
