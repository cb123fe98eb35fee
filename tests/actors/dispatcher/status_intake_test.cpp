// Reports of agents become few Commands.
#include "actors/dispatcher/status_intake.hpp"

#include <gtest/gtest.h>

#include "tests/support/builders.hpp"

namespace swarm::dispatcher {
namespace {

using test::nth_id;

const timestamp now{instant{seconds{1}}, 1};

UpdateTaskStatus report(std::uint64_t node, std::uint64_t sequence, std::uint64_t first, std::uint64_t count,
                        TaskState state = TASK_STATE_RUNNING) {
  UpdateTaskStatus out;
  out.set_node_id(nth_id(node, 2));
  out.set_session_id("s" + std::to_string(node));
  out.set_sequence(sequence);
  for (auto n = first; n < first + count; ++n) {
    auto& update = *out.add_updates();
    update.set_task_id(nth_id(n, 4));
    update.mutable_status()->set_state(state);
    update.mutable_status()->set_message("started");
  }
  return out;
}

const UpdateTasks& changes(const Command& command) { return command.actions(0).update_tasks(); }

TEST(status_intake, gathers_the_reports_of_all_nodes_in_one_command) {
  status_intake intake;
  EXPECT_TRUE(intake.add(report(1, 5, 1, 2)));
  EXPECT_TRUE(intake.add(report(2, 9, 3, 1)));
  const auto command = intake.next_command(now);
  ASSERT_TRUE(command);
  ASSERT_EQ(changes(*command).changes_size(), 3);
  EXPECT_EQ(changes(*command).changes(2).reporter_node_id(), nth_id(2, 2));
  EXPECT_FALSE(intake.next_command(now)) << "one at a time";
  const auto done = intake.committed(now, {});
  ASSERT_EQ(done.size(), 2U);
  EXPECT_EQ(done[0].node, nth_id(1, 2));
  EXPECT_EQ(done[0].message.session_id(), "s1");
  EXPECT_EQ(done[0].message.sequence(), 5U);
  EXPECT_EQ(done[1].message.sequence(), 9U);
  EXPECT_EQ(intake.waiting(), 0U);
  EXPECT_FALSE(intake.next_command(now));
}

TEST(status_intake, keeps_only_the_last_state_of_a_task_that_changes_while_it_waits) {
  status_intake intake;
  (void) intake.add(report(1, 1, 1, 1));
  ASSERT_TRUE(intake.next_command(now));
  (void) intake.add(report(1, 2, 2, 1, TASK_STATE_PREPARING));
  (void) intake.add(report(1, 3, 2, 1, TASK_STATE_RUNNING));
  (void) intake.add(report(1, 4, 2, 1, TASK_STATE_STARTING)); // late: lower than what waits
  EXPECT_EQ(intake.committed(now, {}).at(0).message.sequence(), 1U);
  const auto command = intake.next_command(now);
  ASSERT_TRUE(command);
  ASSERT_EQ(changes(*command).changes_size(), 1);
  EXPECT_EQ(changes(*command).changes(0).status().state(), TASK_STATE_RUNNING);
  EXPECT_EQ(intake.committed(now, {}).at(0).message.sequence(), 4U);
  EXPECT_EQ(intake.waiting(), 0U);
}

TEST(status_intake, a_command_holds_ten_thousand_changes_and_a_report_is_accepted_with_its_last) {
  status_intake intake;
  (void) intake.add(report(1, 1, 1, 6'000));
  (void) intake.add(report(2, 1, 10'000, 6'000));
  auto command = intake.next_command(now);
  EXPECT_EQ(changes(*command).changes_size(), 10'000);
  EXPECT_LT(command->ByteSizeLong(), 1'500'000U);
  EXPECT_EQ(intake.committed(now, {}).size(), 1U);
  command = intake.next_command(now);
  EXPECT_EQ(changes(*command).changes_size(), 2'000);
  EXPECT_EQ(intake.committed(now, {}).at(0).node, nth_id(2, 2));
}

TEST(status_intake, repeats_what_failed_after_a_pause) {
  status_intake intake;
  (void) intake.add(report(1, 1, 1, 3));
  ASSERT_TRUE(intake.next_command(now));
  EXPECT_TRUE(intake.committed(now, {errc::deadline_exceeded, ""}).empty());
  EXPECT_FALSE(intake.next_command(now));
  auto later = now;
  later.now = *intake.retry_at();
  const auto again = intake.next_command(later);
  ASSERT_TRUE(again);
  EXPECT_EQ(changes(*again).changes_size(), 3);
  EXPECT_EQ(intake.committed(later, {}).size(), 1U);
}

TEST(status_intake, an_empty_report_is_accepted_too) {
  status_intake intake;
  EXPECT_TRUE(intake.add(report(1, 8, 1, 0)));
  ASSERT_TRUE(intake.next_command(now));
  EXPECT_EQ(intake.committed(now, {}).at(0).message.sequence(), 8U);
}

TEST(status_intake, states_that_are_not_an_agents_and_broken_ids_are_left_out) {
  status_intake intake;
  auto r = report(1, 1, 1, 1, TASK_STATE_ORPHANED);
  *r.add_updates() = report(1, 1, 2, 1, TASK_STATE_ASSIGNED).updates(0);
  *r.add_updates() = report(1, 1, 3, 1, TASK_STATE_FAILED).updates(0);
  r.add_updates()->set_task_id("nonsense");
  r.mutable_updates(3)->mutable_status()->set_state(TASK_STATE_RUNNING);
  EXPECT_TRUE(intake.add(r));
  const auto command = intake.next_command(now);
  ASSERT_EQ(changes(*command).changes_size(), 1);
  EXPECT_EQ(changes(*command).changes(0).task_id(), nth_id(3, 4));
}

TEST(status_intake, bounds_what_an_agent_can_send) {
  status_intake intake;
  EXPECT_FALSE(intake.add(report(1, 1, 1, report_updates_max + 1)));
  auto r = report(1, 1, 1, 1);
  r.mutable_updates(0)->mutable_status()->set_err(std::string(status_text_max - 1, 'x') + "äöü" + std::string(1 << 20, 'y'));
  EXPECT_TRUE(intake.add(r));
  const auto command = intake.next_command(now);
  const auto& err = changes(*command).changes(0).status().err();
  EXPECT_EQ(err, std::string(status_text_max - 1, 'x')) << "not in the middle of a character";
}

TEST(status_intake, bounds_what_waits) {
  status_intake intake;
  std::uint64_t taken = 0;
  for (std::uint64_t n = 0; n < 150 && intake.add(report(n, 1, n * 10'000, 10'000)); ++n)
    ++taken;
  EXPECT_EQ(taken, waiting_updates_max / 10'000);
  EXPECT_EQ(intake.waiting(), waiting_updates_max);
}

} // namespace
} // namespace swarm::dispatcher
