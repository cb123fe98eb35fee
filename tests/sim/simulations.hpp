// The simulations that swarm-sim offers, each behind the same few functions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/raft_world.hpp"

namespace swarm::sim {

struct run_options {
  std::uint64_t ticks = 0; ///< of the phase with faults; 0 = as the seed says
  bool lite = false;
  std::string bug;         ///< planted; "" = none
  std::string name;        ///< of a scenario; "" = all of them, one after the other
};

struct run_result {
  std::string violation; ///< "" = none
  std::string dump;      ///< of everybody's state, when there is a violation
  std::uint64_t fingerprint = 0;
  std::string name;      ///< of the scenario that failed
  std::vector<std::pair<std::string, std::uint64_t>> totals; ///< the same names in each run
};

struct simulation {
  std::string name;
  run_result (*run)(std::uint64_t seed, const run_options& options, log_mode mode, const raft_world::sink& out);
  std::string (*render_options)(std::uint64_t seed, const run_options& options);
  const std::vector<std::string>& (*bugs)();
  bool (*knows)(const std::string& name); ///< a scenario of this name; null: it has none
};

/// nullptr when there is none of that name.
[[nodiscard]] const simulation* find_simulation(const std::string& name);

} // namespace swarm::sim
