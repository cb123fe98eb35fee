// The inside of a task: mounts, identity and limits, applied step by step before the command is executed.
#pragma once

#include <string>

#include "messages/process.pb.h"

namespace swarm::process {

/// Runs in the child that is pid 1 of the task's pid namespace. On failure fills `error` with what and why.
[[nodiscard]] bool enter_sandbox(const ProcessLaunch& launch, const std::string& folder, std::string& error);

/// Replaces this process by the command; returns only with an error text.
[[nodiscard]] std::string execute(const ProcessLaunch& launch);

/// Where the task's control groups are; empty texts where the host has none that can be written.
class control_group {
public:
  explicit control_group(const ProcessLaunch& launch);
  /// Makes the groups, sets the limits, and moves `pid` in. A limit that was asked for and cannot be set is an error.
  [[nodiscard]] bool apply(int pid, std::string& error);
  [[nodiscard]] bool oom_killed() const;
  /// Moves this process, not its children, back to the root of the hierarchy.
  void leave() const;
  void remove() const;

private:
  const ProcessLaunch& launch_;
  bool unified_ = false;
  std::string name_;
};

} // namespace swarm::process
