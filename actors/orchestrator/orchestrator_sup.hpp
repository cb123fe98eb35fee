// Spawns ORCHESTRATOR with what it needs to spawn its SERVICE actors.
#pragma once

#include "actors/orchestrator/orchestrator_actor.hpp"

namespace swarm::orchestrator {

/// `opts.spawn_service` is filled in. SERVICE actors end with their ORCHESTRATOR, and take it with them when they fail.
[[nodiscard]] orchestrator_actor spawn_orchestrator(caf::actor_system& system, orchestrator_options opts);

} // namespace swarm::orchestrator
