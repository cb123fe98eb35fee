// Spawns DISPATCHER with what it needs to spawn its NODE actors.
#pragma once

#include "actors/dispatcher/dispatcher_actor.hpp"

namespace swarm::dispatcher {

/// `opts.spawn_node` is filled in. NODE actors end with their DISPATCHER, and take it with them when they fail.
[[nodiscard]] dispatcher_actor spawn_dispatcher(caf::actor_system& system, dispatcher_options opts);

} // namespace swarm::dispatcher
