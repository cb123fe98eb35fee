// The process that stands beside a task's command: makes its namespaces, writes its log, records its end. It outlives
// the daemon, so that a restart of swarm-node disturbs no task.
#pragma once

namespace swarm::process {

/// `status_fd` gets one line: "started" or "error TEXT". Returns the shim's exit status when the task has ended.
/// Single-threaded; called from main() of swarm-task-shim only.
int run_shim(const char* task_folder_path, int status_fd);

} // namespace swarm::process
