// fork, a pipe for the answer, and a deadline.
#include "runtime/lmdb/child_check.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "runtime/lmdb/error.hpp"

namespace swarm::lmdb {

namespace {

constexpr std::size_t max_message = 4096; // less than a pipe holds: the child never blocks on it
constexpr int exit_refused = 3;

[[noreturn]] void run(const std::function<std::string()>& check, int fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  std::string answer;
  try {
    answer = check();
  } catch (const std::exception& e) {
    answer = e.what();
  }
  answer.resize(std::min(answer.size(), max_message));
  const bool written = ::write(fd, answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
  ::_exit(answer.empty() && written ? 0 : exit_refused);
}

// Reads until the child closes the pipe; false when the deadline passes first.
bool collect(int fd, std::chrono::steady_clock::time_point until, std::string& answer) {
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now());
    pollfd wait{fd, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0)
      return false;
    char buffer[512];
    const auto size = ::read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR)
      continue;
    if (size <= 0)
      return true;
    answer.append(buffer, static_cast<std::size_t>(size));
  }
}

} // namespace

child_result run_in_child(const std::function<std::string()>& check, milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw storage_error{errno, std::string{"cannot make a pipe: "} + std::strerror(errno)};
  const auto child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    run(check, ends[1]);
  }
  const int code = errno;
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    throw storage_error{code, std::string{"cannot fork: "} + std::strerror(code)};
  }
  std::string answer;
  const bool in_time = collect(ends[0], until, answer);
  ::close(ends[0]);
  if (!in_time)
    ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  using outcome = child_result::outcome;
  if (!in_time)
    return {outcome::timed_out, "no result within " + std::to_string(deadline.count()) + " ms"};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return {outcome::ok, {}};
  if (WIFEXITED(status) && WEXITSTATUS(status) == exit_refused && !answer.empty())
    return {outcome::refused, answer};
  return {outcome::crashed, WIFSIGNALED(status)
                                ? std::string{"the check was ended by: "} + ::strsignal(WTERMSIG(status))
                                : "the check ended with status " + std::to_string(WEXITSTATUS(status))};
}

} // namespace swarm::lmdb
