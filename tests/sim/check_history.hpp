// The command `swarm-sim check-history`: is a recorded history of clients linearizable?
#pragma once

namespace swarm::sim {

constexpr const char* check_history_usage =
  "       swarm-sim check-history FILE [--seconds S] [--memory MEBIBYTES]\n"
  "                      a client history (the format is in tests/support/history_file.hpp);\n"
  "                      exit 0 linearizable, 1 not, 2 bad file, 3 undecided within the bounds\n";

/// argv[2] and on.
[[nodiscard]] int check_history(int argc, char** argv);

} // namespace swarm::sim
