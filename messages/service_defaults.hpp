// What `service inspect` shows that the user did not send (behaviour §1.9).
#pragma once

#include "messages/specs.pb.h"

namespace swarm {

/// What Swarm's own conversion adds to every stored spec: Isolation, DNSConfig, Runtime, Placement, the mode (replicated
/// 1 when none is given), the replica numbers of modes, protocol and publish mode of ports, the texts of given update
/// configs and restart policies. Idempotent. CONTROL applies it before it stores a spec.
void normalise_service(ServiceSpec& spec);

/// Everything above and the defaults that only `insertDefaults=true` shows. For answers only: a client that sends them
/// back would freeze them into the spec.
void apply_service_defaults(ServiceSpec& spec);

} // namespace swarm
