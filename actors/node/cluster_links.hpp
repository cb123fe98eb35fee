// This node's end of the links to others, as NODE ROOT uses it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "messages/interfaces.hpp"
#include "runtime/io.hpp"
#include "runtime/link/credentials.hpp"

namespace swarm::node {

/// Stand-ins for the actors that run on the leader only, for as long as that node leads.
struct leader_proxies {
  std::string node_id;
  dispatcher_actor dispatcher;
  control_actor control;
  ca_actor ca;
  members_actor members;
  logs_actor logs;
};

/// Made once per membership.
struct cluster_links {
  links_actor links;
  raft_peers peers;
  std::function<leader_proxies(const std::string& node_id)> proxies_of;
  std::function<log_source(const std::string& node_id)> logs_of; ///< any thread
  std::function<void()> end_logs;
};

[[nodiscard]] cluster_links make_cluster_links(caf::actor_system& system, io_threads& io,
                                               std::shared_ptr<link::credential_store> credentials);
/// They no longer answer.
void end(const leader_proxies& proxies);
void end(const cluster_links& links);

} // namespace swarm::node
