// Which thread the kernel lets go first.
#pragma once

namespace swarm {

/// The calling thread no longer waits for a turn behind others that merely compute: for threads that sleep most of the time and
/// that everybody waits for when they do not. Nice -10, Linux only, for this thread alone; without the privilege (root or
/// CAP_SYS_NICE) nothing happens, and nothing depends on it.
void hurry_this_thread() noexcept;

} // namespace swarm
