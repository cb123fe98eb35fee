// A leader of real actors (STORAGE with synced LMDB, RAFT, STORE, everything that only a leader runs) and agents whose
// tasks are simulated, all in this process.
#pragma once

#include <memory>

#include "apps/swarm-bench/bench_simulated.hpp"

namespace swarm::bench {

/// The database lies in a new folder below the system's temporary one and goes with the cluster.
[[nodiscard]] std::unique_ptr<simulated_cluster> make_cluster();

} // namespace swarm::bench
