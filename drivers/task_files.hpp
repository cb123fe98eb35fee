// Secret and config files of tasks: on tmpfs, each task in a folder of its own, never on a disk.
#pragma once

#include <string>
#include <vector>

#include "messages/driver.pb.h"
#include "messages/errors.hpp"

namespace swarm::driver {

/// `wanted` if it lies on a tmpfs (as /run does on most hosts); else a folder of /dev/shm that `wanted` decides, if that is
/// a tmpfs; else `wanted` again, where task_files mounts a tmpfs of its own. A mount that is made while the engine runs may
/// not be seen by it (engines have mount namespaces of their own), hence this order. The same after a restart.
[[nodiscard]] std::string folder_in_memory(const std::string& wanted);

/// Files are <directory>/<task id>/0, 1, …, read-only, owned and moded as the task wants them. The tmpfs is mounted on
/// first use and survives a restart of the daemon, as the containers that have its files bound do.
class task_files {
public:
  explicit task_files(std::string directory) : directory_{std::move(directory)} {}

  /// All files or none: after a failure nothing of the task is left. May be repeated.
  [[nodiscard]] failure write(const std::string& task_id, const std::vector<SecretFile>& files);
  /// Fine when there is nothing.
  void remove(const std::string& task_id);
  [[nodiscard]] const std::string& directory() const { return directory_; }

private:
  [[nodiscard]] failure ensure_tmpfs();
  void clear(const std::string& task_id) const;
  std::string directory_;
  bool mounted_ = false;
};

} // namespace swarm::driver
