// Simulated tasks: the contract's rules, each knob, and their price.
#include "drivers/simulated/simulated_core.hpp"

#include <chrono>
#include <gtest/gtest.h>

namespace swarm::simulated {
namespace {

TaskDescription task(const std::string& id, const std::map<std::string, std::string>& knobs = {}) {
  TaskDescription out;
  out.set_task_id(id);
  out.set_cluster_id("C");
  for (const auto& [key, text] : knobs)
    (*out.mutable_spec()->mutable_container_spec()->mutable_labels())["simulated." + key] = text;
  return out;
}
timestamp at(duration t) { return {instant{t}, t.count()}; }

TEST(simulated_core, a_task_is_created_started_stopped_and_removed) {
  core c;
  EXPECT_EQ(c.prepare(at({}), task("a")).handle.phase(), TaskHandle::PHASE_CREATED);
  EXPECT_EQ(c.start(at({}), "a").handle.phase(), TaskHandle::PHASE_RUNNING);
  EXPECT_EQ(c.prepare(at({}), task("a")).handle.phase(), TaskHandle::PHASE_RUNNING) << "found again";
  EXPECT_EQ(c.stop(at({}), "a").handle.phase(), TaskHandle::PHASE_EXITED);
  EXPECT_EQ(c.start(at({}), "a").handle.phase(), TaskHandle::PHASE_EXITED) << "a task runs once";
  EXPECT_EQ(c.remove(at({}), "a").handle.phase(), TaskHandle::PHASE_ABSENT);
  EXPECT_EQ(c.size(), 0u);
  EXPECT_EQ(c.start(at({}), "a").error.code, errc::not_found);
}

TEST(simulated_core, run_for_ends_it_with_exit_code) {
  core c;
  (void)c.prepare(at({}), task("a", {{"run_for", "2s"}, {"exit_code", "3"}}));
  (void)c.start(at({}), "a");
  EXPECT_EQ(c.next_due(), instant{seconds{2}});
  EXPECT_TRUE(c.tick(at(milliseconds{1999})).empty());
  const auto ended = c.tick(at(seconds{2}));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].container().exit_code(), 3);
  EXPECT_FALSE(c.next_due());
}

TEST(simulated_core, crash_after_kills_it_and_a_stopped_task_does_not_crash) {
  core c;
  (void)c.prepare(at({}), task("a", {{"crash_after", "1s"}, {"run_for", "9s"}}));
  (void)c.prepare(at({}), task("b", {{"crash_after", "1s"}}));
  (void)c.start(at({}), "a");
  (void)c.start(at({}), "b");
  (void)c.stop(at({}), "b");
  const auto ended = c.tick(at(seconds{1}));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].container().exit_code(), 137);
  EXPECT_TRUE(ended[0].oom_killed());
}

TEST(simulated_core, fail_start_and_block_start) {
  core c;
  (void)c.prepare(at({}), task("a", {{"fail_start", "no such command"}}));
  EXPECT_EQ(c.start(at({}), "a").error.message, "starting container failed: no such command");
  (void)c.prepare(at({}), task("b", {{"block_start", "5s"}}));
  EXPECT_EQ(c.start(at({}), "b").after, duration{seconds{5}});
}

TEST(simulated_core, a_lost_reply_happens_once_and_the_request_has_worked) {
  for (const auto* request : {"prepare", "start", "stop", "remove"}) {
    core c;
    std::vector<reply> replies;
    replies.push_back(c.prepare(at({}), task("a", {{"lose_reply", request}})));
    replies.push_back(c.start(at({}), "a"));
    replies.push_back(c.stop(at({}), "a"));
    replies.push_back(c.remove(at({}), "a"));
    EXPECT_EQ(std::count_if(replies.begin(), replies.end(), [](const auto& r) { return r.error.code == errc::deadline_exceeded; }), 1) << request;
    EXPECT_EQ(c.inspect("a").handle.phase(), TaskHandle::PHASE_ABSENT);
  }
}

TEST(simulated_core, knobs_come_from_labels_or_the_environment) {
  ContainerSpec spec;
  spec.add_env("SIMULATED_RUN_FOR=1m30s");
  spec.add_env("SIMULATED_EXIT_CODE=2");
  (*spec.mutable_labels())["simulated.exit_code"] = "5";
  const auto k = knobs_of(spec);
  EXPECT_EQ(k.run_for, duration{seconds{90}});
  EXPECT_EQ(k.exit_code, 5);
}

TEST(simulated_core, durations_are_gos) {
  EXPECT_EQ(parse_duration("250ms"), duration{milliseconds{250}});
  EXPECT_EQ(parse_duration("1.5s"), duration{milliseconds{1500}});
  EXPECT_EQ(parse_duration("1h"), duration{hours{1}});
  EXPECT_EQ(parse_duration("7"), nanoseconds{7});
  for (const auto* bad : {"", "s", "1x", "-1s", "1s2", "99999999999999999999h"})
    EXPECT_EQ(parse_duration(bad), duration{}) << bad;
}

TEST(simulated_core, recovery_finds_one_clusters_tasks) {
  core c;
  auto other = task("b");
  other.set_cluster_id("D");
  (void)c.prepare(at({}), task("a"));
  (void)c.prepare(at({}), other);
  ASSERT_EQ(c.recover("C").tasks_size(), 1);
  EXPECT_EQ(c.recover("C").tasks(0).task_id(), "a");
  EXPECT_EQ(c.vanish("a").size(), 1u);
  EXPECT_TRUE(c.vanish("a").empty());
}

TEST(simulated_core, a_hundred_thousand_tasks_are_cheap) {
  core c;
  constexpr int count = 100'000;
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i)
    ids.push_back("simulatedtask" + std::to_string(1'000'000'000'000 + i));
  auto what = task("");
  const auto begin = std::chrono::steady_clock::now();
  for (const auto& id : ids) {
    what.set_task_id(id);
    (void)c.prepare(at({}), what);
    (void)c.start(at({}), id);
  }
  const auto each = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() / (2.0 * count);
  RecordProperty("microseconds_per_request", std::to_string(each));
  EXPECT_LT(each, 50) << "even in a debug build on a busy machine";
}

} // namespace
} // namespace swarm::simulated
