// Delays of the restart supervisor.
#include "actors/orchestrator/restart.hpp"

#include <gtest/gtest.h>

#include "actors/orchestrator/service_core.hpp"
#include "tests/support/builders.hpp"

namespace swarm::orchestrator {
namespace {

TEST(restart_delay, starts_as_configured_and_doubles_up_to_five_minutes) {
  EXPECT_EQ(restart_delay(seconds{5}, 0), seconds{5});
  EXPECT_EQ(restart_delay(seconds{5}, 1), seconds{5});
  EXPECT_EQ(restart_delay(seconds{5}, 2), seconds{10});
  EXPECT_EQ(restart_delay(seconds{5}, 6), seconds{160});
  EXPECT_EQ(restart_delay(seconds{5}, 7), minutes{5});
  EXPECT_EQ(restart_delay(seconds{5}, 1'000'000), minutes{5});
}

TEST(restart_delay, of_nothing_still_backs_off) {
  EXPECT_EQ(restart_delay(duration{0}, 1), duration{0});
  EXPECT_EQ(restart_delay(duration{0}, 2), milliseconds{200});
  EXPECT_EQ(restart_delay(duration{0}, 100), minutes{5});
}

TEST(restart_delay, beyond_the_limit_stays_what_was_asked_for) {
  EXPECT_EQ(restart_delay(minutes{20}, 1), minutes{20});
  EXPECT_EQ(restart_delay(minutes{20}, 9), minutes{20});
}

// A leader died between the failure and what it would have decided about it.
TEST(restart_rebuild, a_failure_that_nobody_has_answered_yet_counts_as_quick_however_long_the_task_was_held_back) {
  constexpr wall_ns second = 1'000'000'000, begin = 1'000'000 * second;
  const auto service = test::nth_id(1), node = test::nth_id(1, 2);
  EventBatch batch;
  *batch.add_nodes()->mutable_node() = test::node(node, "n1");
  auto spec = test::service_spec("web");
  spec.mutable_task_template()->mutable_restart_policy()->set_delay(5 * second);
  auto& stored = *batch.add_services()->mutable_service();
  stored.set_id(service);
  stored.set_spec_version(7);
  *stored.mutable_spec() = spec;
  auto& version = *batch.add_templates()->mutable_template_();
  version.set_service_id(service);
  version.set_spec_version(7);
  *version.mutable_spec() = spec.task_template();
  const auto failed = [&](std::uint64_t n, wall_ns created, wall_ns ended, TaskState desired) {
    auto& task = *batch.add_tasks()->mutable_task();
    task = test::task(test::nth_id(n, 3), 1, TASK_STATE_FAILED, desired);
    task.set_service_id(service);
    task.set_spec_version(7);
    task.set_node_id(node);
    task.mutable_meta()->set_created_at(begin + created);
    task.mutable_status()->set_timestamp(begin + ended);
  };
  failed(1, 0, second, TASK_STATE_SHUTDOWN);
  failed(2, second, 7 * second, TASK_STATE_SHUTDOWN);      // held back for 5 s
  failed(3, 7 * second, 18 * second, TASK_STATE_RUNNING);  // for 10 s
  service_core core{service_id{service}, 1};
  const auto done = core.apply({instant{seconds{100}}, begin + 18 * second}, batch);
  ASSERT_TRUE(done.propose);
  ASSERT_TRUE(done.propose->actions(0).has_create_tasks());
  EXPECT_EQ(done.propose->actions(0).create_tasks().tasks(0).held(), "restart delay of 20s: the task before it failed");
}

} // namespace
} // namespace swarm::orchestrator
