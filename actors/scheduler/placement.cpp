// The placing part of SCHEDULER: groups onto nodes, preassigned tasks, explanations.
#include <algorithm>

#include "actors/scheduler/scheduler_core.hpp"
#include "actors/scheduler/spread.hpp"
#include "runtime/check.hpp"

namespace swarm::scheduler {

namespace {

// Explanations of one group change at most so often: counts move with every node that comes or fills up.
constexpr duration text_interval = seconds{1};
// So many Commands may wait for their turn; the rest of a group is placed when they have gone.
constexpr std::size_t outbox_max = 3;

bool is_about_room(filter why) {
  return why == filter::resources || why == filter::host_port || why == filter::max_replicas;
}

} // namespace

void core::assign(const task_id& id, entry& e, node_index index) {
  const bool preassigned = e.preassigned;
  hold(id, e, index, nullptr);
  ++placed_;
  TaskChange change;
  change.set_task_id(id.str());
  if (!preassigned)
    change.set_node_id(nodes_[index].node.id());
  if (e.generic)
    *change.mutable_assigned_generic_resources() = generic_[id];
  auto& status = *change.mutable_status();
  status.set_timestamp(now_.wall);
  status.set_state(TASK_STATE_ASSIGNED);
  status.set_message(preassigned ? "scheduler confirmed task can run on preassigned node"
                                 : "scheduler assigned task to node");
  emit(change_kind::placed, id, std::move(change));
}

void core::validate_preassigned() {
  for (const auto index : std::exchange(to_validate_, {})) {
    const auto waiting = preassigned_.find(index);
    if (waiting == preassigned_.end())
      continue;
    for (auto it = waiting->second.begin(); it != waiting->second.end();) {
      const auto id = *it;
      auto& e = tasks_.find(id)->second;
      const auto& g = groups_[e.group];
      if (!g.known) {
        ++it;
        continue;
      }
      const auto why = check(g.wanted, g.service, nodes_[index], networks_);
      if (why == filter::none && nodes_[index].present) {
        it = waiting->second.erase(it);
        assign(id, e, index);
        continue;
      }
      refusals counts{};
      counts[static_cast<std::size_t>(why == filter::none ? filter::ready : why)] = 1;
      tell_one(id, e, explain(counts));
      ++it;
    }
    if (waiting->second.empty())
      preassigned_.erase(waiting);
  }
}

void core::place_group(group_index index) {
  auto& g = groups_[index];
  if (!g.used || !g.known)
    return;
  std::erase_if(g.pending, [&](const task_id& id) {
    const auto it = tasks_.find(id);
    return it == tasks_.end() || it->second.at != phase::waiting;
  });
  if (g.pending.empty()) {
    g.blocked = false;
    blocked_.erase(index);
    return;
  }
  refusals why{};
  bool room = false;
  const auto refuse = [&](filter f) {
    ++why[static_cast<std::size_t>(f)];
    room = room || is_about_room(f);
  };
  spread_tree tree{[&](node_index n) {
    const auto f = check_room(g.wanted, g.service, nodes_[n]);
    if (f != filter::none)
      refuse(f);
    return f == filter::none;
  }};
  std::vector<std::string> path(g.wanted.spreads.size());
  for (node_index n = 0; n < nodes_.size(); ++n) {
    const auto& node = nodes_[n];
    if (!node.present)
      continue;
    if (const auto f = check(g.wanted, g.service, node, networks_); f != filter::none) {
      refuse(f);
      continue;
    }
    for (std::size_t level = 0; level < path.size(); ++level)
      path[level] = spread_value(g.wanted.spreads[level], node.node);
    const auto failures = node.failures.empty() ? 0 : node.recent_failures(index, now_.now);
    tree.add({.failures = failures >= failures_max ? static_cast<std::uint32_t>(failures) : 0,
              .of_service = node.by_service.of(g.service),
              .tasks = node.tasks,
              .node = n},
             path);
  }
  std::size_t done = 0;
  bool later = false;
  for (; done < g.pending.size(); ++done) {
    const auto& id = g.pending[done];
    later = outbox_.size() > outbox_max;
    if (later)
      break;
    if (!tree.next([&](node_index n) { assign(id, tasks_.find(id)->second, n); }))
      break;
  }
  g.pending.erase(g.pending.begin(), g.pending.begin() + static_cast<std::ptrdiff_t>(done));
  g.blocked = !g.pending.empty() && !later;
  g.needs_room = room;
  if (later)
    to_place_.insert(index);
  if (!g.blocked) {
    if (g.pending.empty())
      g.pending.shrink_to_fit();
    blocked_.erase(index);
    return;
  }
  blocked_.insert(index);
  explain_to(index, why);
}

void core::explain_to(group_index index, const refusals& why) {
  const auto text = explain(why);
  groups_[index].text = text.empty() ? "no suitable node" : "no suitable node (" + text + ")";
  to_tell_.insert(index);
}

void core::tell(group_index index) {
  auto& g = groups_[index];
  if (!g.used || !g.blocked)
    return;
  if (now_.now < g.next_text_at) {
    to_tell_.insert(index);
    return;
  }
  const auto before = outbox_.empty() ? 0 : outbox_.back().changes.size() + outbox_.size() * 100'000;
  for (const auto& id : g.pending)
    if (const auto it = tasks_.find(id); it != tasks_.end() && it->second.at == phase::waiting)
      tell_one(id, it->second, g.text);
  const auto after = outbox_.empty() ? 0 : outbox_.back().changes.size() + outbox_.size() * 100'000;
  if (before != after)
    g.next_text_at = now_.now + text_interval;
}

void core::tell_one(const task_id& id, entry& e, const std::string& err) {
  if (e.told == hash_of(err))
    return;
  e.told = hash_of(err);
  TaskChange change;
  change.set_task_id(id.str());
  auto& status = *change.mutable_status();
  status.set_timestamp(now_.wall);
  status.set_state(TASK_STATE_PENDING);
  status.set_message("pending task scheduling");
  status.set_err(err);
  emit(change_kind::told, id, std::move(change));
}

// -- for people -----------------------------------------------------------------------------------------------------------

void core::check_invariants() const {
  std::size_t holding = 0;
  for (const auto& node : nodes_) {
    holding += node.holding;
    SWARM_CHECK(node.tasks <= node.holding);
  }
  SWARM_CHECK(holding == held_);
  std::size_t tasks = 0;
  for (const auto& g : groups_)
    tasks += g.tasks;
  SWARM_CHECK(tasks == tasks_.size());
}

core::counts core::count() const {
  counts out;
  out.tasks = tasks_.size();
  for (const auto& g : groups_) {
    out.waiting += g.pending.size();
    out.groups += g.used ? 1 : 0;
  }
  for (const auto& [node, waiting] : preassigned_)
    out.waiting += waiting.size();
  for (const auto& node : nodes_)
    out.nodes += node.present ? 1 : 0;
  out.in_flight = in_flight_.size();
  out.placed = placed_;
  return out;
}

std::string core::dump() const {
  const auto c = count();
  std::string out = "tasks=" + std::to_string(c.tasks) + " waiting=" + std::to_string(c.waiting) +
                    " nodes=" + std::to_string(c.nodes) + " placed=" + std::to_string(c.placed) +
                    " in_flight=" + std::to_string(c.in_flight) + "\n";
  for (const auto index : blocked_)
    out += "service " + groups_[index].service_id + " spec " + std::to_string(groups_[index].spec_version) + ": " +
           std::to_string(groups_[index].pending.size()) + " waiting: " + groups_[index].text + "\n";
  constexpr std::size_t shown_max = 200;
  std::size_t shown = 0;
  for (const auto& [id, index] : node_by_id_) {
    const auto& node = nodes_[index];
    if (!node.present)
      continue;
    if (++shown > shown_max)
      return out + "…\n";
    out += "node " + id + ": tasks=" + std::to_string(node.tasks) + " free_cpus=" + std::to_string(node.free.nano_cpus) +
           " free_memory=" + std::to_string(node.free.memory_bytes) + "\n";
  }
  return out;
}

} // namespace swarm::scheduler
