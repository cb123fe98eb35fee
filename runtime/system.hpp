// The configuration of an actor system as this project needs it, and its orderly end.
#pragma once

#include <caf/actor_system_config.hpp>
#include <chrono>
#include <string>
#include <vector>

namespace swarm {

/// Sharing scheduler (work stealing is quadratic in queue length in this CAF), bounded throughput per turn, no
/// middleman, and our message types. Never calls parse(): CAF would read caf-application.ini from the working directory.
class system_config : public caf::actor_system_config {
public:
  /// threads 0 = one per core, at least two.
  explicit system_config(unsigned threads = 0);
};

/// Sends kill to every observed actor that is still alive and waits; returns the labels of those that did not end in
/// time. The caller must then leave by _exit: ~actor_system would wait for ever.
[[nodiscard]] std::vector<std::string> end_all_actors(caf::actor_system& system, std::chrono::milliseconds deadline);

} // namespace swarm
