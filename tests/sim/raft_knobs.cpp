// Derives all options of a run from its seed.
#include "tests/sim/raft_knobs.hpp"

#include <algorithm>
#include <utility>

namespace swarm::sim {

namespace {

const std::vector<std::pair<std::string, bool raft::planted_bugs::*>>& bug_table() {
  using bugs = raft::planted_bugs;
  static const std::vector<std::pair<std::string, bool bugs::*>> table{
    {"send_before_persist", &bugs::send_before_persist},
    {"vote_not_persisted", &bugs::vote_not_persisted},
    {"lost_hard_state", &bugs::lost_hard_state},
    {"double_vote", &bugs::double_vote},
    {"vote_ignores_log", &bugs::vote_ignores_log},
    {"figure8_commit", &bugs::figure8_commit},
    {"learner_in_quorum", &bugs::learner_in_quorum},
    {"self_ack_early", &bugs::self_ack_early},
    {"small_quorum", &bugs::small_quorum},
    {"commit_before_append", &bugs::commit_before_append},
    {"heartbeat_commit_unbounded", &bugs::heartbeat_commit_unbounded},
    {"accept_old_term", &bugs::accept_old_term},
    {"skip_log_matching", &bugs::skip_log_matching},
    {"truncate_on_append", &bugs::truncate_on_append},
    {"conf_without_noop", &bugs::conf_without_noop},
    {"many_conf_changes", &bugs::many_conf_changes},
    {"stale_read", &bugs::stale_read},
    {"read_before_noop", &bugs::read_before_noop},
    {"read_before_apply", &bugs::read_before_apply},
    {"reuse_request_ids", &bugs::reuse_request_ids},
    {"snapshot_keeps_config", &bugs::snapshot_keeps_config},
    {"apply_twice", &bugs::apply_twice},
    {"stale_persist", &bugs::stale_persist},
    {"snapshot_under_store", &bugs::snapshot_under_store},
    {"early_own_vote", &bugs::early_own_vote},
    {"never_rewind", &bugs::never_rewind},
    {"leak_inflight", &bugs::leak_inflight},
  };
  return table;
}

// Swarm testing: each fault exists in about half of the runs, so that rare combinations without the loud ones occur.
unsigned maybe(random_source& rng, unsigned percent, unsigned weight_max) {
  return rng.chance(percent) ? static_cast<unsigned>(rng.between(1, weight_max)) : 0;
}

void draw_core(raft::options& core, random_source& rng) {
  core.heartbeat_ticks = static_cast<unsigned>(rng.between(1, 2));
  core.election_ticks = static_cast<unsigned>(rng.between(10, 20));
  core.link_loss_jitter_ticks = static_cast<unsigned>(rng.between(0, 4));
  core.keep_entries = rng.chance(60) ? rng.between(3, 60) : 10'000;
  core.keep_entries_alone = rng.between(0, 20);
  core.compaction_batch = rng.between(1, 10);
  core.auto_promote = rng.chance(85);
  core.promote_lag_entries = rng.chance(50) ? rng.between(0, 20) : 1'000;
  core.apply_stall_ticks = static_cast<unsigned>(rng.between(40, 100));
  core.disk_transfer_ticks = static_cast<unsigned>(rng.between(30, 60));
  core.disk_stop_ticks = 1'000'000; // slow disks get well again here
  if (rng.chance(50))
    core.max_append_bytes = rng.between(1, 300);
  if (rng.chance(40))
    core.max_inflight_messages = rng.between(1, 4);
  if (rng.chance(30))
    core.max_inflight_bytes = rng.between(40, 400);
  if (rng.chance(30))
    core.max_uncommitted_bytes = rng.between(200, 2'000);
  if (rng.chance(30))
    core.max_applying_bytes = rng.between(1, 500);
  if (rng.chance(20))
    core.max_pending_reads = rng.between(1, 5);
}

} // namespace

bool plant(raft::planted_bugs& bugs, const std::string& name) {
  for (const auto& [known, flag] : bug_table()) {
    if (known != name)
      continue;
    bugs.*flag = true;
    return true;
  }
  return false;
}

const std::vector<std::string>& bug_names() {
  static const auto names = [] {
    std::vector<std::string> out;
    for (const auto& [name, flag] : bug_table())
      out.push_back(name);
    return out;
  }();
  return names;
}

raft_knobs raft_knobs::draw(std::uint64_t seed, bool lite) {
  random_source rng{seed};
  raft_knobs out;
  static constexpr unsigned sizes[] = {1, 2, 2, 3, 3, 3, 3, 4, 5, 5};
  out.voters = sizes[rng.below(std::size(sizes))];
  out.max_members = static_cast<unsigned>(rng.between(out.voters, 7));
  out.ticks = lite ? 500 : 1'500;
  draw_core(out.core, rng);
  out.delay_us_max = rng.chance(50) ? rng.between(500, 3'000) : rng.between(3'000, 40'000);
  out.slow_percent = maybe(rng, 40, 8);
  out.drop_percent = maybe(rng, 60, 20);
  out.duplicate_percent = maybe(rng, 50, 15);
  out.sync_us_max = rng.chance(50) ? rng.between(200, 3'000) : rng.between(3'000, 60'000);
  out.apply_us_max = rng.chance(60) ? rng.between(10, 1'000) : rng.between(1'000, 50'000);
  out.snapshot_chunks_max = static_cast<unsigned>(rng.between(1, 4));
  out.corrupt_chunk_percent = maybe(rng, 20, 20);
  out.client_us = rng.between(3'000, 40'000);
  out.batch_max = static_cast<unsigned>(rng.between(1, 8));
  out.fault_us = rng.between(60'000, 800'000);
  out.crash = maybe(rng, 70, 10);
  out.crash_all = maybe(rng, 30, 3);
  out.split = maybe(rng, 60, 8);
  out.cut_one_way = maybe(rng, 50, 8);
  out.isolate_leader = maybe(rng, 50, 8);
  out.slow_disk = maybe(rng, 40, 5);
  out.freeze = maybe(rng, 40, 5);
  out.slow_apply = maybe(rng, 20, 3);
  out.member_change = maybe(rng, 60, 12);
  out.transfer = maybe(rng, 40, 6);
  out.link_loss = maybe(rng, 40, 6);
  out.replay = maybe(rng, 60, 10);
  out.crash_point_ppm = rng.chance(50) ? static_cast<unsigned>(rng.between(20, 1'000)) : 0;
  out.clock_skew_percent = rng.chance(40) ? static_cast<unsigned>(rng.between(1, 90)) : 0;
  return out;
}

std::uint64_t raft_knobs::catch_up_us(std::uint64_t entries) const {
  constexpr std::size_t entry_bytes = 64; // of what clients write, and around it
  const auto per_round = std::max<std::uint64_t>(1, std::min(core.max_append_bytes, core.max_inflight_bytes) / entry_bytes);
  return 2 * (entries / per_round + 1) * (2 * delay_us_max + sync_us_max + apply_us_max);
}

std::string raft_knobs::render() const {
  std::string out;
  auto put = [&](const char* name, std::uint64_t value) {
    out += out.empty() ? "" : " ";
    out += name;
    out += '=' + std::to_string(value);
  };
  put("voters", voters);
  put("max_members", max_members);
  put("ticks", ticks);
  put("heartbeat", core.heartbeat_ticks);
  put("election", core.election_ticks);
  put("jitter", core.link_loss_jitter_ticks);
  put("keep", core.keep_entries);
  put("keep_alone", core.keep_entries_alone);
  put("compaction_batch", core.compaction_batch);
  put("auto_promote", core.auto_promote ? 1 : 0);
  put("promote_lag", core.promote_lag_entries);
  put("apply_stall", core.apply_stall_ticks);
  put("disk_transfer", core.disk_transfer_ticks);
  put("append_bytes", core.max_append_bytes);
  put("inflight", core.max_inflight_messages);
  put("inflight_bytes", core.max_inflight_bytes);
  put("uncommitted_bytes", core.max_uncommitted_bytes);
  put("applying_bytes", core.max_applying_bytes);
  put("pending_reads", core.max_pending_reads);
  put("delay_us_max", delay_us_max);
  put("slow%", slow_percent);
  put("drop%", drop_percent);
  put("duplicate%", duplicate_percent);
  put("sync_us_max", sync_us_max);
  put("apply_us_max", apply_us_max);
  put("chunks", snapshot_chunks_max);
  put("corrupt%", corrupt_chunk_percent);
  put("client_us", client_us);
  put("batch", batch_max);
  put("fault_us", fault_us);
  put("crash", crash);
  put("crash_all", crash_all);
  put("split", split);
  put("cut_one_way", cut_one_way);
  put("isolate_leader", isolate_leader);
  put("slow_disk", slow_disk);
  put("freeze", freeze);
  put("slow_apply", slow_apply);
  put("member_change", member_change);
  put("transfer", transfer);
  put("link_loss", link_loss);
  put("replay", replay);
  put("crash_point_ppm", crash_point_ppm);
  put("clock_skew%", clock_skew_percent);
  return out;
}

} // namespace swarm::sim
