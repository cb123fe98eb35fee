// Starts LINKS and makes stand-ins for actors of other nodes.
#pragma once

#include <memory>
#include <string>

#include "actors/links/link_actor.hpp"
#include "actors/links/links_actor.hpp"
#include "actors/links/proxy_actor.hpp"

namespace swarm::links {

/// LINKS with what its proxies share with it.
struct links_part {
  links_actor actor;
  std::shared_ptr<link::directory> directory;
};

/// Renewed certificates go into `credentials` (credential_store::replace). End it with user_shutdown.
[[nodiscard]] links_part spawn_links(caf::actor_system& system, io_threads& io, std::shared_ptr<link::credential_store> credentials,
                                     links_options opts, link_options each = {});

/// For example spawn_proxy<control_actor>(system, part, leader, "control"). Cheap; end it when the node is of no interest.
template <class Handle>
[[nodiscard]] Handle spawn_proxy(caf::actor_system& system, const links_part& part, proxy_options opts) {
  return system.spawn(run_proxy<Handle>, part.directory, std::move(opts));
}
[[nodiscard]] inline raft_peers spawn_raft_peers(caf::actor_system& system, const links_part& part) {
  return system.spawn(carry_raft, part.directory);
}

} // namespace swarm::links
