// Counters and failures of one node.
#include "actors/scheduler/node_table.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace swarm::scheduler {

namespace {

auto position(std::vector<std::pair<std::uint32_t, std::uint32_t>>& entries, std::uint32_t key) {
  return std::lower_bound(entries.begin(), entries.end(), key, [](const auto& e, std::uint32_t k) { return e.first < k; });
}

} // namespace

resources resources_of(const Resources& offered) {
  resources out;
  out.nano_cpus = offered.nano_cpus();
  out.memory_bytes = offered.memory_bytes();
  for (const auto& g : offered.generic_resources())
    if (g.has_discrete_resource_spec())
      out.discrete[g.discrete_resource_spec().kind()] += g.discrete_resource_spec().value();
    else if (g.has_named_resource_spec())
      out.named.emplace(g.named_resource_spec().kind(), g.named_resource_spec().value());
  return out;
}

std::uint32_t counters::of(std::uint32_t key) const {
  auto& entries = const_cast<counters*>(this)->entries_;
  const auto it = position(entries, key);
  return it != entries.end() && it->first == key ? it->second : 0;
}

void counters::add(std::uint32_t key) {
  const auto it = position(entries_, key);
  if (it != entries_.end() && it->first == key)
    ++it->second;
  else
    entries_.insert(it, {key, 1});
}

void counters::take(std::uint32_t key) {
  const auto it = position(entries_, key);
  SWARM_CHECK(it != entries_.end() && it->first == key && it->second > 0);
  if (--it->second == 0)
    entries_.erase(it);
}

std::size_t node_entry::recent_failures(group_index group, instant now) const {
  return static_cast<std::size_t>(std::count_if(failures.begin(), failures.end(), [&](const auto& f) {
    return f.first == group && f.second + failures_period > now;
  }));
}

void node_entry::add_failure(group_index group, instant now) {
  std::erase_if(failures, [&](const auto& f) { return f.second + failures_period <= now; });
  // More than the threshold need not be remembered of one group.
  if (recent_failures(group, now) > failures_max)
    std::erase_if(failures, [&, first = true](const auto& f) mutable {
      return f.first == group && std::exchange(first, false);
    });
  failures.emplace_back(group, now);
}

} // namespace swarm::scheduler
