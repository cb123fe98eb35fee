// OUTSIDER: what a node that has no certificate may ask a manager: its root, and a certificate for a join token.
#pragma once

#include <cstdint>

#include "messages/interfaces.hpp"
#include "runtime/io.hpp"
#include "runtime/observed.hpp"

namespace swarm::links {

struct outsider_state {
  static inline const char* name = "outsider";
  std::uint64_t questions = 0;
};

/// See the OUTSIDER table in messages/interfaces.hpp. Each question ends within `deadline`, which should be a little less
/// than that of the asker; several may be under way. `io` outlives the actor.
outsider_actor::behavior_type ask_as_outsider(observed_ptr<outsider_actor, outsider_state> self, io_threads* io,
                                              std::chrono::milliseconds deadline);

} // namespace swarm::links
