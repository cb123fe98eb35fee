// Chooses nodes for identical tasks, one after the other: evenly over the buckets of the spread preferences, and within
// a bucket the node with the fewest tasks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "actors/scheduler/node_table.hpp"

namespace swarm::scheduler {

/// What nodes are ordered by; lower is better. Failures count only from failures_max on.
struct rank {
  std::uint32_t failures = 0;
  std::uint32_t of_service = 0;
  std::uint32_t tasks = 0;
  node_index node = 0; ///< so that equal nodes take turns in a fixed order
  auto operator<=>(const rank&) const = default;
};

/// A tree with one level per preference; its leaves are heaps of nodes. All tasks of the service that a node already
/// runs count for its buckets.
class spread_tree {
public:
  /// Whether the node can take one more of these tasks.
  using has_room = std::function<bool(node_index)>;

  explicit spread_tree(has_room room) : room_{std::move(room)} { buckets_.emplace_back(); }

  /// `path`: the node's value of each preference, outermost first. Always of the same length.
  void add(const rank& r, const std::vector<std::string>& path);
  /// The best node for one more task, or none when all are full. The tree counts it as placed; `taken` must update the
  /// node before the next call.
  [[nodiscard]] std::optional<node_index> next(const std::function<void(node_index)>& taken);

private:
  using bucket_index = std::uint32_t;
  using entry = std::pair<std::uint64_t, bucket_index>; // tasks, bucket
  struct bucket {
    std::map<std::string, bucket_index> children;
    std::uint64_t tasks = 0;
    std::priority_queue<entry, std::vector<entry>, std::greater<>> by_tasks; // children that may have room
    std::priority_queue<rank, std::vector<rank>, std::greater<>> nodes;      // leaves only
  };
  void seal();
  std::optional<node_index> take(bucket_index b, const std::function<void(node_index)>& taken);

  has_room room_;
  std::vector<bucket> buckets_; // [0] is the root
  bool sealed_ = false;
};

} // namespace swarm::scheduler
