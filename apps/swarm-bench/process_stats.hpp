// CPU time and memory of processes, read from /proc.
#pragma once

namespace swarm::bench {

/// Seconds of CPU that the process and its living children have used, with those of children that have ended.
[[nodiscard]] double cpu_seconds(int pid);
/// Resident megabytes of the process alone; 0 when it is not there.
[[nodiscard]] double rss_mb(int pid);

} // namespace swarm::bench
