// The frame around the rows that run a whole cluster inside this process: what they cost, whoever builds the cluster.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "apps/swarm-bench/report.hpp"

namespace swarm::bench {

struct simulated_size {
  std::size_t nodes = 0;
  std::size_t tasks = 0; ///< none: only heartbeats are measured
};

/// Starts a manager of real actors with `size.nodes` simulated agents. The two steps are measured apart: joining is not
/// part of the row.
class simulated_cluster {
public:
  virtual ~simulated_cluster() = default;
  /// Returns when every node is READY. Throws when it cannot.
  virtual void join(std::size_t nodes) = 0;
  /// Creates one service of `tasks` replicas and returns when all are RUNNING. Throws when they are not in time.
  virtual void run_all(std::size_t tasks) = 0;
  /// Nanoseconds that the manager's actors have worked so far, without the agents.
  virtual std::uint64_t manager_busy_ns() = 0;
  /// Ends every agent, so that what memory is left in use is the manager's. Throws when they do not end in time.
  virtual void end_agents() = 0;
};

using simulated_factory = std::function<std::unique_ptr<simulated_cluster>()>;

/// Seconds from create to all RUNNING, tasks per second, CPU microseconds and resident bytes per task; and the heap that
/// the manager alone holds per task (nodes included, pages of the database not: those are the system's to take back).
[[nodiscard]] row measure_simulated(const simulated_factory& make, const simulated_size& size, int round);

/// What nodes without tasks cost: percent of a core that the manager's actors and the whole program, agents included, use
/// for `seconds`, half a minute after the last node has joined.
[[nodiscard]] row measure_heartbeats(const simulated_factory& make, std::size_t nodes, int seconds, int round);

} // namespace swarm::bench
