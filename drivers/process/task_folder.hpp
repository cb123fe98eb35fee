// The folder of one task: what driver and shim tell each other through files, so that either may be restarted.
//   launch.pb   ProcessLaunch, by the driver            lock      held by the living shim
//   started.pb  ProcessStarted, by the shim             log, log.1 …  lines, see log_file.hpp
//   exited.pb   ProcessExited, by the shim, last        upper, work, merged, volumes   the task's own layers
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "messages/errors.hpp"
#include "messages/process.pb.h"

namespace swarm::process {

class task_folder {
public:
  explicit task_folder(std::string path) : path_{std::move(path)} {}
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const char* name) const { return path_ + '/' + name; }

  [[nodiscard]] failure create(const ProcessLaunch& launch) const;
  [[nodiscard]] std::optional<ProcessLaunch> launch() const;
  [[nodiscard]] std::optional<ProcessStarted> started() const;
  [[nodiscard]] std::optional<ProcessExited> exited() const;
  [[nodiscard]] failure write_started(const ProcessStarted& started) const;
  [[nodiscard]] failure write_exited(const ProcessExited& exited) const;
  /// Whether a shim holds the lock. Pids are reused; locks are not.
  [[nodiscard]] bool shim_alive() const;
  /// Everything below, mounts first. Must not be called while a shim is alive.
  [[nodiscard]] failure remove() const;

private:
  std::string path_;
};

/// Folders below `root`, by name.
[[nodiscard]] std::vector<task_folder> list_task_folders(const std::string& root);

} // namespace swarm::process
