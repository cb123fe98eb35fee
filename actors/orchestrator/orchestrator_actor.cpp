// Routing of batches to SERVICE actors, and the constraint enforcer's reads and proposals.
#include "actors/orchestrator/orchestrator_actor.hpp"

#include <algorithm>

#include "runtime/log.hpp"

namespace swarm::orchestrator {

namespace {

using self_ptr = observed_ptr<orchestrator_actor, orchestrator_state>;

timestamp time_of(self_ptr self) {
  return {instant{std::chrono::duration_cast<duration>(now_of(self))}, actor_registry::wall_now_ns()};
}

// -- SERVICE actors ---------------------------------------------------------------------------------------------------------

void send_to(const caf::actor& to, const caf::message& message) { caf::anon_send(to, message); }

const caf::message& base(self_ptr self) {
  auto& st = self->state;
  if (st.base.empty())
    st.base = caf::make_message(st.core.base());
  return st.base;
}

void spawn_service(self_ptr self, const service_id& id) {
  auto& st = self->state;
  auto service = st.opts.spawn_service(self, id, st.seeds());
  self->monitor(service);
  auto handle = caf::actor_cast<caf::actor>(service);
  send_to(handle, base(self));
  st.service_of[handle.id()] = id;
  st.services[id] = std::move(handle);
}

void deliver(self_ptr self, routing plan, const caf::message& whole) {
  auto& st = self->state;
  for (const auto& id : plan.fresh)
    spawn_service(self, id);
  if (!plan.whole_to.empty()) {
    for (const auto& id : plan.whole_to)
      send_to(st.services[id], whole);
    st.forwarded_whole += plan.whole_to.size();
    return;
  }
  const bool some = plan.common.nodes_size() + plan.common.networks_size() + plan.common.clusters_size() > 0;
  const auto common = plan.whole_to_all ? whole : some ? caf::make_message(std::move(plan.common)) : caf::message{};
  for (auto& [id, part] : plan.parts) {
    ++st.split;
    send_to(st.services[id], caf::make_message(std::move(part)));
  }
  if (common.empty())
    return;
  for (const auto& [id, handle] : st.services)
    if (!plan.parts.contains(id))
      send_to(handle, common);
}

void service_down(self_ptr self, const caf::down_msg& down) {
  auto& st = self->state;
  const auto it = st.service_of.find(down.source.id());
  if (it == st.service_of.end())
    return;
  const auto id = it->second;
  st.service_of.erase(it);
  if (down.reason && down.reason != caf::exit_reason::normal) {
    log::error(self->label(), "service_failed", {{"service", id}, {"reason", to_failure(down.reason)}});
    self->quit(down.reason);
    return;
  }
  st.core.retired(id);
  st.services.erase(id);
}

// -- constraints --------------------------------------------------------------------------------------------------------------

void enforce(self_ptr self, enforcement step) {
  auto& st = self->state;
  if (step.wake && (!st.armed || *step.wake < *st.armed)) {
    st.armed = *step.wake;
    self->delayed_send(self, std::max(duration{0}, *step.wake - time_of(self).now), tick_atom_v);
  }
  if (step.read_node) {
    ReadObjects read;
    read.set_kind(OBJECT_KIND_TASK);
    auto& filter = *read.add_filters();
    filter.set_key("node");
    filter.add_values(*step.read_node);
    self->request(st.opts.store, st.opts.store_deadline, std::move(read))
      .then(
        [self, node = *step.read_node](const ObjectsRead& answer) {
          enforce(self, self->state.core.enforced_read(time_of(self), node, {}, answer));
        },
        [self, node = *step.read_node](const caf::error& err) {
          enforce(self, self->state.core.enforced_read(time_of(self), node, to_failure(err), {}));
        });
  }
  if (step.propose) {
    self->tap().effect("reject tasks that their node may not keep");
    self->request(st.opts.raft, st.opts.raft_deadline, std::move(*step.propose))
      .then(
        [self](const CommandResult& result) {
          const failure outcome{static_cast<errc>(result.code()), result.message()};
          enforce(self, self->state.core.proposed(time_of(self), outcome));
        },
        [self](const caf::error& err) {
          enforce(self, self->state.core.proposed(time_of(self), to_failure(err)));
        });
  }
}

// -- events -------------------------------------------------------------------------------------------------------------------

void loaded(self_ptr self, const StoreSnapshot& snapshot) {
  auto& st = self->state;
  st.loaded = true;
  st.log_index = snapshot.log_index();
  deliver(self, st.core.load(time_of(self), snapshot), {});
  enforce(self, st.core.next_enforcement(time_of(self)));
}

void changed(self_ptr self, const EventBatch& batch) {
  auto& st = self->state;
  if (!st.loaded || batch.log_index() <= st.log_index)
    return;
  st.log_index = batch.log_index();
  if (batch.nodes_size() + batch.networks_size() + batch.clusters_size() > 0)
    st.base = caf::message{};
  // STORE sends one shared message to all its subscribers: this is a reference, not a copy.
  const auto whole = self->current_mailbox_element()->copy_content_to_message();
  deliver(self, st.core.route(batch), whole);
  enforce(self, st.core.next_enforcement(time_of(self)));
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["services"] = std::to_string(st.services.size());
  facts["at"] = std::to_string(st.log_index);
  facts["forwarded_whole"] = std::to_string(st.forwarded_whole);
  facts["split"] = std::to_string(st.split);
  if (request.full())
    status.set_state(st.core.dump());
  return status;
}

} // namespace

orchestrator_actor::behavior_type run_orchestrator(self_ptr self, orchestrator_options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.seeds = random_source{st.opts.seed};
  self->set_down_handler([self](const caf::down_msg& down) { service_down(self, down); });
  self->request(st.opts.store, st.opts.store_deadline, subscribe_atom_v, caf::actor_cast<store_subscriber>(self))
    .then([self](const StoreSnapshot& snapshot) { loaded(self, snapshot); },
          [self](const caf::error& err) {
            log::warn(self->label(), "subscription_failed", {{"error", to_failure(err)}});
            self->quit(err);
          });
  return {
    [self](const EventBatch& batch) { changed(self, batch); },
    [self](tick_atom) {
      self->state.armed.reset();
      enforce(self, self->state.core.next_enforcement(time_of(self)));
    },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::orchestrator
