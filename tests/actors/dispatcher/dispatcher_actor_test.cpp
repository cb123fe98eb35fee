// The wiring of DISPATCHER and NODE, with an agent that only writes down what it hears.
#include "actors/dispatcher/dispatcher_actor.hpp"

#include "actors/dispatcher/dispatcher_sup.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/committing_raft.hpp"

namespace swarm {
namespace {

using namespace test;

struct heard {
  std::vector<Assignments> frames;
  std::vector<TaskStatusAccepted> accepted;
  std::vector<SessionInvalid> invalid;
};

agent_inbox::behavior_type listening_agent(agent_inbox::pointer, std::shared_ptr<heard> log) {
  return {
    [log](const Assignments& frame) { log->frames.push_back(frame); },
    [log](const TaskStatusAccepted& message) { log->accepted.push_back(message); },
    [log](const SessionInvalid& message) { log->invalid.push_back(message); },
    [](const NodeOrders&) {},
  };
}

struct dispatcher_actor_test : actor_fixture {
  std::shared_ptr<committed_state> state = std::make_shared<committed_state>();
  raft_actor raft = track(sys.spawn(committing_raft, state));
  store_actor store = track(sys.spawn(committed_store, state));
  std::shared_ptr<heard> log = std::make_shared<heard>();
  agent_inbox agent = track(sys.spawn(listening_agent, log));
  dispatcher_actor dispatcher;
  std::string session;

