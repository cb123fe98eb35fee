// Group commit: which request wakes whom.
#include "actors/storage/commit_core.hpp"

#include "runtime/check.hpp"

namespace swarm::storage {

wake commit_core::queued(instant now, bool urgent, std::size_t bytes) {
  auto& queue = urgent ? appends_ : saves_;
  ++queue.requests;
  queue.bytes += bytes;
  if (queued_bytes() >= opts_.bytes_max)
    return wake::at_once;
  if (!urgent)
    return arm_later(now);
  if (soon_)
    return wake::none;
  soon_ = true;
  return wake::soon;
}

wake commit_core::unfinished(instant now) {
  work_left_ = true;
  return arm_later(now);
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
take commit_core::flush(instant now) {
  soon_ = false;
  const bool waited = later_ && now >= later_at_;
  if (waited)
    later_ = false;
  if ((saves_.requests > 0 && saves_.bytes >= opts_.saves_bytes) || (waited && (saves_.requests > 0 || work_left_)))
    return take::everything;
  return appends_.requests > 0 ? take::appends : take::nothing;
}

void commit_core::taken(take what) {
  if (what == take::nothing)
    return;
  appends_ = {};
  work_left_ = false;
  if (what == take::everything)
    saves_ = {};
}

void commit_core::check_invariants() const {
  const bool full = queued_bytes() >= opts_.bytes_max;
  SWARM_CHECK(appends_.requests == 0 || soon_ || full, "queued appends and nobody will wake");
  SWARM_CHECK(saves_.requests == 0 || later_ || full, "queued saves and nobody will wake");
  SWARM_CHECK(!work_left_ || later_, "work is left and nobody will wake");
}

std::string commit_core::dump() const {
  const auto text = [](const queue& q) { return std::to_string(q.requests) + "/" + std::to_string(q.bytes) + "B"; };
  return "appends=" + text(appends_) + " saves=" + text(saves_) + " soon=" + std::to_string(soon_) +
         " later=" + std::to_string(later_) + " work_left=" + std::to_string(work_left_);
}

} // namespace swarm::storage
