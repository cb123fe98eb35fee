// Runs of one seed: Raft cores alone, and whole clusters.
#include "tests/sim/simulations.hpp"

#include <algorithm>
#include <optional>

#include "tests/sim/cluster_world.hpp"
#include "tests/sim/scenario_play.hpp"

namespace swarm::sim {

namespace {

template <class World>
void run_world(std::optional<World>& world, run_result& out) {
  try {
    world->run();
  } catch (const violation& v) {
    out.violation = v.what();
    out.dump = world->dump();
  }
  out.fingerprint = world->fingerprint();
}

run_result run_raft(std::uint64_t seed, const run_options& options, log_mode mode, const raft_world::sink& sink) {
  auto knobs = raft_knobs::draw(seed, options.lite);
  if (options.ticks != 0)
    knobs.ticks = options.ticks;
  if (!options.bug.empty())
    plant(knobs.core.bugs, options.bug);
  run_result out;
  std::optional<raft_world> world{std::in_place, seed, knobs, mode, sink};
  run_world(world, out);
  const auto t = world->totals();
  out.totals = {{"simulated_ms", t.virtual_us / 1'000}, {"events", t.events}, {"messages", t.messages}, {"faults", t.faults},
                {"crashes", t.crashes}, {"elections", t.elections}, {"committed", t.committed}, {"proposed", t.proposed},
                {"acknowledged", t.acknowledged}, {"reads", t.reads}, {"reads_served", t.reads_served},
                {"changes", t.changes}, {"snapshots", t.snapshots}};
  return out;
}

run_result run_cluster(std::uint64_t seed, const run_options& options, log_mode mode, const raft_world::sink& sink) {
  auto knobs = cluster_knobs::draw(seed, options.lite);
  if (options.ticks != 0)
    knobs.raft.ticks = options.ticks;
  if (!options.bug.empty() && !plant(knobs.bugs, options.bug))
    plant(knobs.raft.core.bugs, options.bug);
  run_result out;
  std::optional<cluster_world> world{std::in_place, seed, knobs, mode, sink};
  run_world(world, out);
  const auto t = world->totals();
  out.totals = {{"simulated_ms", t.raft.virtual_us / 1'000}, {"events", t.raft.events}, {"raft_messages", t.raft.messages},
                {"manager_faults", t.raft.faults}, {"worker_faults", t.faults}, {"crashes", t.raft.crashes},
                {"elections", t.raft.elections}, {"entries", t.entries}, {"sessions", t.sessions},
                {"containers", t.containers}, {"client_writes", t.writes}, {"client_reads", t.reads},
                {"changes", t.raft.changes}, {"snapshots", t.raft.snapshots}};
  return out;
}

run_result run_scenario(const scenario& which, std::uint64_t seed, const run_options& options, log_mode mode,
                        const raft_world::sink& sink) {
  auto knobs = knobs_of(which, seed);
  if (!options.bug.empty())
    plant(knobs.bugs, options.bug);
  scenario_play play{which, seed};
  run_result out;
  std::optional<cluster_world> world{std::in_place, seed, knobs, mode, sink, &play};
  run_world(world, out);
  if (!out.violation.empty()) {
    out.name = which.name;
    out.violation = play.variant() + ": " + out.violation;
    out.dump = play.seen().render() + out.dump;
  }
  const auto t = world->totals();
  out.totals = {{"scenarios", 1}, {"simulated_ms", t.raft.virtual_us / 1'000}, {"events", t.raft.events},
                {"leader_changes", play.leaders()}, {"elections", t.raft.elections}, {"crashes", t.raft.crashes},
                {"entries", t.entries}, {"sessions", t.sessions}, {"containers", t.containers}};
  return out;
}

run_result run_scenarios(std::uint64_t seed, const run_options& options, log_mode mode, const raft_world::sink& sink) {
  run_result out;
  for (const auto& one : scenarios()) {
    if (!options.name.empty() && options.name != one.name)
      continue;
    auto next = run_scenario(one, seed, options, mode, sink);
    next.fingerprint = mix(next.fingerprint, out.fingerprint);
    for (std::size_t i = 0; i < out.totals.size(); ++i)
      next.totals[i].second += out.totals[i].second;
    out = std::move(next);
    if (!out.violation.empty())
      break;
  }
  return out;
}

std::string render_scenarios(std::uint64_t seed, const run_options& options) {
  std::string out;
  for (const auto& one : scenarios())
    if (options.name == one.name)
      out = scenario_play{one, seed}.variant() + "; " + knobs_of(one, seed).render();
  return out;
}

bool is_scenario(const std::string& name) {
  const auto& all = scenarios();
  return std::any_of(all.begin(), all.end(), [&](const scenario& one) { return one.name == name; });
}

} // namespace

const simulation* find_simulation(const std::string& name) {
  static const simulation all[] = {
    {"raft", run_raft, [](std::uint64_t seed, const run_options& options) { return raft_knobs::draw(seed, options.lite).render(); },
     bug_names, nullptr},
    {"cluster", run_cluster,
     [](std::uint64_t seed, const run_options& options) { return cluster_knobs::draw(seed, options.lite).render(); },
     cluster_bug_names, nullptr},
    {"scenario", run_scenarios, render_scenarios, scenario_bug_names, is_scenario},
  };
  for (const auto& one : all)
    if (one.name == name)
      return &one;
  return nullptr;
}

} // namespace swarm::sim
