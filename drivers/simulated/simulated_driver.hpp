// DRIVER without anything behind it: for clusters of hundreds of thousands of tasks in one program, and for tests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "drivers/log_window.hpp"
#include "drivers/simulated/simulated_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::simulated {

struct simulated_options {
  std::string hostname = "simulated";
  std::int64_t nano_cpus = 4'000'000'000;
  std::int64_t memory_bytes = std::int64_t{8} << 30;
};

/// What FingerprintNode answers.
[[nodiscard]] NodeDescription description_of(const simulated_options& opts);

/// See the DRIVER table in messages/interfaces.hpp. Besides it: forget (with a task id) removes a task behind the
/// swarm's back, tick ends what is due, a TaskHandle is an answer that was held back.
using simulated_driver_actor =
  driver_actor::extend<caf::reacts_to<forget_atom, std::string>, caf::reacts_to<tick_atom>, caf::reacts_to<flush_atom, std::uint64_t>>;

struct simulated_driver_state {
  static inline const char* name = "driver";
  simulated_options opts;
  core tasks;
  std::vector<driver_listener> listeners;
  struct held_reply {
    caf::typed_response_promise<TaskHandle> promise;
    TaskHandle handle;
  };
  std::map<std::uint64_t, held_reply> held;
  std::uint64_t next_held = 1;
  struct reader {
    driver::log_window window;
    log_sink sink;
  };
  std::map<std::uint64_t, reader> readers;
  std::optional<instant> armed;
};

simulated_driver_actor::behavior_type simulated_driver(observed_ptr<simulated_driver_actor, simulated_driver_state> self,
                                                       simulated_options opts);

} // namespace swarm::simulated
