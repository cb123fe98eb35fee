// Entries in, events and table writes out.
#include "actors/store/store_actor.hpp"

#include "actors/store/batch_merger.hpp"
#include "runtime/log.hpp"

namespace swarm::store {

namespace {

using self_ptr = observed_ptr<store_actor, store_state>;

void publish(self_ptr self, EventBatch&& batch) {
  if (self->state.subscribers.empty())
    return;
  ++self->state.event_batches;
  const auto shared = caf::make_message(std::move(batch));
  for (const auto& [id, subscriber] : self->state.subscribers)
    caf::anon_send(subscriber, shared);
}

batch_merger publisher(self_ptr self) {
  return batch_merger{[self](EventBatch&& batch) { publish(self, std::move(batch)); }};
}

CommandResult apply_command(self_ptr self, const Entry& entry, SaveState& save, batch_merger& events) {
  auto& core = *self->state.core;
  Command command;
  if (!command.ParseFromString(entry.data())) {
    core.skip(entry.log_index());
    CommandResult refused;
    refused.set_log_index(entry.log_index());
    refused.set_code(static_cast<std::uint32_t>(errc::invalid_argument));
    refused.set_message("malformed command");
    return refused;
  }
  auto done = core.apply(entry.log_index(), std::move(command));
  if (done.result.code() != 0)
    ++self->state.refused_commands;
  if (save.writes().empty())
    save.mutable_writes()->Swap(&done.writes);
  else
    for (auto& row : done.writes)
      save.mutable_writes()->Add(std::move(row));
  events.put(std::move(done.events));
  return std::move(done.result);
}

/// An entry that the state tables already hold: after a crash the log may reach further back than they do.
CommandResult known_result(const Entry& entry) {
  CommandResult out;
  out.set_log_index(entry.log_index());
  out.set_code(static_cast<std::uint32_t>(errc::commit_unknown));
  out.set_message("this entry was applied before");
  return out;
}

EntriesApplied apply_entries(self_ptr self, const ApplyEntries& request) {
  self->state.snapshot.reset();
  auto& core = *self->state.core;
  EntriesApplied answer;
  SaveState save;
  auto events = publisher(self);
  for (const auto& entry : request.entries()) {
    const bool known = entry.log_index() <= core.applied_index();
    if (entry.type() == ENTRY_TYPE_COMMAND) {
      *answer.add_results() = known ? known_result(entry) : apply_command(self, entry, save, events);
    } else if (!known) {
      if (entry.type() == ENTRY_TYPE_CONFIGURATION && !save.mutable_membership()->ParseFromString(entry.data()))
        log::error(self->label(), "malformed_membership", {{"log_index", entry.log_index()}});
      core.skip(entry.log_index());
    }
    if (!known) {
      ++self->state.applied_entries;
      save.set_applied_index(entry.log_index());
      save.set_applied_term(entry.term());
    }
  }
  events.flush();
  if (save.applied_index() != 0)
    self->send(self->state.storage, std::move(save));
  answer.set_applied_index(core.applied_index());
  return answer;
}

// -- a snapshot was installed under us -------------------------------------------------------------------------------------

constexpr std::chrono::seconds chunk_deadline{15};

void refuse_reload(self_ptr self, const failure& why) {
  auto promise = std::move(self->state.reload->promise);
  self->state.reload.reset();
  promise.deliver(to_error(why));
}

void finish_reload(self_ptr self, std::uint64_t applied_index) {
  auto& st = self->state;
  if (auto bad = st.reload->fresh->loaded(applied_index); !bad.ok())
    return refuse_reload(self, bad);
  auto promise = std::move(st.reload->promise);
  auto changes = st.subscribers.empty() ? EventBatch{} : st.core->changes_to(*st.reload->fresh);
  *st.core = std::move(*st.reload->fresh);
  st.snapshot.reset();
  st.reload.reset();
  ++st.reloads;
  auto events = publisher(self);
  events.put(std::move(changes));
  events.flush();
  EntriesApplied answer;
  answer.set_applied_index(applied_index);
  promise.deliver(std::move(answer));
}

void ask_for_chunk(self_ptr self);

void take_chunk(self_ptr self, const InstallSnapshot& chunk) {
  auto& reload = *self->state.reload;
  SnapshotRows rows;
  if (!rows.ParseFromString(chunk.data()))
    return refuse_reload(self, {errc::storage_failed, "a chunk of the state cannot be read"});
  for (const auto& row : rows.rows())
    if (auto bad = reload.fresh->load(row.table(), row.key(), row.value()); !bad.ok())
      return refuse_reload(self, bad);
  if (chunk.last())
    return finish_reload(self, chunk.meta().last_included_index());
  reload.snapshot_id = chunk.snapshot_id();
  reload.next_chunk = chunk.chunk() + 1;
  ask_for_chunk(self);
}

void ask_for_chunk(self_ptr self) {
  auto& st = self->state;
  ReadSnapshotChunk request;
  request.set_snapshot_id(st.reload->snapshot_id);
  request.set_chunk(st.reload->next_chunk);
  self->request(st.storage, chunk_deadline, std::move(request))
    .then([self](const InstallSnapshot& chunk) { take_chunk(self, chunk); },
          [self](const caf::error& err) { refuse_reload(self, to_failure(err)); });
}

/// RAFT hands out no entries until this is answered; reads go on with the state of before.
caf::result<EntriesApplied> reload_state(self_ptr self, const ReloadState& request) {
  auto& st = self->state;
  if (st.reload)
    return to_error({errc::unavailable, "the state is being loaded already"});
  if (request.applied_index() <= st.core->applied_index())
    return to_error({errc::invalid_argument, "the state is at " + std::to_string(st.core->applied_index()) + " already"});
  auto promise = self->make_response_promise<EntriesApplied>();
  st.reload = reloading{std::make_unique<core>(), promise, 0, 0};
  ask_for_chunk(self);
  return promise;
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  const auto counts = self->state.core->count();
  facts["applied_index"] = std::to_string(self->state.core->applied_index());
  facts["services"] = std::to_string(counts.services);
  facts["tasks"] = std::to_string(counts.tasks);
  facts["nodes"] = std::to_string(counts.nodes);
  facts["templates"] = std::to_string(counts.templates);
  facts["task_bytes"] = std::to_string(counts.task_bytes);
  facts["subscribers"] = std::to_string(self->state.subscribers.size());
  facts["applied_entries"] = std::to_string(self->state.applied_entries);
  facts["refused_commands"] = std::to_string(self->state.refused_commands);
  facts["event_batches"] = std::to_string(self->state.event_batches);
  facts["reloads"] = std::to_string(self->state.reloads);
  if (request.full())
    status.set_state(self->state.core->dump());
  return status;
}

caf::result<StoreSnapshot> share_snapshot(self_ptr self) {
  auto& st = self->state;
  if (st.snapshot.empty())
    st.snapshot = caf::make_message(st.core->snapshot());
  auto promise = self->make_response_promise<StoreSnapshot>();
  static_cast<caf::response_promise&>(promise).deliver(st.snapshot);
  return promise;
}

} // namespace

store_actor::behavior_type store_keeper(self_ptr self, std::shared_ptr<core> recovered, storage_actor storage) {
  self->state.core = std::move(recovered);
  self->state.storage = std::move(storage);
  self->set_down_handler([self](const caf::down_msg& down) { self->state.subscribers.erase(down.source.id()); });
  return {
    [self](const ApplyEntries& request) { return apply_entries(self, request); },
    [self](const ReloadState& request) { return reload_state(self, request); },
    [self](const ReadObjects& request) -> caf::result<ObjectsRead> {
      ObjectsRead answer;
      if (const auto bad = self->state.core->read(request, answer); !bad.ok())
        return to_error(bad);
      return answer;
    },
    [self](subscribe_atom, const store_subscriber& subscriber) {
      if (self->state.subscribers.emplace(subscriber.id(), caf::actor_cast<caf::actor>(subscriber)).second)
        self->monitor(subscriber);
      return share_snapshot(self);
    },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::store
