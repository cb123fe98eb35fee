// What happens to workers, engines, links and clocks of a simulated cluster; managers have raft_nemesis.
#include <array>

#include "tests/sim/cluster_world.hpp"

namespace swarm::sim {

using raft::raft_id;

namespace {

enum cluster_fault : unsigned {
  crash_agent, crash_host, lose_journal, lose_host, freeze_worker, cut_links, flap_link, restart_engine, hang_engine, jump_clock,
  full_database, cluster_fault_count
};

} // namespace

void cluster_world::nemesis() {
  if (world_.healing())
    return;
  auto& rng = world_.rng();
  world_.after(1 + rng.below(2 * knobs_.fault_us), [this] { nemesis(); });
  // Everything gets well again as often as it breaks.
  if (rng.chance(40)) {
    links_.heal_cuts();
    for (auto& worker : workers_)
      worker->start();
    for (auto& [id, m] : managers_)
      m->set_full(false);
    return;
  }
  const std::array<unsigned, cluster_fault_count> weights{
    knobs_.crash_agent, knobs_.crash_host,     knobs_.lose_journal, knobs_.lose_host,  knobs_.freeze_worker, knobs_.cut_worker,
    knobs_.flap_link,   knobs_.restart_engine, knobs_.hang_engine,  knobs_.jump_clock, knobs_.full_database};
  unsigned total = 0;
  for (const auto weight : weights)
    total += weight;
  auto drawn = rng.below(total);
  for (unsigned which = 0; which < cluster_fault_count; ++which) {
    if (drawn < weights[which])
      return inject(which);
    drawn -= weights[which];
  }
}

// One of the nodes stays, so that services have somewhere to run.
bool cluster_world::may_lose(const std::string& node) {
  if (going_.size() + 1 >= workers_.size() || going_.contains(node))
    return false;
  going_.insert(node);
  return true;
}

void cluster_world::cut_worker(unsigned worker) {
  auto& rng = world_.rng();
  const bool all = rng.chance(60);
  const bool up = rng.chance(70);
  const bool down = !up || rng.chance(50);
  for (const auto m : world_.managers()) {
    if (!all && rng.chance(50))
      continue;
    if (up)
      links_.cut(worker, m, direction::to_manager);
    if (down)
      links_.cut(worker, m, direction::to_worker);
  }
}

void cluster_world::inject(unsigned which) {
  auto& rng = world_.rng();
  ++totals_.faults;
  const auto number = static_cast<unsigned>(rng.below(workers_.size()));
  auto& worker = *workers_[number];
  const auto all = world_.managers();
  const auto some = all.empty() ? 0 : all[rng.below(all.size())];
  world_.trace("worker_fault", number, [&] { return std::to_string(which); });
  const auto restart_soon = [&] {
    if (rng.chance(70))
      world_.after(1 + rng.below(3'000'000), [this, number] { workers_[number]->start(); });
  };
  switch (which) {
    case crash_agent:
    case lose_journal:
      worker.crash_agent(which == lose_journal);
      restart_soon();
      break;
    case crash_host:
      worker.power_off();
      restart_soon();
      break;
    case lose_host:
      if (may_lose(worker.node_id()))
        worker.lose();
      break;
    case freeze_worker:
      worker.freeze(world_.now() + rng.below(5'000'000));
      break;
    case cut_links:
      cut_worker(number);
      break;
    case flap_link:
      for (auto times = rng.between(1, 6); times > 0; --times)
        world_.after(rng.below(1'500'000), [this, number, some] { links_.drop(number, some); });
      break;
    case restart_engine:
      if (!worker.is_lost())
        worker.engine().restart(rng.chance(40));
      break;
    case hang_engine:
      worker.engine().hang(world_.now() + rng.below(6'000'000));
      break;
    case jump_clock: {
      const auto by = static_cast<std::int64_t>(rng.below(7'200)) - 3'600;
      if (rng.chance(50))
        worker.jump_clock(by * 1'000'000'000);
      else if (some != 0)
        manager(some).jump_clock(by * 1'000'000'000);
      break;
    }
    case full_database:
      if (some != 0)
        manager(some).set_full(true);
      break;
    default:
      break;
  }
}

void cluster_world::heal() {
  links_.heal_cuts();
  for (auto& worker : workers_)
    worker->heal();
  for (auto& [id, m] : managers_)
    m->set_full(false);
  clients_.heal();
}

} // namespace swarm::sim
