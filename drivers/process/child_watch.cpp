// One poll() loop over pidfds and pipes.
#include "drivers/process/child_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

namespace swarm::process {

namespace {
constexpr std::size_t line_bytes_max = 8192;
constexpr int pidfd_wait = 3; // P_PIDFD, which glibc 2.36 names in an enum of its own
} // namespace

child_watch::child_watch() : wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  thread_ = std::thread{[this] { run(); }};
}

child_watch::~child_watch() {
  {
    std::lock_guard guard{mutex_};
    stop_ = true;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(wake_, &one, sizeof one);
  thread_.join();
  for (const auto& [fd, what] : fds_)
    ::close(fd);
  ::close(wake_);
}

void child_watch::add(int fd, watched what) {
  {
    std::lock_guard guard{mutex_};
    fds_.emplace(fd, std::move(what));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(wake_, &one, sizeof one);
}

void child_watch::on_exit(int pid, std::function<void(int)> done) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) {
    done(-1);
    return;
  }
  watched what;
  what.pid = pid;
  what.exited = std::move(done);
  add(fd, std::move(what));
}

void child_watch::on_line(int fd, std::function<void(std::string)> line) {
  watched what;
  what.spoken = std::move(line);
  add(fd, std::move(what));
}

std::function<void()> child_watch::take(int fd) {
  const auto it = fds_.find(fd);
  if (it == fds_.end())
    return {};
  auto& what = it->second;
  std::function<void()> due;
  if (what.exited) {
    siginfo_t info{};
    const bool child = ::waitid(static_cast<idtype_t>(pidfd_wait), static_cast<id_t>(fd), &info, WEXITED | WNOHANG) == 0;
    const int status = !child ? -1 : info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    due = [done = std::move(what.exited), status] { done(status); };
  } else {
    std::array<char, 1024> buffer{};
    const auto n = ::read(fd, buffer.data(), buffer.size());
    if (n > 0)
      what.text.append(buffer.data(), static_cast<std::size_t>(n));
    const auto newline = what.text.find('\n');
    if (n > 0 && newline == std::string::npos && what.text.size() < line_bytes_max)
      return {};
    due = [line = std::move(what.spoken), text = what.text.substr(0, newline)] { line(text); };
  }
  ::close(fd);
  fds_.erase(it);
  return due;
}

void child_watch::run() {
  std::vector<pollfd> polled;
  for (;;) {
    polled.assign(1, {wake_, POLLIN, 0});
    {
      std::lock_guard guard{mutex_};
      if (stop_)
        return;
      for (const auto& [fd, what] : fds_)
        polled.push_back({fd, POLLIN, 0});
    }
    if (::poll(polled.data(), polled.size(), -1) < 0)
      continue;
    std::uint64_t drained = 0;
    [[maybe_unused]] const auto n = ::read(wake_, &drained, sizeof drained);
    for (std::size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents == 0)
        continue;
      std::function<void()> due;
      {
        std::lock_guard guard{mutex_};
        if (stop_)
          return;
        due = take(polled[i].fd);
      }
      if (due)
        due(); // without the lock: it may watch something new
    }
  }
}

} // namespace swarm::process
