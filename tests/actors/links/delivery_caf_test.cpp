// Whole conversations through stand-ins: a worker's session, Raft, log streams.
#include "tests/actors/links/links_fixture.hpp"

namespace swarm::links::test {
namespace {

using links_delivery = links_fixture;

// -- a worker's session --------------------------------------------------------------------------------------------------------

struct dispatcher_record {
  record<std::string> said;
  std::mutex mutex;
  agent_inbox inbox;
};

// Answers a registration and pushes the first Assignments from another actor, as the real one does.
dispatcher_actor spawn_dispatcher(caf::actor_system& system, std::shared_ptr<dispatcher_record> seen) {
  const auto node = system.spawn([](node_session_actor::pointer self) -> node_session_actor::behavior_type {
    return {
      [self](const NodeRegistered& session, const agent_inbox& inbox) {
        for (std::uint64_t i = 1; i <= 50; ++i) {
          Assignments a;
          a.set_session_id(session.session_id());
          a.set_sequence(i);
          self->send(inbox, a);
        }
      },
      [](const EventBatch&) {},
      [](flush_atom) {},
      [](const ReadStatus&) { return ActorStatus{}; },
    };
  });
  return system.spawn([seen, node](dispatcher_actor::pointer self) -> dispatcher_actor::behavior_type {
    return {
      [self, seen, node](const RegisterNode& request, const agent_inbox& inbox) -> caf::result<NodeRegistered> {
        seen->said.add("register " + request.node_id());
        {
          const std::lock_guard lock{seen->mutex};
          seen->inbox = inbox;
        }
        NodeRegistered session;
        session.set_session_id("s1");
        auto promise = self->make_response_promise<NodeRegistered>();
        promise.deliver(session);
        self->send(node, session, inbox);
        return promise;
      },
      [seen](const NodeHeartbeat& beat) { seen->said.add("beat " + beat.node_id()); },
      [](const UpdateNodeDescription&) {},
      [self, seen](const UpdateTaskStatus& status) {
        seen->said.add("status " + std::to_string(status.sequence()));
        SessionInvalid stale; // as the real one answers whom it does not know
        stale.set_session_id(status.session_id());
        if (status.session_id() == "old")
          caf::anon_send(caf::actor_cast<caf::actor>(self->current_sender()), stale);
      },
      [](const LinkChanged&) {},
      [](const EventBatch&) {},
      [](tick_atom) {},
      [](const ReadStatus&) { return ActorStatus{}; },
    };
  });
}

// What an agent hears; its registration is answered here too, so that the order can be seen.
using test_agent = agent_inbox::extend<caf::reacts_to<RegisterNode, dispatcher_actor>>;
test_agent spawn_agent(caf::actor_system& system, std::shared_ptr<record<std::string>> heard) {
  return system.spawn([heard](test_agent::pointer self) -> test_agent::behavior_type {
    return {
      [heard](const Assignments& a) { heard->add("assignments " + std::to_string(a.sequence())); },
      [heard](const TaskStatusAccepted&) { heard->add("accepted"); },
      [heard](const SessionInvalid& s) { heard->add("invalid " + s.session_id()); },
      [heard](const NodeOrders&) { heard->add("orders"); },
      [self, heard](const RegisterNode& request, const dispatcher_actor& to) {
        self->request(to, seconds{2}, request, agent_inbox{test_agent{self}}) // CAF keeps the actor for that long
          .then([heard](const NodeRegistered& s) { heard->add("registered " + s.session_id()); },
                [heard](const caf::error& e) { heard->add("refused " + std::string{to_string(to_failure(e).code)}); });
      },
    };
  });
}

RegisterNode registration(const std::string& node_id) {
  RegisterNode out;
  out.set_node_id(node_id);
  return out;
}

TEST_F(links_delivery, a_workers_session_over_a_link) {
  auto a = manager("a");
  auto w = worker("w");
  join(*w, "w", *a, "a");
  const auto seen = std::make_shared<dispatcher_record>();
  local_destinations here;
  here.dispatcher = spawn_dispatcher(system, seen);
  a->say(here);
  ASSERT_TRUE(eventually([&] { return a->part.directory->current()->destinations.contains("dispatcher"); }));
  const auto dispatcher = w->proxy<dispatcher_actor>("a", "dispatcher");
  const auto heard = std::make_shared<record<std::string>>();
  const auto agent = spawn_agent(system, heard);
  caf::anon_send(agent, registration("w"), dispatcher);
  ASSERT_TRUE(heard->wait(51));
  EXPECT_EQ(heard->all()[0], "registered s1") << "before the first assignments, which come from another actor";
  for (std::size_t i = 1; i <= 50; ++i)
    EXPECT_EQ(heard->all()[i], "assignments " + std::to_string(i));
  NodeHeartbeat beat;
  beat.set_node_id("w");
  caf::anon_send(dispatcher, beat);
  beat.set_node_id("v"); // of another node: never delivered
  caf::anon_send(dispatcher, beat);
  UpdateTaskStatus status;
  status.set_node_id("w");
  status.set_session_id("old");
  status.set_sequence(7);
  caf::anon_send(dispatcher, status);
  ASSERT_TRUE(heard->wait(52));
  EXPECT_EQ(heard->all()[51], "invalid old");
  EXPECT_EQ(seen->said.all(), (std::vector<std::string>{"register w", "beat w", "status 7"}));
  EXPECT_EQ(a->fact("refused", "w"), "1");
  // The leader steps down: what still arrives there is answered, so that the agent looks for another.
  a->say(local_destinations{});
  ASSERT_TRUE(eventually([&] { return !a->part.directory->current()->destinations.contains("dispatcher"); }));
  beat.set_node_id("w");
  caf::anon_send(dispatcher, beat);
  ASSERT_TRUE(heard->wait(53));
  EXPECT_EQ(heard->all()[52], "invalid ");
  a->stop();
  ASSERT_TRUE(heard->wait(54)) << "and the loss of the link ends the session";
  EXPECT_EQ(heard->all()[53], "invalid ");
}

TEST_F(links_delivery, nobody_registers_another_node_not_even_a_manager) {
  auto a = manager("a"), b = manager("b");
  join(*b, "b", *a, "a");
  const auto seen = std::make_shared<dispatcher_record>();
  local_destinations here;
  here.dispatcher = spawn_dispatcher(system, seen);
  a->say(here);
  ASSERT_TRUE(eventually([&] { return a->part.directory->current()->destinations.contains("dispatcher"); }));
  const auto heard = std::make_shared<record<std::string>>();
  const auto agent = spawn_agent(system, heard);
  caf::anon_send(agent, registration("w"), b->proxy<dispatcher_actor>("a", "dispatcher"));
  ASSERT_TRUE(heard->wait(1));
  EXPECT_EQ(heard->all()[0], "refused permission_denied");
  EXPECT_EQ(seen->said.size(), 0U);
}

// -- Raft ------------------------------------------------------------------------------------------------------------------------

raft_actor spawn_raft(caf::actor_system& system, std::shared_ptr<record<RaftMessage>> got) {
  return system.spawn([got](raft_actor::pointer) -> raft_actor::behavior_type {
    return {
      [](const Command&) { return CommandResult{}; },
      [](const ReadIndex&) { return ReadIndexReached{}; },
      [got](const RaftMessage& m) { got->add(m); },
      [](const LinkChanged&) {},
      [](const TransferLeadership&) { return LeadershipTransferred{}; },
      [](const ChangeMembership&) { return MembershipCommitted{}; },
      [](const ReadMembership&) { return MembershipRead{}; },
      [](tick_atom) {},
      [](const ReadStatus&) { return ActorStatus{}; },
    };
  });
}

TEST_F(links_delivery, raft_messages_find_their_node_by_raft_id_and_may_not_borrow_anothers) {
  auto a = manager("a"), b = manager("b"), c = manager("c");
  join(*b, "b", *a, "a");
  join(*c, "c", *a, "a");
  Membership members;
  for (const auto& [id, node] : {std::pair<std::uint64_t, const char*>{101, "a"}, {102, "b"}}) {
    auto& m = *members.add_voters();
    m.set_raft_id(id);
    m.set_node_id(node);
  }
  auto& learner = *members.add_learners();
  learner.set_raft_id(103);
  learner.set_node_id("c");
  const auto got = std::make_shared<record<RaftMessage>>(), got_b = std::make_shared<record<RaftMessage>>();
  for (auto* h : {a.get(), b.get(), c.get()})
    h->say(members);
  local_destinations here;
  here.raft = spawn_raft(system, got);
  a->say(here);
  here.raft = spawn_raft(system, got_b);
  b->say(here);
  for (auto* h : {a.get(), b.get(), c.get()})
    ASSERT_TRUE(eventually([&] { return h->part.directory->current()->nodes_by_number.size() == 3; }));
  const auto from_b = spawn_raft_peers(system, b->part), from_c = spawn_raft_peers(system, c->part), from_a = spawn_raft_peers(system, a->part);
  RaftMessage m;
  m.set_to(101);
  m.set_from(102);
  m.mutable_heartbeat();
  caf::anon_send(from_b, m);
  ASSERT_TRUE(got->wait(1));
  EXPECT_TRUE(got->all()[0].has_heartbeat());
  caf::anon_send(from_c, m); // c says that it is 102
  m.set_from(999);           // not known here: a member that was added meanwhile
  caf::anon_send(from_c, m);
  ASSERT_TRUE(got->wait(2));
  EXPECT_EQ(got->all()[1].from(), 999U);
  EXPECT_EQ(a->fact("refused", "c"), "1");
  m.set_from(101);
  m.set_to(102);
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    m.mutable_append_entries()->set_leader_commit(i);
    caf::anon_send(from_a, m);
  }
  ASSERT_TRUE(got_b->wait(1000));
  for (std::uint64_t i = 1; i <= 1000; ++i)
    ASSERT_EQ(got_b->all()[i - 1].append_entries().leader_commit(), i);
  m.set_to(555);
  caf::anon_send(from_a, m); // nobody: lost, and nothing else happens
  EXPECT_TRUE(a->linked("b"));
}

// -- logs ------------------------------------------------------------------------------------------------------------------------

struct logs_record {
  record<std::string> said;
  std::mutex mutex;
  std::map<std::uint64_t, log_sink> sinks;
  void send(std::uint64_t subscription, const std::string& text, bool end = false) {
    const std::lock_guard lock{mutex};
    LogChunk chunk;
    chunk.set_subscription(subscription);
    chunk.add_lines()->set_data(text);
    chunk.set_end(end);
    caf::anon_send(sinks.at(subscription), chunk);
  }
  std::vector<std::uint64_t> numbers() {
    const std::lock_guard lock{mutex};
    std::vector<std::uint64_t> out;
    for (const auto& [n, s] : sinks)
      out.push_back(n);
    return out;
  }
};

logs_actor spawn_logs(caf::actor_system& system, std::shared_ptr<logs_record> seen) {
  return system.spawn([seen](logs_actor::pointer) -> logs_actor::behavior_type { return {
    [seen](const SubscribeLogs& s, const log_sink& sink) {
      const std::lock_guard lock{seen->mutex};
      seen->sinks[s.subscription()] = sink;
      seen->said.add("open");
    },
    [seen](const LogCredit& c) { seen->said.add("credit " + std::to_string(c.bytes())); },
    [seen](const CancelLogs& c) { seen->said.add("cancel " + std::to_string(c.subscription())); },
    [](const LogChunk&) {},
    [](const EventBatch&) {},
    [](tick_atom) {},
    [](const ReadStatus&) { return ActorStatus{}; },
  }; });
}

log_sink spawn_sink(caf::actor_system& system, std::shared_ptr<record<LogChunk>> got) {
  return system.spawn([got](log_sink::pointer) -> log_sink::behavior_type { return {[got](const LogChunk& c) { got->add(c); }}; });
}

TEST_F(links_delivery, readers_on_two_managers_with_the_same_number_get_their_own_lines) {
  auto a = manager("a"), b = manager("b"), c = manager("c");
  join(*b, "b", *a, "a");
  join(*c, "c", *a, "a");
  const auto seen = std::make_shared<logs_record>();
  local_destinations here;
  here.logs = spawn_logs(system, seen);
  a->say(here);
  ASSERT_TRUE(eventually([&] { return a->part.directory->current()->destinations.contains("logs"); }));
  const auto got_b = std::make_shared<record<LogChunk>>(), got_c = std::make_shared<record<LogChunk>>();
  const auto sink_b = spawn_sink(system, got_b), sink_c = spawn_sink(system, got_c);
  const auto logs_b = b->proxy<logs_actor>("a", "logs"), logs_c = c->proxy<logs_actor>("a", "logs");
  SubscribeLogs subscribe;
  subscribe.set_subscription(1);
  caf::anon_send(logs_b, subscribe, sink_b);
  ASSERT_TRUE(seen->said.wait(1));
  const auto of_b = seen->numbers()[0];
  caf::anon_send(logs_c, subscribe, sink_c);
  ASSERT_TRUE(seen->said.wait(2));
  ASSERT_EQ(seen->numbers().size(), 2U) << "the same number, two streams";
  const auto numbers = seen->numbers();
  const auto of_c = numbers[0] == of_b ? numbers[1] : numbers[0];
  seen->send(of_b, "for b");
  seen->send(of_c, "for c", true);
  ASSERT_TRUE(got_b->wait(1) && got_c->wait(1));
  EXPECT_EQ(got_b->all()[0].lines(0).data(), "for b");
  EXPECT_EQ(got_b->all()[0].subscription(), 1U);
  EXPECT_EQ(got_c->all()[0].lines(0).data(), "for c");
  LogCredit credit;
  credit.set_subscription(1);
  credit.set_bytes(77);
  caf::anon_send(logs_b, credit);
  ASSERT_TRUE(seen->said.wait(3));
  EXPECT_EQ(seen->said.all()[2], "credit 77");
  caf::anon_send_exit(sink_b, caf::exit_reason::kill); // the reader dies: its stream is cancelled
  ASSERT_TRUE(seen->said.wait(4));
  EXPECT_EQ(seen->said.all()[3], "cancel " + std::to_string(of_b));
  EXPECT_TRUE(eventually([&] { return a->fact("streams", "b") == "0" && a->fact("streams", "c") == "0"; }));
}

TEST_F(links_delivery, a_lost_link_ends_readers_with_a_reason_and_cancels_at_the_source) {
  auto a = manager("a"), b = manager("b");
  join(*b, "b", *a, "a");
  const auto seen = std::make_shared<logs_record>();
  local_destinations here;
  here.logs = spawn_logs(system, seen);
  a->say(here);
  ASSERT_TRUE(eventually([&] { return a->part.directory->current()->destinations.contains("logs"); }));
  const auto got = std::make_shared<record<LogChunk>>();
  const auto sink = spawn_sink(system, got);
  const auto logs = b->proxy<logs_actor>("a", "logs");
  SubscribeLogs subscribe;
  subscribe.set_subscription(9);
  caf::anon_send(logs, subscribe, sink);
  ASSERT_TRUE(seen->said.wait(1));
  b->stop();
  ASSERT_TRUE(seen->said.wait(2));
  EXPECT_EQ(seen->said.all()[1], "cancel " + std::to_string(seen->numbers()[0]));
  caf::anon_send(logs, subscribe, sink);
  ASSERT_TRUE(got->wait(1));
  EXPECT_TRUE(got->all().back().end());
  EXPECT_NE(got->all().back().error(), "");
}

TEST_F(links_delivery, the_leader_reads_a_workers_task_logs) {
  auto a = manager("a");
  auto w = worker("w");
  join(*w, "w", *a, "a");
  const auto seen = std::make_shared<logs_record>();
  local_destinations at_worker;
  at_worker.agent = system.spawn([seen](log_source::pointer) -> log_source::behavior_type {
    return {
      [seen](const ReadTaskLogs& s, const log_sink& sink) {
        const std::lock_guard lock{seen->mutex};
        seen->sinks[s.subscription()] = sink;
        seen->said.add("open " + s.task_id());
      },
      [seen](const LogCredit& c) { seen->said.add("credit " + std::to_string(c.bytes())); },
      [seen](const CancelLogs&) { seen->said.add("cancel"); },
    };
  });
  w->say(at_worker);
  ASSERT_TRUE(eventually([&] { return w->part.directory->current()->destinations.contains("agent"); }));
  const auto source = a->proxy<log_source>("w", "agent");
  const auto got = std::make_shared<record<LogChunk>>();
  const auto sink = spawn_sink(system, got);
  ReadTaskLogs request;
  request.set_task_id("t1");
  request.set_subscription(1);
  LogCredit credit;
  credit.set_subscription(1);
  credit.set_bytes(5);
  caf::anon_send(source, request, sink);
  caf::anon_send(source, credit);
  ASSERT_TRUE(seen->said.wait(2));
  EXPECT_EQ(seen->said.all(), (std::vector<std::string>{"open t1", "credit 5"})) << "in this order";
  seen->send(seen->numbers()[0], "line", true);
  ASSERT_TRUE(got->wait(1));
  EXPECT_EQ(got->all()[0].subscription(), 1U);
  EXPECT_EQ(got->all()[0].node_id(), "w") << "filled in on the way";
  request.set_subscription(2);
  caf::anon_send(source, request, sink);
  ASSERT_TRUE(seen->said.wait(3));
  w->stop();
  ASSERT_TRUE(got->wait(2));
  EXPECT_TRUE(got->all()[1].end());
  EXPECT_NE(got->all()[1].error().find("is down"), std::string::npos) << got->all()[1].error();
}

} // namespace
} // namespace swarm::links::test
