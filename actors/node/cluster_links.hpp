// This node's end of the links to others, as NODE ROOT uses it.
#pragma once

#include <functional>
#include <string>

#include "messages/interfaces.hpp"

namespace swarm::node {

/// Made once per membership. The handles below `links` stand for actors of other hosts: those of the leader find it by
/// themselves, wherever it is.
struct cluster_links {
  links_actor links;
  raft_peers peers;
  dispatcher_actor dispatcher;
  control_actor control;
  ca_actor ca;
  members_actor members;
  logs_actor logs;
  std::function<log_source(const std::string& node_id)> logs_of;
  std::function<void()> stop; ///< closes the links and ends the actors
};

} // namespace swarm::node
