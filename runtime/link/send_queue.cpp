// Three bounded lanes and who goes next.
#include "runtime/link/send_queue.hpp"

namespace swarm::link {

bool send_queue::push(priority of, std::vector<std::string> frames) {
  auto& to = lanes_[static_cast<std::size_t>(of)];
  const auto& bound = bounds_[static_cast<std::size_t>(of)];
  std::size_t bytes = 0;
  for (const auto& frame : frames)
    bytes += frame.size();
  if (!to.frames.empty() && (to.bytes + bytes > bound.bytes || to.frames.size() + frames.size() > bound.frames))
    return false;
  to.bytes += bytes;
  for (auto& frame : frames)
    to.frames.push_back(std::move(frame));
  return true;
}

bool send_queue::pop(std::string& out) {
  auto& [urgent, normal, bulk] = lanes_;
  auto* from = &urgent;
  if (urgent.frames.empty()) {
    const bool bulk_turn = !bulk.frames.empty() && (normal.frames.empty() || normal_run_ >= normal_per_bulk);
    from = bulk_turn ? &bulk : &normal;
    normal_run_ = bulk_turn ? 0 : normal_run_ + 1;
  }
  if (from->frames.empty()) {
    normal_run_ = 0;
    return false;
  }
  out = std::move(from->frames.front());
  from->frames.pop_front();
  from->bytes -= out.size();
  return true;
}

bool send_queue::empty() const { return frames() == 0; }

std::size_t send_queue::bytes() const { return lanes_[0].bytes + lanes_[1].bytes + lanes_[2].bytes; }

std::size_t send_queue::frames() const {
  return lanes_[0].frames.size() + lanes_[1].frames.size() + lanes_[2].frames.size();
}

void send_queue::clear() {
  for (auto& lane : lanes_)
    lane = {};
}

} // namespace swarm::link
