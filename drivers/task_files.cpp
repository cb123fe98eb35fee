// Writes secret and config files to tmpfs, see the header.
#include "drivers/task_files.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/crypto/bytes.hpp"
#include "runtime/text.hpp"

namespace swarm::driver {
namespace {

failure system_failure(const std::string& what) {
  return {errc::invalid_argument, what + ": " + std::strerror(errno)};
}

// The same texts as Go's strconv, which users of Swarm know.
failure parse_id(const std::string& text, std::uint32_t& out) {
  out = 0;
  if (text.empty())
    return {};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size())
    return {errc::invalid_argument, "strconv.Atoi: parsing " + text::quoted(text) + ": invalid syntax"};
  return {};
}

failure write_one(const std::string& path, const SecretFile& file) {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  if (auto error = parse_id(file.uid(), uid); !error.ok())
    return error;
  if (auto error = parse_id(file.gid(), gid); !error.ok())
    return error;
  const auto fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return system_failure("cannot create the file for " + file.target());
  failure error;
  std::size_t done = 0;
  while (done < file.data().size() && error.ok()) {
    const auto n = ::write(fd, file.data().data() + done, file.data().size() - done);
    if (n > 0)
      done += static_cast<std::size_t>(n);
    else if (n < 0 && errno != EINTR)
      error = system_failure("cannot write the file for " + file.target());
  }
  if (error.ok() && (uid != 0 || gid != 0) && ::fchown(fd, uid, gid) != 0)
    error = system_failure("cannot give away the file for " + file.target());
  if (error.ok() && ::fchmod(fd, file.mode() & 07777) != 0)
    error = system_failure("cannot set the mode of the file for " + file.target());
  ::close(fd);
  return error;
}

bool on_tmpfs(const std::string& path) {
  struct statfs info {};
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC;
}

} // namespace

std::string folder_in_memory(const std::string& wanted) {
  constexpr const char* shared_memory = "/dev/shm";
  std::filesystem::path existing{wanted};
  std::error_code ignored;
  while (existing.has_relative_path() && !std::filesystem::exists(existing, ignored))
    existing = existing.parent_path();
  if (on_tmpfs(existing.string()) || !on_tmpfs(shared_memory))
    return wanted;
  return std::string{shared_memory} + "/swarm-node-" + crypto::hex(crypto::sha256(wanted)).substr(0, 16);
}

failure task_files::ensure_tmpfs() {
  if (mounted_)
    return {};
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path{directory_}.parent_path(), ignored);
  // /dev/shm is open to everybody: what somebody else has put there under our name is not ours.
  struct stat found {};
  if (::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST)
    return system_failure("cannot create " + directory_);
  if (::lstat(directory_.c_str(), &found) != 0)
    return system_failure("cannot use " + directory_);
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid())
    return {errc::invalid_argument, directory_ + " belongs to somebody else: remove it"};
  // Below another tmpfs (/run) it is in memory already, and a mount of its own would only hide it from an engine in
  // another mount namespace.
  if (!on_tmpfs(directory_)
      && ::mount("tmpfs", directory_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
    return system_failure("cannot mount tmpfs at " + directory_);
  if (::chmod(directory_.c_str(), 0700) != 0)
    return system_failure("cannot close " + directory_);
  mounted_ = true;
  return {};
}

failure task_files::write(const std::string& task_id, const std::vector<SecretFile>& files) {
  if (auto error = ensure_tmpfs(); !error.ok())
    return error;
  clear(task_id); // what an earlier attempt left
  const auto folder = directory_ + "/" + task_id;
  if (::mkdir(folder.c_str(), 0700) != 0)
    return system_failure("cannot create " + folder);
  for (std::size_t i = 0; i < files.size(); ++i)
    if (auto error = write_one(folder + "/" + std::to_string(i), files[i]); !error.ok()) {
      remove(task_id);
      return error;
    }
  return {};
}

void task_files::clear(const std::string& task_id) const {
  if (task_id.empty() || task_id.find('/') != std::string::npos || task_id.starts_with('.'))
    return;
  std::error_code ignored;
  std::filesystem::remove_all(directory_ + "/" + task_id, ignored);
}

void task_files::remove(const std::string& task_id) {
  clear(task_id);
  if (::rmdir(directory_.c_str()) == 0) // it was the last one: nothing of ours stays
    mounted_ = false;
}

} // namespace swarm::driver
