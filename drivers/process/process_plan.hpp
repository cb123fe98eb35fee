// Decides how a task runs as a process: what the driver applies, and what it refuses by name.
#pragma once

#include <string>
#include <string_view>

#include "messages/driver.pb.h"
#include "messages/errors.hpp"
#include "messages/process.pb.h"

namespace swarm::process {

/// Where things of this driver lie on the host; all absolute.
struct host_paths {
  std::string volumes;  ///< named volumes: one folder each
  std::string files;    ///< tmpfs with the secrets and configs of tasks: files/<task id>/<number>
};

struct launch_plan {
  failure problem;        ///< invalid_argument with the field's name
  ProcessLaunch launch;
  std::string image_path; ///< of file:///dir-or-tar: the path; launch.rootfs is set by the driver once it is unpacked
};

/// Any image name is accepted and recorded: the command runs on the host's file system. An image file:///dir-or-tar is a
/// root file system.
[[nodiscard]] launch_plan plan_launch(const TaskDescription& task, const host_paths& paths);

/// "15", "TERM", "SIGTERM" -> 15; 0 when there is no such signal.
[[nodiscard]] int signal_number(std::string_view name);

/// Capability number of "NET_ADMIN" (with or without "CAP_"), -1 when unknown.
[[nodiscard]] int capability_number(std::string_view name);

} // namespace swarm::process
