// The agent's session and its outbox: register, beat, register again; one batch of statuses in flight.
#include "actors/agent/session_core.hpp"

#include <gtest/gtest.h>

#include "actors/agent/outbox_core.hpp"

namespace swarm::agent::session {
namespace {

NodeRegistered registered_as(const std::string& id, duration period = seconds{5}) {
  NodeRegistered out;
  out.set_session_id(id);
  out.set_heartbeat_period(period.count());
  return out;
}

TEST(session_core, registers_when_there_is_a_dispatcher_and_the_node_knows_itself) {
  core c{{}, 1};
  EXPECT_EQ(c.step(instant{}, dispatcher_found{}), effects{});
  EXPECT_EQ(c.step(instant{}, described{}), (effects{register_now{}}));
  EXPECT_EQ(c.step(instant{}, described{}), effects{}) << "once";
  EXPECT_EQ(c.step(instant{}, registered{registered_as("S")}), (effects{begin{"S"}}));
  EXPECT_TRUE(c.in_session());
}

TEST(session_core, beats_within_a_tenth_of_the_period) {
  core c{{}, 7};
  (void)c.step(instant{}, dispatcher_found{});
  (void)c.step(instant{}, described{});
  (void)c.step(instant{}, registered{registered_as("S")});
  auto last = instant{};
  for (int i = 0; i < 100; ++i) {
    const auto due = c.next_due();
    ASSERT_TRUE(due);
    EXPECT_GE(*due - last, milliseconds{4500});
    EXPECT_LE(*due - last, milliseconds{5500});
    EXPECT_EQ(c.step(*due - nanoseconds{1}, ticked{}), effects{});
    EXPECT_EQ(c.step(*due, ticked{}), (effects{beat{}}));
    last = *due;
  }
}

TEST(session_core, a_period_of_one_nanosecond_does_not_make_it_spin) {
  core c{{}, 7};
  (void)c.step(instant{}, dispatcher_found{});
  (void)c.step(instant{}, described{});
  (void)c.step(instant{}, registered{registered_as("S", nanoseconds{1})});
  EXPECT_GE(*c.next_due() - instant{}, milliseconds{9});
}

TEST(session_core, backs_off_from_a_tenth_of_a_second_to_eight) {
  core c{{}, 3};
  (void)c.step(instant{}, dispatcher_found{});
  (void)c.step(instant{}, described{});
  auto now = instant{};
  duration previous{};
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(c.step(now, register_failed{{errc::unavailable, "no"}}), effects{});
    const auto due = c.next_due();
    ASSERT_TRUE(due);
    const auto wait = *due - now;
    EXPECT_GE(wait, milliseconds{50});
    EXPECT_LE(wait, seconds{8});
    previous = wait;
    now = *due;
    EXPECT_EQ(c.step(now, ticked{}), (effects{register_now{}}));
  }
  EXPECT_GE(previous, seconds{4});
}

TEST(session_core, an_invalid_session_ends_and_registers_again) {
  core c{{}, 3};
  (void)c.step(instant{}, dispatcher_found{});
  (void)c.step(instant{}, described{});
  (void)c.step(instant{}, registered{registered_as("S")});
  EXPECT_EQ(c.step(instant{}, invalidated{"older"}), effects{});
  EXPECT_EQ(c.step(instant{}, invalidated{"S"}), (effects{end{}}));
  EXPECT_EQ(c.step(*c.next_due(), ticked{}), (effects{register_now{}}));
}

TEST(session_core, a_status_message_that_is_not_accepted_breaks_the_session) {
  core c{{}, 3};
  (void)c.step(instant{}, dispatcher_found{});
  (void)c.step(instant{}, described{});
  (void)c.step(instant{}, registered{registered_as("S", minutes{1})});
  (void)c.step(instant{}, status_sent{});
  EXPECT_EQ(*c.next_due(), instant{seconds{10}});
  (void)c.step(instant{seconds{1}}, status_accepted{});
  EXPECT_GT(*c.next_due(), instant{seconds{50}});
  (void)c.step(instant{seconds{2}}, status_sent{});
  EXPECT_EQ(c.step(instant{seconds{12}}, ticked{}), (effects{end{}}));
}

TEST(session_core, another_dispatcher_replaces_the_session_at_once) {
  core c{{}, 3};
  (void)c.step(instant{}, dispatcher_found{});
  (void)c.step(instant{}, described{});
  (void)c.step(instant{}, registered{registered_as("S")});
  EXPECT_EQ(c.step(instant{}, dispatcher_found{}), (effects{end{}, register_now{}}));
}

TaskStatus status(TaskState state) {
  TaskStatus out;
  out.set_state(state);
  return out;
}

TEST(outbox_core, only_the_latest_status_of_a_task_is_sent_and_only_one_message_at_a_time) {
  outbox_core box;
  EXPECT_FALSE(box.next("n", "S"));
  box.put("a", status(TASK_STATE_ACCEPTED));
  box.put("a", status(TASK_STATE_RUNNING));
  box.put("b", status(TASK_STATE_ACCEPTED));
  const auto first = box.next("n", "S");
  ASSERT_TRUE(first);
  ASSERT_EQ(first->updates_size(), 2);
  EXPECT_EQ(first->updates(0).status().state(), TASK_STATE_RUNNING);
  box.put("b", status(TASK_STATE_RUNNING));
  EXPECT_FALSE(box.next("n", "S"));
  EXPECT_FALSE(box.accepted(first->sequence() + 1));
  EXPECT_TRUE(box.accepted(first->sequence()));
  const auto second = box.next("n", "S");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->updates_size(), 1);
  EXPECT_GT(second->sequence(), first->sequence());
}

