// The daemon from parsed options to exit code: builds the actors, serves until told to end.
#pragma once

#include "runtime/config.hpp"

namespace swarm::daemon {

/// Runs until SIGTERM or SIGINT (exit code 0) or until the node gives up (1). All signals named below must be blocked in
/// every thread: they are read here. SIGHUP reloads, SIGUSR1 writes the actor tree to the log.
[[nodiscard]] int run(config::parsed parsed, int argc, const char* const* argv);

} // namespace swarm::daemon
