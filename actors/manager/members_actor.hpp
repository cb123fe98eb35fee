// MEMBERS: brings managers into the Raft group and out of it. On the leader only.
#pragma once

#include <map>

#include "actors/manager/members_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::manager {

struct members_actor_options {
  members_options core;
  duration tick = milliseconds{250};      ///< while somebody joins or leaves
  duration idle_tick = seconds{1};        ///< how exactly it is known which managers are within reach
  duration request_timeout = seconds{10};
};

struct members_state {
  static inline const char* name = "members";
  members_actor_options opts;
  raft_actor raft;
  store_actor store;
  members_core core{members_options{}};
  std::uint64_t last_tag = 0;
  std::map<std::uint64_t, caf::typed_response_promise<RaftJoined>> joining;
  std::map<std::uint64_t, caf::typed_response_promise<RaftLeft>> leaving;
  bool reading = false;
  instant tick_at; ///< a tick is on its way
  std::uint64_t changes = 0;
  std::uint64_t proposals = 0;
  std::uint64_t failed = 0;
};

/// See the MEMBERS table in messages/interfaces.hpp. Ends when it cannot read the state at its start; restarted by the
/// supervisor of the leader's actors.
members_actor::behavior_type members_keeper(observed_ptr<members_actor, members_state> self, members_actor_options opts,
                                            raft_actor raft, store_actor store);

} // namespace swarm::manager
