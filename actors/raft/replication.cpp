// Log replication: proposals, AppendEntries both ways, heartbeats, commitment.
#include <algorithm>

#include "actors/raft/raft_core.hpp"
#include "runtime/check.hpp"

namespace swarm::raft {

// -- the leader's log ---------------------------------------------------------------------------------------------------

void core::on_propose(propose& ev) {
  for (auto& p : ev.batch) {
    failure error;
    if (!leader_)
      error = {errc::not_leader, leader_id_ != 0 ? "manager " + std::to_string(leader_id_) + " leads" : "no leader is known"};
    else if (leader_->transferee != 0)
      error = {errc::unavailable, "leadership is being handed over; try again"};
    else if (leader_->leaving)
      error = {errc::unavailable, "this manager is being removed; try again"};
    else if (p.data.size() > opts_.max_entry_bytes)
      error = {errc::invalid_argument, "the change has " + std::to_string(p.data.size()) + " bytes, at most "
                                         + std::to_string(opts_.max_entry_bytes) + " fit into one log entry"};
    else if (leader_->uncommitted_bytes != 0
             && leader_->uncommitted_bytes + p.data.size() > opts_.max_uncommitted_bytes)
      error = {errc::resource_exhausted, std::to_string(leader_->uncommitted_bytes) + " bytes wait to be committed; try again"};
    if (error.ok())
      append_own(ENTRY_TYPE_COMMAND, std::move(p.data), &p.tag, outcome::of::proposal);
    else
      finish(outcome::of::proposal, p.tag, std::move(error));
  }
}

void core::append_own(EntryType type, std::string data, const std::uint64_t* tag, outcome::of kind) {
  auto entry = std::make_shared<Entry>();
  entry->set_term(term_);
  entry->set_log_index(log_.last_index() + 1);
  entry->set_type(type);
  entry->set_data(std::move(data));
  leader_->uncommitted_bytes += entry_size(*entry);
  log_.append(std::move(entry));
  if (tag != nullptr)
    finish(kind, *tag, {}, log_.last_index(), term_);
  if (opts_.bugs.self_ack_early) {
    progress_.at(id_).acknowledged(log_.last_index());
    commit_by_counting();
  }
}

void core::truncate_log(log_index from) {
  SWARM_CHECK(from > commit_index_, "a leader asked to replace committed entries");
  log_.truncate_from(from);
  unsaved_from_ = std::min(unsaved_from_, from);
  stable_index_ = std::min(stable_index_, from - 1);
  // A write that is still out says nothing any more about entries that were replaced under it, even if the same
  // entries should come back.
  for (auto& write : in_flight_)
    if (!opts_.bugs.stale_persist)
      write.last_index = std::min(write.last_index, from - 1);
}

void core::commit_by_counting() {
  while (leader_) {
    const auto acked = [&](raft_id id) -> std::optional<log_index> {
      const auto it = progress_.find(id);
      return it == progress_.end() ? std::nullopt : std::optional{it->second.match};
    };
    auto index = config_.voters.committed(acked);
    if (opts_.bugs.learner_in_quorum) {
      majority all;
      for (const auto& [id, follower] : progress_)
        all.insert(id);
      index = all.committed(acked);
    }
    // Paper §5.4.2, figure 8: entries of earlier terms are committed only along with one of ours.
    if (index <= commit_index_ || (log_.term_at(index) != term_ && !opts_.bugs.figure8_commit))
      return;
    commit_to(index); // may bring another membership, by which more is committed
  }
}

void core::commit_to(log_index index) {
  if (index <= commit_index_)
    return;
  SWARM_CHECK(index <= log_.last_index());
  const auto from = commit_index_ + 1;
  commit_index_ = index;
  for (auto i = from; i <= index; ++i) {
    const auto entry = log_.at(i);
    if (leader_)
      leader_->uncommitted_bytes -= std::min(leader_->uncommitted_bytes, entry_size(*entry));
    if (entry->type() == ENTRY_TYPE_CONFIGURATION) {
      Membership membership;
      SWARM_CHECK(membership.ParseFromString(entry->data()), "a membership in the log cannot be read");
      membership_index_ = i;
      apply_membership(membership);
    }
  }
  if (leader_) {
    confirm_reads(); // fewer members may be asked than when the round began
    start_read_round();
  }
}

// -- leader to follower -------------------------------------------------------------------------------------------------

void core::send_appends() {
  for (auto& [id, follower] : progress_) {
    if (id == id_)
      continue;
    while (!follower.blocked() && follower.next <= log_.last_index())
      if (!send_append(id, follower, false))
        break;
    // An idle follower learns of the commit at once: its reads and its STORE need it.
    if (follower.state == progress_state::replicate && !follower.blocked() && follower.commit_told < commit_index_)
      send_append(id, follower, true);
  }
}

bool core::send_append(raft_id to, progress& follower, bool even_if_empty) {
  const auto prev = follower.next - 1;
  const auto prev_term = log_.term_at(prev);
  if (!prev_term) {
    start_snapshot(to, follower);
    return false;
  }
  auto message = message_to(to);
  auto& append = *message.mutable_append_entries();
  append.set_prev_log_index(prev);
  append.set_prev_log_term(*prev_term);
  append.set_leader_commit(commit_index_);
  std::size_t bytes = 0;
  auto last = prev;
  if (!follower.blocked()) {
    while (last < log_.last_index()) {
      const auto& entry = log_.at(last + 1);
      if (last != prev && bytes + entry_size(*entry) > opts_.max_append_bytes)
        break;
      bytes += entry_size(*entry);
      *append.add_entries() = *entry;
      ++last;
    }
  }
  if (last == prev && !even_if_empty)
    return false;
  if (follower.state == progress_state::probe) {
    follower.paused = true;
  } else if (last != prev) {
    follower.next = last + 1;
    follower.inflight.add(last, bytes);
  }
  follower.commit_told = std::max(follower.commit_told, commit_index_);
  follower.last_sent = now_;
  send(std::move(message));
  return true;
}

void core::send_heartbeats() {
  heartbeat_elapsed_ = 0;
  for (const auto& [id, follower] : progress_)
    if (id != id_)
      send_heartbeat(id, follower);
}

void core::send_heartbeat(raft_id to, const progress& follower) {
  auto message = message_to(to);
  auto& beat = *message.mutable_heartbeat();
  // Never beyond what it has: it does not check, because a heartbeat carries no entries to check by.
  beat.set_leader_commit(opts_.bugs.heartbeat_commit_unbounded ? commit_index_ : std::min(follower.match, commit_index_));
  beat.set_read_context(leader_->last_read_context);
  send(std::move(message));
}

void core::on_append_entries_reply(const RaftMessage& message) {
  const auto it = progress_.find(message.from());
  if (!leader_ || it == progress_.end())
    return;
  auto& follower = it->second;
  const auto& reply = message.append_entries_reply();
  follower.recent_active = true;
  follower.last_contact = now_;
  if (!reply.success()) {
    // Skip whole terms at once: behind `hint` its log cannot match ours, nor can ours match its hint_term behind ours.
    auto hint = reply.hint_index();
    if (reply.hint_term() != 0)
      hint = log_.last_not_above(hint, reply.hint_term()).index;
    if (opts_.bugs.never_rewind)
      return;
    if (follower.refused(reply.rejected_index(), hint + 1) && follower.state == progress_state::replicate)
      follower.become_probe();
    return;
  }
  if (reply.match_index() > log_.last_index()) {
    ++dropped_messages_;
    return;
  }
  const bool news = follower.acknowledged(reply.match_index());
  switch (follower.state) {
    case progress_state::probe:
      if (news)
        follower.become_replicate();
      break;
    case progress_state::replicate:
      if (news)
        follower.widen(opts_.max_inflight_messages);
      if (!opts_.bugs.leak_inflight)
        follower.inflight.free_to(reply.match_index());
      break;
    case progress_state::snapshot:
      // It caught up by itself, or the snapshot's confirmation was lost.
      if (follower.match >= log_.base_index()) {
        leader_->snapshots.erase(message.from());
        follower.become_replicate();
      }
      break;
  }
  if (!news)
    return;
  const auto from = message.from();
  commit_by_counting();
  continue_transfer(from);
  promote_learners();
}

void core::on_heartbeat_reply(const RaftMessage& message) {
  const auto it = progress_.find(message.from());
  if (!leader_ || it == progress_.end())
    return;
  auto& follower = it->second;
  follower.recent_active = true;
  follower.last_contact = now_;
  // Not for each of a hundred heartbeats that a frozen peer answers at once, nor for copies of one answer.
  if (now_ - follower.last_sent >= opts_.heartbeat_ticks) {
    follower.paused = false;
    // All that may be sent has been, but not all was acknowledged: ask, in case something was lost.
    const bool waiting = follower.next > log_.last_index() || follower.blocked();
    if (follower.state != progress_state::snapshot && follower.match < log_.last_index() && waiting)
      send_append(message.from(), follower, true);
  }
  if (message.heartbeat_reply().read_context() > follower.read_acked) {
    follower.read_acked = message.heartbeat_reply().read_context();
    confirm_reads();
  }
}

// -- follower -----------------------------------------------------------------------------------------------------------

void core::on_append_entries(RaftMessage& message) {
  if (leader_) {
    ++dropped_messages_; // two leaders in one term: the simulator's business, see "election safety"
    return;
  }
  if (office_ != office::follower || leader_id_ != message.from())
    become_follower(term_, message.from());
  election_elapsed_ = 0;
  if (incoming_ && incoming_->installing)
    return; // the log on disk is about to be emptied; the leader will ask again
  auto& append = *message.mutable_append_entries();
  if (!makes_sense(append)) {
    ++dropped_messages_;
    return;
  }
  auto reply = message_to(message.from());
  auto& body = *reply.mutable_append_entries_reply();
  const auto last_new = append.prev_log_index() + static_cast<log_index>(append.entries_size());
  if (append.prev_log_index() < commit_index_) {
    // What is committed here is the same in every leader's log, so the overlap needs no look.
    const auto known = std::min(commit_index_, last_new) - append.prev_log_index();
    append.mutable_entries()->DeleteSubrange(0, static_cast<int>(known));
    append.set_prev_log_index(commit_index_);
    append.set_prev_log_term(log_.term_at(commit_index_).value_or(0));
  }
  const auto prev = append.prev_log_index();
  const bool matches = log_.matches(prev, append.prev_log_term())
                       || (opts_.bugs.skip_log_matching && prev <= log_.last_index());
  if (!matches) {
    const auto hint = log_.last_not_above(prev, append.prev_log_term());
    body.set_rejected_index(prev);
    body.set_hint_index(hint.index);
    body.set_hint_term(hint.term);
    return send_after_persist(std::move(reply));
  }
  const auto match = std::max(last_new, prev);
  if (opts_.bugs.commit_before_append)
    commit_to(std::min(append.leader_commit(), log_.last_index()));
  take_entries(append);
  commit_to(std::min(append.leader_commit(), match));
  body.set_success(true);
  body.set_match_index(match);
  send_after_persist(std::move(reply));
}

bool core::makes_sense(const AppendEntries& append) const {
  auto index = append.prev_log_index();
  auto term = append.prev_log_term();
  for (const auto& entry : append.entries()) {
    if (entry.log_index() != ++index || entry.term() < term || entry.term() > term_)
      return false;
    term = entry.term();
  }
  return true;
}

// Paper §5.3: keep what matches, replace from the first conflict on. Precondition: prev_log_index matches.
void core::take_entries(AppendEntries& append) {
  if (opts_.bugs.truncate_on_append && append.prev_log_index() < log_.last_index())
    truncate_log(append.prev_log_index() + 1);
  for (auto& entry : *append.mutable_entries()) {
    if (entry.log_index() <= log_.last_index()) {
      if (log_.matches(entry.log_index(), entry.term()))
        continue;
      truncate_log(entry.log_index());
    }
    log_.append(std::make_shared<Entry>(std::move(entry)));
  }
}

void core::on_heartbeat(const RaftMessage& message) {
  if (leader_) {
    ++dropped_messages_;
    return;
  }
  if (office_ != office::follower || leader_id_ != message.from())
    become_follower(term_, message.from());
  election_elapsed_ = 0;
  const auto& beat = message.heartbeat();
  if (beat.leader_commit() <= log_.last_index() || opts_.bugs.heartbeat_commit_unbounded)
    commit_to(std::min(beat.leader_commit(), log_.last_index()));
  else
    ++dropped_messages_; // this disk has lost what it had acknowledged
  auto reply = message_to(message.from());
  reply.mutable_heartbeat_reply()->set_read_context(beat.read_context());
  send(std::move(reply));
}

} // namespace swarm::raft
