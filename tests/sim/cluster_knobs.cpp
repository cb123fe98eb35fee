// Derives all options of a run of a whole cluster from its seed.
#include "tests/sim/cluster_knobs.hpp"

#include <utility>

namespace swarm::sim {

namespace {

using bug_list = std::vector<std::pair<std::string, bool cluster_bugs::*>>;

const bug_list& scenario_bugs() {
  using bugs = cluster_bugs;
  static const bug_list table{
    {"leader_forgets_failures", &bugs::leader_forgets_failures},
    {"leader_forgets_completions", &bugs::leader_forgets_completions},
    {"leader_forgets_waiting", &bugs::leader_forgets_waiting},
    {"leader_forgets_pause", &bugs::leader_forgets_pause},
    {"leader_forgets_rollback", &bugs::leader_forgets_rollback},
    {"leader_starts_update_anew", &bugs::leader_starts_update_anew},
    {"leader_overlooks_starting", &bugs::leader_overlooks_starting},
    {"provider_gives_one_for_all", &bugs::provider_gives_one_for_all},
  };
  return table;
}

const bug_list& bug_table() {
  using bugs = cluster_bugs;
  static const bug_list table{
    {"agent_trusts_empty_journal", &bugs::agent_trusts_empty_journal},
    {"agent_skips_recovery", &bugs::agent_skips_recovery},
    {"agent_applies_out_of_order", &bugs::agent_applies_out_of_order},
    {"agent_takes_old_session", &bugs::agent_takes_old_session},
    {"agent_never_repeats", &bugs::agent_never_repeats},
    {"agent_reports_early", &bugs::agent_reports_early},
    {"agent_keeps_removed", &bugs::agent_keeps_removed},
    {"agent_tells_before_kept", &bugs::agent_tells_before_kept},
    {"dispatcher_sends_increment_first", &bugs::dispatcher_sends_increment_first},
    {"dispatcher_never_expires", &bugs::dispatcher_never_expires},
    {"removed_node_keeps_session", &bugs::removed_node_keeps_session},
    {"dispatcher_forgets_statuses", &bugs::dispatcher_forgets_statuses},
    {"orchestrator_ignores_down", &bugs::orchestrator_ignores_down},
    {"scheduler_ignores_down", &bugs::scheduler_ignores_down},
    {"scheduler_ignores_drain", &bugs::scheduler_ignores_drain},
    {"restart_forgets_delay", &bugs::restart_forgets_delay},
    {"replacement_does_not_wait", &bugs::replacement_does_not_wait},
    {"double_create", &bugs::double_create},
    {"update_never_ends", &bugs::update_never_ends},
    {"leader_decides_early", &bugs::leader_decides_early},
    {"leader_misses_events", &bugs::leader_misses_events},
    {"read_without_index", &bugs::read_without_index},
    {"answer_before_commit", &bugs::answer_before_commit},
    {"retry_unknown_writes", &bugs::retry_unknown_writes},
    {"version_ignored", &bugs::version_ignored},
    {"recovery_loses_last", &bugs::recovery_loses_last},
    {"snapshot_keeps_store", &bugs::snapshot_keeps_store},
    {"apply_differs", &bugs::apply_differs},
  };
  return table;
}

std::vector<std::string> names_of(const bug_list& table) {
  std::vector<std::string> out;
  for (const auto& [name, flag] : table)
    out.push_back(name);
  return out;
}

unsigned maybe(random_source& rng, unsigned percent, unsigned weight_max) {
  return rng.chance(percent) ? static_cast<unsigned>(rng.between(1, weight_max)) : 0;
}

// The group of managers: faults of the Raft simulator, but fewer in a second, so that what stands on it gets something done.
raft_knobs draw_managers(std::uint64_t seed, random_source& rng, bool lite) {
  static constexpr unsigned sizes[] = {1, 3, 3, 3, 5};
  auto out = raft_knobs::draw(seed, lite);
  out.voters = sizes[rng.below(std::size(sizes))];
  out.max_members = out.voters == 1 ? 2 : out.voters;
  out.tick_us = 20'000;
  out.ticks = lite ? 500 : 1'000;
  const auto keep = rng.chance(50) ? rng.between(10, 80) : 10'000;
  out.core = raft::options{};
  out.core.keep_entries = keep;
  out.core.compaction_batch = rng.between(1, 20);
  out.core.apply_stall_ticks = 100;
  out.core.disk_transfer_ticks = 60;
  out.core.disk_stop_ticks = 1'000'000;
  out.delay_us_max = rng.chance(70) ? rng.between(500, 3'000) : rng.between(3'000, 20'000);
  out.sync_us_max = rng.chance(70) ? rng.between(200, 3'000) : rng.between(3'000, 30'000);
  out.apply_us_max = rng.chance(70) ? rng.between(10, 1'000) : rng.between(1'000, 20'000);
  out.corrupt_chunk_percent = 0;
  out.fault_us = rng.between(500'000, 4'000'000);
  out.replay = 0;
  out.crash_point_ppm = rng.chance(50) ? static_cast<unsigned>(rng.between(10, 300)) : 0;
  out.clock_skew_percent = rng.chance(30) ? static_cast<unsigned>(rng.between(1, 50)) : 0;
  out.member_change = maybe(rng, 40, 6);
  out.disk_error = maybe(rng, 40, 4);
  if (out.crash + out.split + out.isolate_leader + out.freeze + out.transfer == 0)
    out.crash = 1;
  return out;
}

} // namespace

bool plant(cluster_bugs& bugs, const std::string& name) {
  for (const auto* table : {&bug_table(), &scenario_bugs()})
    for (const auto& [known, flag] : *table) {
      if (known != name)
        continue;
      bugs.*flag = true;
      return true;
    }
  return false;
}

const std::vector<std::string>& cluster_bug_names() {
  static const auto names = names_of(bug_table());
  return names;
}

const std::vector<std::string>& scenario_bug_names() {
  static const auto names = names_of(scenario_bugs());
  return names;
}

cluster_knobs cluster_knobs::draw(std::uint64_t seed, bool lite) {
  random_source rng{seed ^ 0xc1057e5ull};
  cluster_knobs out;
  out.raft = draw_managers(seed, rng, lite);
  out.workers = static_cast<unsigned>(rng.between(2, 5));
  out.services = static_cast<unsigned>(rng.between(1, 4));
  out.keys = static_cast<unsigned>(rng.between(1, 3));
  out.clients = static_cast<unsigned>(rng.between(2, 4));
  out.client_us = rng.between(40'000, 250'000);
  out.admin_us = rng.between(800'000, 4'000'000);
  out.heartbeat_us = rng.between(300'000, 1'000'000);
  out.link_delay_us_max = rng.chance(60) ? rng.between(500, 5'000) : rng.between(5'000, 200'000);
  out.link_silence_us = rng.between(500'000, 3'000'000);
  out.lose_frame_percent = maybe(rng, 30, 10);
  out.engine_us_max = rng.chance(50) ? rng.between(1'000, 50'000) : rng.between(50'000, 1'000'000);
  out.lose_reply_percent = maybe(rng, 40, 10);
  out.refuse_percent = maybe(rng, 40, 15);
  out.fail_start_percent = maybe(rng, 30, 15);
  out.die_percent = maybe(rng, 60, 50);
  out.die_us_max = rng.between(100'000, 8'000'000);
  out.fault_us = rng.between(400'000, 3'000'000);
  out.crash_agent = maybe(rng, 60, 8);
  out.crash_host = maybe(rng, 50, 5);
  out.lose_journal = maybe(rng, 40, 4);
  out.lose_host = maybe(rng, 25, 2);
  out.freeze_worker = maybe(rng, 40, 5);
  out.cut_worker = maybe(rng, 60, 8);
  out.flap_link = maybe(rng, 50, 6);
  out.restart_engine = maybe(rng, 40, 5);
  out.hang_engine = maybe(rng, 30, 3);
  out.jump_clock = maybe(rng, 30, 4);
  out.full_database = maybe(rng, 20, 2);
  out.remove_node = maybe(rng, 25, 2);
  return out;
}

std::string cluster_knobs::render() const {
  std::string out;
  auto put = [&](const char* name, std::uint64_t value) { out += name + ('=' + std::to_string(value)) + ' '; };
  put("workers", workers);
  put("services", services);
  put("keys", keys);
  put("clients", clients);
  put("client_us", client_us);
  put("admin_us", admin_us);
  put("heartbeat_us", heartbeat_us);
  put("link_delay_us_max", link_delay_us_max);
  put("link_silence_us", link_silence_us);
  put("lose_frame%", lose_frame_percent);
  put("engine_us_max", engine_us_max);
  put("lose_reply%", lose_reply_percent);
  put("refuse%", refuse_percent);
  put("fail_start%", fail_start_percent);
  put("die%", die_percent);
  put("die_us_max", die_us_max);
  put("cluster_fault_us", fault_us);
  put("crash_agent", crash_agent);
  put("crash_host", crash_host);
  put("lose_journal", lose_journal);
  put("lose_host", lose_host);
  put("freeze_worker", freeze_worker);
  put("cut_worker", cut_worker);
  put("flap_link", flap_link);
  put("restart_engine", restart_engine);
  put("hang_engine", hang_engine);
  put("jump_clock", jump_clock);
  put("full_database", full_database);
  put("remove_node", remove_node);
  put("disk_error", raft.disk_error);
  return out + "managers: " + raft.render();
}

} // namespace swarm::sim
