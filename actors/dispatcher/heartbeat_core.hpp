// Decides which nodes have fallen silent.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/time.hpp"

namespace swarm::dispatcher {

/// A node is down after this many periods without a heartbeat.
inline constexpr int missed_periods = 3;
/// After a change of leaders nodes need time to find the new one: twice as many.
inline constexpr int unknown_periods = 2 * missed_periods;
inline constexpr duration heartbeat_period_default = seconds{5};
/// A node whose link broke off has this long to come back: 2 s at the default period, never less than a restart takes.
inline constexpr duration comeback_min = seconds{1};
constexpr duration comeback_time(duration period) { return std::max(comeback_min, period * 2 / 5); }

struct silent_node {
  std::string node;
  bool unknown = false; ///< never heard under this leader
  bool operator==(const silent_node&) const = default;
};

/// Kept in the leader's memory only: a heartbeat is never replicated, and a new leader writes nothing about nodes it
/// has not heard of yet.
class heartbeat_core {
public:
  /// Takes effect with the next heartbeat of each node.
  void set_period(duration period) { period_ = period; }
  [[nodiscard]] duration period() const { return period_; }

  /// The node ought to be alive, but has not been heard of.
  void expect(instant now, const std::string& node);
  void beat(instant now, const std::string& node);
  /// Its link broke off: unless it is heard of or linked again, it is silent after comeback_time. That moment; nothing
  /// when the node is not watched.
  std::optional<instant> link_lost(instant now, const std::string& node);
  /// It is linked again: what its heartbeats had earned holds.
  void link_back(const std::string& node);
  void forget(const std::string& node) { nodes_.erase(node); }
  /// Those that were silent for too long, once each: they are forgotten.
  [[nodiscard]] std::vector<silent_node> expire(instant now);
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }

private:
  struct entry {
    instant deadline;
    bool unknown = false;
    std::optional<instant> comeback; ///< sooner than deadline: its link broke off
  };
  duration period_ = heartbeat_period_default;
  std::map<std::string, entry> nodes_;
};

} // namespace swarm::dispatcher
