// Flow control per follower.
#include "actors/raft/progress.hpp"

#include <algorithm>

namespace swarm::raft {

void inflight_window::add(log_index last, std::size_t bytes) {
  sent_.push_back({last, bytes});
  bytes_ += bytes;
}

void inflight_window::free_to(log_index index) {
  while (!sent_.empty() && sent_.front().last <= index) {
    bytes_ -= sent_.front().bytes;
    sent_.pop_front();
  }
}

void inflight_window::clear() {
  sent_.clear();
  bytes_ = 0;
}

std::string_view to_string(progress_state state) {
  switch (state) {
    case progress_state::probe:
      return "probe";
    case progress_state::replicate:
      return "replicate";
    case progress_state::snapshot:
      return "snapshot";
  }
  return "?";
}

void progress::become_probe() {
  state = progress_state::probe;
  next = match + 1;
  paused = false;
  inflight.clear();
}

void progress::become_replicate() {
  state = progress_state::replicate;
  next = match + 1;
  paused = false;
  window = 2;
  inflight.clear();
}

void progress::become_snapshot() {
  state = progress_state::snapshot;
  paused = false;
  inflight.clear();
}

bool progress::acknowledged(log_index index) {
  next = std::max(next, index + 1);
  if (index <= match)
    return false;
  match = index;
  paused = false;
  return true;
}

bool progress::refused(log_index rejected, log_index try_next) {
  if (state == progress_state::replicate) {
    // What it has acknowledged it cannot refuse: the answer is older than the acknowledgement.
    if (rejected <= match)
      return false;
    next = match + 1;
    return true;
  }
  // PROBE has one append out; any other index is an answer to an earlier one.
  if (next - 1 != rejected)
    return false;
  next = std::max(std::min(rejected, try_next), match + 1);
  paused = false;
  return true;
}

void progress::widen(std::size_t max_messages) { window = std::min(2 * window, max_messages); }

bool progress::blocked() const {
  switch (state) {
    case progress_state::probe:
      return paused;
    case progress_state::replicate:
      return inflight.full() || inflight.messages() >= window;
    case progress_state::snapshot:
      return true;
  }
  return true;
}

} // namespace swarm::raft
