// ALLOCATOR: ports for services that got none, addresses of services and tasks, and the step from NEW to PENDING.
#pragma once

#include "actors/allocator/allocator_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::allocator {

struct allocator_options {
  allocator::options core;
  duration request_timeout = seconds{20};
  std::uint64_t seed = 1; ///< of ids
};

struct allocator_state {
  static inline const char* name = "allocator";
  allocator_options opts;
  raft_actor raft;
  allocator::core core{allocator::options{}, random_source{1}};
  bool armed = false; ///< a tick is on its way
  instant armed_at;
  std::uint64_t proposals = 0;
  std::uint64_t failed = 0;
};

/// See the ALLOCATOR table in messages/interfaces.hpp. Lives only on the leader. While nothing waits it has no timer.
allocator_actor::behavior_type port_allocator(observed_ptr<allocator_actor, allocator_state> self, allocator_options opts,
                                              raft_actor raft, store_actor store);

} // namespace swarm::allocator
