// The updater: replaces the tasks of one service by ones of its newest spec, a few at a time, and watches whether they
// stay up (behaviour §4.6).
#pragma once

#include <boost/container/deque.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "actors/orchestrator/restart.hpp"
#include "actors/orchestrator/service_state.hpp"

namespace swarm::orchestrator {

/// An update or rollback config with Swarm's defaults filled in.
struct update_policy {
  std::size_t parallelism = 1; ///< 0: all at once
  duration delay{0};
  FailureAction failure_action = FAILURE_ACTION_PAUSE;
  duration monitor = seconds{5}; ///< a failure within this time after RUNNING is the update's; longer than the delay
  float max_failure_ratio = 0;
  bool start_first = false;
};
[[nodiscard]] update_policy policy_of(const ServiceSpec& spec, bool rollback);

/// One run works towards one spec version:
///
///   idle ──1──► replacing ──2──► monitoring ──3──► idle (completed)
///                  │  └───4───────────┘
///                  └──► idle (paused, or rolled back: a new run with the previous spec)
///
///   1 slots are dirty   2 the last one is replaced   3 the monitor period ends   4 too many failures
///
/// A worker is one slot under replacement: create the new, stop the old (or the other way round), wait until the new
/// one is RUNNING or has failed, rest for the delay. What is left after a change of leaders is a new run over the slots
/// that are still dirty; failures before it are forgotten, as in Swarm.
class updater {
public:
  updater(service_state& state, restart_supervisor& restarts) : state_{state}, restarts_{restarts} {}

  /// Something changed that may make slots dirty or clean: spec, nodes, or everything (after loading).
  void look_again() { look_again_ = true; }
  /// The store has a new value of the service. With another spec version, the run towards the older one ends.
  void service_changed(bool version_changed);
  /// A wanted task ended by itself. To be called before the restart supervisor replaces it.
  void note_end(const task_row& row);
  /// Progress of the worker on this slot.
  void check(const slot_key& slot);
  /// The slot does not exist any more.
  void drop(const slot_key& slot) { workers_.erase(slot); }
  /// Starts and ends runs and workers.
  void advance();
  /// A Command was taken back: begin anew with whatever is dirty.
  void abort();

  /// The slot has two runnable tasks, and that is on purpose.
  [[nodiscard]] bool is_replacing(const slot_key& slot) const { return workers_.contains(slot); }
  [[nodiscard]] bool is_running() const { return run_.has_value(); }
  [[nodiscard]] std::optional<instant> next_wake() const;
  [[nodiscard]] std::string dump() const;

private:
  struct run {
    std::size_t dirty_slots = 0;
    std::size_t failures = 0;
    bool silent = false; ///< no spec has changed, slots are only crowded: the status is left alone
    std::optional<instant> monitor_until;
  };
  struct worker {
    task_id task;                     ///< the new one
    bool stop_others = false;         ///< once it is RUNNING
    std::optional<instant> rest_until; ///< done, resting
  };

  [[nodiscard]] bool is_paused() const;
  [[nodiscard]] bool is_rollback() const;
  [[nodiscard]] update_policy policy() const { return policy_of(state_.service->spec(), is_rollback()); }
  [[nodiscard]] bool is_dirty(const task_row& row);
  /// Rows that an update must deal with: the runnable ones, or the last one if it ended for good.
  [[nodiscard]] std::vector<task_row*> updatable(const slot_key& slot, const slot_state& rows);
  enum class dirt { none, crowded, outdated };
  [[nodiscard]] dirt dirt_of(const slot_key& slot, const slot_state& rows);
  void cancel();
  void begin();
  void resume(const slot_key& slot, const slot_state& rows);
  void start(bool by_version);
  void show_progress();
  void fill();
  void replace(const slot_key& slot);
  void keep(const slot_key& slot, task_row& kept, const std::vector<task_row*>& rows);
  void stop_all_but(const slot_key& slot, const task_row& kept);
  void rest(worker& w, const slot_key& slot);
  /// False when the service sets no deadline, or the task has time left; then its slot is woken at the end of it.
  [[nodiscard]] bool is_late(const slot_key& slot, const task_row& row);
  void count_failure(const task_id& task, const std::string& reason);
  void act_on_failure(const task_id& task);
  void finish();

  service_state& state_;
  restart_supervisor& restarts_;
  bool look_again_ = false;
  bool unpaused_ = false; ///< the pause that the status tells of belongs to an older spec
  std::optional<std::uint64_t> rolling_back_; ///< the spec version that is being rolled back from
  std::optional<run> run_;
  std::optional<task_id> failed_; ///< the one that was too many; acted on as soon as nothing is in flight
  std::string reason_;            ///< what is said of it beyond Swarm's words
  boost::container::deque<slot_key> queue_;
  std::map<slot_key, worker> workers_;
  std::map<task_id, std::optional<instant>> updated_; ///< tasks of this run: since when they are RUNNING
  std::set<task_id> late_;                            ///< of these: not up by the deadline
};

} // namespace swarm::orchestrator
