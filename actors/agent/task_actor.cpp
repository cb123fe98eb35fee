// TASK, see task_actor.hpp.
#include "actors/agent/task_actor.hpp"

#include <algorithm>

#include "messages/render.hpp"
#include "runtime/overload.hpp"

namespace swarm::agent {
namespace {

using self_ptr = observed_ptr<task_actor, task_state>;

constexpr duration default_grace = seconds{10};
constexpr duration longest_grace = hours{24};

void handle(self_ptr self, const task::event& ev);

template <class Request>
void request(self_ptr self, std::uint32_t number, duration deadline, Request message) {
  self->request(self->state.driver, deadline, std::move(message))
    .then([self, number](TaskHandle& found) { handle(self, task::answered{number, {}, std::move(found)}); },
          [self, number](const caf::error& error) { handle(self, task::answered{number, to_failure(error), {}}); });
}

template <class Request>
Request with_id(self_ptr self) {
  Request out;
  out.set_task_id(self->state.opts.task_id);
  return out;
}

void perform(self_ptr self, const task::ask& e) {
  const auto& opts = self->state.opts;
  switch (e.verb) {
    case task::verb::prepare: {
      if (!opts.what)
        return handle(self, task::answered{e.request, {errc::unavailable, "the specification has not arrived on this node"}, {}});
      PrepareTask message;
      *message.mutable_task() = *opts.what;
      return request(self, e.request, opts.prepare_deadline, std::move(message));
    }
    case task::verb::start: return request(self, e.request, opts.start_deadline, with_id<StartTask>(self));
    case task::verb::stop: {
      auto message = with_id<StopTask>(self);
      const auto* spec = opts.what ? &opts.what->spec().container_spec() : nullptr;
      const auto wanted = spec != nullptr && spec->has_stop_grace_period() ? duration{spec->stop_grace_period()} : default_grace;
      const auto grace = std::clamp(wanted, duration{0}, longest_grace);
      message.set_grace_period(grace.count());
      return request(self, e.request, grace + opts.call_deadline, std::move(message));
    }
    case task::verb::remove: return request(self, e.request, opts.call_deadline, with_id<RemoveTask>(self));
    case task::verb::inspect: return request(self, e.request, opts.call_deadline, with_id<InspectTask>(self));
  }
}

void perform_all(self_ptr self, const task::effects& todo) {
  auto& st = self->state;
  for (const auto& effect : todo)
    std::visit(overload{
      [&](const task::ask& e) { perform(self, e); },
      [&](const task::report& e) {
        UpdateTaskStatus message;
        auto& update = *message.add_updates();
        update.set_task_id(st.opts.task_id);
        *update.mutable_status() = e.status;
        self->tap().effect(render(e.status, 256));
        self->send(st.agent, std::move(message));
      },
      [&](const task::wake& e) { self->delayed_send(self, e.after, tick_atom_v); },
      [&](const task::ended&) { self->quit(); },
    }, effect);
}

// The only door to the core.
void handle(self_ptr self, const task::event& ev) {
  auto& core = *self->state.decisions;
  const auto todo = core.step(instant{now_of(self)}, actor_registry::wall_now_ns(), ev);
  core.check_invariants();
  perform_all(self, todo);
}

} // namespace

task_actor::behavior_type task_walker(self_ptr self, task_options opts, driver_actor driver, status_keeper agent) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.driver = std::move(driver);
  st.agent = std::move(agent);
  self->monitor(st.agent); // its successor adopts the container with a new TASK
  self->set_down_handler([self](caf::down_msg&) { self->quit(); });
  st.rng = std::make_unique<random_source>(st.opts.seed);
  st.decisions = std::make_unique<task::core>(st.opts.retries, st.rng.get());
  self->set_label("task/" + st.opts.task_id.substr(0, 12));
  perform_all(self, st.decisions->begin(instant{now_of(self)}, actor_registry::wall_now_ns(), st.opts.desired, st.opts.from, st.opts.driver_healthy));
  st.opts.from = {};
  return {
    [self](const AssignedTask& task) { handle(self, task::desired{task.desired_state()}); },
    [self](const TaskObserved& news) { handle(self, task::seen{news.handle()}); },
    [self](const DriverHealth& news) { handle(self, task::driver_health{news.healthy()}); },
    [self](forget_atom) { handle(self, task::forgotten{}); },
    [self](tick_atom) { handle(self, task::ticked{}); },
    [self](const ReadStatus& request) {
      auto status = self->base_status(request);
      auto& facts = *status.mutable_facts();
      facts["task"] = self->state.opts.task_id;
      facts["state"] = short_name(*TaskState_descriptor()->FindValueByNumber(self->state.decisions->state()));
      if (!self->state.decisions->trouble().empty())
        facts["trouble"] = self->state.decisions->trouble();
      if (request.full())
        status.set_state(self->state.decisions->dump());
      return status;
    },
  };
}

} // namespace swarm::agent
