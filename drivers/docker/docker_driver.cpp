// DRIVER for the Docker Engine, see docker_driver.hpp.
#include "drivers/docker/docker_driver.hpp"

#include <algorithm>
#include <cstdlib>

#include "runtime/log.hpp"
#include "runtime/overload.hpp"

namespace swarm::docker {
namespace {

using self_ptr = observed_ptr<docker_driver_actor, docker_driver_state>;

void handle(self_ptr self, const driver_event& ev);

template <class T>
void answer_with(docker_driver_state& st, operation_id id, T&& value) {
  auto it = st.promises.find(id);
  if (it == st.promises.end())
    return;
  std::visit([&](auto& promise) {
    using promised = std::decay_t<decltype(promise)>;
    if constexpr (std::is_same_v<std::decay_t<T>, failure>)
      promise.deliver(to_error(value));
    else if constexpr (std::is_same_v<promised, caf::typed_response_promise<std::decay_t<T>>>)
      promise.deliver(std::forward<T>(value));
  }, it->second);
  st.promises.erase(it);
}

void tell_health(self_ptr self, const report_health& news) {
  auto& st = self->state;
  st.health.set_healthy(news.healthy);
  st.health.set_message(news.message);
  st.health_known = true;
  if (news.healthy)
    log::info(self->label(), "engine_is_back");
  else
    log::warn(self->label(), "engine_is_away", {{"reason", news.message}});
  for (const auto& listener : st.listeners)
    self->send(listener, st.health);
}

void perform(self_ptr self, effect& what) {
  auto& st = self->state;
  std::visit(overload{
    [&](make_call& e) { st.engine->call(e, st.decisions->prefix()); },
    [&](start_pull& e) { st.engine->pull(e, st.decisions->prefix()); },
    [&](cancel_pull& e) { st.engine->cancel(e.id); },
    [&](open_events& e) { st.engine->events(e, st.decisions->prefix()); },
    [&](write_files& e) { handle(self, files_written{e.task_id, st.files->write(e.task_id, e.files)}); },
    [&](remove_files& e) { st.files->remove(e.task_id); },
    [&](deliver& e) {
      std::visit([&](auto& value) { answer_with(st, e.id, std::move(value)); }, e.result);
    },
    [&](observe& e) {
      TaskObserved news;
      *news.mutable_handle() = std::move(e.handle);
      for (const auto& listener : st.listeners)
        self->send(listener, news);
    },
    [&](report_health& e) { tell_health(self, e); },
  }, what);
}

// The only door to the core.
void handle(self_ptr self, const driver_event& ev) {
  auto& core = *self->state.decisions;
  auto todo = core.step(instant{now_of(self)}, ev);
  core.check_invariants();
  for (auto& what : todo)
    perform(self, what);
}

template <class Result, class Request>
caf::typed_response_promise<Result> ask(self_ptr self, const Request& request) {
  auto& st = self->state;
  auto promise = self->template make_response_promise<Result>();
  const auto id = st.next_operation++;
  st.promises.emplace(id, promise);
  handle(self, operation{id, request});
  return promise;
}

void check_lock(self_ptr self) {
  auto& st = self->state;
  if (!st.lock)
    return;
  const auto taken = st.lock->acquire() == engine_lock::outcome::taken;
  if (taken == st.claimed)
    return;
  st.claimed = taken;
  handle(self, engine_claimed{taken ? st.lock->holder() : std::string{}});
}

void read_logs(self_ptr self, const ReadTaskLogs& request, const log_sink& sink) {
  auto& st = self->state;
  log_reader_options opts{request, st.decisions->container_of(request.task_id()), st.decisions->prefix(), st.opts.core.call_deadline};
  auto reader = self->spawn(log_reader, std::move(opts), sink, st.engine);
  self->monitor(reader);
  st.logs.insert_or_assign(request.subscription(), std::move(reader));
}

void forget(self_ptr self, const caf::actor_addr& who) {
  auto& st = self->state;
  std::erase_if(st.listeners, [&](const auto& listener) { return listener.address() == who; });
  std::erase_if(st.logs, [&](const auto& item) { return item.second.address() == who; });
}

ActorStatus describe(self_ptr self, const ReadStatus& request) {
  auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["healthy"] = st.decisions->healthy() ? "true" : "false";
  facts["tasks"] = std::to_string(st.decisions->lanes());
  facts["waiting_requests"] = std::to_string(st.promises.size());
  facts["log_readers"] = std::to_string(st.logs.size());
  if (request.full())
    status.set_state(st.decisions->dump());
  return status;
}

} // namespace

docker_driver_actor::behavior_type docker_driver(self_ptr self, docker_driver_options opts, io_threads* io) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.opts.core.files_directory = driver::folder_in_memory(st.opts.state_directory + "/files");
  if (const auto* offline = std::getenv("DOCKER_SERVICE_PREFER_OFFLINE_IMAGE"))
    st.opts.core.images.prefer_offline = std::string_view{offline} == "1"; // Swarm's own switch
  st.io = io;
  st.decisions = std::make_unique<core>(st.opts.core, st.opts.seed);
  st.files = std::make_unique<driver::task_files>(st.opts.core.files_directory);
  // Weak: the event stream never ends by itself and must not keep the driver alive.
  st.engine = std::make_shared<engine_client>(*io, st.opts.engine_socket, [back = self->address()](driver_event ev) {
    if (auto strong = caf::actor_cast<caf::strong_actor_ptr>(back))
      caf::anon_send(caf::actor_cast<caf::actor>(strong), engine_news{std::move(ev)});
  });
  if (st.opts.lock_engine)
    st.lock = std::make_unique<engine_lock>(st.opts.engine_socket);
  self->set_label("driver/docker");
  self->set_down_handler([self](caf::down_msg& down) { forget(self, down.source); });
  check_lock(self);
  self->send(self, tick_atom_v);
  return {
    [self](const PrepareTask& r) -> caf::result<TaskHandle> { return ask<TaskHandle>(self, r); },
    [self](const StartTask& r) -> caf::result<TaskHandle> { return ask<TaskHandle>(self, r); },
    [self](const StopTask& r) -> caf::result<TaskHandle> { return ask<TaskHandle>(self, r); },
    [self](const RemoveTask& r) -> caf::result<TaskHandle> { return ask<TaskHandle>(self, r); },
    [self](const InspectTask& r) -> caf::result<TaskHandle> { return ask<TaskHandle>(self, r); },
    [self](const RecoverTasks& r) -> caf::result<RecoveredTasks> { return ask<RecoveredTasks>(self, r); },
    [self](const FingerprintNode& r) -> caf::result<NodeFingerprint> { return ask<NodeFingerprint>(self, r); },
    [self](subscribe_atom, const driver_listener& listener) {
      auto& st = self->state;
      if (std::find(st.listeners.begin(), st.listeners.end(), listener) == st.listeners.end()) {
        self->monitor(listener);
        st.listeners.push_back(listener);
      }
      if (st.health_known)
        self->send(listener, st.health);
    },
    [self](const ReadTaskLogs& request, const log_sink& sink) { read_logs(self, request, sink); },
    [self](const LogCredit& credit) {
      if (const auto it = self->state.logs.find(credit.subscription()); it != self->state.logs.end())
        self->send(it->second, credit);
    },
    [self](const CancelLogs& cancel) {
      if (const auto it = self->state.logs.find(cancel.subscription()); it != self->state.logs.end())
        self->send(it->second, cancel);
    },
    [self](const ReadStatus& request) { return describe(self, request); },
    [self](const engine_news& news) { handle(self, news.event); },
    [self](tick_atom) {
      check_lock(self);
      handle(self, ticked{});
      self->delayed_send(self, self->state.opts.tick, tick_atom_v);
    },
  };
}

} // namespace swarm::docker
