// What a service asks for that will not happen: told at once instead of found out later.
#pragma once

#include <string>
#include <vector>

#include "messages/specs.pb.h"

namespace swarm::control {

/// One line for each field that is stored but not acted on in this version, by the field's path.
[[nodiscard]] std::vector<std::string> unsupported_fields(const ServiceSpec& spec);

/// The same, then what can never work: constraint keys that no node has, mounts that every engine refuses.
[[nodiscard]] std::vector<std::string> service_warnings(const ServiceSpec& spec);

} // namespace swarm::control
