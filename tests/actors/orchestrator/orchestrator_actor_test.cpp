// The wiring of ORCHESTRATOR and SERVICE: who is spawned, who hears what, what happens when RAFT refuses.
#include "actors/orchestrator/orchestrator_actor.hpp"

#include <random>

#include "actors/orchestrator/orchestrator_sup.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/committing_raft.hpp"

namespace swarm {
namespace {

using namespace test;

struct orchestrator_actor_test : actor_fixture {
  std::shared_ptr<committed_state> state = std::make_shared<committed_state>();
  raft_actor raft = track(sys.spawn(committing_raft, state));
  store_actor store = track(sys.spawn(committed_store, state));
  orchestrator_actor orchestrator;

  void start() {
    orchestrator::orchestrator_options opts;
    opts.raft = raft;
    opts.store = store;
    opts.seed = 1;
    orchestrator = track(orchestrator::spawn_orchestrator(sys, opts));
    settle();
  }
  void write(const Command& command) {
    EXPECT_EQ(state->commit(command).code(), 0U);
    settle();
  }
  std::vector<std::string> labels() {
    std::vector<std::string> out;
    for (const auto& entry : actor_registry::list(sys, "service/"))
      out.push_back(entry.status.label());
    return out;
  }
  std::vector<Task> tasks() {
    const auto snapshot = state->store.snapshot();
    return {snapshot.tasks().begin(), snapshot.tasks().end()};
  }
  std::string fact(const std::string& key) {
    return ask<ActorStatus>(orchestrator, ReadStatus{}).value->facts().at(key);
  }
  ~orchestrator_actor_test() override {
    stop_all();
    state->subscribers.clear();
  }
};

TEST_F(orchestrator_actor_test, each_service_gets_an_actor_that_creates_its_tasks) {
  write(create_service(nth_id(1), service_spec("web", 3)));
  start();
  write(create_service(nth_id(2), service_spec("db", 1)));
  EXPECT_EQ(labels(), (std::vector<std::string>{"service/db", "service/web"}));
  EXPECT_EQ(tasks().size(), 4U);
  for (const auto& t : tasks())
    EXPECT_EQ(t.status().message(), "pending task scheduling");
}

TEST_F(orchestrator_actor_test, the_actor_ends_with_the_last_task_of_a_removed_service) {
  start();
  write(put_node(node(nth_id(1, 2), "n1")));
  write(create_service(nth_id(1), service_spec("web", 1)));
  const auto id = tasks().at(0).id();
  write(update_task(assigned(id, nth_id(1, 2))));
  write(update_task(test::observed(id, TASK_STATE_RUNNING)));
  write(remove_service(nth_id(1)));
  EXPECT_EQ(labels().size(), 1U) << "the task still runs";
  EXPECT_EQ(tasks().at(0).desired_state(), TASK_STATE_REMOVE);
  write(update_task(test::observed(id, TASK_STATE_SHUTDOWN)));
  EXPECT_TRUE(tasks().empty());
  EXPECT_TRUE(labels().empty());
  EXPECT_EQ(fact("services"), "0");
}

TEST_F(orchestrator_actor_test, a_new_leader_cleans_up_after_services_that_are_gone) {
  write(create_service(nth_id(1), service_spec("web", 1)));
  start();
  write(put_node(node(nth_id(1, 2), "n1")));
  const auto id = tasks().at(0).id();
  write(update_task(assigned(id, nth_id(1, 2))));
  stop_all();
  state->subscribers.clear();
  raft = track(sys.spawn(committing_raft, state));
  store = track(sys.spawn(committed_store, state));
  EXPECT_EQ(state->commit(remove_service(nth_id(1))).code(), 0U);
  start();
  EXPECT_EQ(tasks().at(0).desired_state(), TASK_STATE_REMOVE);
  write(update_task(test::observed(id, TASK_STATE_SHUTDOWN)));
  EXPECT_TRUE(tasks().empty());
}

TEST_F(orchestrator_actor_test, a_refused_proposal_is_made_again) {
  start();
  state->refuse = {errc::not_leader, "somebody else leads"};
  write(create_service(nth_id(1), service_spec("web", 2)));
  EXPECT_TRUE(tasks().empty());
  state->refuse = {};
  advance(seconds{1});
  EXPECT_EQ(tasks().size(), 2U);
}

TEST_F(orchestrator_actor_test, restart_delays_are_kept_by_the_actors_clock) {
  start();
  write(put_node(node(nth_id(1, 2), "n1")));
  write(create_service(nth_id(1), service_spec("web", 1)));
  const auto id = tasks().at(0).id();
  write(update_task(assigned(id, nth_id(1, 2))));
  write(update_task(test::observed(id, TASK_STATE_FAILED)));
  ASSERT_EQ(tasks().size(), 2U);
  const auto next = [&] {
    for (const auto& t : tasks())
      if (t.id() != id)
        return t.desired_state();
    return TASK_STATE_NEW;
  };
  EXPECT_EQ(next(), TASK_STATE_READY);
  advance(milliseconds{4'900}, milliseconds{100});
  EXPECT_EQ(next(), TASK_STATE_READY);
  advance(milliseconds{200}, milliseconds{100});
  EXPECT_EQ(next(), TASK_STATE_RUNNING);
}

TEST_F(orchestrator_actor_test, a_batch_about_a_few_services_is_passed_on_without_a_copy) {
  start();
  write(create_service(nth_id(1), service_spec("web", 1)));
  EXPECT_EQ(fact("split"), "0");
  EXPECT_NE(fact("forwarded_whole"), "0");
  write(create_service(nth_id(2), service_spec("db", 1)));
  auto both = create_service(nth_id(3), service_spec("a", 1));
  *both.add_actions() = create_service(nth_id(4), service_spec("b", 1)).actions(0);
  write(both);
  EXPECT_EQ(fact("split"), "0");
  EXPECT_EQ(tasks().size(), 4U);
}

TEST_F(orchestrator_actor_test, tasks_that_no_longer_fit_their_node_are_rejected) {
  start();
  auto n = node(nth_id(1, 2), "n1");
  n.mutable_description()->mutable_resources()->set_memory_bytes(100);
  write(put_node(n));
  auto spec = service_spec("web", 2);
  spec.mutable_task_template()->mutable_resources()->mutable_reservations()->set_memory_bytes(50);
  write(create_service(nth_id(1), spec));
  for (const auto& t : tasks())
    write(update_task(assigned(t.id(), n.id())));
  n.mutable_description()->mutable_resources()->set_memory_bytes(60);
  write(put_node(n));
  int rejected = 0;
  for (const auto& t : tasks())
    rejected += t.status().state() == TASK_STATE_REJECTED && t.desired_state() == TASK_STATE_SHUTDOWN &&
                    t.status().err() == "assigned node no longer meets constraints"
                  ? 1
                  : 0;
  EXPECT_EQ(rejected, 1) << "the other one still fits";
  EXPECT_EQ(tasks().size(), 3U) << "and is followed by another attempt";
}

TEST_F(orchestrator_actor_test, without_a_subscription_it_ends) {
  caf::anon_send_exit(store, caf::exit_reason::kill);
  settle();
  start();
  EXPECT_EQ(ask_for<ActorStatus>(seconds{1}, orchestrator, ReadStatus{}).error.code, errc::unavailable);
}

// Whichever actor runs next: the slots come out right.
TEST_F(orchestrator_actor_test, any_order_of_messages_leads_to_the_same_end) {
  start();
  std::mt19937_64 rng{7};
  write(create_service(nth_id(1), service_spec("web", 4)));
  for (std::uint64_t round = 0; round < 40; ++round) {
    const auto service = state->store.snapshot().services(0);
    auto spec = service.spec();
    spec.mutable_mode()->mutable_replicated()->set_replicas(rng() % 9);
    ASSERT_EQ(state->commit(update_service(nth_id(1), service.meta().version().index(), spec)).code(), 0U);
    if (round % 3 != 0)
      settle_shuffled(rng);
  }
  settle_shuffled(rng);
  const auto wanted = state->store.snapshot().services(0).spec().mode().replicated().replicas();
  EXPECT_EQ(tasks().size(), wanted);
}

} // namespace
} // namespace swarm
