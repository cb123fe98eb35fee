// Builds this host's worker: JOURNAL, AGENT, and how AGENT makes TASK actors.
#pragma once

#include <string>

#include "actors/agent/agent_actor.hpp"
#include "actors/agent/task_actor.hpp"

namespace swarm::agent {

/// The options of a worker with a driver of its own: tasks are actors, and `data_directory`/agent/journal is read and
/// kept ("" = no journal). `detached_journal` is false under the test coordinator only. Blocks while it reads the file.
[[nodiscard]] agent_options worker_options(caf::actor_system& system, agent_options base, const std::string& data_directory,
                                           bool detached_journal = true);

/// Deletes what worker_options() keeps: the node has left its swarm.
void forget_worker(const std::string& data_directory);

} // namespace swarm::agent
