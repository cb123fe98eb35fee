// Finds the tasks that a changed node may not keep: its labels or role do not fit any more, or it has become too small
// (behaviour §4.10).
#pragma once

#include <functional>
#include <optional>

#include "messages/store.pb.h"
#include "runtime/time.hpp"

namespace swarm::orchestrator::constraint_enforcer {

/// The spec that a task names; null when it is not known (then the task is left alone).
using spec_lookup = std::function<const TaskSpec*(const Task&)>;

/// Whether the change can make a task's place illegal. Drained nodes are emptied by SERVICE, paused ones keep what they
/// have.
[[nodiscard]] bool matters(const Node& before, const Node& after);

/// Tasks of the node that must go, as REJECTED: SERVICE then restarts them elsewhere, if its policy allows. They are
/// taken in the order of their ids; each that stays uses up its reservations.
[[nodiscard]] std::optional<Command> enforce(wall_ns wall, const Node& node,
                                             const google::protobuf::RepeatedPtrField<Task>& tasks,
                                             const spec_lookup& spec_of);

} // namespace swarm::orchestrator::constraint_enforcer
