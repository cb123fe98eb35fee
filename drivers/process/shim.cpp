// One task: namespaces, an init that reaps, the log, and the record of how it ended.
#include "drivers/process/shim.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "drivers/process/log_file.hpp"
#include "drivers/process/sandbox.hpp"
#include "drivers/process/task_folder.hpp"

namespace swarm::process {

namespace {

std::int64_t wall_now() {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

void say(int fd, const std::string& line) {
  const auto text = line + '\n';
  [[maybe_unused]] const auto n = ::write(fd, text.data(), text.size());
}

struct output_pipes {
  int out_read = -1, err_read = -1;   // shim's ends
  int out_write = -1, err_write = -1; // the command's ends
};

bool make_output(const ProcessLaunch& launch, output_pipes& p) {
  if (launch.tty()) {
    if (::openpty(&p.out_read, &p.out_write, nullptr, nullptr, nullptr) != 0)
      return false;
    ::fcntl(p.out_read, F_SETFD, FD_CLOEXEC);
    return true;
  }
  std::array<int, 2> out{}, err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0)
    return false;
  p = {out[0], err[0], out[1], err[1]};
  return true;
}

void connect_stdio(const ProcessLaunch& launch, const output_pipes& p) {
  if (launch.tty()) {
    ::login_tty(p.out_write);
    return;
  }
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(null, 0);
  ::dup2(p.out_write, 1);
  ::dup2(p.err_write, 2);
}

// Pid 1 of the task: passes signals on, reaps whatever is orphaned, and ends as the command ended.
[[noreturn]] void run_init(const ProcessLaunch& launch, const std::string& folder, const output_pipes& pipes, int error_fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::string error;
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  if (::unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) != 0)
    error = std::string{"cannot make namespaces: "} + std::strerror(errno);
  if (!error.empty() || !enter_sandbox(launch, folder, error)) {
    say(error_fd, error);
    ::_exit(126);
  }
  const auto command = ::fork();
  if (command == 0) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setsid();
    connect_stdio(launch, pipes);
    say(error_fd, execute(launch)); // closed by a successful exec
    ::_exit(127);
  }
  for (const int fd : {pipes.out_write, pipes.err_write, pipes.out_read, pipes.err_read, error_fd})
    if (fd >= 0)
      ::close(fd);
  for (;;) {
    siginfo_t info{};
    if (::sigwaitinfo(&all, &info) < 0)
      continue;
    if (info.si_signo != SIGCHLD) {
      ::kill(command, info.si_signo);
      continue;
    }
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
      if (pid == command)
        ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
}

// The init's only child as the host counts; the init itself when the command has ended already.
pid_t command_pid(pid_t init) {
  const auto text = std::to_string(init);
  std::ifstream children{"/proc/" + text + "/task/" + text + "/children"};
  pid_t child = 0;
  return children >> child ? child : init;
}

// Waits for the end of the init and of its output, which a grandchild may hold open until the namespace is torn down.
int pump(const ProcessLaunch& launch, const output_pipes& pipes, const std::string& log_path, pid_t init) {
  const auto log = launch.log_none() ? nullptr
                                     : std::make_unique<log_writer>(log_path, launch.log_max_bytes(), launch.log_max_files());
  std::array<pollfd, 2> fds{pollfd{pipes.out_read, POLLIN, 0}, pollfd{pipes.err_read, POLLIN, 0}};
  std::array<char, 64 * 1024> buffer{};
  int open = (fds[0].fd >= 0) + (fds[1].fd >= 0);
  while (open > 0) {
    if (::poll(fds.data(), fds.size(), -1) < 0)
      continue;
    for (int i = 0; i < 2; ++i) {
      auto& p = fds[static_cast<std::size_t>(i)];
      if (p.fd < 0 || p.revents == 0)
        continue;
      const auto n = ::read(p.fd, buffer.data(), buffer.size());
      if (n > 0) {
        const std::string_view bytes{buffer.data(), static_cast<std::size_t>(n)};
        if (log && launch.tty())
          log->feed_raw(bytes, wall_now());
        else if (log)
          log->feed(i + 1, bytes, wall_now());
      } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        p.fd = -1; // a terminal reports its end as EIO
        --open;
      }
    }
  }
  if (log)
    log->finish(wall_now());
  int status = 0;
  while (::waitpid(init, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int end_with(const task_folder& folder, int status_fd, const std::string& error) {
  ProcessExited exited;
  exited.set_exit_code(126);
  exited.set_error(error);
  exited.set_finished_at(wall_now());
  const auto written = folder.write_exited(exited);
  say(status_fd, "error " + error);
  return written.ok() ? 1 : 2;
}

} // namespace

int run_shim(const char* task_folder_path, int status_fd) {
  const task_folder folder{task_folder_path};
  ::signal(SIGPIPE, SIG_IGN); // the daemon may be gone
  const int lock = ::open(folder.file("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || ::flock(lock, LOCK_EX | LOCK_NB) != 0)
    return 3; // another shim has this task
  const auto launch = folder.launch();
  if (!launch)
    return end_with(folder, status_fd, "the task's launch plan cannot be read");
  control_group group{*launch};
  std::string error;
  output_pipes pipes;
  std::array<int, 2> report{};
  if (!make_output(*launch, pipes) || ::pipe2(report.data(), O_CLOEXEC) != 0)
    return end_with(folder, status_fd, std::string{"cannot make pipes: "} + std::strerror(errno));
  if (!group.apply(::getpid(), error))
    return end_with(folder, status_fd, error);
  if (::unshare(CLONE_NEWPID) != 0) // of children; the other namespaces are the child's own doing
    return end_with(folder, status_fd, std::string{"cannot make namespaces: "} + std::strerror(errno));
  const auto init = ::fork();
  if (init == 0)
    run_init(*launch, folder.path(), pipes, report[1]);
  group.leave(); // the limits are the task's; and out of memory nobody would be left to record its end
  for (const int fd : {pipes.out_write, pipes.err_write, report[1]})
    if (fd >= 0)
      ::close(fd);
  std::array<char, 4096> text{};
  const auto n = ::read(report[0], text.data(), text.size() - 1); // ends with a successful exec
  ::close(report[0]);
  std::string refusal(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  while (refusal.ends_with('\n'))
    refusal.pop_back();
  if (refusal.empty()) {
    ProcessStarted started;
    started.set_pid(command_pid(init));
    started.set_init_pid(init);
    started.set_shim_pid(::getpid());
    started.set_started_at(wall_now());
    if (const auto f = folder.write_started(started); !f.ok())
      refusal = f.message;
    else
      say(status_fd, "started");
    ::fcntl(status_fd, F_SETFL, O_NONBLOCK);
  }
  if (!refusal.empty())
    ::kill(init, SIGKILL);
  ProcessExited exited;
  exited.set_exit_code(pump(*launch, pipes, folder.file("log"), init));
  exited.set_oom_killed(group.oom_killed());
  exited.set_finished_at(wall_now());
  group.remove();
  if (!refusal.empty())
    return end_with(folder, status_fd, refusal);
  return folder.write_exited(exited).ok() ? 0 : 2;
}

} // namespace swarm::process
