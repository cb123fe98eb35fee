// What the leader knows of one follower, and how much it may send to it.
#pragma once

#include <deque>
#include <map>
#include <string_view>

#include "actors/raft/types.hpp"

namespace swarm::raft {

/// Appends that were sent and not yet acknowledged, bounded in messages and bytes.
class inflight_window {
public:
  inflight_window(std::size_t max_messages, std::size_t max_bytes) : max_messages_{max_messages}, max_bytes_{max_bytes} {}

  [[nodiscard]] bool full() const { return sent_.size() >= max_messages_ || bytes_ >= max_bytes_; }
  [[nodiscard]] std::size_t messages() const { return sent_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  void add(log_index last, std::size_t bytes);
  /// Everything up to `index` has been acknowledged.
  void free_to(log_index index);
  void clear();

private:
  struct sent {
    log_index last;
    std::size_t bytes;
  };
  std::size_t max_messages_;
  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::deque<sent> sent_;
};

/// ```
///            reject (1)                    next_index is compacted away (3)
///  ┌──────────────────────────┐         ┌───────────────────────────────┐
///  ▼                          │         │                               ▼
/// PROBE ──accepted (2)──► REPLICATE ────┘                           SNAPSHOT
///  ▲ └──────────────────────────────────(3)────────────────────────► │
///  └──────────── installed, refused or given up (4) ─────────────────┘
/// ```
/// PROBE sends one append and waits for its answer or the next heartbeat's; REPLICATE sends ahead within the window,
/// which starts small and doubles with each acknowledgement, so that a path that reorders or loses costs a few appends
/// and not a full window each time; SNAPSHOT sends no entries at all.
enum class progress_state : std::uint8_t { probe, replicate, snapshot };
[[nodiscard]] std::string_view to_string(progress_state state);

struct progress {
  progress_state state = progress_state::probe;
  log_index match = 0;              ///< known to be on the follower's disk; never goes back within a term
  log_index next = 1;               ///< the next entry to send
  bool learner = false;
  bool recent_active = false;       ///< heard from since the last CheckQuorum
  bool paused = false;              ///< PROBE only: one append is out
  std::uint64_t last_contact = 0;   ///< tick of the last message from it
  log_index commit_told = 0;        ///< the highest leader_commit that was sent to it
  std::uint64_t read_acked = 0;     ///< the latest ReadIndex round that it has answered
  log_index round_target = 0;       ///< learners: the round (thesis §4.2.1) ends when match reaches this
  std::uint64_t round_started = 0;
  std::uint64_t last_sent = 0;      ///< tick of the last append
  std::size_t window = 1;           ///< REPLICATE: appends that may be out; at most the inflight window's bound
  inflight_window inflight;

  progress(log_index next_index, std::size_t max_messages, std::size_t max_bytes)
      : next{next_index}, inflight{max_messages, max_bytes} {}

  void become_probe();
  void become_replicate();
  void become_snapshot();
  /// True when the follower has acknowledged something new.
  bool acknowledged(log_index index);
  /// The follower refused `rejected`; `try_next` is where its log may match. False when the refusal is old.
  bool refused(log_index rejected, log_index try_next);
  /// The window grows; called for each acknowledgement of something new.
  void widen(std::size_t max_messages);
  /// No append may be sent now.
  [[nodiscard]] bool blocked() const;
};

using progress_map = std::map<raft_id, progress>;

} // namespace swarm::raft
