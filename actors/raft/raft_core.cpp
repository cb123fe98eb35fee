// The frame of the Raft core: construction, dispatch, batches of work, watchdogs, invariants.
#include "actors/raft/raft_core.hpp"

#include <algorithm>

#include "actors/raft/render.hpp"
#include "runtime/check.hpp"
#include "runtime/overload.hpp"

namespace swarm::raft {

core::core(options opts, const restored_state& start)
    : opts_{std::move(opts)},
      id_{start.id},
      rng_{opts_.seed},
      term_{start.hard_state.term()},
      voted_for_{start.hard_state.voted_for()},
      log_{start.base_index, start.base_term},
      saved_{start.hard_state},
      persisted_term_{start.hard_state.term()} {
  SWARM_CHECK(id_ != 0);
  SWARM_CHECK(opts_.problem().empty(), opts_.problem());
  for (const auto& entry : start.entries)
    log_.append(entry);
  SWARM_CHECK(start.applied_index >= log_.base_index() && start.applied_index <= log_.last_index());
  stable_index_ = log_.last_index();
  unsaved_from_ = log_.last_index() + 1;
  commit_index_ = handed_out_ = last_applied_ = start.applied_index;
  // Never restart at the same number: an answer to a read of the life before would answer one of this life.
  next_request_id_ = opts_.bugs.reuse_request_ids ? 1 : rng_();
  adopt_membership(start.membership);
  out_.membership = membership_;
  // The written commit index may lag, but never behind a membership that later entries build upon: whoever appends an
  // entry also writes the commit index that he knew then.
  commit_to(std::min(start.hard_state.commit_index(), log_.last_index()));
  reset_election_timer();
  told_.set_role(role());
  told_.set_term(term_);
  if (alone())
    campaign(false, false);
  check_invariants();
}

void core::step(event ev) {
  std::visit(overload{
               [&](tick&) { on_tick(); },
               [&](received& e) { on_message(e.message); },
               [&](propose& e) { on_propose(e); },
               [&](change_member& e) { on_change_member(e); },
               [&](read& e) { on_read(e); },
               [&](transfer& e) { on_transfer(e); },
               [&](persisted& e) { on_persisted(e.sequence); },
               [&](applied& e) { on_applied(e.index); },
               [&](link_lost& e) { on_link_lost(e.peer); },
               [&](was_paused&) { on_was_paused(); },
               [&](snapshot_chunk_read& e) { on_snapshot_chunk_read(e); },
               [&](snapshot_read_failed& e) { on_snapshot_read_failed(e.peer); },
               [&](snapshot_chunk_stored& e) { on_snapshot_chunk_stored(e); },
             },
             ev);
  check_invariants();
}

ready core::take_ready() {
  if (leader_)
    send_appends();
  compact();
  fill_write(out_);
  fill_committed(out_);
  note_leadership();
  if (opts_.bugs.send_before_persist) {
    for (auto& message : out_.messages_after_persist)
      out_.messages_now.push_back(std::move(message));
    out_.messages_after_persist.clear();
  }
  auto result = std::move(out_);
  out_ = ready{};
  return result;
}

void core::fill_write(ready& out) {
  const auto state = hard_state();
  const bool vote_changed = state.term() != saved_.term() || state.voted_for() != saved_.voted_for();
  const bool new_entries = unsaved_from_ <= log_.last_index();
  // That a change of members is committed is on disk before anything follows from it: a removed member that has been
  // told so is gone, and whoever told it must not ask it for its vote after a restart.
  const bool members_changed = membership_index_ > saved_.commit_index();
  if (vote_changed || new_entries || members_changed) {
    out.sequence = ++last_sequence_;
    if ((vote_changed || state.commit_index() != saved_.commit_index())
        && !(opts_.bugs.lost_hard_state && voted_for_ == 0))
      out.hard_state = state;
    saved_ = state;
    out.entries.reserve(log_.last_index() + 1 - unsaved_from_);
    for (; unsaved_from_ <= log_.last_index(); ++unsaved_from_)
      out.entries.push_back(log_.at(unsaved_from_));
    out.truncate_before = std::exchange(truncate_before_, 0);
    in_flight_.push_back({last_sequence_, new_entries ? log_.last_index() : 0, term_, now_});
  }
  // Not the number of this write but of the last one that is still out: order among answers is kept as well.
  out.release_after = in_flight_.empty() ? 0 : in_flight_.back().sequence;
}

void core::fill_committed(ready& out) {
  if (incoming_ && incoming_->installing)
    return;
  // Only what is on this disk: STORE's tables must never be ahead of the log that explains them.
  const auto limit = std::min(commit_index_, stable_index_);
  while (handed_out_ < limit && applying_bytes_ < opts_.max_applying_bytes) {
    const auto& entry = log_.at(++handed_out_);
    applying_bytes_ += entry_size(*entry);
    out.committed.push_back(entry);
  }
}

HardState core::hard_state() const {
  HardState out;
  out.set_term(term_);
  out.set_voted_for(opts_.bugs.vote_not_persisted ? 0 : voted_for_);
  out.set_commit_index(commit_index_);
  return out;
}

void core::note_leadership() {
  if (told_.role() == role() && told_.term() == term_ && told_.leader_raft_id() == leader_id_)
    return;
  told_.set_role(role());
  told_.set_term(term_);
  told_.set_leader_raft_id(leader_id_);
  out_.leadership = told_;
}

void core::on_persisted(std::uint64_t sequence) {
  SWARM_CHECK(sequence <= last_sequence_);
  while (!in_flight_.empty() && in_flight_.front().sequence <= sequence) {
    const auto& write = in_flight_.front();
    stable_index_ = std::max(stable_index_, write.last_index);
    persisted_term_ = std::max(persisted_term_, write.term);
    persisted_sequence_ = write.sequence;
    in_flight_.pop_front();
  }
  if (in_flight_.empty())
    disk_transfer_tried_ = false;
  if (own_vote_unsaved_ && term_is_persisted()) {
    own_vote_unsaved_ = false;
    votes_[id_] = true;
    count_votes();
  }
  if (leader_) {
    if (const auto self = progress_.find(id_); self != progress_.end()) {
      self->second.acknowledged(stable_index_);
      commit_by_counting();
    }
  }
}

void core::on_applied(log_index index) {
  if (index <= last_applied_)
    return; // a snapshot has overtaken it
  SWARM_CHECK(index <= handed_out_);
  for (auto i = last_applied_ + 1; i <= index; ++i)
    applying_bytes_ -= std::min(applying_bytes_, entry_size(*log_.at(i)));
  last_applied_ = index;
  apply_stalled_ticks_ = 0;
  serve_applied_reads();
  install_when_applied();
}

void core::on_tick() {
  ++now_;
  ++election_elapsed_;
  expire_forwarded_reads();
  watch_apply();
  watch_disk();
  if (leader_) {
    if (leader_->transferee != 0 && now_ - leader_->transfer_started >= opts_.election_ticks)
      end_transfer({errc::deadline_exceeded, "the transfer target did not take over in time"});
    if (election_elapsed_ >= opts_.election_ticks) {
      election_elapsed_ = 0;
      check_quorum();
    }
  }
  if (leader_) {
    retry_snapshots();
    promote_learners();
    if (++heartbeat_elapsed_ >= opts_.heartbeat_ticks)
      send_heartbeats();
  } else if (promotable() && !own_vote_unsaved_
             && (election_elapsed_ >= election_timeout_ || (alone() && office_ == office::follower))) {
    campaign(!alone(), false);
  } else if (promotable() && office_ == office::pre_candidate && election_elapsed_ % opts_.pre_vote_ticks == 0) {
    ask_for_votes(true, false); // who still heard the leader said nothing; by now it may not
  } else if (removed_ && election_elapsed_ >= election_timeout_) {
    ask_whether_removed();
  }
}

std::uint64_t core::quiet_ticks(std::uint64_t limit) const {
  // The tick that makes `elapsed` reach `at` does something; those before it do not.
  const auto until = [&limit](std::uint64_t elapsed, std::uint64_t at) {
    limit = std::min(limit, at > elapsed + 1 ? at - elapsed - 1 : 0);
  };
  for (const auto& [request, asked] : forwarded_)
    until(now_, asked.deadline);
  if (handed_out_ != last_applied_)
    until(apply_stalled_ticks_, opts_.apply_stall_ticks);
  if (!in_flight_.empty()) {
    const auto age = now_ - in_flight_.front().started;
    until(age, leader_ && !disk_transfer_tried_ ? opts_.disk_transfer_ticks : opts_.disk_stop_ticks);
  }
  if (leader_) {
    if (leader_->transferee != 0)
      until(now_ - leader_->transfer_started, opts_.election_ticks);
    if (!leader_->snapshots.empty() || !config_.learners.empty())
      return 0;
    if (!alone())
      until(heartbeat_elapsed_, opts_.heartbeat_ticks);
  } else if (promotable() && alone() && office_ == office::follower) {
    return 0;
  } else if (promotable() || removed_) {
    until(election_elapsed_, election_timeout_);
    if (office_ == office::pre_candidate)
      until(election_elapsed_ % opts_.pre_vote_ticks, opts_.pre_vote_ticks);
  }
  return limit;
}

void core::watch_apply() {
  if (handed_out_ == last_applied_) {
    apply_stalled_ticks_ = 0;
    return;
  }
  ++apply_stalled_ticks_;
  // A leader that heartbeats over a dead state machine freezes the whole cluster (swarmkit #1658): let another lead.
  if (leader_ && apply_stalled() && !alone()) {
    if (const auto next = best_successor(); next != 0) {
      auto message = message_to(next);
      message.mutable_timeout_now();
      send(std::move(message));
    }
    become_follower(term_, 0);
  }
}

void core::watch_disk() {
  if (in_flight_.empty())
    return;
  const auto age = now_ - in_flight_.front().started;
  if (age >= opts_.disk_stop_ticks)
    out_.disk_stalled = true;
  else if (leader_ && age >= opts_.disk_transfer_ticks && !disk_transfer_tried_ && leader_->transferee == 0) {
    disk_transfer_tried_ = true;
    if (const auto next = best_successor(); next != 0)
      start_transfer(next, 0);
  }
}

void core::compact() {
  const bool nobody_else = progress_.size() == 1 && progress_.contains(id_);
  const auto keep = nobody_else ? opts_.keep_entries_alone : opts_.keep_entries;
  const auto keep_bytes = nobody_else ? opts_.keep_bytes_alone : opts_.keep_bytes;
  if (log_.size() <= keep + opts_.compaction_batch && log_.bytes() <= keep_bytes + keep_bytes / 8)
    return;
  auto lowest_live = everything;
  if (leader_)
    for (const auto& [id, follower] : progress_)
      if (id != id_ && now_ - follower.last_contact <= opts_.election_ticks)
        lowest_live = std::min(lowest_live, follower.match);
  auto to = log_.base_index();
  auto bytes = log_.bytes();
  const auto limit = std::min(last_applied_, stable_index_);
  while (to < limit) {
    const bool too_much = log_.last_index() - to > keep || bytes > keep_bytes;
    const bool needed = to + 1 > lowest_live && bytes <= opts_.keep_bytes_cap;
    if (!too_much || needed)
      break;
    bytes -= entry_size(*log_.at(++to));
  }
  if (to == log_.base_index())
    return;
  log_.compact_to(to);
  truncate_before_ = to + 1;
}

RaftMessage core::message_to(raft_id to) const {
  RaftMessage out;
  out.set_from(id_);
  out.set_to(to);
  out.set_term(term_);
  return out;
}

void core::send(RaftMessage message) {
  (term_is_persisted() ? out_.messages_now : out_.messages_after_persist).push_back(std::move(message));
}

void core::send_after_persist(RaftMessage message) { out_.messages_after_persist.push_back(std::move(message)); }

void core::finish(outcome::of kind, std::uint64_t tag, failure error, log_index index, term_number term) {
  out_.outcomes.push_back({kind, tag, std::move(error), index, term});
}

RaftRole core::role() const {
  switch (office_) {
    case office::leader:
      return RAFT_ROLE_LEADER;
    case office::candidate:
      return RAFT_ROLE_CANDIDATE;
    case office::pre_candidate:
      return RAFT_ROLE_PRE_CANDIDATE;
    case office::follower:
      break;
  }
  return config_.learners.contains(id_) ? RAFT_ROLE_LEARNER : RAFT_ROLE_FOLLOWER;
}

// Numbers in comments: reference/reliability.md §5.10.
void core::check_invariants() const {
  SWARM_CHECK(term_ >= checked_term_);                                                     // 2
  SWARM_CHECK(term_ >= saved_.term());
  SWARM_CHECK(commit_index_ >= checked_commit_ && commit_index_ <= log_.last_index());     // 8
  SWARM_CHECK(last_applied_ <= handed_out_ && handed_out_ <= commit_index_);               // 9
  SWARM_CHECK(log_.base_index() <= last_applied_ && stable_index_ <= log_.last_index());
  SWARM_CHECK(unsaved_from_ <= log_.last_index() + 1);
  SWARM_CHECK(in_flight_.empty() || in_flight_.back().sequence == last_sequence_);         // 10
  SWARM_CHECK((office_ == office::leader) == leader_.has_value());
  SWARM_CHECK(forwarded_.size() <= opts_.max_pending_reads);                               // 19
  if (office_ == office::candidate || office_ == office::leader)
    SWARM_CHECK(voted_for_ == id_);                                                        // 3
  for (const auto id : config_.learners)
    SWARM_CHECK(!config_.voters.contains(id));                                             // 13
  if (leader_) {
    SWARM_CHECK(leader_id_ == id_ && term_is_persisted());                                 // 2, 3
    SWARM_CHECK(config_.voters.contains(id_));                                             // 13
    SWARM_CHECK(leader_->pending_change <= log_.last_index());                             // 12
    for (const auto& [id, follower] : progress_) {
      SWARM_CHECK(follower.match <= log_.last_index() && follower.next > follower.match);  // 17
      SWARM_CHECK(follower.inflight.messages() <= opts_.max_inflight_messages);            // 19
      SWARM_CHECK(config_.contains(id));
    }
  }
  checked_term_ = term_;
  checked_commit_ = commit_index_;
}

std::string core::dump() const {
  auto number = [](auto value) { return std::to_string(value); };
  std::string out = "raft " + number(id_) + ' ' + render(role()) + " term=" + number(term_)
                    + " voted_for=" + number(voted_for_) + " leader=" + number(leader_id_) + '\n';
  out += "log=[" + number(log_.first_index()) + ".." + number(log_.last_index()) + "] last_term=" + number(log_.last_term())
         + " stable=" + number(stable_index_) + " commit=" + number(commit_index_) + " handed_out=" + number(handed_out_)
         + " applied=" + number(last_applied_) + " bytes=" + number(log_.bytes()) + '\n';
  out += "config " + render(config_) + '\n';
  out += "writes_in_flight=" + number(in_flight_.size()) + " reads_forwarded=" + number(forwarded_.size())
         + " reads_waiting=" + number(reads_to_apply_.size()) + " dropped_messages=" + number(dropped_messages_) + '\n';
  if (!leader_)
    return out;
  out += "uncommitted_bytes=" + number(leader_->uncommitted_bytes) + " transferee=" + number(leader_->transferee)
         + " snapshots=" + number(leader_->snapshots.size()) + '\n';
  for (const auto& [id, follower] : progress_)
    out += "  " + number(id) + ' ' + std::string{to_string(follower.state)} + " match=" + number(follower.match)
           + " next=" + number(follower.next) + " inflight=" + number(follower.inflight.messages())
           + (follower.learner ? " learner" : "") + (follower.paused ? " paused" : "") + '\n';
  return out;
}

} // namespace swarm::raft
