// The one place that knows both ORCHESTRATOR and SERVICE.
#include "actors/orchestrator/orchestrator_sup.hpp"

#include "actors/orchestrator/service_actor.hpp"

namespace swarm::orchestrator {

orchestrator_actor spawn_orchestrator(caf::actor_system& system, orchestrator_options opts) {
  const auto nodes = std::make_shared<node_pool>();
  opts.spawn_service = [nodes, raft = opts.raft, deadline = opts.raft_deadline](caf::local_actor* parent, service_id id,
                                                                                 std::uint64_t seed) {
    service_options service;
    service.id = id;
    service.seed = seed;
    service.raft = raft;
    service.nodes = nodes;
    service.raft_deadline = deadline;
    return parent->spawn(run_service, std::move(service));
  };
  return system.spawn(run_orchestrator, std::move(opts));
}

} // namespace swarm::orchestrator
