// Elections: pre-vote, vote, leases that keep a healthy leader, and what a message's term means.
#include <algorithm>
#include <tuple>

#include "actors/raft/raft_core.hpp"
#include "runtime/check.hpp"

namespace swarm::raft {

void core::on_message(RaftMessage& message) {
  if (message.to() != id_ || message.from() == 0 || message.from() == id_) {
    ++dropped_messages_;
    return;
  }
  if (is_removed(message.from())) {
    ++dropped_messages_;
    if (message.has_request_vote()) {
      auto reply = message_to(message.from());
      reply.mutable_member_removed();
      send_after_persist(std::move(reply));
    }
    return;
  }
  if (!accept_term(message))
    return;
  switch (message.body_case()) {
    case RaftMessage::kRequestVote:
      return on_request_vote(message);
    case RaftMessage::kRequestVoteReply:
      return on_request_vote_reply(message);
    case RaftMessage::kAppendEntries:
      return on_append_entries(message);
    case RaftMessage::kAppendEntriesReply:
      return on_append_entries_reply(message);
    case RaftMessage::kHeartbeat:
      return on_heartbeat(message);
    case RaftMessage::kHeartbeatReply:
      return on_heartbeat_reply(message);
    case RaftMessage::kInstallSnapshot:
      return on_install_snapshot(message);
    case RaftMessage::kInstallSnapshotReply:
      return on_install_snapshot_reply(message);
    case RaftMessage::kTimeoutNow:
      return on_timeout_now(message);
    case RaftMessage::kForwardReadIndex:
      return on_forward_read_index(message);
    case RaftMessage::kReadIndexReply:
      return on_read_index_reply(message);
    case RaftMessage::kMemberRemoved:
      // Only those who are members for us can tell us that we are not.
      if (config_.voters.contains(message.from()))
        out_.removed = removed_ = true;
      return;
    case RaftMessage::BODY_NOT_SET:
      ++dropped_messages_;
      return;
  }
}

// Paper §5.1, with the exceptions that PreVote and CheckQuorum (thesis §4.2.3, §9.6) need. False = not for us.
bool core::accept_term(const RaftMessage& message) {
  if (message.term() == term_)
    return true;
  if (message.term() < term_) {
    answer_old_term(message);
    return opts_.bugs.accept_old_term && message.has_append_entries();
  }
  if (message.has_request_vote()) {
    const auto& ask = message.request_vote();
    const bool hears_leader = leader_id_ != 0 && election_elapsed_ < opts_.election_ticks;
    // A candidate that cannot hear the leader must not depose one that we hear. The leader's own wish overrides that.
    if (hears_leader && !ask.leadership_transfer())
      return false;
    if (ask.pre_vote())
      return true; // a question about a term, not a term
  }
  if (message.has_request_vote_reply() && message.request_vote_reply().pre_vote() && message.request_vote_reply().granted())
    return true; // carries the term that we asked about
  const bool from_leader = message.has_append_entries() || message.has_heartbeat() || message.has_install_snapshot();
  become_follower(message.term(), from_leader ? message.from() : 0);
  return true;
}

void core::answer_old_term(const RaftMessage& message) {
  if (message.has_append_entries() || message.has_heartbeat() || message.has_install_snapshot()) {
    // The sender leads an older term than ours. With CheckQuorum our own campaigns would be ignored by those who hear
    // it, so neither side could move: our term in the answer makes it step down.
    auto reply = message_to(message.from());
    reply.mutable_append_entries_reply();
    send(std::move(reply));
  } else if (message.has_request_vote() && message.request_vote().pre_vote()) {
    // Else a pre-candidate with a longer log and an older term would be refused for ever without learning why.
    auto reply = message_to(message.from());
    reply.mutable_request_vote_reply()->set_pre_vote(true);
    send(std::move(reply));
  }
}

void core::on_request_vote(const RaftMessage& message) {
  const auto& ask = message.request_vote();
  const bool pre = ask.pre_vote();
  const bool free = voted_for_ == message.from() || (voted_for_ == 0 && leader_id_ == 0)
                    || (pre && message.term() > term_) || opts_.bugs.double_vote;
  const bool log_ok = log_.is_up_to_date(ask.last_log_index(), ask.last_log_term()) || opts_.bugs.vote_ignores_log;
  const bool granted = free && log_ok;
  auto reply = message_to(message.from());
  auto& body = *reply.mutable_request_vote_reply();
  body.set_pre_vote(pre);
  body.set_granted(granted);
  if (pre) {
    if (granted) {
      reply.set_term(message.term());
      give_way(message);
    }
    return send(std::move(reply));
  }
  if (granted) {
    if (office_ != office::follower)
      become_follower(term_, 0); // a pre-candidate: it has asked for no vote yet, so it may still give its own
    voted_for_ = message.from();
    election_elapsed_ = 0;
  }
  send_after_persist(std::move(reply));
}

// Two who ask at the same time would both be encouraged by the rest, and then split its votes and wait once more. One of
// them withdraws; this costs no safety, for nobody must ask for votes.
void core::give_way(const RaftMessage& message) {
  const auto& ask = message.request_vote();
  const auto theirs = std::tuple{ask.last_log_term(), ask.last_log_index(), message.from()};
  const auto ours = std::tuple{log_.last_term(), log_.last_index(), id_};
  if (office_ == office::pre_candidate && theirs > ours)
    become_follower(term_, 0);
}

void core::on_request_vote_reply(const RaftMessage& message) {
  const auto& reply = message.request_vote_reply();
  if (office_ != (reply.pre_vote() ? office::pre_candidate : office::candidate))
    return;
  if (reply.pre_vote() && reply.granted() && message.term() != term_ + 1)
    return; // an answer to an earlier question
  votes_.emplace(message.from(), reply.granted());
  count_votes();
}

void core::on_timeout_now(const RaftMessage& message) {
  if (leader_ || (leader_id_ != 0 && leader_id_ != message.from()))
    return;
  campaign(false, true);
}

// The kernel tells of a dead process long before a timeout does. Only pre-votes follow, and only those who lost the
// leader too will grant them.
void core::on_link_lost(raft_id peer) {
  if (leader_) {
    if (const auto it = progress_.find(peer); it != progress_.end() && it->second.state == progress_state::replicate)
      it->second.become_probe();
    return;
  }
  if (peer != leader_id_ || office_ != office::follower)
    return;
  leader_id_ = 0;
  drop_forwarded_reads();
  election_elapsed_ = 0;
  election_timeout_ = 1 + static_cast<unsigned>(rng_.below(opts_.link_loss_jitter_ticks + 1));
}

// Silence that we slept through says nothing about the leader; and a leader that slept may have been replaced.
void core::on_was_paused() {
  election_elapsed_ = 0;
  if (leader_)
    for (auto& [id, follower] : progress_)
      follower.recent_active = id == id_;
}

void core::reset_election_timer() {
  election_elapsed_ = 0;
  election_timeout_ = opts_.election_ticks + static_cast<unsigned>(rng_.below(std::max(1u, opts_.election_ticks / 2)));
}

bool core::promotable() const {
  return config_.voters.contains(id_) && !removed_ && !(incoming_ && incoming_->installing)
         && (!apply_stalled() || alone());
}

bool core::alone() const {
  return config_.voters.outgoing.empty() && config_.voters.incoming.voters().size() == 1
         && config_.voters.incoming.contains(id_);
}

void core::become_follower(term_number term, raft_id leader) {
  SWARM_CHECK(term >= term_);
  if (leader_ && leader_->transferee != 0)
    end_transfer(term > term_ ? failure{} : failure{errc::unavailable, "stepped down before the transfer was done"});
  if (office_ == office::leader)
    leave_office();
  office_ = office::follower;
  if (term > term_) {
    term_ = term;
    voted_for_ = 0;
  }
  votes_.clear();
  own_vote_unsaved_ = false;
  if (leader_id_ != leader) {
    leader_id_ = leader;
    drop_forwarded_reads();
  }
  reset_election_timer();
  if (opts_.bugs.apply_twice && handed_out_ > last_applied_)
    --handed_out_;
}

void core::leave_office() {
  if (leader_->round)
    for (const auto& waiting : leader_->round->reads)
      refuse_read(waiting);
  for (const auto& waiting : leader_->queued_reads)
    refuse_read(waiting);
  leader_.reset();
}

void core::campaign(bool pre_vote, bool leadership_transfer) {
  if (!promotable())
    return;
  leader_id_ = 0;
  drop_forwarded_reads();
  votes_.clear();
  reset_election_timer();
  if (pre_vote) {
    office_ = office::pre_candidate;
    own_vote_unsaved_ = false;
    votes_[id_] = true;
  } else {
    office_ = office::candidate;
    ++term_;
    voted_for_ = id_;
    // Counted when it is on disk: else a crash could let this node lead the same term twice with different entries.
    own_vote_unsaved_ = !opts_.bugs.early_own_vote;
    if (opts_.bugs.early_own_vote)
      votes_[id_] = true;
  }
  ask_for_votes(pre_vote, leadership_transfer);
  count_votes();
}

void core::ask_for_votes(bool pre_vote, bool leadership_transfer) {
  for (const auto& [id, follower] : progress_) {
    if (votes_.contains(id) || !config_.voters.contains(id) || id == id_)
      continue;
    auto message = message_to(id);
    auto& ask = *message.mutable_request_vote();
    ask.set_pre_vote(pre_vote);
    ask.set_last_log_index(log_.last_index());
    ask.set_last_log_term(log_.last_term());
    ask.set_leadership_transfer(leadership_transfer);
    if (pre_vote) {
      message.set_term(term_ + 1);
      send(std::move(message));
    } else {
      send_after_persist(std::move(message));
    }
  }
}

vote_result core::tally() const {
  const auto vote = [&](raft_id id) -> std::optional<bool> {
    const auto it = votes_.find(id);
    return it == votes_.end() ? std::nullopt : std::optional{it->second};
  };
  if (opts_.bugs.small_quorum) {
    const auto yes = static_cast<std::size_t>(
      std::count_if(votes_.begin(), votes_.end(), [](const auto& cast) { return cast.second; }));
    if (2 * yes >= config_.voters.incoming.voters().size())
      return vote_result::won;
  }
  return config_.voters.tally(vote);
}

void core::count_votes() {
  switch (tally()) {
    case vote_result::pending:
      return;
    case vote_result::lost:
      return become_follower(term_, 0);
    case vote_result::won:
      if (office_ == office::pre_candidate)
        return campaign(false, false);
      if (term_is_persisted() || opts_.bugs.early_own_vote)
        become_leader();
      return;
  }
}

void core::become_leader() {
  office_ = office::leader;
  leader_id_ = id_;
  leader_.emplace();
  votes_.clear();
  own_vote_unsaved_ = false;
  election_elapsed_ = 0;
  heartbeat_elapsed_ = 0;
  for (auto& [id, follower] : progress_) {
    follower = progress{log_.last_index() + 1, opts_.max_inflight_messages, opts_.max_inflight_bytes};
    follower.learner = config_.learners.contains(id);
    follower.last_contact = now_;
    follower.round_target = log_.last_index();
    follower.round_started = now_;
    if (id == id_) {
      follower.acknowledged(stable_index_);
      follower.recent_active = true;
    }
  }
  for (auto i = commit_index_ + 1; i <= log_.last_index(); ++i) {
    leader_->uncommitted_bytes += entry_size(*log_.at(i));
    note_own_removal(*log_.at(i));
  }
  // Some entry of an earlier leader may be an uncommitted membership change: none of ours before all those are in.
  leader_->pending_change = log_.last_index();
  append_own(ENTRY_TYPE_NOOP, {}, nullptr, outcome::of::proposal);
}

void core::check_quorum() {
  auto active = [&](raft_id id) -> std::optional<bool> {
    const auto it = progress_.find(id);
    return id == id_ || (it != progress_.end() && it->second.recent_active);
  };
  if (config_.voters.tally(active) != vote_result::won)
    return become_follower(term_, 0);
  for (auto& [id, follower] : progress_)
    follower.recent_active = id == id_;
}

} // namespace swarm::raft
