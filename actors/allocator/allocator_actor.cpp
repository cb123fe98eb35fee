// Events in, Commands out, a tick only while something waits.
#include "actors/allocator/allocator_actor.hpp"

#include "runtime/log.hpp"

namespace swarm::allocator {

namespace {

using self_ptr = observed_ptr<allocator_actor, allocator_state>;

instant now(self_ptr self) { return instant{now_of(self)}; }

/// After every change of the core: propose what is due, and be woken for the rest.
void proceed(self_ptr self) {
  auto& state = self->state;
  state.core.check_invariants();
  if (auto command = state.core.propose(now(self), actor_registry::wall_now_ns())) {
    ++state.proposals;
    self->request(state.raft, state.opts.request_timeout, std::move(*command))
      .then(
        [self](const CommandResult&) {
          self->state.core.settled();
          proceed(self);
        },
        [self](const caf::error& err) {
          ++self->state.failed;
          log::warn(self->label(), "proposal_failed", {{"error", to_failure(err)}});
          self->state.core.settled();
          proceed(self);
        });
  }
  const auto due = state.core.next_due();
  if (!due || (state.armed && state.armed_at <= *due))
    return;
  state.armed = true;
  state.armed_at = *due;
  self->delayed_send(self, std::max(duration::zero(), *due - now(self)), tick_atom::value);
}

} // namespace

allocator_actor::behavior_type port_allocator(self_ptr self, allocator_options opts, raft_actor raft, store_actor store) {
  self->state.core = core{opts.core, random_source{opts.seed}};
  self->state.opts = opts;
  self->state.raft = std::move(raft);
  self->request(store, opts.request_timeout, subscribe_atom::value, store_subscriber{self})
    .then(
      [self](const StoreSnapshot& snapshot) {
        self->state.core.reset(now(self), snapshot);
        proceed(self);
      },
      [self](const caf::error& err) {
        log::warn(self->label(), "subscription_failed", {{"error", to_failure(err)}});
        self->quit(err);
      });
  return {
    [self](const EventBatch& batch) {
      self->state.core.observe(now(self), batch);
      proceed(self);
    },
    [self](tick_atom) {
      self->state.armed = false;
      proceed(self);
    },
    [self](const ReadStatus& request) {
      auto status = self->base_status(request);
      auto& facts = *status.mutable_facts();
      facts["behind"] = std::to_string(self->state.core.behind());
      facts["new_tasks"] = std::to_string(self->state.core.new_tasks());
      facts["proposals"] = std::to_string(self->state.proposals);
      facts["failed"] = std::to_string(self->state.failed);
      if (request.full())
        status.set_state(self->state.core.dump());
      return status;
    },
  };
}

} // namespace swarm::allocator
