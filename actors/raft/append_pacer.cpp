// The pause between two writes, and the crowd that ends it.
#include "actors/raft/append_pacer.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace swarm::raft {

void append_pacer::began(instant now, std::size_t entries) {
  writes_.push_back({now, entries});
  if (!pausing_)
    return;
  pausing_ = false;
  if (entries >= crowd_) {
    if (++fills_ < opts_.fills_to_grow)
      return;
    crowd_ = std::min(crowd_ + 1, opts_.enough);
  } else {
    crowd_ = std::max(entries, opts_.few + 1);
  }
  fills_ = 0;
}

void append_pacer::ended(instant now) {
  SWARM_CHECK(!writes_.empty(), "a write has begun");
  const auto done = writes_.front();
  writes_.pop_front();
  pausing_ = done.entries > opts_.few;
  pause_until_ = pausing_ ? now + std::min((now - done.began) * 3, opts_.pause_max) : now;
}

bool append_pacer::may_begin(instant now, std::size_t gathered) const {
  if (gathered == 0 || writes_.size() >= opts_.in_flight_max)
    return false;
  return now >= pause_until_ || gathered >= crowd_;
}

std::optional<instant> append_pacer::ask_again(instant now) const {
  if (writes_.size() >= opts_.in_flight_max || now >= pause_until_)
    return std::nullopt;
  return std::max(pause_until_, now + opts_.look_again);
}

} // namespace swarm::raft
