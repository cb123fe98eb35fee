// Everything that one seed decides before a whole cluster runs, and the defects that can be planted in it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/raft_knobs.hpp"

namespace swarm::sim {

/// Each removes one rule of an actor. They live in what the simulator has around the real cores and in what it gives to
/// them; production code knows nothing of them.
struct cluster_bugs {
  // AGENT
  bool agent_trusts_empty_journal = false;  ///< a lost journal counts as "nothing is assigned", what runs is removed
  bool agent_skips_recovery = false;        ///< tasks begin before the driver has said what runs already
  bool agent_applies_out_of_order = false;  ///< an increment is applied whatever it applies to
  bool agent_takes_old_session = false;     ///< Assignments of an older session count
  bool agent_never_repeats = false;         ///< what the manager does not know of is not told again
  bool agent_reports_early = false;         ///< RUNNING is told when the start is asked for
  bool agent_keeps_removed = false;         ///< a task that is no longer assigned is left alone
  bool agent_tells_before_kept = false;     ///< an end is told before the journal has it on disk
  // DISPATCHER
  bool dispatcher_sends_increment_first = false; ///< a session begins without the complete set
  bool dispatcher_never_expires = false;    ///< silence is never noticed
  bool removed_node_keeps_session = false;  ///< nobody tells DISPATCHER of removed nodes
  bool dispatcher_forgets_statuses = false; ///< reports are acknowledged and dropped while a Command is under way
  // ORCHESTRATOR and SCHEDULER
  bool orchestrator_ignores_down = false;   ///< nodes that are down look ready to it
  bool scheduler_ignores_down = false;
  bool scheduler_ignores_drain = false;
  bool restart_forgets_delay = false;
  bool replacement_does_not_wait = false;   ///< a new task starts before its predecessor has stopped
  bool double_create = false;               ///< tasks are created twice right after a change of leaders
  bool update_never_ends = false;           ///< the update status is never written
  bool leader_decides_early = false;        ///< a leader acts before its state holds what was decided before it
  bool leader_misses_events = false;        ///< the first batch after a leader has loaded its state is lost
  // CONTROL, RAFT's shell, STORE
  bool read_without_index = false;          ///< reads are answered from whatever this manager has
  bool answer_before_commit = false;        ///< a write is acknowledged when it is proposed
  bool retry_unknown_writes = false;        ///< a write whose outcome is unknown is proposed once more
  bool version_ignored = false;             ///< an update replaces whatever is there
  bool recovery_loses_last = false;         ///< the state after a restart lacks the last entry that it claims
  bool snapshot_keeps_store = false;        ///< STORE goes on with its old state after a snapshot
  bool apply_differs = false;               ///< one manager skips an action
  // what a new leader makes of the stored state; for scenarios
  bool leader_forgets_failures = false;     ///< attempts that have ended are not looked at
  bool leader_forgets_completions = false;  ///< nor tasks of jobs that have completed
  bool leader_forgets_waiting = false;      ///< every delay counts as over
  bool leader_forgets_pause = false;        ///< an update that is paused goes on
  bool leader_forgets_rollback = false;     ///< a rollback counts as an update
  bool leader_starts_update_anew = false;   ///< what has been replaced already is replaced once more
  bool leader_overlooks_starting = false;   ///< tasks that are on their way count as up
  bool provider_gives_one_for_all = false;  ///< a value that a driver gave for one task serves the others, too
};

/// Times are in microseconds, as in raft_knobs.
struct cluster_knobs {
  raft_knobs raft;
  cluster_bugs bugs;

  unsigned workers = 3;
  unsigned late_workers = 0;            ///< of these: started by the script
  std::int64_t history = 2;             ///< tasks that a slot keeps
  unsigned services = 2;
  unsigned keys = 2;
  unsigned clients = 3;
  std::uint64_t client_us = 150'000;     ///< mean time between the operations of one client
  std::uint64_t admin_us = 2'000'000;    ///< mean time between changes of services and nodes
  std::uint64_t heartbeat_us = 1'000'000;

  // links between managers and workers
  std::uint64_t link_delay_us_max = 5'000;
  std::uint64_t link_silence_us = 2'000'000; ///< then a link is dead
  unsigned lose_frame_percent = 0;           ///< Assignments that vanish

  // engines
  std::uint64_t engine_us_max = 50'000;
  unsigned lose_reply_percent = 0;
  unsigned refuse_percent = 0;               ///< calls that fail for now
  unsigned fail_start_percent = 0;
  unsigned die_percent = 0;                  ///< containers that end by themselves ...
  std::uint64_t die_us_max = 5'000'000;      ///< ... within this time

  // nemesis: 0 = this fault does not exist in this run, else its weight
  std::uint64_t fault_us = 1'500'000;        ///< mean time between faults
  unsigned crash_agent = 0;
  unsigned crash_host = 0;                   ///< power: containers die, unwritten journal is lost
  unsigned lose_journal = 0;                 ///< a crash of the agent that takes its journal along
  unsigned lose_host = 0;                    ///< for good
  unsigned freeze_worker = 0;
  unsigned cut_worker = 0;                   ///< from some or all managers, one way or both
  unsigned flap_link = 0;
  unsigned restart_engine = 0;
  unsigned hang_engine = 0;
  unsigned jump_clock = 0;
  unsigned full_database = 0;
  unsigned remove_node = 0;

  [[nodiscard]] static cluster_knobs draw(std::uint64_t seed, bool lite);
  [[nodiscard]] std::string render() const;
};

/// Sets the planted bug of that name; false when there is none.
bool plant(cluster_bugs& bugs, const std::string& name);
[[nodiscard]] const std::vector<std::string>& cluster_bug_names();
/// Those that scenarios must find.
[[nodiscard]] const std::vector<std::string>& scenario_bug_names();

} // namespace swarm::sim
