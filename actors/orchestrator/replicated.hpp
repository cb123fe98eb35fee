// Replicated services: N slots, each with one task that is wanted up (behaviour §4.3).
#pragma once

#include <vector>

#include "actors/orchestrator/restart.hpp"
#include "actors/orchestrator/service_state.hpp"

namespace swarm::orchestrator::replicated {

[[nodiscard]] std::uint64_t wanted_replicas(const ServiceSpec& spec);

/// Replaces what has ended or stands on an invalid node, and says whether the slot holds a wanted replica: it has a
/// runnable task, or its last one ended for good.
void check(service_state& state, restart_supervisor& restarts, const slot_key& slot);

/// A task of a newer spec is to take over from this one already (start-first): if this one ends, nothing follows it.
/// Not so the other way round: the newer one is started again while the older one is up.
[[nodiscard]] bool is_superseded(service_state& state, const slot_key& slot, const task_row& row);

/// Whether a slot holds a wanted replica.
[[nodiscard]] bool holds_replica(service_state& state, const restart_supervisor& restarts, const slot_key& slot);

/// Fills the lowest free slots, or takes surplus ones away. Stops when the Command is full.
void scale(service_state& state, restart_supervisor& restarts);

/// The slots to lose when only `keep` may stay: of nodes with most copies first, not running before running, high
/// numbers before low ones. In the order in which they go.
[[nodiscard]] std::vector<slot_key> pick_victims(service_state& state, std::size_t keep);

} // namespace swarm::orchestrator::replicated
