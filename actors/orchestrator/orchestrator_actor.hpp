// ORCHESTRATOR: spawns and retires SERVICE actors and gives each the events that concern it. Decisions: orchestrator_core.hpp.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "actors/orchestrator/orchestrator_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"
#include "runtime/random.hpp"

namespace swarm::orchestrator {

struct orchestrator_options {
  raft_actor raft;
  store_actor store;
  std::uint64_t seed = 0; ///< of task ids: must differ between leaders
  std::chrono::seconds raft_deadline{20};
  std::chrono::seconds store_deadline{20};
  /// orchestrator_sup.hpp fills it in.
  std::function<service_actor(caf::local_actor* parent, service_id id, std::uint64_t seed)> spawn_service;
};

struct orchestrator_state {
  orchestrator_state() = default;
  orchestrator_state(const orchestrator_state&) = delete;
  orchestrator_state& operator=(const orchestrator_state&) = delete;
  /// They end with their parent. Links would say the same, but CAF searches all of a parent's for each child that ends.
  ~orchestrator_state() {
    for (const auto& [id, service] : services)
      caf::anon_send_exit(service, caf::exit_reason::user_shutdown);
  }

  static inline const char* name = "orchestrator";
  orchestrator_options opts;
  orchestrator_core core;
  random_source seeds{0};
  bool loaded = false;
  std::uint64_t log_index = 0;
  std::map<service_id, caf::actor> services;
  std::unordered_map<caf::actor_id, service_id> service_of; ///< whose actor it is
  caf::message base; ///< core.base(), until a node, network or the cluster changes
  std::optional<instant> armed;
  std::uint64_t forwarded_whole = 0;
  std::uint64_t split = 0;
};

/// See the ORCHESTRATOR table in messages/interfaces.hpp. Ends with an error when STORE does not answer or a SERVICE
/// fails; its supervisor then starts it anew.
orchestrator_actor::behavior_type run_orchestrator(observed_ptr<orchestrator_actor, orchestrator_state> self,
                                                   orchestrator_options opts);

} // namespace swarm::orchestrator
