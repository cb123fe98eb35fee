// Runs a check in a process of its own: a rotten page can abort or crash the reader, and that must be a result.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/time.hpp"

namespace swarm::lmdb {

struct child_result {
  enum class outcome : std::uint8_t { ok, refused, crashed, timed_out };
  outcome what = outcome::ok;
  std::string message; ///< for refused: what the check returned; else how the child ended
};

/// Forks, runs `check` in the child (an empty text means that all is well), and waits at most `deadline`, after which
/// the child is killed. Call it while no environment is open in this process and before threads are started that hold
/// locks which `check` needs.
[[nodiscard]] child_result run_in_child(const std::function<std::string()>& check, milliseconds deadline);

} // namespace swarm::lmdb
