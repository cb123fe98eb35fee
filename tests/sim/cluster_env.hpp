// What the parts of a simulated cluster share: time, chance, the group of managers, and who looks on.
#pragma once

#include <functional>
#include <string>

#include "runtime/time.hpp"
#include "tests/sim/cluster_knobs.hpp"
#include "tests/sim/raft_world.hpp"

namespace swarm::sim {

class cluster_checkers;
class cluster_history;
class cluster_links;
class cluster_script;

struct cluster_env {
  const cluster_knobs& knobs;
  raft_world& world;
  cluster_history& history;
  cluster_checkers& checkers;
  cluster_links& links;
  cluster_script* script = nullptr; ///< null: chance decides what happens

  [[nodiscard]] random_source& rng() const { return world.rng(); }
  /// Everybody's monotonic clock runs alike; wall clocks are off by what the nemesis says.
  [[nodiscard]] timestamp time(std::int64_t wall_offset_ns) const {
    const auto since = microseconds{static_cast<std::int64_t>(world.now())};
    return {instant{seconds{1'000}} + since, 1'700'000'000'000'000'000 + std::chrono::nanoseconds{since}.count() + wall_offset_ns};
  }
  /// Microseconds until then, for after().
  [[nodiscard]] std::uint64_t until(instant at) const {
    const auto left = std::chrono::duration_cast<microseconds>(at - time(0).now).count();
    return left < 0 ? 0 : static_cast<std::uint64_t>(left) + 1;
  }
};

} // namespace swarm::sim
