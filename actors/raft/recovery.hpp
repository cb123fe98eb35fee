// Starting anew after the quorum is lost for good.
#pragma once

#include "actors/raft/events.hpp"

namespace swarm::raft {

struct forced_cluster {
  restored_state state;   ///< what to start the core from, once `append` is on disk
  entry_ptr append;       ///< to be written together with state.hard_state in one transaction
};

/// Makes this member the only one: its log is declared committed, and one entry in a new term removes all others for
/// ever. Safe to repeat: a second run finds itself alone already and adds one more such entry.
/// Uncommitted entries are kept, not dropped: some of them may have been acknowledged by the lost majority.
[[nodiscard]] forced_cluster force_new_cluster(restored_state disk, Member self);

} // namespace swarm::raft
