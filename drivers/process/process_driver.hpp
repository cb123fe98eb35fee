// DRIVER without an engine: a task is a process tree in namespaces and a control group of its own.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drivers/log_window.hpp"
#include "drivers/process/child_watch.hpp"
#include "drivers/process/log_file.hpp"
#include "drivers/process/process_plan.hpp"
#include "drivers/process/task_folder.hpp"
#include "drivers/task_files.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::process {

struct process_driver_options {
  std::string state_directory = "/var/lib/swarm-node/process"; ///< tasks, volumes, images
  std::string files_directory = "/run/swarm-node/files";       ///< tmpfs for secrets and configs
  std::string shim;                                            ///< path of swarm-task-shim
  std::chrono::milliseconds log_poll{100};                      ///< how often a followed log is looked at
};

/// From the watching thread to the driver's actor.
struct process_news {
  enum class what : std::uint8_t { unpacked, spoken, shim_ended };
  what kind = what::spoken;
  std::string task_id;
  std::string text;   ///< the shim's line; for unpacked: the folder
  int status = 0;
};

using process_driver_actor = driver_actor::extend<caf::reacts_to<process_news>, caf::reacts_to<tick_atom>,
                                                  caf::reacts_to<stop_atom, std::string>>;

struct process_driver_state {
  static inline const char* name = "driver";
  process_driver_options opts;
  std::unique_ptr<child_watch> watch;
  std::unique_ptr<driver::task_files> files;

  struct task {
    ProcessLaunch launch;
    TaskHandle handle;
    int signal = 0;                                          ///< the stop signal of the spec
    std::vector<caf::typed_response_promise<TaskHandle>> preparing, starting, stopping;
  };
  std::map<std::string, task> tasks;
  std::vector<driver_listener> listeners;

  struct log_stream {
    log_sink sink;
    std::string task_id;
    bool follow = false;
    driver::log_window window;
    std::unique_ptr<log_reader> reader;
  };
  std::map<std::uint64_t, log_stream> logs;
  bool ticking = false;
};

/// See the DRIVER table in messages/interfaces.hpp. Spawn it detached: it reads and writes files.
process_driver_actor::behavior_type process_driver(observed_ptr<process_driver_actor, process_driver_state> self,
                                                   process_driver_options opts);

} // namespace swarm::process

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::process::process_news)
