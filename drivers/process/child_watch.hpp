// Watches processes and pipes on a thread of its own and tells when one has ended or spoken.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace swarm::process {

class child_watch {
public:
  child_watch();
  /// Joins the thread; no callback runs afterwards.
  ~child_watch();
  child_watch(const child_watch&) = delete;
  child_watch& operator=(const child_watch&) = delete;

  /// `done(exit status)` once, on the watching thread, when the process has ended. A child is reaped and its wait status
  /// given; of other processes -1. At once when there is no such process.
  void on_exit(int pid, std::function<void(int)> done);
  /// `line(text)` once, with the first line that comes, or "" at the end. Takes the descriptor over and closes it.
  void on_line(int fd, std::function<void(std::string)> line);

private:
  struct watched {
    int pid = 0;
    std::string text;
    std::function<void(int)> exited;
    std::function<void(std::string)> spoken;
  };
  void run();
  void add(int fd, watched what);
  /// Reads what is there; the callback that is due now, or nothing.
  std::function<void()> take(int fd);

  std::mutex mutex_;
  std::map<int, watched> fds_;
  int wake_ = -1;
  bool stop_ = false;
  std::thread thread_;
};

} // namespace swarm::process
