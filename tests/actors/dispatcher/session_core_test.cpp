// Registration, health, and what is written about nodes.
#include "actors/dispatcher/session_core.hpp"

#include <gtest/gtest.h>

#include "tests/support/builders.hpp"

namespace swarm::dispatcher {
namespace {

using test::nth_id;

std::string node_id_of(std::uint64_t n) { return nth_id(n, 2); }

class session_test : public testing::Test {
protected:
  timestamp now{instant{seconds{100}}, 1'000};
  session_core core{7};

  RegisterNode request(std::uint64_t n) const {
    RegisterNode out;
    out.set_node_id(node_id_of(n));
    out.mutable_description()->set_hostname("host" + std::to_string(n));
    out.set_addr("10.0.0." + std::to_string(n));
    out.set_driver_healthy(true);
    return out;
  }
  NodeHeartbeat beat(std::uint64_t n, const std::string& session, bool healthy = true) const {
    NodeHeartbeat out;
    out.set_node_id(node_id_of(n));
    out.set_session_id(session);
    out.set_driver_healthy(healthy);
    out.set_driver_message("connection refused");
    return out;
  }
  // The nodes of the next Command, committed.
  std::vector<Node> write(bool with_event = true) {
    auto command = core.next_command(now);
    if (!command)
      return {};
    std::vector<Node> out;
    EventBatch batch;
    for (const auto& action : command->actions()) {
      EXPECT_TRUE(action.put_node().observed_only());
      out.push_back(action.put_node().node());
      *batch.add_nodes()->mutable_node() = out.back();
    }
    core.written(now, {});
    if (with_event)
      core.apply(now, batch);
    return out;
  }
  void load(std::uint64_t n, NodeState state = NODE_STATE_READY) {
    StoreSnapshot snapshot;
    *snapshot.add_nodes() = test::node(node_id_of(n), "host" + std::to_string(n), NODE_ROLE_MANAGER, state);
    snapshot.mutable_nodes(0)->set_raft_id(42);
    core.load(now, snapshot);
  }
};

TEST_F(session_test, an_unknown_node_is_created_when_it_registers) {
  const auto answer = core.add(now, request(1));
  ASSERT_TRUE(answer.refused.ok());
  EXPECT_EQ(answer.reply.heartbeat_period(), 5'000'000'000);
  EXPECT_EQ(answer.reply.session_id().size(), 25U);
  const auto nodes = write();
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_EQ(nodes[0].spec().role(), NODE_ROLE_WORKER);
  EXPECT_EQ(nodes[0].spec().availability(), NODE_AVAILABILITY_ACTIVE);
  EXPECT_EQ(nodes[0].status().state(), NODE_STATE_READY);
  EXPECT_EQ(nodes[0].status().addr(), "10.0.0.1");
  EXPECT_EQ(nodes[0].description().hostname(), "host1");
  EXPECT_TRUE(write().empty()) << "nothing new to say";
}

TEST_F(session_test, what_is_not_ours_to_say_about_a_known_node_is_kept) {
  load(1, NODE_STATE_DOWN);
  (void) core.add(now, request(1));
  const auto nodes = write(false);
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_EQ(nodes[0].raft_id(), 42U);
  EXPECT_EQ(nodes[0].spec().role(), NODE_ROLE_MANAGER);
  EXPECT_TRUE(write().empty()) << "though the event has not come yet";
}

TEST_F(session_test, a_node_may_register_three_times_in_eight_seconds) {
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(core.add(now, request(1)).refused.ok());
  const auto refused = core.add(now, request(1)).refused;
  EXPECT_EQ(refused.code, errc::resource_exhausted);
  EXPECT_EQ(refused.message, "node " + node_id_of(1) + " exceeded rate limit count of registrations");
  EXPECT_TRUE(core.add(now, request(2)).refused.ok()) << "others are not concerned";
  now.now += seconds{8};
  EXPECT_TRUE(core.add(now, request(1)).refused.ok());
}

TEST_F(session_test, a_new_session_ends_the_old_one) {
  const auto first = core.add(now, request(1)).reply.session_id();
  const auto second = core.add(now, request(1)).reply.session_id();
  EXPECT_NE(first, second);
  EXPECT_FALSE(core.beat(now, beat(1, first)));
  EXPECT_TRUE(core.beat(now, beat(1, second)));
  EXPECT_FALSE(core.beat(now, beat(1, "")));
  EXPECT_FALSE(core.beat(now, beat(2, second)));
  EXPECT_EQ(core.sessions(), 1U);
}

TEST_F(session_test, silence_makes_a_node_down_and_ends_its_session) {
  const auto session = core.add(now, request(1)).reply.session_id();
  write();
  now.now += seconds{14};
  EXPECT_TRUE(core.expire(now).empty());
  now.now += seconds{1};
  EXPECT_EQ(core.expire(now), std::vector<std::string>{node_id_of(1)});
  EXPECT_FALSE(core.beat(now, beat(1, session)));
  const auto nodes = write();
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_EQ(nodes[0].status().state(), NODE_STATE_DOWN);
  EXPECT_EQ(nodes[0].status().message(), "heartbeat failure");
  now.now += seconds{60};
  EXPECT_TRUE(core.expire(now).empty());
  // And back.
  EXPECT_TRUE(core.add(now, request(1)).refused.ok());
  EXPECT_EQ(write().at(0).status().state(), NODE_STATE_READY);
}

// An agent learns of the period when it registers: until then it keeps to the one before.
TEST_F(session_test, another_period_makes_nodes_register_again_and_takes_none_down) {
  const auto session = core.add(now, request(1)).reply.session_id();
  write();
  EventBatch batch;
  batch.add_clusters()->mutable_cluster()->mutable_spec()->mutable_dispatcher()->set_heartbeat_period(300'000'000);
  core.apply(now, batch);
  now.now += seconds{5};
  EXPECT_FALSE(core.beat(now, beat(1, session)));
  now.now += seconds{5}; // its link may be bad just now
  EXPECT_TRUE(core.expire(now).empty());
  const auto again = core.add(now, request(1)).reply;
  EXPECT_EQ(again.heartbeat_period(), 300'000'000);
  EXPECT_TRUE(core.beat(now, beat(1, again.session_id())));
  now.now += milliseconds{899};
  EXPECT_TRUE(core.expire(now).empty());
  now.now += milliseconds{1};
  EXPECT_EQ(core.expire(now).size(), 1U);
}

TEST_F(session_test, a_new_leader_writes_nothing_before_the_double_grace_is_over) {
  load(1);
  EXPECT_TRUE(write().empty());
  now.now += seconds{29};
  EXPECT_TRUE(core.expire(now).empty());
  now.now += seconds{1};
  EXPECT_EQ(core.expire(now).size(), 1U);
  const auto nodes = write();
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_EQ(nodes[0].status().message(), "heartbeat failure for node in \"unknown\" state");
}

TEST_F(session_test, nodes_that_are_down_stay_so_under_a_new_leader) {
  load(1, NODE_STATE_DOWN);
  now.now += hours{1};
  EXPECT_TRUE(core.expire(now).empty());
  EXPECT_TRUE(write().empty());
}

TEST_F(session_test, a_node_whose_engine_is_away_takes_no_tasks_but_is_not_down) {
  const auto session = core.add(now, request(1)).reply.session_id();
  write();
  EXPECT_TRUE(core.beat(now, beat(1, session, false)));
  const auto away = write();
  ASSERT_EQ(away.size(), 1U);
  EXPECT_EQ(away[0].status().state(), NODE_STATE_DISCONNECTED);
  EXPECT_EQ(away[0].status().message(), "engine unavailable: connection refused");
  EXPECT_TRUE(core.beat(now, beat(1, session, false)));
  EXPECT_TRUE(write().empty());
  EXPECT_TRUE(core.beat(now, beat(1, session, true)));
  const auto back = write();
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(back[0].status().state(), NODE_STATE_READY);
  EXPECT_EQ(back[0].status().message(), "");
}

TEST_F(session_test, a_removed_node_is_refused) {
  const auto session = core.add(now, request(1)).reply.session_id();
  write();
  EventBatch batch;
  batch.add_nodes()->set_kind(CHANGE_KIND_REMOVED);
  batch.mutable_nodes(0)->mutable_node()->set_id(node_id_of(1));
  core.apply(now, batch);
  EXPECT_FALSE(core.beat(now, beat(1, session)));
  EXPECT_EQ(core.add(now, request(1)).refused.code, errc::permission_denied);
  EXPECT_EQ(core.add(now, RegisterNode{}).refused.code, errc::permission_denied) << "no id at all";
  EXPECT_TRUE(write().empty());
}

TEST_F(session_test, a_changed_description_is_written_and_a_failed_write_repeated) {
  const auto session = core.add(now, request(1)).reply.session_id();
  write();
  UpdateNodeDescription change;
  change.set_node_id(node_id_of(1));
  change.set_session_id(session);
  change.mutable_description()->set_hostname("renamed");
  EXPECT_TRUE(core.describe(change));
  ASSERT_TRUE(core.next_command(now));
  EXPECT_FALSE(core.next_command(now)) << "one at a time";
  core.written(now, {errc::deadline_exceeded, "late"});
  EXPECT_FALSE(core.next_command(now));
  ASSERT_TRUE(core.retry_at());
  now.now = *core.retry_at();
  EXPECT_EQ(write().at(0).description().hostname(), "renamed");
  change.set_session_id("old");
  EXPECT_FALSE(core.describe(change));
}

TEST_F(session_test, many_nodes_are_written_in_one_command) {
  for (std::uint64_t n = 1; n <= 500; ++n)
    (void) core.add(now, request(n));
  EXPECT_EQ(write().size(), 500U);
}

} // namespace
} // namespace swarm::dispatcher
