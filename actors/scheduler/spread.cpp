// The decision tree over spread preferences.
#include "actors/scheduler/spread.hpp"

namespace swarm::scheduler {

void spread_tree::add(const rank& r, const std::vector<std::string>& path) {
  bucket_index at = 0;
  buckets_[at].tasks += r.of_service;
  for (const auto& value : path) {
    const auto [it, fresh] = buckets_[at].children.try_emplace(value, static_cast<bucket_index>(buckets_.size()));
    at = it->second;
    if (fresh)
      buckets_.emplace_back();
    buckets_[at].tasks += r.of_service;
  }
  buckets_[at].nodes.push(r);
}

void spread_tree::seal() {
  for (auto& b : buckets_)
    for (const auto& [value, child] : b.children)
      b.by_tasks.emplace(buckets_[child].tasks, child);
  sealed_ = true;
}

std::optional<node_index> spread_tree::next(const std::function<void(node_index)>& taken) {
  if (!sealed_)
    seal();
  return take(0, taken);
}

std::optional<node_index> spread_tree::take(bucket_index at, const std::function<void(node_index)>& taken) {
  auto& b = buckets_[at];
  while (!b.by_tasks.empty()) {
    const auto child = b.by_tasks.top().second;
    b.by_tasks.pop();
    if (const auto node = take(child, taken)) {
      ++b.tasks;
      b.by_tasks.emplace(buckets_[child].tasks, child);
      return node;
    } // a bucket without room is not asked again
  }
  while (!b.nodes.empty()) {
    auto best = b.nodes.top();
    b.nodes.pop();
    if (!room_(best.node))
      continue;
    taken(best.node);
    ++best.of_service;
    ++best.tasks;
    b.nodes.push(best);
    ++b.tasks;
    return best.node;
  }
  return std::nullopt;
}

} // namespace swarm::scheduler
