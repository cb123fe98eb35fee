// Deadlines of nodes.
#include "actors/dispatcher/heartbeat_core.hpp"

namespace swarm::dispatcher {

void heartbeat_core::expect(instant now, const std::string& node) {
  nodes_.try_emplace(node, entry{now + unknown_periods * period_, true, {}});
}

void heartbeat_core::beat(instant now, const std::string& node) {
  nodes_[node] = {now + missed_periods * period_, false, {}};
}

std::optional<instant> heartbeat_core::link_lost(instant now, const std::string& node) {
  const auto it = nodes_.find(node);
  if (it == nodes_.end())
    return std::nullopt;
  auto& e = it->second;
  e.comeback = std::min(e.comeback.value_or(e.deadline), now + comeback_time(period_));
  return e.comeback;
}

void heartbeat_core::link_back(const std::string& node) {
  if (const auto it = nodes_.find(node); it != nodes_.end())
    it->second.comeback.reset();
}

std::vector<silent_node> heartbeat_core::expire(instant now) {
  std::vector<silent_node> out;
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    if (it->second.comeback.value_or(it->second.deadline) > now) {
      ++it;
      continue;
    }
    out.push_back({it->first, it->second.unknown});
    it = nodes_.erase(it);
  }
  return out;
}

} // namespace swarm::dispatcher
