// Majorities: sort what was acknowledged and take the middle.
#include "actors/raft/quorum.hpp"

#include <algorithm>
#include <array>

namespace swarm::raft {

majority::majority(std::vector<raft_id> voters) : voters_{std::move(voters)} {
  std::sort(voters_.begin(), voters_.end());
  voters_.erase(std::unique(voters_.begin(), voters_.end()), voters_.end());
}

bool majority::contains(raft_id id) const { return std::binary_search(voters_.begin(), voters_.end(), id); }

void majority::insert(raft_id id) {
  const auto at = std::lower_bound(voters_.begin(), voters_.end(), id);
  if (at == voters_.end() || *at != id)
    voters_.insert(at, id);
}

void majority::erase(raft_id id) {
  const auto at = std::lower_bound(voters_.begin(), voters_.end(), id);
  if (at != voters_.end() && *at == id)
    voters_.erase(at);
}

log_index majority::committed(const acked_index& acked) const {
  if (voters_.empty())
    return everything;
  // Groups of managers are small: seven fit without touching the heap.
  std::array<log_index, 7> small{};
  std::vector<log_index> large;
  log_index* first = small.data();
  if (voters_.size() > small.size()) {
    large.resize(voters_.size());
    first = large.data();
  }
  auto* last = first;
  for (const auto id : voters_)
    *last++ = acked(id).value_or(0);
  // The element that a majority, itself included, is at or above.
  auto* const middle = first + (voters_.size() - (voters_.size() / 2 + 1));
  std::nth_element(first, middle, last);
  return *middle;
}

vote_result majority::tally(const cast_vote& votes) const {
  if (voters_.empty())
    return vote_result::won;
  std::size_t yes = 0;
  std::size_t missing = 0;
  for (const auto id : voters_) {
    const auto vote = votes(id);
    if (!vote)
      ++missing;
    else if (*vote)
      ++yes;
  }
  const auto needed = voters_.size() / 2 + 1;
  if (yes >= needed)
    return vote_result::won;
  return yes + missing >= needed ? vote_result::pending : vote_result::lost;
}

log_index joint_majority::committed(const acked_index& acked) const {
  return std::min(incoming.committed(acked), outgoing.committed(acked));
}

vote_result joint_majority::tally(const cast_vote& votes) const {
  const auto a = incoming.tally(votes);
  const auto b = outgoing.tally(votes);
  if (a == b)
    return a;
  return a == vote_result::lost || b == vote_result::lost ? vote_result::lost : vote_result::pending;
}

} // namespace swarm::raft
