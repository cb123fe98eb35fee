// Who waits for ports, and when STORE is asked again.
#include "actors/allocator/allocator_core.hpp"

#include <gtest/gtest.h>

#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

struct allocator_core_test : testing::Test {
  allocator::core core{{milliseconds{500}, seconds{4}, 2, 3}, random_source{1}};
  instant now{};

  static Service service(std::uint64_t n, bool behind, std::uint64_t spec_version = 1) {
    Service out;
    out.set_id(nth_id(n));
    *out.mutable_spec() = service_spec("s" + std::to_string(n));
    publish(*out.mutable_spec(), 0, 80);
    out.set_spec_version(spec_version);
    if (!behind) {
      *out.mutable_endpoint()->mutable_spec() = out.spec().endpoint_spec();
      out.mutable_endpoint()->add_ports()->set_published_port(30000);
    }
    return out;
  }
  void tell(ChangeKind kind, const Service& s, const Service& old = {}) {
    EventBatch batch;
    auto& event = *batch.add_services();
    event.set_kind(kind);
    *event.mutable_service() = s;
    *event.mutable_old() = old;
    core.observe(now, batch);
    core.check_invariants();
  }
  std::size_t proposed() {
    const auto command = core.propose(now, 1);
    return command ? static_cast<std::size_t>(command->actions_size()) : 0;
  }
};

TEST_F(allocator_core_test, services_with_their_ports_need_nothing) {
  tell(CHANGE_KIND_CREATED, service(1, false));
  auto plain = service(2, true);
  plain.mutable_spec()->clear_endpoint_spec();
  tell(CHANGE_KIND_CREATED, plain);
  EXPECT_EQ(core.behind(), 0u);
  EXPECT_FALSE(core.next_due());
  EXPECT_EQ(proposed(), 0u);
}

TEST_F(allocator_core_test, a_service_without_ports_is_asked_for_after_a_pause_that_doubles_up_to_a_bound) {
  tell(CHANGE_KIND_CREATED, service(1, true));
  EXPECT_EQ(proposed(), 0u) << "STORE has just said no";
  for (const auto pause : {milliseconds{500}, milliseconds{1000}, milliseconds{2000}, milliseconds{4000}, milliseconds{4000}}) {
    EXPECT_EQ(*core.next_due() - now, pause);
    now += pause;
    const auto command = core.propose(now, 7);
    ASSERT_TRUE(command);
    EXPECT_EQ(command->proposed_at(), 7);
    const auto& update = command->actions(0).update_service_state();
    EXPECT_EQ(update.service_id(), nth_id(1));
    EXPECT_EQ(update.if_spec_version(), 1u);
    EXPECT_EQ(update.endpoint().spec().ports_size(), 1);
    EXPECT_EQ(proposed(), 0u) << "one proposal at a time";
    EXPECT_FALSE(core.next_due());
    core.settled();
  }
}

TEST_F(allocator_core_test, ports_that_are_given_back_are_asked_for_at_once) {
  tell(CHANGE_KIND_CREATED, service(1, true));
  tell(CHANGE_KIND_REMOVED, service(2, false));
  EXPECT_EQ(*core.next_due(), now);
  EXPECT_EQ(proposed(), 1u);
  core.settled();
  auto fewer = service(3, false);
  fewer.mutable_spec()->mutable_endpoint_spec()->clear_ports();
  *fewer.mutable_endpoint()->mutable_spec() = fewer.spec().endpoint_spec();
  fewer.mutable_endpoint()->clear_ports();
  tell(CHANGE_KIND_UPDATED, fewer, service(3, false));
  EXPECT_EQ(*core.next_due(), now);
}

TEST_F(allocator_core_test, a_service_that_got_its_ports_or_went_away_is_forgotten) {
  tell(CHANGE_KIND_CREATED, service(1, true));
  tell(CHANGE_KIND_CREATED, service(2, true));
  tell(CHANGE_KIND_UPDATED, service(1, false), service(1, true));
  tell(CHANGE_KIND_REMOVED, service(2, true));
  EXPECT_EQ(core.behind(), 0u);
}

