// NODE ROOT — this host's supervisor: driver, agent, links, and the manager half; it makes, takes up, changes and ends
// this host's membership.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/node/cluster_links.hpp"
#include "actors/node/identity_core.hpp"
#include "actors/node/join_steps.hpp"
#include "actors/node/key_guard.hpp"
#include "actors/node/leader_part.hpp"
#include "actors/node/local_state.hpp"
#include "actors/node/manager_part.hpp"
#include "actors/node/membership_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/link/credentials.hpp"
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
  /// Spawns SECRET PROVIDER while this node leads; empty: drivers of secrets are not asked here.
  std::function<secret_provider_actor(caf::actor_system&)> spawn_secret_provider;
  /// For the links to other hosts; outlives the actor. Null: a host that stays alone.
  io_threads* io = nullptr;
  /// This node gives up: called once, from the actor, with the reason. The process is to end with exit code 1.
  std::function<void(const std::string&)> give_up;
};

/// | from    | message           | meaning                                          |
/// |---------|-------------------|--------------------------------------------------|
/// | RAFT    | LeadershipChanged | who leads                                        |
/// | CONTROL | flush             | the cluster object is another: what is on disk follows it |
/// | CONTROL | PeerRoles         | who is who, for LINKS                            |
/// | LINKS   | LinkChanged, LeaderHint | who is within reach                        |
/// | self    | tick              | renewals, retries, what waits too long           |
/// | daemon  | stop              | end everything but running tasks                 |
using node_root_interface = node_root_actor::extend<
  caf::reacts_to<LeadershipChanged>, caf::reacts_to<flush_atom>, caf::reacts_to<PeerRoles>, caf::reacts_to<LinkChanged>,
  caf::reacts_to<LeaderHint>, caf::reacts_to<tick_atom>, caf::reacts_to<stop_atom>>;

using membership_promise = caf::typed_response_promise<MembershipChanged>;

/// A request that waits for somebody to answer it.
struct waiting_membership {
  membership_promise promise;
  instant until;
};

/// A subscription to the store of a node that has none yet.
struct waiting_reader {
  caf::typed_response_promise<StoreSnapshot> promise;
  store_subscriber reader;
  instant until;
};

struct waiting_call {
  std::function<void()> again;
  instant due;
};

/// `swarm join` while it has no certificate.
struct joining_host {
  join_steps core;
  std::string token;
  std::string private_key_pem;
  std::string public_key_der;
  std::string node_id; ///< ours to choose, so that a repeated request is known as such
  NodeAvailability availability = NODE_AVAILABILITY_ACTIVE;
  outsider_actor outsider;
};

struct node_root_state {
  static inline const char* name = "node";
  node_options opts;
  membership_core membership;
  std::unique_ptr<local_state> disk;
  std::unique_ptr<key_guard> keys;
  LocalAddresses addresses;
  std::string cluster_id, node_id;

  // -- identity: set while membership.has_identity(), but for LOCKED
  std::optional<identity_core> identity;
  std::string certificate_pem;
  std::shared_ptr<link::credential_store> credentials = std::make_shared<link::credential_store>();
  LocalManagers managers;                          ///< as ordered last
  bool ordered = false;                            ///< a manager has taken this node in since it has its identity
  std::optional<joining_host> joining;
  bool asking_for_raft = false;                    ///< PROMOTED: a step is under way
  unsigned promotion_failures = 0;
  instant promote_at{};

  // -- actors
  driver_actor driver;
  agent_actor agent;
  dispatcher_actor dispatcher_told;                ///< whom the agent registers with
  control_actor control;
  std::optional<cluster_links> links;
  std::set<std::string> broke_off;                 ///< nodes whose link broke off and is not back: a new dispatcher is told
  leader_proxies remote;                           ///< of another node that leads; empty handles when there is none
  std::uint64_t remote_term = 0;
  std::map<std::string, ManagerAddress> connected; ///< told to LINKS, by node id or "@addr"
  std::unique_ptr<manager_part> manager;
  std::unique_ptr<leader_part> leader;
  child_group drivers, agents, controls;
  LeadershipChanged leadership;
  Membership group;                                ///< told to LINKS last
  bool reading_group = false;
  instant read_group_at{};
  instant listen_at{};
  bool leading = false;

  // -- what is under way
  instant tick_at;                                 ///< a tick is on its way
  Command bootstrap;                               ///< what `swarm init` still has to propose once RAFT leads
  bool bootstrap_due = false;
  membership_promise init_promise;
  failure init_problem;                            ///< why what init has begun is being taken away
  bool force_new_cluster = false;                  ///< the manager half is ending, and starts again alone
  std::vector<waiting_membership> unlocking;       ///< until a leader is known
  std::optional<waiting_membership> join_waiting;  ///< until this node takes part
  std::deque<waiting_call> calls;                  ///< for a leader
  std::deque<waiting_reader> readers;              ///< until this node has a store: what is written first is seen as well
  bool following = false;                          ///< the cluster object is being read
  bool follow_again = false;                       ///< it has changed meanwhile
  std::vector<membership_promise> leaving;
  bool wipe_when_stopped = false;
  unsigned manager_actors_ending = 0;
  bool stopping = false;
};

node_root_interface::behavior_type node_root(observed_ptr<node_root_interface, node_root_state> self, node_options opts);

} // namespace swarm::node
