// SCHEDULER: places pending tasks. Decisions: scheduler_core.hpp.
#pragma once

#include <memory>
#include <optional>

#include "actors/scheduler/scheduler_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::scheduler {

struct scheduler_options {
  raft_actor raft;
  store_actor store;
  std::chrono::seconds raft_deadline{20};
  std::chrono::seconds store_deadline{20};
};

struct scheduler_state {
  static inline const char* name = "scheduler";
  scheduler_options opts;
  std::unique_ptr<scheduler::core> core;
  bool loaded = false;
  std::uint64_t log_index = 0;
  std::optional<instant> armed;
  std::uint64_t proposals = 0;
  std::uint64_t refused = 0;
};

/// See the SCHEDULER table in messages/interfaces.hpp. Ends with an error when STORE does not answer.
scheduler_actor::behavior_type run_scheduler(observed_ptr<scheduler_actor, scheduler_state> self, scheduler_options opts);

} // namespace swarm::scheduler
