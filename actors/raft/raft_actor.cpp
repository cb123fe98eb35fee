// Carries out the core's batches, see raft_actor.hpp.
#include "actors/raft/raft_actor.hpp"

#include "runtime/log.hpp"

namespace swarm::raft {

namespace {

using self_ptr = observed_ptr<raft_member_actor, raft_state>;

void handle(self_ptr self, event ev);
void carry_out(self_ptr self);

void end_broken(self_ptr self, const std::string& why) {
  log::error(self->label(), "disk_failed", {{"reason", why}});
  self->quit(to_error({errc::storage_failed, why}));
}

void send_to_peers(self_ptr self, const std::vector<RaftMessage>& messages) {
  if (self->state.peers)
    for (const auto& message : messages)
      self->send(self->state.peers, message);
}

// -- disk -----------------------------------------------------------------------------------------------------------------

void write_done(self_ptr self, std::uint64_t sequence) {
  auto& st = self->state;
  st.persisted_sequence = sequence;
  for (auto it = st.after_persist.begin(); it != st.after_persist.end() && it->first <= sequence; it = st.after_persist.erase(it))
    send_to_peers(self, it->second);
  handle(self, persisted{sequence});
}

void start_write(self_ptr self, ready& work) {
  Append append;
  for (const auto& entry : work.entries)
    *append.add_entries() = *entry;
  if (work.hard_state)
    *append.mutable_hard_state() = *work.hard_state;
  append.set_truncate_before(work.truncate_before);
  self->request(self->state.storage, self->state.opts.storage_deadline, std::move(append))
    .then([self, sequence = work.sequence](const Appended&) { write_done(self, sequence); },
          [self](const caf::error& err) { end_broken(self, to_failure(err).message); });
}

void release_after(self_ptr self, std::uint64_t sequence, std::vector<RaftMessage> messages) {
  if (messages.empty())
    return;
  if (sequence <= self->state.persisted_sequence)
    return send_to_peers(self, messages);
  auto& waiting = self->state.after_persist[sequence];
  waiting.insert(waiting.end(), std::make_move_iterator(messages.begin()), std::make_move_iterator(messages.end()));
}

// -- state machine --------------------------------------------------------------------------------------------------------

void answer_reads(self_ptr self) {
  auto& waiting = self->state.unapplied_reads;
  while (!waiting.empty() && waiting.begin()->first <= self->state.core->last_applied()) {
    ReadIndexReached reached;
    reached.set_read_index(waiting.begin()->first);
    waiting.begin()->second.deliver(reached);
    waiting.erase(waiting.begin());
  }
}

void entries_applied(self_ptr self, const std::vector<log_index>& commands, const EntriesApplied& done) {
  auto& st = self->state;
  for (std::size_t i = 0; i < commands.size() && static_cast<int>(i) < done.results_size(); ++i) {
    const auto it = st.in_log.find(commands[i]);
    if (it == st.in_log.end())
      continue; // another leader's, or its proposer has been told commit_unknown
    it->second.deliver(done.results(static_cast<int>(i)));
    st.in_log.erase(it);
  }
  handle(self, applied{done.applied_index()});
  answer_reads(self);
}

void hand_to_store(self_ptr self, const std::vector<entry_ptr>& committed) {
  if (committed.empty())
    return;
  ApplyEntries request;
  std::vector<log_index> commands;
  for (const auto& entry : committed) {
    *request.add_entries() = *entry;
    if (entry->type() == ENTRY_TYPE_COMMAND)
      commands.push_back(entry->log_index());
  }
  self->request(self->state.store, self->state.opts.store_deadline, std::move(request))
    .then([self, commands = std::move(commands)](const EntriesApplied& done) { entries_applied(self, commands, done); },
          [self](const caf::error& err) {
            // What STORE did is unknown; only a fresh start from disk is safe.
            log::error(self->label(), "store_failed", {{"reason", to_failure(err).message}});
            self->quit(err);
          });
}

// -- answers --------------------------------------------------------------------------------------------------------------

void finish(self_ptr self, const outcome& done) {
  auto& st = self->state;
  switch (done.kind) {
    case outcome::of::proposal:
      if (auto node = st.proposed.extract(done.tag)) {
        if (done.error.ok())
          st.in_log.emplace(done.index, std::move(node.mapped()));
        else
          node.mapped().deliver(to_error(done.error));
      }
      return;
    case outcome::of::read:
      if (auto node = st.reads.extract(done.tag)) {
        if (done.error.ok())
          st.unapplied_reads.emplace(done.index, std::move(node.mapped()));
        else
          node.mapped().deliver(to_error(done.error));
      }
      return;
    case outcome::of::transfer:
      if (auto node = st.transfers.extract(done.tag)) {
        LeadershipTransferred reply;
        reply.set_done(done.error.ok());
        reply.set_message(done.error.message);
        node.mapped().deliver(reply);
      }
      return;
    case outcome::of::change: return; // membership changes are asked for by links, which a group of one has none of
  }
}

// Entries of a deposed leader may or may not come to be committed: whoever waits must read back.
void lose_office(self_ptr self) {
  for (auto& [index, promise] : self->state.in_log)
    promise.deliver(to_error({errc::commit_unknown, "raft: failed to process the request: node lost leader status"}));
  self->state.in_log.clear();
}

void note_leadership(self_ptr self, const LeadershipChanged& change) {
  auto& st = self->state;
  const bool leads = change.role() == RAFT_ROLE_LEADER;
  if (st.led && !leads)
    lose_office(self);
  st.led = leads;
  self->tap().effect(RaftRole_Name(change.role()) + " term " + std::to_string(change.term()));
  log::info(self->label(), "role", {{"role", RaftRole_Name(change.role())}, {"term", change.term()}});
  if (st.listener)
    self->send(st.listener, change);
}

// A group that has other members gets snapshots through links; without links there is nobody to read or store one for.
void refuse_snapshots(self_ptr self, const ready& work) {
  for (const auto& read : work.snapshot_reads)
    self->state.core->step(snapshot_read_failed{read.peer});
  for (const auto& write : work.snapshot_writes)
    self->state.core->step(snapshot_chunk_stored{write.snapshot_id, write.chunk, false});
}

// The order is the core's contract, see raft::ready.
void carry_out(self_ptr self) {
  for (;;) {
    auto work = self->state.core->take_ready();
    self->state.core->check_invariants();
    if (work.empty())
      return;
    if (work.sequence != 0)
      start_write(self, work);
    send_to_peers(self, work.messages_now);
    release_after(self, work.release_after, std::move(work.messages_after_persist));
    for (const auto& done : work.outcomes)
      finish(self, done);
    hand_to_store(self, work.committed);
    if (work.leadership)
      note_leadership(self, *work.leadership);
    refuse_snapshots(self, work);
    answer_reads(self);
    if (work.disk_stalled)
      return end_broken(self, "the disk has not answered for too long");
    if (work.removed)
      return self->quit(to_error({errc::permission_denied, "this manager was removed from the group"}));
  }
}

// The only door to the core.
void handle(self_ptr self, event ev) {
  self->state.core->step(std::move(ev));
  carry_out(self);
}

caf::result<CommandResult> gather(self_ptr self, const Command& command) {
  auto& st = self->state;
  if (st.gathered.size() + st.proposed.size() + st.in_log.size() >= st.opts.pending_max)
    return to_error({errc::resource_exhausted, "too many changes are waiting (" + std::to_string(st.opts.pending_max) + "): try again"});
  auto promise = self->make_response_promise<CommandResult>();
  st.gathered.push_back({command.SerializeAsString(), promise});
  // Everything that is in the mailbox now goes into one batch.
  if (!st.flush_due) {
    st.flush_due = true;
    self->send(self, flush_atom_v);
  }
  return promise;
}

void flush(self_ptr self) {
  auto& st = self->state;
  st.flush_due = false;
  propose batch;
  for (auto& waiting : st.gathered) {
    const auto tag = st.next_tag++;
    st.proposed.emplace(tag, std::move(waiting.promise));
    batch.batch.push_back({tag, std::move(waiting.data)});
  }
  st.gathered.clear();
  handle(self, std::move(batch));
}

void on_tick(self_ptr self) {
  auto& st = self->state;
  const auto now = now_of(self);
  const auto election = st.opts.tick * st.opts.core.election_ticks;
  // Stopped, swapped out or starved: what we believe about the others is stale.
  if (st.last_tick.count() != 0 && now - st.last_tick > election / 2)
    handle(self, was_paused{});
  st.last_tick = now;
  handle(self, tick{});
  self->delayed_send(self, st.opts.tick, tick_atom_v);
}

ActorStatus describe(self_ptr self, const ReadStatus& request) {
  auto status = self->base_status(request);
  const auto& core = *self->state.core;
  auto& facts = *status.mutable_facts();
  facts["role"] = RaftRole_Name(core.role()).substr(sizeof("RAFT_ROLE_") - 1);
  facts["term"] = std::to_string(core.term());
  facts["commit_index"] = std::to_string(core.commit_index());
  facts["last_applied"] = std::to_string(core.last_applied());
  facts["pending"] = std::to_string(self->state.proposed.size() + self->state.in_log.size());
  if (request.full())
    status.set_state(core.dump());
  return status;
}

} // namespace

raft_member_actor::behavior_type raft_member(self_ptr self, raft_actor_options opts, restored_state start,
                                             storage_actor storage, store_actor store, leadership_listener listener,
                                             raft_peers peers) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.core = std::make_unique<raft::core>(st.opts.core, start);
  st.storage = std::move(storage);
  st.store = std::move(store);
  st.listener = std::move(listener);
  st.peers = std::move(peers);
  self->send(self, tick_atom_v);
  return {
    [self](const Command& command) { return gather(self, command); },
    [self](const ReadIndex&) -> caf::result<ReadIndexReached> {
      auto& s = self->state;
      auto promise = self->make_response_promise<ReadIndexReached>();
      const auto tag = s.next_tag++;
      s.reads.emplace(tag, promise);
      handle(self, raft::read{tag});
      return promise;
    },
    [self](const RaftMessage& message) { handle(self, received{message}); },
    [self](const TransferLeadership& request) -> caf::result<LeadershipTransferred> {
      auto& s = self->state;
      auto promise = self->make_response_promise<LeadershipTransferred>();
      const auto tag = s.next_tag++;
      s.transfers.emplace(tag, promise);
      handle(self, raft::transfer{tag, request.to_raft_id()});
      return promise;
    },
    [self](tick_atom) { on_tick(self); },
    [self](const ReadStatus& request) { return describe(self, request); },
    [self](flush_atom) { flush(self); },
  };
}

} // namespace swarm::raft
