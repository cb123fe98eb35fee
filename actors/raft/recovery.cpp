// Starting anew after the quorum is lost for good.
#include "actors/raft/recovery.hpp"

#include <algorithm>
#include <set>

#include "runtime/check.hpp"

namespace swarm::raft {

forced_cluster force_new_cluster(restored_state disk, Member self) {
  SWARM_CHECK(self.raft_id() == disk.id && disk.id != 0);
  std::set<raft_id> removed;
  auto note = [&](const Membership& membership) {
    for (const auto* list : {&membership.voters(), &membership.voters_outgoing(), &membership.learners(),
                             &membership.learners_next()})
      for (const auto& member : *list)
        removed.insert(member.raft_id());
    removed.insert(membership.removed().begin(), membership.removed().end());
  };
  note(disk.membership);
  for (const auto& entry : disk.entries) {
    Membership membership;
    if (entry->type() == ENTRY_TYPE_CONFIGURATION && membership.ParseFromString(entry->data()))
      note(membership);
  }
  removed.erase(disk.id);

  Membership alone;
  *alone.add_voters() = std::move(self);
  for (const auto id : removed)
    alone.add_removed(id);
  const auto last = disk.base_index + disk.entries.size();
  const auto last_term = disk.entries.empty() ? disk.base_term : disk.entries.back()->term();
  auto entry = std::make_shared<Entry>();
  entry->set_term(std::max(disk.hard_state.term(), last_term) + 1);
  entry->set_log_index(last + 1);
  entry->set_type(ENTRY_TYPE_CONFIGURATION);
  entry->set_data(alone.SerializeAsString());
  disk.hard_state.set_term(entry->term());
  disk.hard_state.set_voted_for(0);
  disk.hard_state.set_commit_index(entry->log_index());
  disk.entries.push_back(entry);
  return {std::move(disk), std::move(entry)};
}

} // namespace swarm::raft
