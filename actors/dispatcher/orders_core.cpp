// Bookkeeping for NodeOrders.
#include "actors/dispatcher/orders_core.hpp"

#include "messages/identity_rules.hpp"

namespace swarm::dispatcher {

void orders_core::load(const StoreSnapshot& snapshot) {
  *this = {};
  std::set<std::string> ignored;
  put(snapshot.cluster());
  for (const auto& node : snapshot.nodes())
    put(node, ignored);
}

// True when managers have changed.
bool orders_core::put(const Node& node, std::set<std::string>& changed) {
  auto& role = roles_[node.id()];
  if (const auto wanted = wanted_role(node); role != wanted) {
    role = wanted;
    changed.insert(node.id());
  }
  const auto& addr = node.manager_status().addr();
  const auto it = managers_.find(node.id());
  if (addr.empty())
    return it != managers_.end() && (managers_.erase(it), true);
  if (it != managers_.end() && it->second == addr)
    return false;
  managers_[node.id()] = addr;
  return true;
}

bool orders_core::put(const Cluster& cluster) {
  auto roots = trusted_roots(cluster.root_ca());
  if (roots == roots_)
    return false;
  roots_ = std::move(roots);
  return true;
}

std::vector<std::string> orders_core::apply(const EventBatch& batch) {
  std::set<std::string> changed;
  bool all = false;
  for (const auto& event : batch.clusters())
    all = put(event.cluster()) || all;
  for (const auto& event : batch.nodes()) {
    if (event.kind() != CHANGE_KIND_REMOVED) {
      all = put(event.node(), changed) || all;
      continue;
    }
    roles_.erase(event.node().id());
    all = managers_.erase(event.node().id()) > 0 || all;
    changed.erase(event.node().id());
  }
  if (all)
    for (const auto& [id, role] : roles_)
      changed.insert(id);
  return {changed.begin(), changed.end()};
}

NodeOrders orders_core::orders_of(const std::string& node_id, const std::string& session_id) const {
  NodeOrders out;
  out.set_session_id(session_id);
  const auto it = roles_.find(node_id);
  out.set_role(it == roles_.end() ? NODE_ROLE_UNSPECIFIED : it->second);
  for (const auto& [id, addr] : managers_) {
    auto& manager = *out.add_managers();
    manager.set_node_id(id);
    manager.set_addr(addr);
  }
  out.set_root_pem(roots_);
  return out;
}

} // namespace swarm::dispatcher
