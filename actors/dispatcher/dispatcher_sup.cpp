// The one place that knows both DISPATCHER and NODE.
#include "actors/dispatcher/dispatcher_sup.hpp"

#include "actors/dispatcher/node_session_actor.hpp"

namespace swarm::dispatcher {

dispatcher_actor spawn_dispatcher(caf::actor_system& system, dispatcher_options opts) {
  opts.spawn_node = [secrets = opts.secrets](caf::local_actor* parent, std::string node_id, std::string label) {
    return parent->spawn<caf::linked>(run_node_session, std::move(node_id), std::move(label), secrets);
  };
  return system.spawn(run_dispatcher, std::move(opts));
}

} // namespace swarm::dispatcher
