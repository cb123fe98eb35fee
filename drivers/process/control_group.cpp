// Control groups, version 2 where the host has it, version 1 otherwise.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "drivers/process/sandbox.hpp"

namespace swarm::process {

namespace {

constexpr std::array controllers{"cpu", "memory", "pids"};
constexpr std::int64_t cpu_period_us = 100'000;
constexpr int remove_attempts = 50;

bool write_text(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  const bool ok = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int saved = errno;
  ::close(fd);
  errno = saved;
  return ok;
}

bool make_folder(const std::string& path) { return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST; }

std::string v1_path(const char* controller, const std::string& name) {
  return std::string{"/sys/fs/cgroup/"} + controller + "/swarm-node/" + name;
}
std::string v2_path(const std::string& name) { return "/sys/fs/cgroup/swarm-node/" + name; }

// The number behind `key` in a file of "key value" lines; 0 when absent.
std::int64_t read_counter(const std::string& path, const std::string& key) {
  std::ifstream in{path};
  std::string word;
  std::int64_t value = 0;
  while (in >> word >> value)
    if (word == key)
      return value;
  return 0;
}

} // namespace

control_group::control_group(const ProcessLaunch& launch)
  : launch_{launch}, unified_{::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0}, name_{launch.task_id()} {}

bool control_group::apply(int pid, std::string& error) {
  struct limit {
    const char* controller;
    const char* file_v1;
    const char* file_v2;
    std::string value;
  };
  const auto quota = std::to_string(launch_.nano_cpus() * cpu_period_us / 1'000'000'000);
  const std::array limits{
    limit{"cpu", "cpu.cfs_quota_us", "cpu.max", launch_.nano_cpus() == 0 ? "" : unified_ ? quota + " 100000" : quota},
    limit{"memory", "memory.limit_in_bytes", "memory.max", launch_.memory_bytes() == 0 ? "" : std::to_string(launch_.memory_bytes())},
    limit{"pids", "pids.max", "pids.max", launch_.pids() <= 0 ? "" : std::to_string(launch_.pids())},
  };
  if (unified_) {
    make_folder("/sys/fs/cgroup/swarm-node");
    for (const auto* parent : {"/sys/fs/cgroup/cgroup.subtree_control", "/sys/fs/cgroup/swarm-node/cgroup.subtree_control"})
      for (const auto* controller : controllers)
        write_text(parent, std::string{"+"} + controller);
    make_folder(v2_path(name_));
  }
  for (const auto& l : limits) {
    const auto folder = unified_ ? v2_path(name_) : v1_path(l.controller, name_);
    if (!unified_) {
      make_folder(std::string{"/sys/fs/cgroup/"} + l.controller + "/swarm-node");
      make_folder(folder);
    }
    if (!l.value.empty() && !write_text(folder + '/' + (unified_ ? l.file_v2 : l.file_v1), l.value)) {
      error = std::string{"cannot set the "} + l.controller + " limit of the task's control group: " + std::strerror(errno);
      return false;
    }
    if (!write_text(folder + "/cgroup.procs", std::to_string(pid)) && !l.value.empty()) {
      error = std::string{"cannot join the task's "} + l.controller + " control group: " + std::strerror(errno);
      return false;
    }
  }
  return true;
}

bool control_group::oom_killed() const {
  return unified_ ? read_counter(v2_path(name_) + "/memory.events", "oom_kill") > 0
                  : read_counter(v1_path("memory", name_) + "/memory.oom_control", "oom_kill") > 0;
}

void control_group::leave() const {
  const auto self = std::to_string(::getpid());
  if (unified_) {
    write_text("/sys/fs/cgroup/cgroup.procs", self);
    return;
  }
  for (const auto* controller : controllers)
    write_text(std::string{"/sys/fs/cgroup/"} + controller + "/cgroup.procs", self);
}

void control_group::remove() const {
  // The kernel lets go of a group a moment after its last process.
  const auto gone = [](const std::string& path) {
    for (int i = 0; i < remove_attempts; ++i) {
      if (::rmdir(path.c_str()) == 0 || errno == ENOENT)
        return;
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
  };
  if (unified_) {
    gone(v2_path(name_));
    ::rmdir(v2_path("").c_str()); // stays while other tasks are below it
    return;
  }
  for (const auto* controller : controllers) {
    gone(v1_path(controller, name_));
    ::rmdir(v1_path(controller, "").c_str());
  }
}

} // namespace swarm::process
