// The one CAF type registration block and all atoms (at most 10 characters each).
#pragma once

#include <caf/atom.hpp>
#include <caf/type_id.hpp>

#include "messages/errors.hpp"

CAF_BEGIN_TYPE_ID_BLOCK(swarm_node, caf::first_custom_type_id)

  CAF_ADD_ATOM(swarm_node, swarm, tick_atom, "tick")
  CAF_ADD_ATOM(swarm_node, swarm, flush_atom, "flush")
  CAF_ADD_ATOM(swarm_node, swarm, subscribe_atom, "subscribe")
  CAF_ADD_ATOM(swarm_node, swarm, forget_atom, "forget")
  CAF_ADD_ATOM(swarm_node, swarm, stop_atom, "stop")

CAF_END_TYPE_ID_BLOCK(swarm_node)

namespace swarm {

/// errc as a caf::error of category "swarm", with its text.
inline caf::error to_error(const failure& f) {
  return caf::error{static_cast<std::uint8_t>(f.code), caf::atom("swarm"), caf::make_message(f.message)};
}

/// The way back: errors of CAF itself become deadline_exceeded (request_timeout) or unavailable (the actor is gone).
failure to_failure(const caf::error& err);

} // namespace swarm
