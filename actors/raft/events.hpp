// What may happen to the Raft core, and what it asks for in return.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "actors/raft/types.hpp"
#include "messages/errors.hpp"

namespace swarm::raft {

// -- what may happen -------------------------------------------------------------------------------------------------

struct tick {};
struct received {
  RaftMessage message;
};
/// Tags are the shell's; each comes back exactly once in ready::outcomes.
struct proposal {
  std::uint64_t tag = 0;
  std::string data; ///< serialized Command
};
struct propose {
  std::vector<proposal> batch;
};
enum class member_change : std::uint8_t { add_learner, promote, remove, update_address };
struct change_member {
  std::uint64_t tag = 0;
  member_change kind = member_change::add_learner;
  Member member;
};
/// A read that must reflect every write acknowledged before it was asked.
struct read {
  std::uint64_t tag = 0;
};
struct transfer {
  std::uint64_t tag = 0;
  raft_id target = 0; ///< 0 = the voter that is furthest
};
/// The write `ready::sequence` and all before it are on disk.
struct persisted {
  std::uint64_t sequence = 0;
};
/// STORE has applied everything up to here.
struct applied {
  log_index index = 0;
};
/// The connection to a peer has closed and could not be made again at once.
struct link_lost {
  raft_id peer = 0;
};
/// This process noticed that it did not run for more than half an election timeout.
struct was_paused {};
/// Answer to ready::snapshot_reads.
struct snapshot_chunk_read {
  raft_id peer = 0;
  std::uint64_t snapshot_id = 0;
  SnapshotMeta meta;
  std::uint64_t chunk = 0;
  bool last = false;
  std::string data;
  std::string chain_sha256;
};
/// The snapshot cannot be read any more (too old, disk error): start over later.
struct snapshot_read_failed {
  raft_id peer = 0;
};
/// Answer to ready::snapshot_writes. For the last chunk `ok` means: verified, switched to, synced; the log on disk is
/// empty and begins behind the snapshot.
struct snapshot_chunk_stored {
  std::uint64_t snapshot_id = 0;
  std::uint64_t chunk = 0;
  bool ok = false;
};

using event = std::variant<tick, received, propose, change_member, read, transfer, persisted, applied, link_lost,
                           was_paused, snapshot_chunk_read, snapshot_read_failed, snapshot_chunk_stored>;

// -- what the shell must do -------------------------------------------------------------------------------------------

/// How a proposal, membership change, read or transfer went. errc::ok for a proposal means "in the log at index/term":
/// its result comes with the committed entry.
struct outcome {
  enum class of : std::uint8_t { proposal, change, read, transfer };
  of kind = of::proposal;
  std::uint64_t tag = 0;
  failure error;
  log_index index = 0; ///< of the entry; for reads the index that the answer reflects
  term_number term = 0;
};

struct snapshot_read {
  raft_id peer = 0;
  std::uint64_t snapshot_id = 0; ///< 0 = open a new one at what is applied now
  std::uint64_t chunk = 0;
};
/// The last chunk comes when STORE has nothing left to apply, and STORE gets nothing until it is answered.
struct snapshot_write {
  std::uint64_t snapshot_id = 0;
  SnapshotMeta meta;
  std::uint64_t chunk = 0; ///< 0 starts a new, empty generation
  bool last = false;
  std::string data;
  std::string chain_sha256;
};

/// One batch of work. Order: start the write, send messages_now, hand `committed` to STORE; when the write
/// `release_after` is on disk (0: at once) send messages_after_persist, then step(persisted).
/// The core never emits a message that promises something before the write that makes it true; all the shell has to
/// keep is this order, and writes must reach the disk in the order of their sequence.
struct ready {
  std::uint64_t sequence = 0;           ///< of the write; 0 = nothing to write
  std::optional<HardState> hard_state;
  std::vector<entry_ptr> entries;       ///< replace everything from entries[0].log_index on
  log_index truncate_before = 0;        ///< compaction: entries below may go; 0 = none

  std::vector<RaftMessage> messages_now;
  std::vector<RaftMessage> messages_after_persist;
  std::uint64_t release_after = 0;

  std::vector<entry_ptr> committed;     ///< for STORE, no-ops and memberships included, without gaps
  std::vector<outcome> outcomes;
  std::optional<LeadershipChanged> leadership;
  std::vector<snapshot_read> snapshot_reads;
  std::vector<snapshot_write> snapshot_writes;
  std::optional<Membership> membership; ///< a new one is in force (links connect and disconnect by it)
  bool removed = false;                 ///< the others know that this member was removed: stop being a manager
  bool disk_stalled = false;            ///< the disk has not answered for disk_stop_ticks: stop the node

  [[nodiscard]] bool empty() const {
    return sequence == 0 && messages_now.empty() && messages_after_persist.empty() && committed.empty()
           && outcomes.empty() && !leadership && snapshot_reads.empty() && snapshot_writes.empty() && !membership
           && !removed && !disk_stalled;
  }
};

/// What the disk held when this member started.
struct restored_state {
  raft_id id = 0;
  HardState hard_state;
  log_index base_index = 0;      ///< last compacted entry
  term_number base_term = 0;
  std::vector<entry_ptr> entries;
  log_index applied_index = 0;   ///< of STORE's tables
  Membership membership;         ///< in force at applied_index
};

} // namespace swarm::raft