  void spawn() {
    dispatcher::dispatcher_options opts;
    opts.raft = raft;
    opts.store = store;
    opts.seed = 1;
    dispatcher = track(dispatcher::spawn_dispatcher(sys, opts));
  }
  void start() {
    spawn();
    settle();
  }
  answer<NodeRegistered> add(std::uint64_t n) {
    RegisterNode request;
    request.set_node_id(nth_id(n, 2));
    request.mutable_description()->set_hostname("host" + std::to_string(n));
    request.set_driver_healthy(true);
    auto out = ask_for<NodeRegistered>(seconds{1}, dispatcher, request, agent);
    if (out.value)
      session = out.value->session_id();
    return out;
  }
  void beat(std::uint64_t n, const std::string& id, bool healthy = true) {
    NodeHeartbeat beat;
    beat.set_node_id(nth_id(n, 2));
    beat.set_session_id(id);
    beat.set_driver_healthy(healthy);
    caf::anon_send(dispatcher, beat);
    settle();
  }
  void write(const Command& command) {
    EXPECT_EQ(state->commit(command).code(), 0U);
    settle();
  }
  void add_task(std::uint64_t n, std::uint64_t on) {
    if (state->store.snapshot().services_size() == 0)
      write(create_service(nth_id(1), service_spec("web", 1)));
    write(create_tasks(nth_id(1), state->store.snapshot().services(0).spec_version(), {task(nth_id(n, 4), n)}));
    write(update_task(assigned(nth_id(n, 4), nth_id(on, 2))));
  }
  UpdateTaskStatus report(std::uint64_t n, std::uint64_t sequence, const std::string& id) const {
    UpdateTaskStatus out;
    out.set_node_id(nth_id(1, 2));
    out.set_session_id(id);
    out.set_sequence(sequence);
    auto& update = *out.add_updates();
    update.set_task_id(nth_id(n, 4));
    update.mutable_status()->set_state(TASK_STATE_RUNNING);
    return out;
  }
  Node stored(std::uint64_t n) {
    const auto snapshot = state->store.snapshot();
    for (const auto& node : snapshot.nodes())
      if (node.id() == nth_id(n, 2))
        return node;
    return {};
  }
  std::vector<std::string> labels() {
    std::vector<std::string> out;
    for (const auto& entry : actor_registry::list(sys, "node/"))
      out.push_back(entry.status.label());
    return out;
  }
  ~dispatcher_actor_test() override {
    stop_all();
    state->subscribers.clear();
  }
};

TEST_F(dispatcher_actor_test, a_node_registers_is_stored_and_gets_its_assignments) {
  start();
  ASSERT_TRUE(add(1).value);
  EXPECT_EQ(stored(1).status().state(), NODE_STATE_READY);
  EXPECT_EQ(stored(1).description().hostname(), "host1");
  EXPECT_EQ(labels(), std::vector<std::string>{"node/host1"});
  ASSERT_EQ(log->frames.size(), 1U);
  EXPECT_TRUE(log->frames[0].complete());
  add_task(1, 1);
  ASSERT_EQ(log->frames.size(), 2U);
  EXPECT_EQ(log->frames[1].tasks(0).id(), nth_id(1, 4));
  EXPECT_EQ(log->frames[1].templates_size(), 1);
  EXPECT_EQ(log->frames[1].services(0).name(), "web");
}

TEST_F(dispatcher_actor_test, what_was_assigned_before_is_in_the_first_frame) {
  write(put_node(node(nth_id(1, 2), "host1")));
  add_task(1, 1);
  start();
  ASSERT_TRUE(add(1).value);
  ASSERT_EQ(log->frames.size(), 1U);
  EXPECT_EQ(log->frames[0].tasks_size(), 1);
}

TEST_F(dispatcher_actor_test, silence_is_noticed_after_three_periods) {
  start();
  (void) add(1);
  advance(seconds{10}, milliseconds{100});
  beat(1, session);
  advance(milliseconds{14'500}, milliseconds{100});
  EXPECT_EQ(stored(1).status().state(), NODE_STATE_READY);
  advance(seconds{1}, milliseconds{100});
  EXPECT_EQ(stored(1).status().state(), NODE_STATE_DOWN);
  EXPECT_EQ(stored(1).status().message(), "heartbeat failure");
}

TEST_F(dispatcher_actor_test, a_node_whose_link_broke_off_is_down_after_two_seconds) {
  start();
  ASSERT_TRUE(add(1).value);
  ASSERT_TRUE(add(2).value);
  for (const std::uint64_t n : {1, 2}) {
    LinkChanged news;
    news.set_node_id(nth_id(n, 2));
    news.set_broke_off(n == 1); // the other one has ended in order, to be restarted
    caf::anon_send(dispatcher, news);
  }
  settle();
  advance(milliseconds{1'900}, milliseconds{100});
  EXPECT_EQ(stored(1).status().state(), NODE_STATE_READY);
  advance(milliseconds{200}, milliseconds{100});
  EXPECT_EQ(stored(1).status().state(), NODE_STATE_DOWN);
  EXPECT_EQ(stored(2).status().state(), NODE_STATE_READY);
}

TEST_F(dispatcher_actor_test, a_link_that_comes_back_in_time_changes_nothing) {
  start();
  ASSERT_TRUE(add(1).value);
  LinkChanged news;
  news.set_node_id(nth_id(1, 2));
  news.set_broke_off(true);
  caf::anon_send(dispatcher, news);
  settle();
  advance(seconds{1}, milliseconds{100});
  news.set_broke_off(false);
  news.set_up(true);
  caf::anon_send(dispatcher, news);
  settle();
  advance(seconds{10}, milliseconds{100});
  EXPECT_EQ(stored(1).status().state(), NODE_STATE_READY);
}

TEST_F(dispatcher_actor_test, a_link_that_broke_off_before_this_leader_knew_the_nodes_counts) {
  Command command;
  auto& node = *command.add_actions()->mutable_put_node()->mutable_node();
  node.set_id(nth_id(1, 2));
  node.mutable_status()->set_state(NODE_STATE_READY);
  write(command);
  spawn();
  LinkChanged news;
  news.set_node_id(nth_id(1, 2));
  news.set_broke_off(true);
  caf::anon_send(dispatcher, news);
  settle();
  advance(milliseconds{2'100}, milliseconds{100});
  EXPECT_EQ(stored(1).status().state(), NODE_STATE_DOWN);
}

TEST_F(dispatcher_actor_test, an_old_session_is_told_to_register_again) {
  start();
  (void) add(1);
  const auto old = session;
  (void) add(1);
  self->send(dispatcher, report(1, 1, old));
  settle();
  SessionInvalid told;
  self->receive([&](const SessionInvalid& message) { told = message; });
  EXPECT_EQ(told.session_id(), old);
  EXPECT_TRUE(state->store.snapshot().tasks().empty());
}

TEST_F(dispatcher_actor_test, statuses_are_committed_and_then_accepted) {
  start();
  (void) add(1);
  add_task(1, 1);
  add_task(2, 1);
  state->commands.clear();
  state->refuse = {errc::unavailable, "not now"};
  caf::anon_send(dispatcher, report(1, 1, session));
  caf::anon_send(dispatcher, report(2, 2, session));
  settle();
  EXPECT_TRUE(log->accepted.empty());
  state->refuse = {};
  advance(seconds{1}, milliseconds{100});
  ASSERT_EQ(state->commands.size(), 1U) << "both in one";
  ASSERT_EQ(log->accepted.size(), 1U);
  EXPECT_EQ(log->accepted[0].sequence(), 2U);
  EXPECT_EQ(log->accepted[0].session_id(), session);
  EXPECT_EQ(state->store.snapshot().tasks(0).status().state(), TASK_STATE_RUNNING);
}

TEST_F(dispatcher_actor_test, a_status_of_another_nodes_task_changes_nothing) {
  start();
  (void) add(2);
  (void) add(1);
  add_task(1, 2);
  caf::anon_send(dispatcher, report(1, 1, session));
  settle();
  EXPECT_EQ(state->store.snapshot().tasks(0).status().state(), TASK_STATE_ASSIGNED);
  EXPECT_EQ(log->accepted.size(), 1U) << "there is no use in repeating it";
}

TEST_F(dispatcher_actor_test, an_engine_that_is_away_takes_the_node_out_of_scheduling) {
  start();
  (void) add(1);
  beat(1, session, false);
  EXPECT_EQ(stored(1).status().state(), NODE_STATE_DISCONNECTED);
  beat(1, session, true);
  EXPECT_EQ(stored(1).status().state(), NODE_STATE_READY);
}

TEST_F(dispatcher_actor_test, registrations_are_limited_and_removed_nodes_refused) {
  start();
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(add(1).value);
  EXPECT_EQ(add(1).error.code, errc::resource_exhausted);
  write(command([&](StoreAction& a) {
    a.mutable_remove_node()->set_id(nth_id(1, 2));
    a.mutable_remove_node()->set_force(true);
  }));
  EXPECT_TRUE(labels().empty());
  advance(seconds{10}, seconds{1});
  EXPECT_EQ(add(1).error.code, errc::permission_denied);
  EXPECT_EQ(ask<ActorStatus>(dispatcher, ReadStatus{}).value->facts().at("nodes"), "0") << "and DISPATCHER lives on";
}

TEST_F(dispatcher_actor_test, without_a_subscription_it_ends) {
  caf::anon_send_exit(store, caf::exit_reason::kill);
  settle();
  start();
  EXPECT_EQ(ask_for<ActorStatus>(seconds{1}, dispatcher, ReadStatus{}).error.code, errc::unavailable);
}

} // namespace
} // namespace swarm
