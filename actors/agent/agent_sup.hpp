// Builds this host's worker: JOURNAL, AGENT, and how AGENT makes TASK actors.
#pragma once

#include <string>

#include "actors/agent/agent_actor.hpp"
#include "actors/agent/task_actor.hpp"

namespace swarm::agent {

/// This host's worker with a driver of its own: tasks are actors, and `directory`/journal is read and kept ("" = no
/// journal). Of `base` the ids, the address and the seed must be set. `detached_journal` is false under the test
/// coordinator only. Blocks while it reads the file. The agent ends when its driver does: make both anew.
agent_actor spawn_agent(caf::actor_system& system, const driver_actor& driver, agent_options base, const std::string& directory,
                        bool detached_journal = true);

/// The same as the node's root calls it: `addr` is what the manager is told, `name` what this host is called ("" = as
/// the driver says).
agent_actor spawn_agent(caf::actor_system& system, const driver_actor& driver, const std::string& cluster_id,
                        const std::string& node_id, const std::string& addr, const std::string& name,
                        const std::string& directory);

} // namespace swarm::agent
