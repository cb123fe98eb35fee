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

/// A SECRET PROVIDER that gives its next answer when the test sends it a tick.
struct asked {
  std::vector<FetchSecret> requests;
  std::vector<caf::typed_response_promise<SecretFetched>> promises;
  std::size_t answered = 0;
  SecretFetched value;
};
using provider_with_tick = secret_provider_actor::extend<caf::reacts_to<tick_atom>>;
provider_with_tick::behavior_type slow_provider(provider_with_tick::pointer me, std::shared_ptr<asked> log) {
  return {
    [me, log](const FetchSecret& request) -> caf::result<SecretFetched> {
      log->requests.push_back(request);
      log->promises.push_back(me->make_response_promise<SecretFetched>());
      return log->promises.back();
    },
    [](const ReadStatus&) { return ActorStatus{}; },
    [log](tick_atom) { log->promises.at(log->answered++).deliver(log->value); },
  };
}

struct dispatcher_actor_test : actor_fixture {
  std::shared_ptr<committed_state> state = std::make_shared<committed_state>();
  raft_actor raft = track(sys.spawn(committing_raft, state));
  store_actor store = track(sys.spawn(committed_store, state));
  std::shared_ptr<heard> log = std::make_shared<heard>();
  agent_inbox agent = track(sys.spawn(listening_agent, log));
  std::shared_ptr<asked> provider_log = std::make_shared<asked>();
  secret_provider_actor provider;
  dispatcher_actor dispatcher;
  std::string session;

  void spawn() {
    dispatcher::dispatcher_options opts;
    opts.raft = raft;
    opts.store = store;
    opts.seed = 1;
    opts.secrets = provider;
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
  /// A service with a secret that the driver vault keeps, and one task of it on node 1.
  void add_task_with_secret() {
    Command secret;
    secret.set_machine_version(1);
    auto& row = *secret.add_actions()->mutable_put_secret()->mutable_secret();
    row.set_id(nth_id(7, 5));
    row.mutable_spec()->set_name("pw");
    row.mutable_spec()->mutable_driver()->set_name("vault");
    write(secret);
    auto spec = service_spec("web", 1);
    use_secret(spec, nth_id(7, 5), "pw");
    write(create_service(nth_id(1), spec));
    add_task(1, 1);
  }
  ~dispatcher_actor_test() override {
    provider_log->promises.clear();
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

TEST_F(dispatcher_actor_test, the_value_of_a_driver_comes_after_its_task) {
  provider = track(sys.spawn(slow_provider, provider_log));
  start();
  ASSERT_TRUE(add(1).value);
  add_task_with_secret();
  ASSERT_EQ(log->frames.size(), 2U);
  EXPECT_EQ(log->frames[1].tasks_size(), 1);
  EXPECT_EQ(log->frames[1].secrets_size(), 0);
  ASSERT_EQ(provider_log->requests.size(), 1U);
  EXPECT_EQ(provider_log->requests[0].driver(), "vault");
  EXPECT_EQ(provider_log->requests[0].service_name(), "web");
  EXPECT_EQ(provider_log->requests[0].node_hostname(), "host1");
  provider_log->value.set_value("hunter2");
  caf::anon_send(caf::actor_cast<caf::actor>(provider), tick_atom_v);
  settle();
  ASSERT_EQ(log->frames.size(), 3U);
  ASSERT_EQ(log->frames[2].secrets_size(), 1);
  EXPECT_EQ(log->frames[2].secrets(0).spec().data(), "hunter2");
  for (const auto& entry : actor_registry::list(sys, "node/"))
    if (const auto actor = caf::actor_cast<caf::actor>(entry.address)) {
      ReadStatus full;
      full.set_full(true);
      const auto status = ask<ActorStatus>(actor, full);
      ASSERT_TRUE(status.value);
      EXPECT_EQ(status.value->facts().at("secrets_awaited"), "0");
      EXPECT_EQ(status.value->SerializeAsString().find("hunter2"), std::string::npos);
    }
}

TEST_F(dispatcher_actor_test, many_large_values_do_not_leave_all_at_once) {
  provider = track(sys.spawn(slow_provider, provider_log));
  start();
  ASSERT_TRUE(add(1).value);
  add_task_with_secret();
  for (std::uint64_t n = 2; n <= 20; ++n)
    add_task(n, 1);
  provider_log->value.set_value(std::string(500'000, 'x'));
  provider_log->value.set_do_not_reuse(true);
  const auto before = log->frames.size();
  for (std::size_t n = 0; n < 20; ++n) {
    ASSERT_GT(provider_log->promises.size(), n);
    caf::anon_send(caf::actor_cast<caf::actor>(provider), tick_atom_v);
    if (n == 0)
      settle(); // one question for all, until the driver says that it has one value for each
  }
  settle();
  const auto sent = [&] {
    int out = 0;
    for (auto n = before; n < log->frames.size(); ++n)
      out += log->frames[n].secrets_size();
    return out;
  };
  EXPECT_LT(sent(), 12);
  advance(seconds{1});
  EXPECT_EQ(sent(), 20);
}

TEST_F(dispatcher_actor_test, a_provider_that_is_not_there_is_a_reason) {
  start();
  ASSERT_TRUE(add(1).value);
  add_task_with_secret();
  ASSERT_GE(log->frames.size(), 2U);
  EXPECT_EQ(log->frames.back().tasks(0).no_secret_because(), "secret pw: driver vault: plugins are not asked on this manager");
}

TEST_F(dispatcher_actor_test, an_answer_that_does_not_come_is_a_reason_after_a_while) {
  provider = track(sys.spawn(slow_provider, provider_log));
  start();
  ASSERT_TRUE(add(1).value);
  add_task_with_secret();
  ASSERT_EQ(log->frames.size(), 2U);
  advance(seconds{16}, milliseconds{500});
  ASSERT_EQ(log->frames.size(), 3U);
  EXPECT_TRUE(log->frames[2].tasks(0).no_secret_because().starts_with("secret pw: driver vault: ")) << log->frames[2].tasks(0).no_secret_because();
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
