// Labels of services that ask for what Docker's API has no field for.
#pragma once

#include <chrono>
#include <optional>

#include "messages/specs.pb.h"

namespace swarm {

/// A task of an update that is not RUNNING so long after it was created counts as a failure of the update.
inline constexpr const char* update_deadline_label = "swarm.update.deadline";

/// None without the label, and when its text is no positive duration as Go writes them: "90s", "1h30m", "1.5s".
[[nodiscard]] std::optional<std::chrono::nanoseconds> update_deadline(const ServiceSpec& spec);

} // namespace swarm
