// The words that all of RAFT's core shares: ids, indexes, entries.
#pragma once

#include <cstdint>
#include <memory>

#include "messages/raft.pb.h"

namespace swarm::raft {

using raft_id = std::uint64_t;   ///< random, never used again after removal; 0 = nobody
using term_number = std::uint64_t;
using log_index = std::uint64_t; ///< first entry is 1

/// Entries never change after they were made, so log, disk writes and appliers share one copy.
using entry_ptr = std::shared_ptr<const Entry>;

/// What an entry counts for in every byte bound: its data and a flat share for the rest.
inline std::size_t entry_size(const Entry& entry) { return entry.data().size() + 32; }

} // namespace swarm::raft
