// CONTROL: the one door for operators' changes and reads.
#pragma once

#include "actors/control/control_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::control {

struct control_options {
  control::options core;                ///< token and key generators; see control_core.hpp
  duration request_timeout = seconds{20}; ///< Swarm's own bound on a manager's action
  // Called on the actor's thread when the view is first filled, and when these have changed.
  std::function<void()> cluster_changed;
  std::function<void(const PeerRoles&)> peers_changed;
  std::size_t waiting_max = 4096;       ///< requests without an answer yet; more are refused at once
};

struct control_state {
  static inline const char* name = "control";
  control_options opts;
  raft_actor raft;
  store_actor store;
  std::optional<control::core> core;
  bool ready = false; ///< the view has been filled
  std::vector<std::function<void()>> early; ///< writes that came before; counted in `waiting`
  std::size_t waiting = 0;
  std::uint64_t writes = 0;
  std::uint64_t refused = 0;
  std::uint64_t failed = 0;
  std::uint64_t reads = 0;
};

/// See the CONTROL table in messages/interfaces.hpp. Subscribes to STORE at once; writes that come before the view is
/// there wait for it. If STORE does not answer the subscription, the actor ends and is started again.
control_actor::behavior_type control_door(observed_ptr<control_actor, control_state> self, control_options opts,
                                          raft_actor raft, store_actor store, random_source rng);

} // namespace swarm::control
