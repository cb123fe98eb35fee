// Many clients in one thread: what the load itself takes from the machine must not be what is measured.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace swarm::bench {

struct load_request {
  std::string method;
  std::string target;
  std::string body;
};

struct load_result {
  double wall_s = 0;
  std::vector<double> latency_ms; ///< of those that succeeded
  std::size_t errors = 0;
  std::string first_error;
};

/// Sends make(0) .. make(n-1) to the server at the unix socket `host` from `clients` closed loops: each has a connection of
/// its own and sends the next request when the answer to the one before is there. `done(i, body)` is called with each answer
/// that is no refusal. Both are called from the calling thread, which waits in epoll; nothing else is started. A loop whose
/// connection breaks goes on with a new one; when that fails too, or nothing comes for ten minutes, the rest counts as errors.
[[nodiscard]] load_result run_load(const std::string& host, std::size_t n, std::size_t clients,
                                   const std::function<load_request(std::size_t)>& make,
                                   const std::function<void(std::size_t, const std::string&)>& done);

} // namespace swarm::bench
