// The measurements against any server that speaks the Docker API. Each gives one row and leaves nothing behind.
#pragma once

#include <cstddef>
#include <string>

#include "apps/swarm-bench/report.hpp"

namespace swarm::bench {

/// A server to measure, in swarm mode and with the image there.
struct target {
  std::string side;      ///< ours, peer
  std::string api;       ///< socket of the swarm API
  std::string engine;    ///< socket of the engine that runs its containers; for a peer the same
  int pid = 0;           ///< of the daemon
  std::string image = "busybox:latest";
};

enum class write_kind { service, secret };

/// `requests` creations by `clients` closed loops: services without replicas, or secrets.
[[nodiscard]] row measure_writes(const target& t, write_kind kind, std::size_t clients, std::size_t requests, int round);

/// GET of one service, and of the list of `services` services, by one client.
[[nodiscard]] row measure_read_one(const target& t, std::size_t requests, int round);
[[nodiscard]] row measure_read_list(const target& t, std::size_t services, std::size_t requests, int round);

/// `count` replicas from create to all RUNNING, and the same number of containers created and started on its engine
/// directly, eight at a time: the ratio is what the swarm adds.
[[nodiscard]] row measure_converge(const target& t, std::size_t count, int round);

/// A rolling update of all `count` replicas, ten at a time, from the request to the update's end: every container is stopped
/// and replaced. Beside it the same number of containers created and started on its engine directly, as above.
[[nodiscard]] row measure_update(const target& t, std::size_t count, int round);

/// CPU and memory of the daemon while nothing happens, for `seconds`.
[[nodiscard]] row measure_idle(const target& t, int seconds, int round);

} // namespace swarm::bench
