// What changed in the store, as the swarm-scope events of GET /events.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "messages/api.pb.h"
#include "messages/store.pb.h"

namespace swarm::gateway {

/// create, update and remove of nodes, services, networks, secrets and configs with the attributes of behaviour §2.9.
/// Tasks have no events in swarm scope.
[[nodiscard]] std::vector<EventMessage> swarm_events(const EventBatch& batch);

/// Whether an event passes the client's filters: type, scope, event (action), label, and the kinds' own keys
/// (service, node, secret, config, network: id or name).
[[nodiscard]] bool passes(const EventMessage& event, const std::map<std::string, std::vector<std::string>>& filters);

} // namespace swarm::gateway
