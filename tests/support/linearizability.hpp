// Could one copy of the data, doing one operation at a time, have given these answers? A checker for client histories.
//
// The search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memo of configurations
// ("Testing for linearizability", 2017), each key by itself, as Porcupine does it (github.com/anishathalye/porcupine).
// Ours besides: operations that never change anything are placed as soon as they fit, and of equal operations whose
// outcome is unknown only the oldest is tried; neither can hide an order that exists.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace swarm::test::linearizability {

/// nullopt = nothing is there.
using value = std::optional<std::string>;

enum class action : std::uint8_t { read, write, cas, append };
enum class outcome : std::uint8_t { ok, failed, unknown };

/// A failed cas has seen another value than it expected. A failed write or append has done nothing, and of a read that
/// failed or is unknown nothing follows: leave these out. What is unknown may take effect at any later time, or never.
struct operation {
  std::string client;
  action what = action::read;
  std::string key; ///< "" in histories of one register
  value argument;  ///< write, append, cas: what it puts there
  value expected;  ///< cas
  value answer;    ///< read
  outcome end = outcome::unknown;
  std::uint64_t invoked = 0;  ///< place of its events in the history; all places differ
  std::uint64_t returned = 0; ///< unless unknown
};

struct history {
  std::string id;
  value initial; ///< of every key
  std::vector<operation> operations;
  std::optional<bool> known_verdict; ///< of published vectors
};

struct limits {
  std::uint64_t steps = 500'000'000;      ///< attempts to place an operation, over all keys
  std::uint64_t memory = 1'000'000'000;   ///< bytes, for one key at a time
  std::function<bool()> stop = nullptr;   ///< asked every few thousand steps: time is up
};

enum class verdict : std::uint8_t { linearizable, violated, undecided };

struct result {
  verdict answer = verdict::linearizable;
  std::string key;    ///< that is violated, else the first that is undecided
  /// Violated: the first answer that no order of everything before it explains, what it could have been, and what went
  /// on around it. Undecided: which bound was met.
  std::string reason;
  std::uint64_t steps = 0;
};

/// Finds a violation in any key even when another one stays undecided.
[[nodiscard]] result check(const history& what, const limits& bounds = {});

/// "client 3: cas x "1" to "2" failed"
[[nodiscard]] std::string render(const operation& op);

} // namespace swarm::test::linearizability
