// DRIVER without anything behind it, see the header.
#include "drivers/simulated/simulated_driver.hpp"

#include <algorithm>

namespace swarm::simulated {
namespace {

using self_ptr = observed_ptr<simulated_driver_actor, simulated_driver_state>;

timestamp now(self_ptr self) {
  return {instant{now_of(self)}, actor_registry::wall_now_ns()};
}

void tell(self_ptr self, const std::vector<TaskHandle>& handles) {
  for (const auto& handle : handles) {
    TaskObserved news;
    *news.mutable_handle() = handle;
    for (const auto& listener : self->state.listeners)
      self->send(listener, news);
  }
}

// One timer, for the earliest end.
void arm(self_ptr self) {
  auto& st = self->state;
  const auto due = st.tasks.next_due();
  if (!due || (st.armed && *st.armed <= *due))
    return;
  st.armed = due;
  self->delayed_send(self, std::max(duration{}, *due - instant{now_of(self)}), tick_atom_v);
}

caf::result<TaskHandle> answer(self_ptr self, reply from) {
  arm(self);
  if (!from.error.ok())
    return to_error(from.error);
  if (from.after <= duration{})
    return std::move(from.handle);
  auto& st = self->state;
  auto promise = self->make_response_promise<TaskHandle>();
  const auto id = st.next_held++;
  st.held.emplace(id, simulated_driver_state::held_reply{promise, std::move(from.handle)});
  self->delayed_send(self, from.after, flush_atom_v, id);
  return promise;
}

void deliver(self_ptr self, std::uint64_t subscription) {
  auto& readers = self->state.readers;
  const auto it = readers.find(subscription);
  if (it == readers.end())
    return;
  while (auto chunk = it->second.window.next())
    self->send(it->second.sink, std::move(*chunk));
  if (it->second.window.ended())
    readers.erase(it);
}

void read_logs(self_ptr self, const ReadTaskLogs& request, const log_sink& sink) {
  auto& st = self->state;
  driver::log_window window{request.subscription(), request.task_id()};
  const auto count = st.tasks.log_lines(request.task_id());
  const auto first = request.tail() < 0 || request.tail() > count ? 0 : count - static_cast<std::uint32_t>(request.tail());
  std::vector<LogLine> lines;
  for (auto i = first; i < count && request.stdout(); ++i) {
    LogLine line;
    line.set_stream(1);
    line.set_timestamp(static_cast<std::int64_t>(i) + 1);
    line.set_data("line " + std::to_string(i + 1) + " of " + request.task_id() + "\n");
    lines.push_back(std::move(line));
  }
  window.add(std::move(lines));
  const auto there = st.tasks.inspect(request.task_id()).handle.phase() != TaskHandle::PHASE_ABSENT;
  if (!there || !request.follow())
    window.end(there ? "" : "task " + request.task_id() + " has no container");
  self->monitor(sink);
  st.readers.insert_or_assign(request.subscription(), simulated_driver_state::reader{std::move(window), sink});
  deliver(self, request.subscription());
}

} // namespace

NodeDescription description_of(const simulated_options& opts) {
  NodeDescription out;
  out.set_hostname(opts.hostname);
  out.mutable_platform()->set_architecture("x86_64");
  out.mutable_platform()->set_os("linux");
  out.mutable_resources()->set_nano_cpus(opts.nano_cpus);
  out.mutable_resources()->set_memory_bytes(opts.memory_bytes);
  out.mutable_engine()->set_engine_version("simulated");
  return out;
}

simulated_driver_actor::behavior_type simulated_driver(self_ptr self, simulated_options opts) {
  self->state.opts = std::move(opts);
  self->set_label("driver/simulated");
  self->set_down_handler([self](caf::down_msg& down) {
    auto& st = self->state;
    std::erase_if(st.listeners, [&](const auto& listener) { return listener.address() == down.source; });
    std::erase_if(st.readers, [&](const auto& item) { return item.second.sink.address() == down.source; });
  });
  return {
    [self](const PrepareTask& r) { return answer(self, self->state.tasks.prepare(now(self), r.task())); },
    [self](const StartTask& r) { return answer(self, self->state.tasks.start(now(self), r.task_id())); },
    [self](const StopTask& r) { return answer(self, self->state.tasks.stop(now(self), r.task_id())); },
    [self](const RemoveTask& r) { return answer(self, self->state.tasks.remove(now(self), r.task_id())); },
    [self](const InspectTask& r) { return answer(self, self->state.tasks.inspect(r.task_id())); },
    [self](const RecoverTasks& r) { return self->state.tasks.recover(r.cluster_id()); },
    [self](const FingerprintNode&) {
      NodeFingerprint out;
      *out.mutable_description() = description_of(self->state.opts);
      out.set_healthy(true);
      return out;
    },
    [self](subscribe_atom, const driver_listener& listener) {
      auto& st = self->state;
      if (std::find(st.listeners.begin(), st.listeners.end(), listener) == st.listeners.end()) {
        self->monitor(listener);
        st.listeners.push_back(listener);
      }
      DriverHealth health;
      health.set_healthy(true);
      self->send(listener, std::move(health));
    },
    [self](const ReadTaskLogs& request, const log_sink& sink) { read_logs(self, request, sink); },
    [self](const LogCredit& credit) {
      if (const auto it = self->state.readers.find(credit.subscription()); it != self->state.readers.end())
        it->second.window.grant(credit.bytes());
      deliver(self, credit.subscription());
    },
    [self](const CancelLogs& cancel) { self->state.readers.erase(cancel.subscription()); },
    [self](const ReadStatus& request) {
      auto status = self->base_status(request);
      (*status.mutable_facts())["tasks"] = std::to_string(self->state.tasks.size());
      return status;
    },
    [self](forget_atom, const std::string& task_id) { tell(self, self->state.tasks.vanish(task_id)); },
    [self](tick_atom) {
      self->state.armed.reset();
      tell(self, self->state.tasks.tick(now(self)));
      arm(self);
    },
    [self](flush_atom, std::uint64_t id) {
      auto& st = self->state;
      if (auto held = st.held.extract(id))
        held.mapped().promise.deliver(std::move(held.mapped().handle));
    },
  };
}

} // namespace swarm::simulated
