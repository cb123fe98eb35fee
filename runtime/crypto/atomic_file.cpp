// POSIX calls for replacing and reading small files safely.
#include "runtime/crypto/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace swarm::crypto {

namespace {

constexpr std::size_t max_file_bytes = 1 << 20;

failure failed(std::string_view what, const std::filesystem::path& path) {
  const int code = errno;
  return {errc::storage_failed, std::string{what} + ' ' + path.string() + ": " + std::strerror(code)};
}

class descriptor {
public:
  explicit descriptor(int fd) : fd_{fd} {}
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_;
};

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

} // namespace

std::filesystem::path staged_name(const std::filesystem::path& path) {
  auto name = path;
  name += ".new";
  return name;
}

failure sync_directory(const std::filesystem::path& directory) {
  const descriptor fd{::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd || ::fsync(fd.get()) != 0)
    return failed("cannot sync directory", directory);
  return {};
}

failure stage_file(const std::filesystem::path& path, std::string_view bytes, unsigned mode) {
  const auto name = staged_name(path);
  ::unlink(name.c_str()); // a left-over may have other permissions
  const descriptor fd{::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)};
  if (!fd)
    return failed("cannot create", name);
  if (::fchmod(fd.get(), mode) != 0 || !write_all(fd.get(), bytes) || ::fsync(fd.get()) != 0) {
    auto error = failed("cannot write", name);
    ::unlink(name.c_str());
    return error;
  }
  return {};
}

failure publish_file(const std::filesystem::path& path) {
  if (std::rename(staged_name(path).c_str(), path.c_str()) != 0)
    return failed("cannot replace", path);
  return sync_directory(path.parent_path());
}

failure replace_file(const std::filesystem::path& path, std::string_view bytes, unsigned mode) {
  if (auto error = stage_file(path, bytes, mode); !error.ok())
    return error;
  return publish_file(path);
}

file_content read_file(const std::filesystem::path& path, bool secret) {
  const descriptor fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | (secret ? O_NOFOLLOW : 0))};
  if (!fd) {
    if (errno == ENOENT)
      return {read_status::missing, {}, path.string() + " does not exist"};
    const bool link = errno == ELOOP;
    return {link ? read_status::unsafe : read_status::failed, {}, failed("cannot open", path).message};
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return {read_status::failed, {}, path.string() + " is not a regular file"};
  if (static_cast<std::size_t>(info.st_size) > max_file_bytes)
    return {read_status::failed, {}, path.string() + " is larger than 1 MiB"};
  if (secret && ((info.st_mode & 077) != 0 || (info.st_uid != ::geteuid() && info.st_uid != 0)))
    return {read_status::unsafe, {}, path.string() + " must belong to the user of this program and have mode 0600"};
  file_content out;
  out.bytes.reserve(static_cast<std::size_t>(info.st_size) + 1); // no reallocation: no copies of a key left behind
  char buffer[4096];
  for (;;) {
    const auto n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return {read_status::failed, {}, failed("cannot read", path).message};
    if (n == 0)
      return out;
    out.bytes.append(buffer, static_cast<std::size_t>(n));
    ::explicit_bzero(buffer, sizeof buffer);
    if (out.bytes.size() > max_file_bytes)
      return {read_status::failed, {}, path.string() + " is larger than 1 MiB"};
  }
}

} // namespace swarm::crypto
