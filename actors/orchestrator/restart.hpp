// The restart supervisor: whether, when and how often an attempt is followed by another (behaviour §4.5).
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "actors/orchestrator/service_state.hpp"

namespace swarm::orchestrator {

/// An attempt that failed after less than this counts as "failed again quickly".
inline constexpr duration ran_well_after = seconds{10};
inline constexpr duration restart_delay_default = seconds{5};
/// The longest delay that backing off leads to; a longer configured one stays as it is.
inline constexpr duration restart_delay_max = minutes{5};
/// What users may ask for is longer than what can be added to the time of day.
inline constexpr duration longest_wait = hours{24 * 3650};
/// A replacement does not wait longer for its predecessor to stop.
inline constexpr duration stop_wait_max = minutes{1};
/// What `service ps` says of a task that waits for nothing but its predecessor.
inline constexpr const char* waits_for_stop = "waiting for the task before it to stop";
/// Service label; the value "off" keeps the configured delay for every restart, as Swarm does.
inline constexpr const char* backoff_label = "swarm.restart.backoff";

/// The delay before the n-th restart in a row after quick failures (n from 1): configured, then doubling.
[[nodiscard]] duration restart_delay(duration configured, unsigned quick_failures);

/// A restart is a new task in the same slot. It is wanted READY, so that it is placed and pulled meanwhile, and RUNNING
/// once the delay is over and its predecessor has stopped.
///
/// Counters live in memory. They are rebuilt from the tasks that are still stored, which is why the reaper keeps
/// max_attempts + 1 of them. Of a longer row of failures the delays tell that are left in the lives of those stored.
class restart_supervisor {
public:
  explicit restart_supervisor(service_state& state) : state_{state} {}

  /// After loading: counters from history, delays of tasks that an earlier leader left in READY.
  void rebuild();

  [[nodiscard]] bool should_restart(const slot_key& slot, const task_row& row) const;
  /// Shuts the attempt down and, if the policy says so, creates the next one.
  /// Precondition: the row is runnable. It must have ended, or its node be invalid.
  void restart(const slot_key& slot, task_row& row);
  /// Some task of the slot is to go, but has not stopped yet.
  [[nodiscard]] bool is_stopping(const slot_key& slot);
  /// The row is wanted READY; raise it to its target after `delay`, and when nothing in the slot is stopping any more.
  void delay_start(const slot_key& slot, const task_row& row, duration delay, bool wait_for_stop);
  /// How long the row is still held back by an earlier delay_start; nothing when it is not.
  [[nodiscard]] duration delay_left(const task_id& task) const;
  /// Raises those in the slot whose time has come.
  void advance(const slot_key& slot);

  /// The observed state of a row is about to become one at which it has ended.
  void note_end(task_row& row, TaskState ended, wall_ns at) const;
  void forget(const task_id& task) { delays_.erase(task); }
  void commit() { undo_.clear(); }
  void abort();

private:
  struct history {
    std::uint64_t spec_version = 0;
    std::uint64_t restarts = 0;
    unsigned quick_failures = 0;
    std::vector<wall_ns> recent; ///< times of restarts, kept only if the policy has a window
  };
  struct delay {
    slot_key slot;
    instant start_at;
    instant wait_until; ///< for the predecessor
  };
  [[nodiscard]] duration delay_of(const task_row& row, const history& h) const;
  void rebuild_slot(const slot_key& slot, const slot_state& rows);
  [[nodiscard]] unsigned failures_before(const std::vector<task_row*>& attempts) const;
  history& history_of(const slot_key& slot, std::uint64_t spec_version);

  service_state& state_;
  std::map<slot_key, history> histories_; ///< of slots that had a restart
  std::map<task_id, delay> delays_;
  std::vector<std::pair<slot_key, std::optional<history>>> undo_;
};

} // namespace swarm::orchestrator
