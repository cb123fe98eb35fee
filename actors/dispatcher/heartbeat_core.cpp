// Deadlines of nodes.
#include "actors/dispatcher/heartbeat_core.hpp"

namespace swarm::dispatcher {

void heartbeat_core::expect(instant now, const std::string& node) {
  nodes_.try_emplace(node, entry{now + unknown_periods * period_, true});
}

void heartbeat_core::beat(instant now, const std::string& node) {
  nodes_[node] = {now + missed_periods * period_, false};
}

std::vector<silent_node> heartbeat_core::expire(instant now) {
  std::vector<silent_node> out;
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    if (it->second.deadline > now) {
      ++it;
      continue;
    }
    out.push_back({it->first, it->second.unknown});
    it = nodes_.erase(it);
  }
  return out;
}

} // namespace swarm::dispatcher
