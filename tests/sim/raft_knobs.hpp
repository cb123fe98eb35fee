// Everything that one seed decides before a run begins: group size, core options, which faults exist and how hard.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "actors/raft/options.hpp"
#include "runtime/random.hpp"

namespace swarm::sim {

/// Virtual time is in microseconds.
struct raft_knobs {
  unsigned voters = 3;
  unsigned max_members = 5;
  std::uint64_t tick_us = 10'000;
  std::uint64_t ticks = 1'500;          ///< length of the phase with faults
  raft::options core;

  // network
  std::uint64_t delay_us_min = 100;
  std::uint64_t delay_us_max = 2'000;
  unsigned slow_percent = 0;            ///< messages that take up to a second: reordering, terms of long ago
  unsigned drop_percent = 0;
  unsigned duplicate_percent = 0;

  // disk and store
  std::uint64_t sync_us_max = 2'000;
  std::uint64_t apply_us_max = 500;
  unsigned snapshot_chunks_max = 1;
  unsigned corrupt_chunk_percent = 0;

  // workload
  std::uint64_t client_us = 20'000;
  unsigned batch_max = 4;

  // nemesis: 0 = this fault does not exist in this run, else its weight
  std::uint64_t fault_us = 300'000;     ///< mean time between faults
  unsigned crash = 0;
  unsigned crash_all = 0;
  unsigned split = 0;
  unsigned cut_one_way = 0;
  unsigned isolate_leader = 0;
  unsigned slow_disk = 0;
  unsigned freeze = 0;
  unsigned slow_apply = 0;
  unsigned member_change = 0;
  unsigned transfer = 0;
  unsigned link_loss = 0;
  unsigned replay = 0;
  unsigned disk_error = 0;              ///< clusters only: a sync fails, the manager stops
  unsigned crash_point_ppm = 0;         ///< crashes between any two effects of a step, per million
  unsigned clock_skew_percent = 0;

  [[nodiscard]] static raft_knobs draw(std::uint64_t seed, bool lite);
  /// How long a member that lacks so many entries may take for them: appends of a few bytes carry one each, a network
  /// that reorders lets little more than one append through per round trip, and some of these are lost.
  [[nodiscard]] std::uint64_t catch_up_us(std::uint64_t entries) const;
  [[nodiscard]] std::string render() const;
};

/// Sets the planted bug of that name; false when there is none.
bool plant(raft::planted_bugs& bugs, const std::string& name);
[[nodiscard]] const std::vector<std::string>& bug_names();

} // namespace swarm::sim
