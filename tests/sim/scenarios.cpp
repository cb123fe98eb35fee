// The list of scenarios.
#include "tests/sim/scenarios.hpp"

namespace swarm::sim {

const std::vector<scenario>& scenarios() {
  static const std::vector<scenario> all{
      {.name = "update_stop_first",
       .what = "six tasks are replaced two at a time; each once, never fewer than four run",
       .write = update_stop_first},
      {.name = "update_start_first",
       .what = "six tasks are replaced two at a time; each once, never fewer than six or more than eight run",
       .write = update_start_first},
      {.name = "update_all_at_once", .what = "parallelism 0: each task is replaced once", .write = update_all_at_once},
      {.name = "update_pauses",
       .what = "the new version fails: the update pauses and stays so, and a better one ends it",
       .write = update_pauses},
      {.name = "update_rolls_back",
       .what = "the new version fails: all is rolled back, and told to be",
       .write = update_rolls_back},
      {.name = "roll_back_twice",
       .what = "an update is rolled back half-way, and that again: the new version is everywhere",
       .write = roll_back_twice},
      {.name = "update_and_scale",
       .what = "a service is scaled in the middle of its update",
       .write = update_and_scale},
      {.name = "update_secret",
       .what = "another secret takes the place of one: each container has its version's, and the first can go",
       .write = update_secret},
      {.name = "restart_attempts",
       .what = "no slot has more than the allowed attempts, each waits twice as long as the one before",
       .write = restart_attempts},
      {.name = "restart_window", .what = "attempts within a window", .write = restart_window},
      {.name = "restart_backs_off",
       .what = "a task that fails for ever: the delay doubles, whoever leads",
       .history = 5,
       .write = restart_backs_off},
      {.name = "replicated_job",
       .what = "each completion once, never more than three side by side",
       .write = replicated_job},
      {.name = "global_job",
       .what = "one completion on each node, one that joins included",
       .workers = 4,
       .late_workers = 1,
       .write = global_job},
      {.name = "global_service",
       .what = "one task on each node while one joins and another is drained",
       .workers = 4,
       .late_workers = 1,
       .write = global_service},
      {.name = "scale_up_and_down",
       .what = "the right number of slots, and no more history than is kept",
       .write = scale_up_and_down},
      {.name = "drain_stop_first", .what = "a drained node's tasks are replaced, each once", .write = drain_stop_first},
      {.name = "drain_start_first",
       .what = "a drained node's tasks go when their replacements are up",
       .write = drain_start_first},
  };
  return all;
}

} // namespace swarm::sim
