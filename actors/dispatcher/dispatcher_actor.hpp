// DISPATCHER: sessions, heartbeats and task statuses of all nodes, one NODE actor each. Decisions: session_core.hpp,
// status_intake.hpp, routing_core.hpp.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "actors/dispatcher/orders_core.hpp"
#include "actors/dispatcher/routing_core.hpp"
#include "actors/dispatcher/session_core.hpp"
#include "actors/dispatcher/status_intake.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::dispatcher {

struct dispatcher_options {
  raft_actor raft;
  store_actor store;
  secret_provider_actor secrets;        ///< none: secrets that a driver keeps have no values here
  std::uint64_t seed = 0;               ///< of session ids: must differ between leaders
  std::chrono::milliseconds tick{500};  ///< how exactly a silent node is noticed
  std::chrono::seconds raft_deadline{20};
  std::chrono::seconds store_deadline{20};
  /// Spawns a NODE linked to its parent; dispatcher_sup.hpp fills it in.
  std::function<node_session_actor(caf::local_actor* parent, std::string node_id, std::string label)> spawn_node;
};

struct dispatcher_state {
  static inline const char* name = "dispatcher";
  struct node {
    caf::actor session;    ///< its NODE actor
    caf::actor inbox;      ///< its agent; invalid before it has registered
  };
  dispatcher_options opts;
  std::unique_ptr<session_core> sessions;
  status_intake statuses;
  routing_core routes;
  orders_core orders;
  std::map<std::string, node> nodes;
  bool loaded = false;
  bool flush_due = false;
  instant next_tick{};
  std::set<std::string> broke_off;  ///< before the state was loaded
  std::optional<instant> expire_at; ///< sooner than next_tick: a node's time to come back is over
  std::uint64_t log_index = 0;
  std::uint64_t heartbeats = 0;
  std::uint64_t reports = 0;
  std::uint64_t reports_dropped = 0;
};

/// See the DISPATCHER table in messages/interfaces.hpp. Ends with an error when STORE does not answer or a NODE fails.
dispatcher_actor::behavior_type run_dispatcher(observed_ptr<dispatcher_actor, dispatcher_state> self,
                                               dispatcher_options opts);

} // namespace swarm::dispatcher
