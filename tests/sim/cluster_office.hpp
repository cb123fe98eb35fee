// What a simulated manager has only while it leads.
#pragma once

#include "tests/sim/cluster_manager.hpp"

namespace swarm::sim {

struct cluster_manager::office {
  struct inbox_of {
    unsigned worker = 0;
    std::uint64_t link = 0;
    std::set<std::string> told; ///< ids of the tasks that its frames have named
  };
  office(test::leader_cores::host host, random_source& rng, std::uint64_t seed) : leader{std::move(host), rng}, sessions{seed} {}

  test::leader_cores leader;
  dispatcher::session_core sessions;
  dispatcher::status_intake statuses;
  std::map<std::string, inbox_of> agents; ///< by node
  std::deque<EventBatch> inbox;
  std::uint64_t log_index = 0;            ///< of what was loaded or heard last
  std::uint64_t began_us = 0;
  bool missed_one = false;
};

} // namespace swarm::sim
