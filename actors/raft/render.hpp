// One line of text for messages and outcomes of RAFT: taps, goldens and simulator traces all use it.
#pragma once

#include <string>

#include "actors/raft/events.hpp"

namespace swarm::raft {

/// "1>2 t3 AppendEntries prev=4@2 commit=4 entries=[5@3 6@3]". Never prints data: commands hold secrets.
[[nodiscard]] std::string render(const RaftMessage& message);
/// "command 7 ok 12@3", "read 8 unavailable"
[[nodiscard]] std::string render(const outcome& what);
/// "leader", "pre_candidate" ...
[[nodiscard]] std::string render(RaftRole role);
/// "12@3 configuration"
[[nodiscard]] std::string render(const Entry& entry);

} // namespace swarm::raft
