// Group commit: which request wakes whom.
#include "actors/storage/commit_core.hpp"

#include "runtime/check.hpp"

namespace swarm::storage {

wake commit_core::queued(instant now, bool urgent, std::size_t bytes) {
  ++requests_;
  bytes_ += bytes;
  if (bytes_ >= opts_.bytes_max)
    return wake::at_once;
  if (soon_)
    return wake::none;
  if (!urgent)
    return arm_later(now);
  soon_ = true;
  return wake::soon;
}

wake commit_core::unfinished(instant now) {
  work_left_ = true;
  return soon_ ? wake::none : arm_later(now);
}

wake commit_core::arm_later(instant now) {
  if (later_)
    return wake::none;
  later_ = true;
  later_at_ = now + opts_.idle_delay;
  return wake::later;
}

// Both kinds of flush are the same message; the time tells whether the delayed one can have been it. Taking one for the
// other does no harm: the message that is still under way finds nothing to do, or writes something a little early.
bool commit_core::flush(instant now) {
  soon_ = false;
  if (now >= later_at_)
    later_ = false;
  return requests_ > 0 || work_left_;
}

void commit_core::taken() {
  requests_ = 0;
  bytes_ = 0;
  work_left_ = false;
}

void commit_core::check_invariants() const {
  SWARM_CHECK(requests_ == 0 || soon_ || later_ || bytes_ >= opts_.bytes_max, "queued requests and nobody will wake");
  SWARM_CHECK(!work_left_ || soon_ || later_, "work is left and nobody will wake");
}

std::string commit_core::dump() const {
  return "requests=" + std::to_string(requests_) + " bytes=" + std::to_string(bytes_) +
         " soon=" + std::to_string(soon_) + " later=" + std::to_string(later_) +
         " work_left=" + std::to_string(work_left_);
}

} // namespace swarm::storage
