// Membership: planning one change at a time, putting it into force when it commits, promoting learners.
#include <algorithm>

#include "actors/raft/raft_core.hpp"
#include "runtime/check.hpp"

namespace swarm::raft {

namespace {

using members = google::protobuf::RepeatedPtrField<Member>;

int position(const members& in, raft_id id) {
  for (int i = 0; i < in.size(); ++i)
    if (in[i].raft_id() == id)
      return i;
  return -1;
}

bool take_out(members& from, raft_id id, Member* taken = nullptr) {
  const auto at = position(from, id);
  if (at < 0)
    return false;
  if (taken != nullptr)
    *taken = from[at];
  from.DeleteSubrange(at, 1);
  return true;
}

bool has_node(const members& in, const std::string& node) {
  return !node.empty() && std::any_of(in.begin(), in.end(), [&](const Member& m) { return m.node_id() == node; });
}

failure refused(errc code, std::string why) { return {code, std::move(why)}; }

} // namespace

void core::on_change_member(const change_member& ev) {
  if (auto error = change(ev, &ev.tag); !error.ok())
    finish(outcome::of::change, ev.tag, std::move(error));
}

failure core::change(const change_member& ev, const std::uint64_t* tag) {
  Membership next;
  if (auto error = plan_change(ev, next); !error.ok())
    return error;
  append_own(ENTRY_TYPE_CONFIGURATION, next.SerializeAsString(), tag, outcome::of::change);
  leader_->pending_change = log_.last_index();
  note_own_removal(*log_.at(log_.last_index()));
  return {};
}

// Nothing is appended behind our own removal: else our log could end beyond that of the last one who needs our vote to
// learn of the commit, and we, who may not campaign any more, would refuse it for ever.
void core::note_own_removal(const Entry& entry) {
  Membership membership;
  if (entry.type() == ENTRY_TYPE_CONFIGURATION && membership.ParseFromString(entry.data())
      && !to_configuration(membership).voters.contains(id_))
    leader_->leaving = true;
}

failure core::plan_change(const change_member& ev, Membership& out) const {
  if (!leader_)
    return refused(errc::not_leader, leader_id_ != 0 ? "manager " + std::to_string(leader_id_) + " leads" : "no leader is known");
  if (leader_->transferee != 0)
    return refused(errc::unavailable, "leadership is being handed over; try again");
  if (leader_->leaving)
    return refused(errc::unavailable, "this manager is being removed; try again");
  // The bug in the first published single-server algorithm (raft-dev, 2015): without an own committed entry two
  // leaders could have different uncommitted changes whose quorums do not meet.
  if (!committed_in_term() && !opts_.bugs.conf_without_noop)
    return refused(errc::unavailable, "the leader has not committed an entry of its term yet; try again");
  if (leader_->pending_change > commit_index_ && !opts_.bugs.many_conf_changes && !opts_.bugs.conf_without_noop)
    return refused(errc::unavailable, "another membership change is not committed yet; try again");
  const auto id = ev.member.raft_id();
  const auto name = "manager " + std::to_string(id);
  if (id == 0)
    return refused(errc::invalid_argument, "a manager needs a raft id");
  out = membership_;
  conf_change change{change_kind::update, id};
  Member member;
  switch (ev.kind) {
    case member_change::add_learner:
      if (is_removed(id))
        return refused(errc::failed_precondition, name + " was removed; its raft id cannot come back");
      if (config_.contains(id) || has_node(out.voters(), ev.member.node_id()) || has_node(out.learners(), ev.member.node_id()))
        return refused(errc::already_exists, name + " is a member already");
      *out.add_learners() = ev.member;
      change.kind = change_kind::add_learner;
      break;
    case member_change::promote: {
      const auto it = progress_.find(id);
      if (it == progress_.end() || !take_out(*out.mutable_learners(), id, &member))
        return refused(errc::failed_precondition, name + " is not a learner");
      if (log_.last_index() - it->second.match > opts_.promote_lag_entries)
        return refused(errc::failed_precondition, name + " is " + std::to_string(log_.last_index() - it->second.match)
                                                    + " entries behind, at most " + std::to_string(opts_.promote_lag_entries)
                                                    + " are allowed");
      *out.add_voters() = member;
      change.kind = change_kind::add_voter;
      break;
    }
    case member_change::remove:
      if (!config_.contains(id))
        return refused(errc::not_found, name + " is not a member");
      if (config_.voters.contains(id) && !quorum_survives_without(id))
        return refused(errc::failed_precondition, "removing " + name + " would leave the managers that can be reached without a quorum");
      take_out(*out.mutable_voters(), id);
      take_out(*out.mutable_learners(), id);
      out.add_removed(id);
      while (static_cast<std::uint64_t>(out.removed_size()) > opts_.removed_kept)
        out.mutable_removed()->erase(out.mutable_removed()->begin());
      change.kind = change_kind::remove;
      break;
    case member_change::update_address:
      for (auto* list : {out.mutable_voters(), out.mutable_learners()})
        if (const auto at = position(*list, id); at >= 0)
          (*list)[at] = ev.member;
      if (!config_.contains(id))
        return refused(errc::not_found, name + " is not a member");
      break;
  }
  // Learner bookkeeping aside, the rules are those of the published vectors; this is where they bind us.
  const auto result = changer{config_, progress_, log_.last_index(), {}}.simple({change});
  if (!result.error.empty())
    return refused(errc::failed_precondition, result.error);
  SWARM_CHECK(to_configuration(out) == result.config);
  return {};
}

bool core::quorum_survives_without(raft_id id) const {
  std::size_t reachable = 0;
  std::size_t left = 0;
  for (const auto voter : config_.voters.incoming.voters()) {
    if (voter == id)
      continue;
    ++left;
    const auto it = progress_.find(voter);
    if (voter == id_ || (it != progress_.end() && now_ - it->second.last_contact <= opts_.election_ticks))
      ++reachable;
  }
  return left > 0 && reachable >= left / 2 + 1;
}

// A membership is in force from its commit on, not from its append (etcd's way, where the paper takes the append):
// so a truncated log never takes a membership back. It is safe because a change is proposed only when the one before
// is committed, and whoever holds the later change also knows that commit (appends carry leader_commit, and it is
// written to disk along with the entries).
void core::apply_membership(const Membership& membership) {
  adopt_membership(membership);
  out_.membership = membership_;
  if (!leader_)
    return;
  std::erase_if(leader_->snapshots, [&](const auto& entry) { return !progress_.contains(entry.first); });
  if (leader_->transferee != 0 && !config_.voters.contains(leader_->transferee))
    end_transfer({errc::failed_precondition, "the transfer target was removed"});
  if (config_.voters.contains(id_))
    return;
  // We led until our own removal was committed (paper §6). The last thing we say is that it was.
  for (auto& [id, follower] : progress_)
    if (follower.state == progress_state::replicate)
      send_append(id, follower, true);
  become_follower(term_, 0);
}

void core::adopt_membership(const Membership& membership) {
  membership_ = membership;
  config_ = to_configuration(membership_);
  std::erase_if(progress_, [&](const auto& entry) { return !config_.contains(entry.first); });
  auto ensure = [&](raft_id id) {
    const auto fresh = progress_.try_emplace(id, std::max<log_index>(log_.last_index(), 1), opts_.max_inflight_messages,
                                             opts_.max_inflight_bytes);
    auto& follower = fresh.first->second;
    follower.learner = config_.learners.contains(id);
    if (fresh.second) {
      follower.recent_active = true; // it has had no chance to answer yet
      follower.last_contact = now_;
      follower.round_target = log_.last_index();
      follower.round_started = now_;
    }
  };
  for (const auto id : config_.voters.incoming.voters())
    ensure(id);
  for (const auto id : config_.voters.outgoing.voters())
    ensure(id);
  for (const auto id : config_.learners)
    ensure(id);
  removed_ = removed_ || is_removed(id_);
}

// A removed member stays until another one confirms that it knows: until then that one may still need this one's vote
// to learn of the commit (two members, the leader removes itself).
void core::ask_whether_removed() {
  reset_election_timer();
  for (const auto& [id, follower] : progress_) {
    auto message = message_to(id);
    message.set_term(term_ + 1);
    message.mutable_request_vote()->set_pre_vote(true);
    send(std::move(message));
  }
}

// Thesis §4.2.1: a learner replicates in rounds, each up to where the log ended when the round began. One that ends a
// round within an election timeout will not hold up commitment for longer than that when it gets its vote.
void core::promote_learners() {
  if (!leader_ || !opts_.auto_promote)
    return;
  for (const auto id : config_.learners) {
    auto& learner = progress_.at(id);
    if (learner.match < learner.round_target || learner.match == 0)
      continue;
    const bool quick = now_ - learner.round_started < opts_.election_ticks;
    if (quick && log_.last_index() - learner.match <= opts_.promote_lag_entries) {
      change_member promotion;
      promotion.kind = member_change::promote;
      promotion.member.set_raft_id(id);
      if (change(promotion, nullptr).ok())
        return; // one at a time
      continue; // asked again at the next tick
    }
    learner.round_target = log_.last_index();
    learner.round_started = now_;
  }
}

std::vector<raft_id> core::active() const {
  std::vector<raft_id> out;
  if (leader_)
    for (const auto& [id, follower] : progress_)
      if (id == id_ || now_ - follower.last_contact <= opts_.election_ticks)
        out.push_back(id);
  return out;
}

bool core::is_removed(raft_id id) const {
  return std::find(membership_.removed().begin(), membership_.removed().end(), id) != membership_.removed().end();
}

} // namespace swarm::raft
