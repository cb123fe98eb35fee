// Events to the core, its Commands to RAFT.
#include "actors/orchestrator/service_actor.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "runtime/log.hpp"

namespace swarm::orchestrator {

namespace {

using self_ptr = observed_ptr<service_actor, service_actor_state>;

// A delayed message cannot be called back and keeps its actor alive: none is sent far ahead.
constexpr duration wake_max = seconds{60};

timestamp time_of(self_ptr self) {
  return {instant{std::chrono::duration_cast<duration>(now_of(self))}, actor_registry::wall_now_ns()};
}

failure outcome_of(const CommandResult& result) { return {static_cast<errc>(result.code()), result.message()}; }

std::string summary(const Command& command) {
  std::size_t created = 0, changed = 0, removed = 0;
  std::string state;
  for (const auto& action : command.actions()) {
    created += static_cast<std::size_t>(action.create_tasks().tasks_size());
    changed += static_cast<std::size_t>(action.update_tasks().changes_size());
    removed += static_cast<std::size_t>(action.remove_tasks().task_ids_size());
    if (action.has_update_service_state())
      state = " " + action.update_service_state().update_status().message();
  }
  return "propose create=" + std::to_string(created) + " change=" + std::to_string(changed) +
         " remove=" + std::to_string(removed) + state;
}

void handle(self_ptr self, service_effects effects);

void propose(self_ptr self, Command command) {
  auto& st = self->state;
  ++st.proposals;
  self->tap().effect(summary(command));
  self->request(st.opts.raft, st.opts.raft_deadline, std::move(command))
    .then(
      [self](const CommandResult& result) {
        const auto outcome = outcome_of(result);
        self->state.refused += outcome.ok() ? 0 : 1;
        handle(self, self->state.core->proposed(time_of(self), outcome));
      },
      [self](const caf::error& err) {
        // The core decides anew from what it knows; if we have lost leadership we are about to be stopped.
        const auto outcome = to_failure(err);
        ++self->state.refused;
        log::debug(self->label(), "proposal_failed", {{"error", outcome}});
        handle(self, self->state.core->proposed(time_of(self), outcome));
      });
}

void arm(self_ptr self, instant when) {
  auto& st = self->state;
  const auto now = time_of(self).now;
  const auto at = std::min(when, now + wake_max);
  if (st.armed && *st.armed <= at)
    return;
  st.armed = at;
  self->delayed_send(self, std::max(duration{0}, at - now), tick_atom_v);
}

void handle(self_ptr self, service_effects effects) {
  auto& st = self->state;
  if (auto label = "service/" + st.core->name(); label != st.label) {
    st.label = label;
    self->set_label(std::move(label));
  }
  if (effects.propose)
    propose(self, std::move(*effects.propose));
  if (effects.wake)
    arm(self, *effects.wake);
  if (effects.finished)
    self->quit();
}

void apply(self_ptr self, const EventBatch& batch) {
  auto& core = *self->state.core;
  if (batch.services_size() + batch.templates_size() == 0 || !may_be_kept(batch))
    return handle(self, core.apply(time_of(self), batch));
  const auto kept = self->keep_message<EventBatch>();
  handle(self, core.apply(time_of(self), *kept, kept));
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  const auto counts = st.core->count();
  facts["tasks"] = std::to_string(counts.tasks);
  facts["slots"] = std::to_string(counts.slots);
  facts["wanted_slots"] = std::to_string(counts.counted);
  facts["proposing"] = counts.proposing ? "yes" : "no";
  facts["proposals"] = std::to_string(st.proposals);
  facts["refused"] = std::to_string(st.refused);
  if (request.full())
    status.set_state(st.core->dump());
  return status;
}

} // namespace

node_ref node_pool::intern(const Node& node, std::uint64_t log_index) {
  std::lock_guard guard{mutex_};
  auto& known = nodes_[node.id()];
  const bool same = known.node && (known.log_index == log_index ||
                                   google::protobuf::util::MessageDifferencer::Equals(*known.node, node));
  if (!same)
    known.node = std::make_shared<const Node>(node);
  known.log_index = log_index;
  return known.node;
}

service_actor::behavior_type run_service(self_ptr self, service_options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.core = std::make_unique<service_core>(
    st.opts.id, st.opts.seed,
    [pool = st.opts.nodes](const Node& node, std::uint64_t log_index) { return pool->intern(node, log_index); });
  self->set_label("service/" + st.opts.id.str());
  return {
    [self](const EventBatch& batch) { apply(self, batch); },
    [self](tick_atom) {
      self->state.armed.reset();
      handle(self, self->state.core->tick(time_of(self)));
    },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::orchestrator
