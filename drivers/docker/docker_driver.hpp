// DRIVER for the Docker Engine: performs what its core decides, answers requests, tells its listeners.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "drivers/docker/docker_core.hpp"
#include "drivers/docker/engine_client.hpp"
#include "drivers/docker/log_actor.hpp"
#include "drivers/task_files.hpp"
#include "messages/interfaces.hpp"
#include "runtime/io.hpp"
#include "runtime/observed.hpp"

namespace swarm::docker {

/// From the I/O threads to the driver's actor.
struct engine_news {
  driver_event event;
};

struct docker_driver_options {
  std::string engine_socket = "/var/run/docker.sock";
  std::string state_directory = "/run/swarm-node";  ///< secrets live in <state_directory>/files (tmpfs)
  core_options core;
  duration tick = milliseconds{250};
  bool lock_engine = true;                          ///< refuse an engine that another swarm-node uses
  std::uint64_t seed = 1;
};

/// See the DRIVER table in messages/interfaces.hpp.
using docker_driver_actor = driver_actor::extend<caf::reacts_to<engine_news>, caf::reacts_to<tick_atom>>;

struct docker_driver_state {
  static inline const char* name = "driver";
  docker_driver_options opts;
  io_threads* io = nullptr;
  std::unique_ptr<core> decisions;
  std::unique_ptr<driver::task_files> files;
  std::unique_ptr<engine_lock> lock;
  bool claimed = false;
  operation_id next_operation = 1;
  using promise = std::variant<caf::typed_response_promise<TaskHandle>, caf::typed_response_promise<RecoveredTasks>,
                               caf::typed_response_promise<NodeFingerprint>>;
  std::map<operation_id, promise> promises;
  std::vector<driver_listener> listeners;
  DriverHealth health;
  bool health_known = false;
  std::map<std::uint64_t, log_reader_actor> logs;
  // Last: its end waits for callbacks that use the rest.
  std::shared_ptr<engine_client> engine;
};

docker_driver_actor::behavior_type docker_driver(observed_ptr<docker_driver_actor, docker_driver_state> self,
                                                 docker_driver_options opts, io_threads* io);

} // namespace swarm::docker

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::docker::engine_news)
