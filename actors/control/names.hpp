// Names for services that were created without one: "calm_lovelace".
#pragma once

#include <string>

#include "runtime/random.hpp"

namespace swarm::control {

[[nodiscard]] std::string random_name(random_source& rng);

} // namespace swarm::control
