// Linearizable reads (thesis §6.4): no lease, a quorum is asked each time, one round for all who wait.
#include "actors/raft/raft_core.hpp"
#include "runtime/check.hpp"

namespace swarm::raft {

void core::on_read(const read& ev) {
  auto refuse = [&](errc code, std::string why) { finish(outcome::of::read, ev.tag, {code, std::move(why)}); };
  const auto waiting = reads_to_apply_.size() + (leader_ ? leader_->queued_reads.size() : forwarded_.size());
  if (waiting >= opts_.max_pending_reads)
    return refuse(errc::resource_exhausted, std::to_string(waiting) + " reads are waiting; try again");
  if (leader_) {
    leader_->queued_reads.push_back({0, ev.tag});
    return start_read_round();
  }
  if (leader_id_ == 0)
    return refuse(errc::unavailable, "no leader is known; try again");
  const auto request = next_request_id_++;
  forwarded_[request] = {ev.tag, now_ + opts_.election_ticks};
  auto message = message_to(leader_id_);
  message.mutable_forward_read_index()->set_request_id(request);
  send(std::move(message));
}

void core::on_forward_read_index(const RaftMessage& message) {
  const waiting_read asked{message.from(), message.forward_read_index().request_id()};
  if (!leader_ || !progress_.contains(message.from()) || leader_->queued_reads.size() >= opts_.max_pending_reads)
    return refuse_read(asked);
  leader_->queued_reads.push_back(asked);
  start_read_round();
}

// The commit index of now is a valid answer for all who have asked by now, if a quorum says after now that we still
// lead. While a round is out the next askers gather.
void core::start_read_round() {
  while (leader_ && !leader_->round && !leader_->queued_reads.empty()
         && (committed_in_term() || opts_.bugs.read_before_noop)) {
    leader_->round = read_round{++leader_->last_read_context, commit_index_, std::move(leader_->queued_reads)};
    leader_->queued_reads.clear();
    progress_.at(id_).read_acked = leader_->last_read_context;
    if (!alone())
      send_heartbeats();
    confirm_reads();
    if (leader_->round)
      return;
  }
}

void core::confirm_reads() {
  if (!leader_->round)
    return;
  const auto acked = [&](raft_id id) -> std::optional<log_index> {
    const auto it = progress_.find(id);
    return it == progress_.end() ? std::nullopt : std::optional{it->second.read_acked};
  };
  if (config_.voters.committed(acked) < leader_->round->context && !opts_.bugs.stale_read)
    return;
  const auto round = std::move(*leader_->round);
  leader_->round.reset();
  for (const auto& waiting : round.reads)
    answer_read(waiting, round.index);
  start_read_round();
}

void core::answer_read(const waiting_read& waiting, log_index index) {
  if (waiting.from == 0) {
    reads_to_apply_.emplace(index, waiting.tag);
    return serve_applied_reads();
  }
  auto message = message_to(waiting.from);
  auto& reply = *message.mutable_read_index_reply();
  reply.set_request_id(waiting.tag);
  reply.set_read_index(index);
  send(std::move(message));
}

void core::refuse_read(const waiting_read& waiting) {
  if (waiting.from == 0)
    return finish(outcome::of::read, waiting.tag, {errc::unavailable, "leadership was lost while the read waited; try again"});
  auto message = message_to(waiting.from);
  auto& reply = *message.mutable_read_index_reply();
  reply.set_request_id(waiting.tag);
  reply.set_refused(true);
  send(std::move(message));
}

void core::on_read_index_reply(const RaftMessage& message) {
  const auto& reply = message.read_index_reply();
  const auto it = forwarded_.find(reply.request_id());
  if (it == forwarded_.end())
    return;
  const auto tag = it->second.tag;
  forwarded_.erase(it);
  if (reply.refused())
    return finish(outcome::of::read, tag, {errc::unavailable, "the leader could not confirm the read; try again"});
  reads_to_apply_.emplace(reply.read_index(), tag);
  serve_applied_reads();
}

void core::serve_applied_reads() {
  while (!reads_to_apply_.empty()
         && (reads_to_apply_.begin()->first <= last_applied_ || opts_.bugs.read_before_apply)) {
    finish(outcome::of::read, reads_to_apply_.begin()->second, {}, last_applied_, term_);
    reads_to_apply_.erase(reads_to_apply_.begin());
  }
}

void core::expire_forwarded_reads() {
  for (auto it = forwarded_.begin(); it != forwarded_.end();) {
    if (it->second.deadline > now_) {
      ++it;
      continue;
    }
    finish(outcome::of::read, it->second.tag, {errc::unavailable, "the leader did not confirm the read in time; try again"});
    it = forwarded_.erase(it);
  }
}

void core::drop_forwarded_reads() {
  for (const auto& [request, asked] : forwarded_)
    finish(outcome::of::read, asked.tag, {errc::unavailable, "the leader changed while the read waited; try again"});
  forwarded_.clear();
}

} // namespace swarm::raft
