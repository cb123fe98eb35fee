// Routes chunks from agents to readers and credit the other way.
#include "actors/logs/logs_actor.hpp"

#include "runtime/overload.hpp"

namespace swarm::logs {

namespace {

using self_ptr = observed_ptr<logs_actor, logs_state>;

instant now_instant(self_ptr self) { return instant{std::chrono::duration_cast<duration>(now_of(self))}; }

std::set<std::string> reachable(const logs_state& st) {
  std::set<std::string> out;
  for (const auto& [id, agent] : st.nodes)
    if (agent)
      out.insert(id);
  return out;
}

void perform(self_ptr self, logs_state::subscription& to, const effects& todo) {
  auto& st = self->state;
  const auto agent_of = [&](const std::string& node_id) -> log_source& { return st.nodes[node_id]; };
  for (const auto& what : todo)
    std::visit(overload{
      [&](const open_stream& e) { self->send(agent_of(e.node_id), e.request, log_sink{logs_actor{self}}); },
      [&](const grant& e) { self->send(agent_of(e.node_id), e.credit); },
      [&](const cancel& e) { self->send(agent_of(e.node_id), e.request); },
      [&](const deliver& e) { self->send(to.sink, e.chunk); },
    }, what);
  st.next_stream = std::max(st.next_stream, to.core.next_stream());
}

void drop_ended(self_ptr self) {
  std::erase_if(self->state.readers, [](const auto& entry) { return entry.second->core.ended(); });
}

void arm(self_ptr self) {
  if (self->state.ticking || self->state.readers.empty())
    return;
  self->state.ticking = true;
  self->delayed_send(self, self->state.opts.tick, tick_atom_v);
}

void refuse(self_ptr self, const SubscribeLogs& request, const log_sink& sink, const std::string& why) {
  LogChunk end;
  end.set_subscription(request.subscription());
  end.set_end(true);
  end.set_error(why);
  self->send(sink, end);
}

void subscribe(self_ptr self, const SubscribeLogs& request, const log_sink& sink) {
  auto& st = self->state;
  if (!st.loaded)
    return refuse(self, request, sink, "the log broker is starting: try again");
  if (st.readers.size() >= st.opts.readers_max)
    return refuse(self, request, sink, "too many log readers (" + std::to_string(st.opts.readers_max) + ")");
  // Numbers of streams are handed out here, so that no two readers share one; a reader may use up to 2^20 of them.
  const auto first = st.next_stream;
  auto& slot = st.readers[request.subscription()];
  slot.reset(new logs_state::subscription{reader{request, first}, sink});
  st.next_stream += 1 << 20;
  perform(self, *slot, slot->core.begin(now_instant(self), st.tasks.candidates(request), reachable(st)));
  self->monitor(sink);
  drop_ended(self);
  arm(self);
}

void take_task(self_ptr self, const Task& task, bool removed) {
  auto& st = self->state;
  if (removed) {
    st.tasks.erase(task.id());
    return;
  }
  st.tasks.put(task);
  if (st.readers.empty())
    return;
  const task_place place{task.service_id(), task.node_id(), task.status().state()};
  for (auto& [id, r] : st.readers)
    perform(self, *r, r->core.task_changed(now_instant(self), task.id(), place, reachable(st)));
}

void take_node(self_ptr self, const std::string& id, bool removed) {
  auto& nodes = self->state.nodes;
  if (removed)
    nodes.erase(id);
  else if (!nodes.contains(id))
    nodes[id] = self->state.source_of(id);
}

} // namespace

logs_actor::behavior_type log_broker(self_ptr self, logs_options opts, store_actor store, source_finder source_of) {
  auto& st = self->state;
  st.opts = opts;
  st.source_of = std::move(source_of);
  self->request(store, st.opts.store_deadline, subscribe_atom_v, store_subscriber{logs_actor{self}})
    .then(
      [self](const StoreSnapshot& snapshot) {
        for (const auto& node : snapshot.nodes())
          take_node(self, node.id(), false);
        for (const auto& task : snapshot.tasks())
          take_task(self, task, false);
        self->state.loaded = true;
      },
      [self](const caf::error& err) { self->quit(err); });
  self->set_down_handler([self](caf::down_msg& down) {
    for (auto& [id, r] : self->state.readers)
      if (r->sink.address() == down.source)
        perform(self, *r, r->core.stop());
    drop_ended(self);
  });
  return {
    [self](const SubscribeLogs& request, const log_sink& sink) { subscribe(self, request, sink); },
    [self](const LogCredit& credit) {
      if (const auto it = self->state.readers.find(credit.subscription()); it != self->state.readers.end())
        perform(self, *it->second, it->second->core.credit(credit.bytes()));
    },
    [self](const CancelLogs& request) {
      if (const auto it = self->state.readers.find(request.subscription()); it != self->state.readers.end())
        perform(self, *it->second, it->second->core.stop());
      drop_ended(self);
    },
    [self](const LogChunk& chunk) {
      for (auto& [id, r] : self->state.readers)
        if (r->core.owns(chunk.subscription())) {
          perform(self, *r, r->core.chunk(now_instant(self), chunk));
          break;
        }
      drop_ended(self);
    },
    [self](const EventBatch& batch) {
      for (const auto& e : batch.nodes())
        take_node(self, e.node().id(), e.kind() == CHANGE_KIND_REMOVED);
      for (const auto& e : batch.tasks())
        take_task(self, e.task(), e.kind() == CHANGE_KIND_REMOVED);
    },
    [self](tick_atom) {
      self->state.ticking = false;
      for (auto& [id, r] : self->state.readers)
        perform(self, *r, r->core.tick(now_instant(self)));
      drop_ended(self);
      arm(self);
    },
    [self](const ReadStatus& request) {
      auto status = self->base_status(request);
      (*status.mutable_facts())["readers"] = std::to_string(self->state.readers.size());
      return status;
    },
  };
}

} // namespace swarm::logs