TEST_F(allocator_core_test, a_new_spec_starts_its_pauses_anew_and_a_status_change_does_not) {
  tell(CHANGE_KIND_CREATED, service(1, true));
  now += milliseconds{500};
  EXPECT_EQ(proposed(), 1u);
  core.settled();
  tell(CHANGE_KIND_UPDATED, service(1, true), service(1, true));
  EXPECT_EQ(*core.next_due() - now, milliseconds{1000});
  tell(CHANGE_KIND_UPDATED, service(1, true, 9), service(1, true));
  EXPECT_EQ(*core.next_due() - now, milliseconds{500});
}

TEST_F(allocator_core_test, a_new_leader_asks_at_once_in_commands_of_bounded_size) {
  StoreSnapshot snapshot;
  for (std::uint64_t i = 1; i <= 3; ++i)
    *snapshot.add_services() = service(i, true);
  core.reset(now, snapshot);
  EXPECT_EQ(proposed(), 2u);
  core.settled();
  EXPECT_EQ(proposed(), 1u);
  EXPECT_NE(core.dump().find("behind=3 new_tasks=0 in flight"), std::string::npos);
}

// -- tasks -----------------------------------------------------------------------------------------------------------------

struct allocator_tasks_test : allocator_core_test {
  void tell_tasks(std::vector<Task> tasks, ChangeKind kind = CHANGE_KIND_CREATED) {
    EventBatch batch;
    for (auto& t : tasks) {
      auto& event = *batch.add_tasks();
      event.set_kind(kind);
      *event.mutable_task() = std::move(t);
    }
    core.observe(now, batch);
  }
  int changes() {
    const auto command = core.propose(now, 9);
    return command ? command->actions(0).update_tasks().changes_size() : 0;
  }
};

TEST_F(allocator_tasks_test, new_tasks_go_on_to_pending_at_once_and_in_one_batch) {
  tell_tasks({task(nth_id(1), 1, TASK_STATE_NEW), task(nth_id(2), 2, TASK_STATE_NEW), task(nth_id(3), 3, TASK_STATE_PENDING)});
  const auto command = core.propose(now, 9);
  ASSERT_TRUE(command);
  ASSERT_EQ(command->actions(0).update_tasks().changes_size(), 2);
  const auto& change = command->actions(0).update_tasks().changes(0);
  EXPECT_EQ(change.task_id(), nth_id(1));
  EXPECT_EQ(change.status().state(), TASK_STATE_PENDING);
  EXPECT_EQ(change.status().message(), "pending task scheduling");
  EXPECT_EQ(change.status().timestamp(), 9);
  tell_tasks({task(nth_id(1), 1, TASK_STATE_PENDING), task(nth_id(2), 2, TASK_STATE_PENDING)}, CHANGE_KIND_UPDATED);
  core.settled();
  EXPECT_FALSE(core.next_due());
}

TEST_F(allocator_tasks_test, a_lost_proposal_is_repeated_after_a_growing_pause) {
  tell_tasks({task(nth_id(1), 1, TASK_STATE_NEW)});
  EXPECT_EQ(changes(), 1);
  core.settled();
  EXPECT_EQ(*core.next_due() - now, milliseconds{500});
  now += milliseconds{500};
  EXPECT_EQ(changes(), 1);
  core.settled();
  EXPECT_EQ(*core.next_due() - now, milliseconds{1000});
}

TEST_F(allocator_tasks_test, more_tasks_than_fit_go_in_several_commands_without_a_pause) {
  std::vector<Task> tasks;
  for (std::uint64_t i = 1; i <= 5; ++i)
    tasks.push_back(task(nth_id(i), i, TASK_STATE_NEW));
  tell_tasks(tasks);
  EXPECT_EQ(changes(), 3);
  tell_tasks({task(nth_id(1), 1, TASK_STATE_PENDING), task(nth_id(2), 2, TASK_STATE_PENDING)}, CHANGE_KIND_UPDATED);
  tell_tasks({task(nth_id(3), 1, TASK_STATE_NEW)}, CHANGE_KIND_REMOVED);
  core.settled();
  EXPECT_EQ(changes(), 2);
}

} // namespace
} // namespace swarm
