// Handing the office over (thesis §3.10): bring the successor up to date, then tell it not to wait.
#include "actors/raft/raft_core.hpp"

namespace swarm::raft {

void core::on_transfer(const transfer& ev) {
  auto refuse = [&](errc code, std::string why) { finish(outcome::of::transfer, ev.tag, {code, std::move(why)}); };
  if (!leader_)
    return refuse(errc::not_leader, "this manager does not lead");
  if (leader_->transferee != 0)
    return refuse(errc::unavailable, "leadership is already being transferred to " + std::to_string(leader_->transferee));
  const auto target = ev.target != 0 ? ev.target : best_successor();
  if (target == id_)
    return finish(outcome::of::transfer, ev.tag, {});
  if (target == 0)
    return refuse(errc::failed_precondition, "there is no other manager that could lead");
  if (!config_.voters.contains(target))
    return refuse(errc::failed_precondition, "manager " + std::to_string(target) + " has no vote");
  start_transfer(target, ev.tag);
}

void core::start_transfer(raft_id target, std::uint64_t tag) {
  leader_->transferee = target;
  leader_->transfer_tag = tag;
  leader_->transfer_started = now_;
  continue_transfer(target);
}

void core::continue_transfer(raft_id follower) {
  if (!leader_ || leader_->transferee != follower)
    return;
  const auto it = progress_.find(follower);
  if (it == progress_.end() || it->second.match != log_.last_index())
    return; // the appends that bring it up to date are on their way
  auto message = message_to(follower);
  message.mutable_timeout_now();
  send(std::move(message));
}

void core::end_transfer(failure error) {
  if (leader_->transfer_tag != 0)
    finish(outcome::of::transfer, leader_->transfer_tag, std::move(error));
  leader_->transferee = 0;
  leader_->transfer_tag = 0;
}

raft_id core::best_successor() const {
  raft_id best = 0;
  log_index best_match = 0;
  for (const auto& [id, follower] : progress_) {
    if (id == id_ || !config_.voters.contains(id) || now_ - follower.last_contact > opts_.election_ticks)
      continue;
    if (best == 0 || follower.match > best_match) {
      best = id;
      best_match = follower.match;
    }
  }
  return best;
}

} // namespace swarm::raft
