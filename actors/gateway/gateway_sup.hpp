// GATEWAY — the Docker Engine API on this host's sockets: HTTP on the I/O threads, workers behind it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/gateway/gateway_actor.hpp"
#include "runtime/http/server.hpp"
#include "runtime/io.hpp"

namespace swarm::gateway {

struct listen_options {
  std::vector<std::string> hosts;   ///< unix://PATH
  std::string group = "docker";
  http::limits limits;
  unsigned workers = 2;
  /// The workers keep failing: called once, with the reason. The process is to end with exit code 1.
  std::function<void(const std::string&)> give_up;
};

/// Owns the listeners and the workers. Start and stop from one thread that is no I/O thread.
class front {
public:
  front(caf::actor_system& system, io_threads& io, node_root_actor root, shared_options options, listen_options listen);
  ~front();
  front(const front&) = delete;
  front& operator=(const front&) = delete;

  /// Opens every host; on failure none stays open.
  failure start();
  /// No new connections; running answers get `grace`.
  void stop(duration grace);

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace swarm::gateway
