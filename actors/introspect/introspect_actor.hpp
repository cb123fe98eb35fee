// INTROSPECT — asks every actor of this host for its status, within a deadline.
#pragma once

#include <string>

#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::introspect {

struct introspect_state {
  static inline const char* name = "introspect";
  std::string host;
};

/// Actors asked for their own word in one ReadTree; of the rest only counters are shown.
inline constexpr std::size_t asked_actors_max = 2000;
/// An actor that does not answer by then is shown with its counters alone.
inline constexpr std::chrono::milliseconds answer_deadline{500};

/// See the INTROSPECT table in messages/interfaces.hpp.
introspect_actor::behavior_type introspect_actor_behavior(observed_ptr<introspect_actor, introspect_state> self,
                                                          std::string host);

} // namespace swarm::introspect
