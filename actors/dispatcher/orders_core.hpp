// What each node is told of itself and of the managers: its role, whom to ask, what to trust.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "messages/dispatcher.pb.h"
#include "messages/store.pb.h"

namespace swarm::dispatcher {

/// Follows cluster and nodes; says whose orders are others than before. A node hears of its orders at the start of a
/// session and when they change.
class orders_core {
public:
  void load(const StoreSnapshot& snapshot);
  /// Nodes whose orders have changed; all of them when managers or roots have.
  [[nodiscard]] std::vector<std::string> apply(const EventBatch& batch);
  [[nodiscard]] NodeOrders orders_of(const std::string& node_id, const std::string& session_id) const;

private:
  bool put(const Node& node, std::set<std::string>& changed);
  bool put(const Cluster& cluster);

  std::map<std::string, NodeRole> roles_;
  std::map<std::string, std::string> managers_; ///< node id → IP:PORT
  std::string roots_;
};

} // namespace swarm::dispatcher
