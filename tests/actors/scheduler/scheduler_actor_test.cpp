// The wiring of SCHEDULER.
#include "actors/scheduler/scheduler_actor.hpp"

#include "tests/support/actor_fixture.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/committing_raft.hpp"

namespace swarm {
namespace {

using namespace test;

struct scheduler_actor_test : actor_fixture {
  std::shared_ptr<committed_state> state = std::make_shared<committed_state>();
  raft_actor raft = track(sys.spawn(committing_raft, state));
  store_actor store = track(sys.spawn(committed_store, state));
  scheduler_actor scheduler;

  void start() {
    scheduler = track(sys.spawn(scheduler::run_scheduler, scheduler::scheduler_options{raft, store}));
    settle();
  }
  void write(const Command& command) {
    EXPECT_EQ(state->commit(command).code(), 0U);
    settle();
  }
  void add_service(std::uint64_t tasks) {
    write(create_service(nth_id(1), service_spec("web", tasks)));
    std::vector<Task> rows;
    for (std::uint64_t n = 1; n <= tasks; ++n)
      rows.push_back(task(nth_id(n, 4), n));
    write(create_tasks(nth_id(1), state->index, std::move(rows)));
  }
  std::vector<Task> tasks() {
    const auto snapshot = state->store.snapshot();
    return {snapshot.tasks().begin(), snapshot.tasks().end()};
  }
  ~scheduler_actor_test() override {
    stop_all();
    state->subscribers.clear();
  }
};

TEST_F(scheduler_actor_test, places_what_waits_at_the_start_and_what_comes_later) {
  write(put_node(node(nth_id(1, 2), "n1")));
  add_service(2);
  start();
  for (const auto& t : tasks())
    EXPECT_EQ(t.node_id(), nth_id(1, 2));
  write(create_tasks(nth_id(1), state->store.snapshot().services(0).spec_version(), {task(nth_id(9, 4), 9)}));
  EXPECT_EQ(tasks().back().status().state(), TASK_STATE_ASSIGNED);
}

TEST_F(scheduler_actor_test, says_why_it_cannot_and_tries_again_when_a_node_comes) {
  start();
  add_service(1);
  EXPECT_EQ(tasks().at(0).status().err(), "no suitable node");
  write(put_node(node(nth_id(1, 2), "n1")));
  EXPECT_EQ(tasks().at(0).status().state(), TASK_STATE_ASSIGNED);
  EXPECT_EQ(tasks().at(0).status().err(), "");
}

TEST_F(scheduler_actor_test, proposes_again_what_raft_did_not_take) {
  start();
  write(put_node(node(nth_id(1, 2), "n1")));
  state->refuse = {errc::commit_unknown, "leadership lost"};
  add_service(1);
  EXPECT_EQ(tasks().at(0).status().state(), TASK_STATE_PENDING);
  state->refuse = {};
  advance(seconds{1});
  EXPECT_EQ(tasks().at(0).status().state(), TASK_STATE_ASSIGNED);
  const auto status = ask<ActorStatus>(scheduler, ReadStatus{});
  EXPECT_EQ(status.value->facts().at("refused"), "1");
  EXPECT_EQ(status.value->facts().at("waiting"), "0");
}

TEST_F(scheduler_actor_test, without_a_subscription_it_ends) {
  caf::anon_send_exit(store, caf::exit_reason::kill);
  settle();
  start();
  EXPECT_EQ(ask_for<ActorStatus>(seconds{1}, scheduler, ReadStatus{}).error.code, errc::unavailable);
}

} // namespace
} // namespace swarm
