// Every number of the Raft core, with its default and its reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "actors/raft/planted_bugs.hpp"

namespace swarm::raft {

/// Time is counted in ticks; the actor makes one tick 25 ms by default, so heartbeats leave every 50 ms and elections
/// start after 400-600 ms of silence.
struct options {
  unsigned heartbeat_ticks = 2;
  unsigned election_ticks = 16;         ///< the real timeout is drawn from [election, 1.5 * election)
  unsigned pre_vote_ticks = 4;          ///< a pre-candidate asks those again that have not answered
  unsigned link_loss_jitter_ticks = 2;  ///< a follower that lost the leader's link pre-votes after 0..this many ticks

  std::size_t max_entry_bytes = 3 << 19;                      ///< 1.5 MiB; more is refused at the door
  std::size_t max_append_bytes = 1 << 20;                     ///< entries of one AppendEntries (one entry always fits)
  std::size_t max_inflight_messages = 256;                    ///< per follower
  std::size_t max_inflight_bytes = 16 << 20;                  ///< per follower
  std::size_t max_uncommitted_bytes = 64 << 20;               ///< then proposals are refused as resource_exhausted
  std::size_t max_applying_bytes = 16 << 20;                  ///< handed to STORE and not yet applied
  std::size_t max_pending_reads = 10'000;

  std::uint64_t keep_entries = 10'000;     ///< log kept for followers that were away ...
  std::size_t keep_bytes = 64 << 20;       ///< ... unless it is bigger than this ...
  std::size_t keep_bytes_cap = 256 << 20;  ///< ... and for followers that are slow, but never more than this
  std::uint64_t keep_entries_alone = 64;   ///< nobody to catch up: a group of one keeps next to nothing in memory ...
  std::size_t keep_bytes_alone = 1 << 20;  ///< ... and big batches not even that long
  std::uint64_t compaction_batch = 256;    ///< compaction waits until this many entries can go

  bool auto_promote = true;                ///< learners become voters when they have caught up
  std::uint64_t promote_lag_entries = 1'000;
  std::uint64_t removed_kept = 1'000;      ///< removed raft ids remembered; the oldest are forgotten

  unsigned apply_stall_ticks = 400;        ///< committed but not applied for 10 s: the leader gives up its office
  unsigned disk_transfer_ticks = 120;      ///< own write not finished for 3 s: hand over
  unsigned disk_stop_ticks = 400;          ///< own write not finished for 10 s: the node must stop

  std::uint64_t seed = 0;                  ///< of the election jitter and request ids; the shell draws it from the system
  planted_bugs bugs;                       ///< tests only

  /// "" or what is wrong, in words for the operator.
  [[nodiscard]] std::string problem() const {
    if (heartbeat_ticks == 0)
      return "raft heartbeat must be at least one tick";
    if (pre_vote_ticks == 0)
      return "raft pre-votes must be at least one tick apart";
    if (election_ticks < 5 * heartbeat_ticks)
      return "raft election timeout (" + std::to_string(election_ticks) + " ticks) must be at least 5 heartbeats ("
             + std::to_string(5 * heartbeat_ticks) + " ticks)";
    if (max_inflight_messages == 0 || max_append_bytes == 0)
      return "raft windows must not be empty";
    return {};
  }
};

} // namespace swarm::raft
