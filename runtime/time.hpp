// Time as the cores see it: values that are handed in. Nothing here can read a clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace swarm {

using duration = std::chrono::nanoseconds;

/// A point on the monotonic clock of one process (virtual in tests). For deadlines and periods.
struct monotonic_tag {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<monotonic_tag>;
};
using instant = monotonic_tag::time_point;

/// Nanoseconds since 1970-01-01 UTC. For what users see; never compared to decide who is alive. 0 means unset.
using wall_ns = std::int64_t;

/// What a core is told about time with each event.
struct timestamp {
  instant now;
  wall_ns wall = 0;
};

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

} // namespace swarm
