// NODE ROOT — this host's supervisor: driver, agent, and the manager half; `swarm init` and `leave` start and end them.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "actors/node/key_guard.hpp"
#include "actors/node/leader_part.hpp"
#include "actors/node/local_state.hpp"
#include "actors/node/manager_part.hpp"
#include "messages/interfaces.hpp"
#include "runtime/supervisor.hpp"

namespace swarm::node {

struct node_options {
  std::string data_root = "/var/lib/swarm-node";
  std::string listen_addr = "0.0.0.0:2377";
  std::string advertise_addr;
  std::string node_name; ///< told to the cluster; "" = the driver's, else the host's
  std::uint64_t map_bytes = 16ULL << 30;
  std::chrono::milliseconds raft_heartbeat{50};
  std::chrono::milliseconds raft_election{400};
  /// Spawns the driver (docker, process or simulated): called again when it has ended.
  std::function<driver_actor(caf::actor_system&)> spawn_driver;
  /// This node gives up: called once, from the actor, with the reason. The process is to end with exit code 1.
  std::function<void(const std::string&)> give_up;
};

/// | from    | message           | meaning                                          |
/// |---------|-------------------|--------------------------------------------------|
/// | RAFT    | LeadershipChanged | who leads                                        |
/// | CONTROL | flush             | the cluster object is another: what is on disk follows it |
/// | self    | tick              | `swarm unlock` has waited long enough for a leader |
/// | daemon  | stop              | end everything but running tasks                 |
using node_root_interface = node_root_actor::extend<
  caf::reacts_to<LeadershipChanged>, caf::reacts_to<flush_atom>, caf::reacts_to<tick_atom>, caf::reacts_to<stop_atom>>;

struct node_root_state {
  static inline const char* name = "node";
  LocalNodeState phase = LOCAL_NODE_STATE_INACTIVE;
  std::string error;
  node_options opts;
  std::unique_ptr<local_state> disk;
  std::unique_ptr<key_guard> keys;
  LocalAddresses addresses;
  std::string cluster_id, node_id;

  driver_actor driver;
  agent_actor agent;
  std::unique_ptr<manager_part> manager;
  std::unique_ptr<leader_part> leader;
  child_group drivers, agents;
  bool leading = false;

  /// What `swarm init` still has to propose once RAFT leads.
  Command bootstrap;
  bool bootstrap_due = false;
  caf::typed_response_promise<MembershipChanged> init_promise;
  failure init_problem;                                          ///< why what init has begun is being taken away
  std::vector<caf::typed_response_promise<MembershipChanged>> unlocking; ///< answered when a leader is known
  bool following = false;                                        ///< the cluster object is being read
  bool follow_again = false;                                     ///< it has changed meanwhile
  /// Those who wait for the manager half to end: `swarm leave`, or the whole node.
  std::vector<caf::typed_response_promise<MembershipChanged>> leaving;
  bool wipe_when_stopped = false;
  unsigned manager_actors_ending = 0;
  bool stopping = false;
};

node_root_interface::behavior_type node_root(observed_ptr<node_root_interface, node_root_state> self, node_options opts);

} // namespace swarm::node
