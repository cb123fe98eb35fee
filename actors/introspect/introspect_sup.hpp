// The control socket: what console and REPL ask of this host, as JSON over HTTP on a unix socket.
#pragma once

#include <memory>
#include <string>

#include "messages/interfaces.hpp"
#include "runtime/http/server.hpp"
#include "runtime/io.hpp"

namespace swarm::introspect {

/// GET /v1/tree[?under=LABEL]  → SupervisionTree as JSON;  &format=text → as tree_text prints it.
class control_front {
public:
  control_front(caf::actor_system& system, io_threads& io, introspect_actor introspect, std::string socket_path);
  ~control_front();
  control_front(const control_front&) = delete;
  control_front& operator=(const control_front&) = delete;

  failure start();
  void stop();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// The tree as text, now. Blocks up to two seconds: for SIGUSR1 and tests, never from an actor.
[[nodiscard]] std::string dump_tree(caf::actor_system& system, const introspect_actor& introspect);

} // namespace swarm::introspect
