// What carries messages between workers and managers.
#include "tests/sim/cluster_links.hpp"

namespace swarm::sim {

using raft::raft_id;

bool cluster_links::up(unsigned worker, raft_id manager) const {
  const auto it = links_.find({worker, manager});
  return it != links_.end() && it->second.up;
}

std::uint64_t cluster_links::number(unsigned worker, raft_id manager) const {
  const auto it = links_.find({worker, manager});
  return it == links_.end() || !it->second.up ? 0 : it->second.number;
}

void cluster_links::tick() {
  const auto now = env_.world.now();
  for (unsigned w = 0; w < workers_; ++w)
    for (const auto m : env_.world.managers()) {
      const pair who{w, m};
      auto& link = links_[who];
      const bool silent = is_cut(who, direction::to_manager) || is_cut(who, direction::to_worker) || !ends_.worker_up(w)
                          || env_.world.core_of(m) == nullptr || ends_.worker_frozen(w) || env_.world.is_frozen(m);
      if (!silent)
        link.silent_since = 0;
      else if (link.silent_since == 0)
        link.silent_since = now;
      if (link.up && silent && now - link.silent_since >= env_.knobs.link_silence_us) {
        down(who);
      } else if (!link.up && !silent && now >= link.dial_at) {
        link.up = true;
        link.number = next_number_++;
        link.last[0] = link.last[1] = now;
        ends_.changed(w, m, true);
      }
    }
}

void cluster_links::send(unsigned worker, raft_id manager, direction way, std::function<void()> arrive) {
  const pair who{worker, manager};
  auto& link = links_[who];
  if (!link.up)
    return;
  auto& last = link.last[static_cast<int>(way)];
  last = std::max(last + 1, env_.world.now() + 50 + env_.rng().below(env_.knobs.link_delay_us_max));
  env_.world.after(last - env_.world.now(), [this, who, way, number = link.number, arrive = std::move(arrive)]() mutable {
    deliver(who, way, number, std::move(arrive));
  });
}

void cluster_links::deliver(pair who, direction way, std::uint64_t number, std::function<void()> arrive) {
  auto& link = links_[who];
  if (!link.up || link.number != number)
    return;
  auto& held = link.held[static_cast<int>(way)];
  if (is_cut(who, way) || !held.empty()) {
    held.push_back(std::move(arrive));
    return;
  }
  arrive();
}

void cluster_links::down(pair who) {
  auto& link = links_[who];
  if (!link.up)
    return;
  link.up = false;
  link.number = 0;
  link.held[0].clear();
  link.held[1].clear();
  link.dial_at = env_.world.now() + 20'000 + env_.rng().below(500'000);
  ends_.changed(who.first, who.second, false);
}

void cluster_links::worker_gone(unsigned worker) {
  for (const auto m : env_.world.managers())
    down({worker, m});
}

void cluster_links::manager_gone(raft_id manager) {
  for (unsigned w = 0; w < workers_; ++w)
    down({w, manager});
}

void cluster_links::cut(unsigned worker, raft_id manager, direction way) { cuts_.insert({{worker, manager}, way}); }

void cluster_links::heal_cuts() {
  cuts_.clear();
  for (auto& [who, link] : links_)
    for (const auto way : {direction::to_manager, direction::to_worker}) {
      auto held = std::move(link.held[static_cast<int>(way)]);
      link.held[static_cast<int>(way)].clear();
      for (auto& arrive : held)
        env_.world.after(1, [this, who = who, way, number = link.number, arrive = std::move(arrive)]() mutable {
          deliver(who, way, number, std::move(arrive));
        });
    }
}

} // namespace swarm::sim
