// Which tasks are forgotten: taken away and stopped, or older than the history that is kept (behaviour §4.12).
#pragma once

#include "actors/orchestrator/service_state.hpp"

namespace swarm::orchestrator::task_reaper {

/// Tasks that one slot keeps, the live one included; negative: all of them.
[[nodiscard]] std::int64_t history_of(const service_state& state);

/// Removes what one slot does not need any more. `surplus`: the slot is not wanted, its history goes too.
void reap(service_state& state, const slot_key& slot, bool surplus);

/// A task on a node that was removed, or has been down for a day, will never be heard of again: it becomes ORPHANED.
void orphan(service_state& state, const slot_key& slot);

} // namespace swarm::orchestrator::task_reaper
