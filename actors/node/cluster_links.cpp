// LINKS and its proxies, spawned for NODE ROOT.
#include "actors/node/cluster_links.hpp"

#include <map>
#include <mutex>

#include "actors/links/links_sup.hpp"
#include "runtime/crypto/bytes.hpp"

namespace swarm::node {

namespace {

template <class Handle>
void end_actor(const Handle& handle) {
  if (handle)
    caf::anon_send_exit(handle, caf::exit_reason::user_shutdown);
}

struct log_sources {
  std::mutex mutex;
  std::map<std::string, log_source> by_node;
};

} // namespace

cluster_links make_cluster_links(caf::actor_system& system, io_threads& io, std::shared_ptr<link::credential_store> credentials) {
  links::links_options opts;
  opts.seed = crypto::random_u64();
  const auto part = links::spawn_links(system, io, std::move(credentials), std::move(opts));
  cluster_links out;
  out.links = part.actor;
  out.peers = links::spawn_raft_peers(system, part);
  out.proxies_of = [&system, part](const std::string& id) {
    leader_proxies to;
    to.node_id = id;
    to.dispatcher = links::spawn_proxy<dispatcher_actor>(system, part, {id, "dispatcher"});
    to.control = links::spawn_proxy<control_actor>(system, part, {id, "control"});
    to.ca = links::spawn_proxy<ca_actor>(system, part, {id, "ca"});
    to.members = links::spawn_proxy<members_actor>(system, part, {id, "members"});
    to.logs = links::spawn_proxy<logs_actor>(system, part, {id, "logs"});
    return to;
  };
  // Asked for by LOGS, on its thread, and by every LOGS of later offices anew.
  auto sources = std::make_shared<log_sources>();
  out.logs_of = [&system, part, sources](const std::string& id) {
    const std::lock_guard lock{sources->mutex};
    auto& source = sources->by_node[id];
    if (!source)
      source = links::spawn_proxy<log_source>(system, part, {id, "agent"});
    return source;
  };
  out.end_logs = [sources] {
    const std::lock_guard lock{sources->mutex};
    for (const auto& [id, source] : sources->by_node)
      end_actor(source);
    sources->by_node.clear();
  };
  return out;
}

void end(const leader_proxies& proxies) {
  end_actor(proxies.dispatcher);
  end_actor(proxies.control);
  end_actor(proxies.ca);
  end_actor(proxies.members);
  end_actor(proxies.logs);
}

void end(const cluster_links& links) {
  links.end_logs();
  end_actor(links.peers);
  end_actor(links.links);
}

} // namespace swarm::node
