// swarm-node: the daemon of one host. Options, then daemon::run.
#include <csignal>
#include <iostream>
#include <variant>

#include "apps/swarm-node/daemon.hpp"

extern char** environ;

int main(int argc, char** argv) {
  auto result = swarm::config::parse_daemon_options(argc, argv, environ);
  if (const auto* stop = std::get_if<swarm::config::stop_now>(&result)) {
    (stop->exit_code == 0 ? std::cout : std::cerr) << stop->text;
    return stop->exit_code;
  }
  // Before any thread starts, so that all of them inherit it.
  sigset_t handled;
  sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE})
    sigaddset(&handled, signal);
  pthread_sigmask(SIG_BLOCK, &handled, nullptr);
  return swarm::daemon::run(std::get<swarm::config::parsed>(std::move(result)), argc, argv);
}
