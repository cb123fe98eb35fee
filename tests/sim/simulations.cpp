// Runs of one seed: Raft cores alone, and whole clusters.
#include "tests/sim/simulations.hpp"

#include <optional>

#include "tests/sim/cluster_world.hpp"

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

} // namespace

const simulation* find_simulation(const std::string& name) {
  static const simulation all[] = {
    {"raft", run_raft, [](std::uint64_t seed, bool lite) { return raft_knobs::draw(seed, lite).render(); }, bug_names},
    {"cluster", run_cluster, [](std::uint64_t seed, bool lite) { return cluster_knobs::draw(seed, lite).render(); },
     cluster_bug_names},
  };
  for (const auto& one : all)
    if (one.name == name)
      return &one;
  return nullptr;
}

} // namespace swarm::sim
