// On Linux nice is an attribute of a thread.
#include "runtime/thread_priority.hpp"

#include <sys/resource.h>
#include <unistd.h>

namespace swarm {

void hurry_this_thread() noexcept {
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), -10));
}

} // namespace swarm
