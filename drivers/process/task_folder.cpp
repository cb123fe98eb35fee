// Reads and writes the files of a task's folder; each file appears whole or not at all.
#include "drivers/process/task_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace swarm::process {

namespace {

constexpr std::uintmax_t file_bytes_max = 8 << 20;

failure system_failure(const std::string& what) {
  return {errc::unavailable, what + ": " + std::strerror(errno)};
}

failure replace(const std::string& path, const google::protobuf::Message& message) {
  const auto temporary = path + ".new";
  const auto bytes = message.SerializeAsString();
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return system_failure("cannot write " + temporary);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      const auto f = system_failure("cannot write " + temporary);
      ::close(fd);
      return f;
    }
    done += static_cast<std::size_t>(n);
  }
  ::close(fd);
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return system_failure("cannot rename " + temporary);
  return {};
}

template <class Message>
std::optional<Message> load(const std::string& path) {
  std::error_code ec;
  const auto size = std::filesystem::file_size(path, ec);
  if (ec || size > file_bytes_max)
    return std::nullopt;
  std::ifstream in{path, std::ios::binary};
  std::ostringstream bytes;
  bytes << in.rdbuf();
  Message message;
  if (!message.ParseFromString(bytes.str()))
    return std::nullopt;
  return message;
}

} // namespace

failure task_folder::create(const ProcessLaunch& launch) const {
  std::error_code ec;
  std::filesystem::create_directories(path_, ec);
  if (ec)
    return {errc::unavailable, "cannot make " + path_ + ": " + ec.message()};
  ::chmod(path_.c_str(), 0700);
  return replace(file("launch.pb"), launch);
}

std::optional<ProcessLaunch> task_folder::launch() const { return load<ProcessLaunch>(file("launch.pb")); }
std::optional<ProcessStarted> task_folder::started() const { return load<ProcessStarted>(file("started.pb")); }
std::optional<ProcessExited> task_folder::exited() const { return load<ProcessExited>(file("exited.pb")); }
failure task_folder::write_started(const ProcessStarted& started) const { return replace(file("started.pb"), started); }
failure task_folder::write_exited(const ProcessExited& exited) const { return replace(file("exited.pb"), exited); }

bool task_folder::shim_alive() const {
  const int fd = ::open(file("lock").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return false;
  const bool taken = ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return taken;
}

failure task_folder::remove() const {
  // The shim's mount namespace is gone with it; only what a crash between mount and unshare left could be here.
  ::umount2(file("merged").c_str(), MNT_DETACH);
  std::error_code ec;
  std::filesystem::remove_all(path_, ec);
  if (ec)
    return {errc::unavailable, "cannot remove " + path_ + ": " + ec.message()};
  return {};
}

std::vector<task_folder> list_task_folders(const std::string& root) {
  std::vector<task_folder> out;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator{root, ec})
    if (entry.is_directory(ec))
      out.emplace_back(entry.path().string());
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path() < b.path(); });
  return out;
}

} // namespace swarm::process
