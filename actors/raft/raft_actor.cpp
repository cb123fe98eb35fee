// Performs what the Raft core asks for, and answers those who wait.
#include "actors/raft/raft_actor.hpp"

#include <algorithm>

#include "actors/raft/render.hpp"
#include "runtime/log.hpp"

namespace swarm::raft {

namespace {

using self_ptr = observed_ptr<raft_actor, raft_state>;

void handle(self_ptr self, event ev);

instant now(self_ptr self) { return instant{std::chrono::duration_cast<duration>(now_of(self))}; }

template <class Promise>
void fail(Promise& promise, errc code, std::string text) {
  promise.deliver(to_error({code, std::move(text)}));
}

// -- ends ---------------------------------------------------------------------------------------------------------------

/// Nobody may wait for an actor that is gone.
void fail_everyone(self_ptr self, const std::string& why) {
  auto& st = self->state;
  for (auto& [tag, waiting] : st.proposed)
    fail(waiting.promise, errc::unavailable, why);
  for (auto& [index, waiting] : st.in_log)
    fail(waiting.promise, errc::commit_unknown, why + " while the change was under way; read back before repeating it");
  for (auto& [tag, promise] : st.reads)
    fail(promise, errc::unavailable, why);
  for (auto& [tag, promise] : st.transfers)
    fail(promise, errc::unavailable, why);
  for (auto& [tag, promise] : st.changes)
    fail(promise, errc::unavailable, why);
  for (auto& [index, waiting] : st.changes_in_log)
    fail(waiting.promise, errc::commit_unknown, why + " while the membership change was under way");
  st.changes.clear();
  st.changes_in_log.clear();
  st.proposed.clear();
  st.in_log.clear();
  st.reads.clear();
  st.transfers.clear();
  st.gathered.clear();
}

void end(self_ptr self, failure why) {
  if (self->state.ending)
    return;
  self->state.ending = true;
  log::error(self->label(), "ended", {{"error", why}});
  fail_everyone(self, why.message);
  self->quit(to_error(why));
}

// -- proposals -----------------------------------------------------------------------------------------------------------

/// What an operator adds; refused while the database is nearly full. Removals and what the cluster itself must write
/// go on, since they are how space returns.
bool adds_objects(const Command& command) {
  return std::any_of(command.actions().begin(), command.actions().end(), [](const StoreAction& action) {
    return action.has_put_service() || action.has_put_secret() || action.has_put_config() || action.has_put_network();
  });
}

/// What is gathered is one entry batch, one write, one message to each member, and one step of the store.
void propose_gathered(self_ptr self) {
  auto& st = self->state;
  const auto at = now(self);
  if (!st.pacer.may_begin(at, st.gathered.size())) {
    const auto until = st.gathered.empty() ? std::nullopt : st.pacer.ask_again(at);
    if (until && st.paced_until <= at) { // otherwise a tick is on its way
      st.paced_until = *until;
      self->delayed_send(self, *until - at, tick_atom_v);
    }
    return;
  }
  propose batch{std::move(st.gathered)};
  st.gathered.clear();
  handle(self, std::move(batch));
}

caf::result<CommandResult> on_command(self_ptr self, const Command& command) {
  auto& st = self->state;
  ++st.commands;
  if (st.proposed.size() + st.in_log.size() >= st.opts.max_pending) {
    ++st.refused;
    return to_error({errc::resource_exhausted, std::to_string(st.opts.max_pending) + " changes wait to be committed; try again"});
  }
  if (st.pressure && adds_objects(command)) {
    ++st.refused;
    return to_error({errc::resource_exhausted, "the manager's database is nearly full: remove objects that are not needed"});
  }
  const auto tag = ++st.last_tag;
  auto promise = self->make_response_promise<CommandResult>();
  st.proposed[tag] = {promise, 0};
  st.gathered.push_back({tag, command.SerializeAsString()});
  propose_gathered(self);
  return promise;
}

/// Of entries that are not committed nobody knows what becomes of them; of committed ones we shall hear.
void lose_leadership(self_ptr self) {
  auto& st = self->state;
  const auto from = st.in_log.upper_bound(st.core->commit_index());
  for (auto it = from; it != st.in_log.end(); ++it) {
    ++st.unknown;
    fail(it->second.promise, errc::commit_unknown, "leadership was lost before the change was committed; read back before repeating it");
  }
  st.in_log.erase(from, st.in_log.end());
  const auto changes = st.changes_in_log.upper_bound(st.core->commit_index());
  for (auto it = changes; it != st.changes_in_log.end(); ++it)
    fail(it->second.promise, errc::commit_unknown, "leadership was lost before the membership change was committed");
  st.changes_in_log.erase(changes, st.changes_in_log.end());
}

const Member* find_member(const Membership& in, raft_id id) {
  for (const auto* list : {&in.voters(), &in.learners()})
    for (const auto& member : *list)
      if (member.raft_id() == id)
        return &member;
  return nullptr;
}

/// Everything that earlier leaders have had committed is in STORE: the first entry of our own term is.
bool knows_the_past(const core& leader) { return leader.log().term_at(leader.last_applied()) == leader.term(); }

/// That we lead is told when we also know what was decided before: whoever acts on a state that lags would decide
/// once more what an earlier leader has decided already.
/// Once more when only now the membership says where the leader is: a new member hears of it after its leader.
void tell_leadership(self_ptr self, LeadershipChanged change) {
  auto& st = self->state;
  st.untold.reset();
  if (change.role() == RAFT_ROLE_LEADER && !knows_the_past(*st.core)) {
    st.untold = std::move(change);
    return;
  }
  const auto* const leader = find_member(st.core->membership(), change.leader_raft_id());
  change.set_leader_node_id(leader != nullptr ? leader->node_id() : "");
  change.set_leader_addr(leader != nullptr ? leader->addr() : "");
  if (change.SerializeAsString() == st.leadership.SerializeAsString())
    return;
  st.leadership = std::move(change);
  if (st.listener)
    self->send(st.listener, st.leadership);
}

void note_leadership(self_ptr self, const LeadershipChanged& change) {
  auto& st = self->state;
  const auto term = change.role() == RAFT_ROLE_LEADER ? change.term() : 0;
  if (st.leading_term != 0 && st.leading_term != term)
    lose_leadership(self);
  st.leading_term = term;
  log::info(self->label(), "role", {{"role", render(change.role())}, {"term", change.term()}, {"leader", change.leader_raft_id()}});
  tell_leadership(self, change);
}

// -- effects -------------------------------------------------------------------------------------------------------------

void send_to_peers(self_ptr self, std::vector<RaftMessage>& messages) {
  if (self->state.peers)
    for (auto& message : messages)
      self->send(self->state.peers, std::move(message));
}

void release_held(self_ptr self) {
  auto& st = self->state;
  while (!st.held.empty() && st.held.front().release_after <= st.persisted_sequence) {
    send_to_peers(self, st.held.front().messages);
    st.held.pop_front();
  }
}

void on_appended(self_ptr self, std::uint64_t sequence, const Appended& done) {
  auto& st = self->state;
  st.pacer.ended(now(self));
  if (done.pressure() != st.pressure)
    log::warn(self->label(), done.pressure() ? "database_nearly_full" : "database_has_room");
  st.pressure = done.pressure();
  st.persisted_sequence = sequence;
  release_held(self);
  handle(self, persisted{sequence});
  propose_gathered(self);
}

void write(self_ptr self, ready& work) {
  auto& st = self->state;
  Append append;
  append.mutable_entries()->Reserve(static_cast<int>(work.entries.size()));
  for (const auto& entry : work.entries)
    *append.add_entries() = *entry;
  if (work.hard_state)
    *append.mutable_hard_state() = *work.hard_state;
  append.set_truncate_before(work.truncate_before);
  ++st.appends;
  st.pacer.began(now(self), work.entries.size());
  self->request(st.storage, st.opts.storage_deadline, std::move(append))
    .then([self, sequence = work.sequence](const Appended& done) { on_appended(self, sequence, done); },
          [self](const caf::error& err) { end(self, {errc::storage_failed, "the log cannot be written: " + to_failure(err).message}); });
}

void answer_change(self_ptr self, const Entry& entry) {
  auto node = self->state.changes_in_log.extract(entry.log_index());
  if (node.empty())
    return;
  if (node.mapped().term != entry.term())
    return fail(node.mapped().promise, errc::not_leader, "leadership was lost and the membership was not changed");
  MembershipCommitted answer;
  answer.set_log_index(entry.log_index());
  answer.mutable_membership()->ParseFromString(entry.data());
  node.mapped().promise.deliver(std::move(answer));
}

void answer_applied(self_ptr self, const std::vector<entry_ptr>& entries, EntriesApplied& done) {
  auto& st = self->state;
  int result = 0;
  for (const auto& entry : entries) {
    if (entry->type() == ENTRY_TYPE_CONFIGURATION)
      answer_change(self, *entry);
    if (entry->type() != ENTRY_TYPE_COMMAND)
      continue;
    auto* const outcome = result < done.results_size() ? done.mutable_results(result) : nullptr;
    ++result;
    const auto it = st.in_log.find(entry->log_index());
    if (it == st.in_log.end())
      continue;
    if (it->second.term != entry->term())
      fail(it->second.promise, errc::not_leader, "leadership was lost and the change was not made");
    else if (outcome == nullptr)
      fail(it->second.promise, errc::commit_unknown, "the store gave no result");
    else
      it->second.promise.deliver(std::move(*outcome));
    st.in_log.erase(it);
  }
}

void apply(self_ptr self, std::vector<entry_ptr> entries) {
  auto& st = self->state;
  ApplyEntries request;
  request.mutable_entries()->Reserve(static_cast<int>(entries.size()));
  for (const auto& entry : entries)
    *request.add_entries() = *entry;
  self->request(st.store, st.opts.apply_deadline, std::move(request))
    .then(
      [self, entries = std::move(entries)](EntriesApplied& done) {
        answer_applied(self, entries, done);
        handle(self, applied{entries.back()->log_index()});
      },
      [self](const caf::error& err) { end(self, {errc::internal, "the store does not apply: " + to_failure(err).message}); });
}

void finish(self_ptr self, const outcome& what) {
  auto& st = self->state;
  switch (what.kind) {
    case outcome::of::proposal: {
      auto node = st.proposed.extract(what.tag);
      if (node.empty())
        return;
      if (what.error.ok()) {
        node.mapped().term = what.term;
        st.in_log.insert_or_assign(what.index, std::move(node.mapped()));
      } else {
        ++st.refused;
        node.mapped().promise.deliver(to_error(what.error));
      }
      return;
    }
    case outcome::of::read: {
      auto node = st.reads.extract(what.tag);
      if (node.empty())
        return;
      ReadIndexReached reached;
      reached.set_read_index(what.index);
      if (what.error.ok())
        node.mapped().deliver(std::move(reached));
      else
        node.mapped().deliver(to_error(what.error));
      return;
    }
    case outcome::of::transfer: {
      auto node = st.transfers.extract(what.tag);
      if (node.empty())
        return;
      if (what.error.code == errc::not_leader) {
        node.mapped().deliver(to_error(what.error));
        return;
      }
      LeadershipTransferred answer;
      answer.set_done(what.error.ok());
      answer.set_message(what.error.message);
      node.mapped().deliver(std::move(answer));
      return;
    }
    case outcome::of::change: {
      auto node = st.changes.extract(what.tag);
      if (node.empty())
        return; // a promotion by the core
      if (what.error.ok())
        st.changes_in_log.insert_or_assign(what.index, raft_state::waiting_change{node.mapped(), what.term});
      else
        node.mapped().deliver(to_error(what.error));
      return;
    }
  }
}

// -- snapshots -----------------------------------------------------------------------------------------------------------

void read_chunk(self_ptr self, const snapshot_read& wanted) {
  auto& st = self->state;
  ReadSnapshotChunk request;
  request.set_snapshot_id(wanted.snapshot_id);
  request.set_chunk(wanted.chunk);
  self->request(st.storage, st.opts.storage_deadline, std::move(request))
    .then(
      [self, peer = wanted.peer](InstallSnapshot& chunk) {
        auto& st = self->state;
        ++st.chunks_sent;
        if (chunk.meta().membership().voters_size() == 0)
          *chunk.mutable_meta()->mutable_membership() = st.founding;
        handle(self, snapshot_chunk_read{peer, chunk.snapshot_id(), std::move(*chunk.mutable_meta()), chunk.chunk(), chunk.last(),
                                         std::move(*chunk.mutable_data()), std::move(*chunk.mutable_chain_sha256())});
      },
      [self, peer = wanted.peer](const caf::error& err) {
        log::warn(self->label(), "snapshot_not_read", {{"peer", peer}, {"error", to_failure(err)}});
        handle(self, snapshot_read_failed{peer});
      });
}

/// What those wait for who proposed at an earlier office of ours is in the snapshot, but its result is not.
void overtaken(self_ptr self, log_index index) {
  auto& st = self->state;
  const auto commands = st.in_log.upper_bound(index);
  for (auto it = st.in_log.begin(); it != commands; ++it)
    fail(it->second.promise, errc::commit_unknown, "the change came with a snapshot; read back before repeating it");
  st.in_log.erase(st.in_log.begin(), commands);
  const auto changes = st.changes_in_log.upper_bound(index);
  for (auto it = st.changes_in_log.begin(); it != changes; ++it)
    fail(it->second.promise, errc::commit_unknown, "the membership came with a snapshot");
  st.changes_in_log.erase(st.changes_in_log.begin(), changes);
}

void reload_store(self_ptr self, std::uint64_t snapshot_id, std::uint64_t chunk, log_index index) {
  auto& st = self->state;
  ReloadState request;
  request.set_applied_index(index);
  self->request(st.store, st.opts.apply_deadline, std::move(request))
    .then(
      [=](const EntriesApplied&) {
        ++self->state.snapshots_installed;
        log::info(self->label(), "snapshot_installed", {{"log_index", index}});
        overtaken(self, index);
        handle(self, snapshot_chunk_stored{snapshot_id, chunk, true});
      },
      [self](const caf::error& err) { end(self, {errc::internal, "the store cannot load the snapshot: " + to_failure(err).message}); });
}

void store_chunk(self_ptr self, snapshot_write& chunk) {
  auto& st = self->state;
  InstallSnapshot request;
  request.set_snapshot_id(chunk.snapshot_id);
  request.set_chunk(chunk.chunk);
  request.set_last(chunk.last);
  *request.mutable_meta() = std::move(chunk.meta);
  request.set_data(std::move(chunk.data));
  request.set_chain_sha256(std::move(chunk.chain_sha256));
  const auto index = request.meta().last_included_index();
  self->request(st.storage, st.opts.storage_deadline, std::move(request))
    .then(
      [self, id = chunk.snapshot_id, n = chunk.chunk, last = chunk.last, index](const SnapshotChunkStored&) {
        ++self->state.chunks_stored;
        if (last)
          reload_store(self, id, n, index);
        else
          handle(self, snapshot_chunk_stored{id, n, true});
      },
      [self, id = chunk.snapshot_id, n = chunk.chunk](const caf::error& err) {
        const auto why = to_failure(err);
        if (why.code != errc::invalid_argument && why.code != errc::resource_exhausted)
          return end(self, {errc::storage_failed, "the snapshot cannot be stored: " + why.message});
        log::warn(self->label(), "snapshot_refused", {{"error", why}});
        handle(self, snapshot_chunk_stored{id, n, false});
      });
}

void note_in_tap(self_ptr self, const ready& work) {
  if (work.sequence != 0)
    self->tap().effect("write #" + std::to_string(work.sequence) + " entries=" + std::to_string(work.entries.size()));
  if (!work.committed.empty())
    self->tap().effect("apply " + std::to_string(work.committed.front()->log_index()) + ".."
                       + std::to_string(work.committed.back()->log_index()));
  if (work.leadership)
    self->tap().effect(render(work.leadership->role()) + " term=" + std::to_string(work.leadership->term()));
  if (work.membership)
    self->tap().effect(render(self->state.core->config()));
}

void perform(self_ptr self, ready work) {
  auto& st = self->state;
  note_in_tap(self, work);
  if (work.sequence != 0)
    write(self, work);
  send_to_peers(self, work.messages_now);
  for (const auto& what : work.outcomes)
    finish(self, what);
  if (work.leadership)
    note_leadership(self, *work.leadership);
  else if (work.membership || (st.untold && knows_the_past(*st.core)))
    tell_leadership(self, st.untold ? *st.untold : st.leadership);
  if (!work.messages_after_persist.empty()) {
    st.held.push_back({work.release_after, std::move(work.messages_after_persist)});
    release_held(self);
  }
  if (!work.committed.empty())
    apply(self, std::move(work.committed));
  if (work.disk_stalled)
    return end(self, {errc::storage_failed, "the disk has not answered for too long"});
  if (work.removed)
    return end(self, {errc::failed_precondition, "this manager was removed from the cluster"});
  for (const auto& wanted : work.snapshot_reads)
    read_chunk(self, wanted);
  for (auto& chunk : work.snapshot_writes)
    store_chunk(self, chunk);
}

void step(self_ptr self, event ev) {
  auto& st = self->state;
  if (st.ending)
    return;
  st.core->step(std::move(ev));
  perform(self, st.core->take_ready());
}

/// The core counts ticks. Those that it has called quiet are not waited for one by one: before anything else happens, and
/// when the next one matters, it hears of all that have passed.
void catch_up(self_ptr self) {
  auto& st = self->state;
  const auto at = now(self);
  // Not run for so long, though a tick was on its way: others may have decided that this node is gone.
  if (at - std::max(st.wake_at, st.ticked_to) > st.opts.tick * st.opts.core.election_ticks / 2) {
    step(self, was_paused{});
    st.ticked_to = at - st.opts.tick;
  }
  for (; st.ticked_to + st.opts.tick <= at && !st.ending; st.ticked_to += st.opts.tick)
    step(self, tick{});
}

void arm(self_ptr self) {
  auto& st = self->state;
  if (st.ending)
    return;
  const auto limit = static_cast<std::uint64_t>(st.opts.sleep_max / st.opts.tick);
  const auto due = st.ticked_to + st.opts.tick * (1 + static_cast<std::int64_t>(st.core->quiet_ticks(limit)));
  const auto at = now(self);
  if (st.wake_at > at && st.wake_at <= due)
    return;
  st.wake_at = std::max(due, at);
  self->delayed_send(self, st.wake_at - at, tick_atom_v);
}

// The only door to the core.
void handle(self_ptr self, event ev) {
  catch_up(self);
  step(self, std::move(ev));
  arm(self);
}

caf::result<MembershipCommitted> on_change(self_ptr self, const ChangeMembership& request) {
  auto& st = self->state;
  change_member change;
  change.member = request.member();
  switch (request.kind()) {
    case ChangeMembership::KIND_ADD_LEARNER:
      if (change.member.node_id().empty() || change.member.addr().empty())
        return to_error({errc::invalid_argument, "a manager needs a node id and an address"});
      change.kind = member_change::add_learner;
      break;
    case ChangeMembership::KIND_REMOVE:
      change.kind = member_change::remove;
      break;
    default:
      return to_error({errc::invalid_argument, "unknown kind of membership change"});
  }
  change.tag = ++st.last_tag;
  auto promise = self->make_response_promise<MembershipCommitted>();
  st.changes[change.tag] = promise;
  handle(self, std::move(change));
  return promise;
}

MembershipRead read_membership(self_ptr self) {
  const auto& core = *self->state.core;
  MembershipRead answer;
  *answer.mutable_membership() = core.membership();
  answer.set_leader_raft_id(core.leader_id());
  for (const auto id : core.active())
    answer.add_active(id);
  return answer;
}

/// LINKS tells when a connection is gone and could not be made again at once. Only the loss matters here: whoever is
/// back is heard.
void on_link_changed(self_ptr self, const LinkChanged& change) {
  if (change.up())
    return;
  const auto& membership = self->state.core->membership();
  raft_id lost = 0;
  for (const auto* list : {&membership.voters(), &membership.learners()})
    for (const auto& member : *list)
      if (member.node_id() == change.node_id())
        lost = member.raft_id();
  if (lost != 0)
    handle(self, link_lost{lost});
}

void on_tick(self_ptr self) {
  catch_up(self);
  arm(self);
  if (!self->state.ending)
    propose_gathered(self);
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  const auto& core = *st.core;
  facts["role"] = render(core.role());
  facts["term"] = std::to_string(core.term());
  facts["leader"] = std::to_string(core.leader_id());
  facts["raft_id"] = std::to_string(core.id());
  facts["commit_index"] = std::to_string(core.commit_index());
  facts["last_applied"] = std::to_string(core.last_applied());
  facts["last_log_index"] = std::to_string(core.log().last_index());
  facts["log_bytes"] = std::to_string(core.log().bytes());
  facts["config"] = render(core.config());
  facts["pending_commands"] = std::to_string(st.proposed.size() + st.in_log.size());
  facts["appends_in_flight"] = std::to_string(st.pacer.in_flight());
  facts["commands"] = std::to_string(st.commands);
  facts["refused"] = std::to_string(st.refused);
  facts["unknown"] = std::to_string(st.unknown);
  facts["appends"] = std::to_string(st.appends);
  facts["dropped_messages"] = std::to_string(core.dropped_messages());
  facts["chunks_sent"] = std::to_string(st.chunks_sent);
  facts["chunks_stored"] = std::to_string(st.chunks_stored);
  facts["snapshots_installed"] = std::to_string(st.snapshots_installed);
  facts["pressure"] = st.pressure ? "yes" : "no";
  facts["apply_stalled"] = core.apply_stalled() ? "yes" : "no";
  if (request.full())
    status.set_state(core.dump());
  return status;
}

} // namespace

raft_actor::behavior_type raft_member(self_ptr self, raft_actor_options opts, restored_state disk, storage_actor storage,
                                      store_actor store, leadership_listener listener, raft_peers peers) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.pacer = append_pacer{st.opts.pace};
  st.storage = std::move(storage);
  st.store = std::move(store);
  st.listener = std::move(listener);
  st.peers = std::move(peers);
  st.founding = disk.membership;
  st.core.emplace(st.opts.core, disk);
  st.leadership.set_role(st.core->role());
  st.leadership.set_term(st.core->term());
  self->set_exit_handler([self](const caf::exit_msg& exit) {
    self->state.ending = true;
    fail_everyone(self, "this manager is stopping");
    self->quit(exit.reason);
  });
  st.ticked_to = st.wake_at = now(self);
  perform(self, st.core->take_ready());
  arm(self);
  return {
    [self](const Command& command) { return on_command(self, command); },
    [self](const ReadIndex&) -> caf::result<ReadIndexReached> {
      const auto tag = ++self->state.last_tag;
      auto promise = self->make_response_promise<ReadIndexReached>();
      self->state.reads[tag] = promise;
      handle(self, read{tag});
      return promise;
    },
    [self](RaftMessage& message) { handle(self, received{std::move(message)}); },
    [self](const LinkChanged& change) { on_link_changed(self, change); },
    [self](const TransferLeadership& request) -> caf::result<LeadershipTransferred> {
      const auto tag = ++self->state.last_tag;
      auto promise = self->make_response_promise<LeadershipTransferred>();
      self->state.transfers[tag] = promise;
      handle(self, transfer{tag, request.to_raft_id()});
      return promise;
    },
    [self](const ChangeMembership& request) { return on_change(self, request); },
    [self](const ReadMembership&) { return read_membership(self); },
    [self](tick_atom) { on_tick(self); },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::raft
