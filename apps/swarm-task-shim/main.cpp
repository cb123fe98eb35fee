// swarm-task-shim: stands beside one task of the process driver. Started by swarm-node, never by hand.
#include <charconv>
#include <cstdio>
#include <string_view>

#include "drivers/process/shim.hpp"

int main(int argc, char** argv) {
  int status_fd = -1;
  if (argc == 3) {
    const std::string_view text = argv[2];
    std::from_chars(text.data(), text.data() + text.size(), status_fd);
  }
  if (status_fd < 0) {
    std::fputs("usage: swarm-task-shim TASK_FOLDER STATUS_FD\n", stderr);
    return 2;
  }
  return swarm::process::run_shim(argv[1], status_fd);
}
