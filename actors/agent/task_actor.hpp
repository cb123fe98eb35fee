// TASK: one task's actor on its node; performs what its core decides.
#pragma once

#include <memory>
#include <string>

#include "actors/agent/task_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::agent {

/// What TASK needs of AGENT.
/// | from | message          | meaning                   | reply | errors |
/// |------|------------------|---------------------------|-------|--------|
/// | TASK | UpdateTaskStatus | the status of one task    | –     | –      |
using status_keeper = caf::typed_actor<caf::reacts_to<UpdateTaskStatus>>;

struct task_options {
  std::string task_id;
  TaskState desired = TASK_STATE_RUNNING;
  task::beginning from;
  std::shared_ptr<const TaskDescription> what;  ///< may be empty when it has run already
  bool driver_healthy = true;
  task::options retries;
  duration prepare_deadline = minutes{30};      ///< slow registries; then it asks again, and joins the same pull
  duration start_deadline = minutes{3};         ///< the gate may make it wait behind others
  duration call_deadline = minutes{2};
  std::uint64_t seed = 1;
};

struct task_state {
  static inline const char* name = "task";
  task_options opts;
  driver_actor driver;
  status_keeper agent;
  std::unique_ptr<random_source> rng;
  std::unique_ptr<task::core> decisions;
};

/// See the TASK table in messages/interfaces.hpp. Ends normally when nothing is left of the task.
task_actor::behavior_type task_walker(observed_ptr<task_actor, task_state> self, task_options opts, driver_actor driver,
                                      status_keeper agent);

} // namespace swarm::agent