TEST(outbox_core, what_was_in_flight_is_sent_again_in_the_next_session_unless_it_is_outdated) {
  outbox_core box;
  box.put("a", status(TASK_STATE_ACCEPTED));
  box.put("b", status(TASK_STATE_ACCEPTED));
  (void)box.next("n", "S");
  box.put("a", status(TASK_STATE_RUNNING));
  box.session_lost();
  const auto again = box.next("n", "S2");
  ASSERT_TRUE(again);
  ASSERT_EQ(again->updates_size(), 2);
  EXPECT_EQ(again->updates(0).status().state(), TASK_STATE_RUNNING);
  EXPECT_EQ(again->updates(1).status().state(), TASK_STATE_ACCEPTED);
}

TEST(outbox_core, an_end_waits_until_it_is_on_disk_and_nothing_else_does) {
  outbox_core box{true};
  box.put("a", status(TASK_STATE_FAILED));
  box.put("b", status(TASK_STATE_RUNNING));
  EXPECT_TRUE(box.begin_sync());
  EXPECT_FALSE(box.begin_sync()) << "one at a time";
  const auto first = box.next("n", "S");
  ASSERT_TRUE(first);
  ASSERT_EQ(first->updates_size(), 1);
  EXPECT_EQ(first->updates(0).task_id(), "b");
  EXPECT_TRUE(box.accepted(first->sequence()));
  box.put("c", status(TASK_STATE_SHUTDOWN)); // too late for the sync under way
  EXPECT_FALSE(box.next("n", "S"));
  box.kept();
  const auto second = box.next("n", "S");
  ASSERT_TRUE(second);
  ASSERT_EQ(second->updates_size(), 1);
  EXPECT_EQ(second->updates(0).task_id(), "a");
  EXPECT_EQ(second->sequence(), first->sequence() + 1);
  EXPECT_TRUE(box.accepted(second->sequence()));
  EXPECT_TRUE(box.begin_sync());
  box.kept();
  EXPECT_EQ(box.next("n", "S")->updates(0).task_id(), "c");
  EXPECT_FALSE(box.begin_sync());
}

TEST(outbox_core, an_end_that_was_in_flight_does_not_wait_once_more) {
  outbox_core box{true};
  box.put("a", status(TASK_STATE_COMPLETE));
  EXPECT_TRUE(box.begin_sync());
  box.kept();
  ASSERT_TRUE(box.next("n", "S"));
  box.session_lost();
  EXPECT_FALSE(box.begin_sync());
  EXPECT_TRUE(box.next("n", "S2"));
}

TEST(outbox_core, without_a_journal_nothing_waits) {
  outbox_core box;
  box.put("a", status(TASK_STATE_FAILED));
  EXPECT_FALSE(box.begin_sync());
  EXPECT_TRUE(box.next("n", "S"));
}

TEST(outbox_core, a_message_has_at_most_ten_thousand_updates) {
  outbox_core box;
  for (int i = 0; i < 10'500; ++i)
    box.put("t" + std::to_string(i), status(TASK_STATE_RUNNING));
  const auto first = box.next("n", "S");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->updates_size(), outbox_core::updates_max);
  EXPECT_TRUE(box.accepted(first->sequence()));
  EXPECT_EQ(box.next("n", "S")->updates_size(), 500);
}

} // namespace
} // namespace swarm::agent::session
