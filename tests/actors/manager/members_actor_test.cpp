// MEMBERS over a real group: managers join, are demoted, fall silent.
#include "actors/manager/members_actor.hpp"

#include "tests/support/raft_group.hpp"

namespace swarm {
namespace {

using namespace test;

struct members_test : raft_group {
  members_actor members;
  raft_id runs_on = 0;

  /// A manager's node as CA leaves it; the founder's is recorded as a member.
  void put(const std::string& id, std::uint64_t raft_id = 0) {
    auto node = test::node(id, id, NODE_ROLE_MANAGER);
    node.set_certificate_role(NODE_ROLE_MANAGER);
    node.set_raft_id(raft_id);
    run(put_node(node, false));
  }
  void run(Command what) {
    const auto answer = propose(leader(), std::move(what));
    ASSERT_TRUE(eventually([&] { return answer->done; }));
    ASSERT_TRUE(answer->ok()) << answer->error.message << answer->result.message();
  }
  /// The part of the leader that is started and ended with its office.
  void start_members() {
    if (members)
      self->send_exit(members, caf::exit_reason::user_shutdown);
    runs_on = wait_for_leader();
    members = track(sys.spawn(swarm::manager::members_keeper, swarm::manager::members_actor_options{}, managers.at(runs_on).raft,
                              managers.at(runs_on).store));
    settle();
  }
  Node stored(const std::string& id) {
    const auto state = managers.at(wait_for_leader()).state->snapshot();
    for (const auto& node : state.nodes())
      if (node.id() == id)
        return node;
    return {};
  }
  raft_id join(const std::string& id) {
    JoinRaft request;
    request.set_node_id(id);
    request.set_addr("10.0.0.77:2377");
    const auto joined = ask<RaftJoined>(members, request);
    EXPECT_TRUE(joined.value) << joined.error.message;
    return joined.value ? joined.value->raft_id() : 0;
  }
  void found() {
    start_founders(1);
    wait_for_leader();
    put("node1", 1);
    start_members();
  }
  void change_role(const std::string& id, NodeRole role) {
    auto node = stored(id);
    node.mutable_spec()->set_role(role);
    auto command = put_node(node, false);
    command.mutable_actions(0)->mutable_put_node()->set_expected_version(node.meta().version().index());
    run(std::move(command));
  }
};

TEST_F(members_test, a_manager_joins_and_gets_its_vote_and_is_seen_by_everyone) {
  found();
  EXPECT_TRUE(eventually([&] { return stored("node1").manager_status().leader(); }));
  put("node2");
  const auto id = join("node2");
  ASSERT_NE(id, 0u);
  start(id);
  EXPECT_TRUE(eventually([&] { return fact(1, "config").find("learners") == std::string::npos && number(id, "last_applied") > 2; }));
  const auto node = stored("node2");
  EXPECT_EQ(node.raft_id(), id);
  EXPECT_EQ(node.manager_status().addr(), "10.0.0.77:2377");
  EXPECT_EQ(node.manager_status().reachability(), REACHABILITY_REACHABLE);
  EXPECT_FALSE(node.manager_status().leader());
  expect_agreement();
}

TEST_F(members_test, a_node_that_is_no_manager_does_not_join) {
  found();
  JoinRaft request;
  request.set_node_id("stranger");
  request.set_addr("10.0.0.9:2377");
  EXPECT_EQ(ask<RaftJoined>(members, request).error.code, errc::permission_denied);
}

TEST_F(members_test, a_demoted_leader_hands_over_and_is_removed_by_its_successor) {
  found();
  put("node2");
  put("node3");
  for (const auto* node : {"node2", "node3"}) {
    const auto id = join(node);
    start(id);
    ASSERT_TRUE(eventually([&] { return fact(1, "config").find("learners") == std::string::npos; }));
  }
  change_role("node1", NODE_ROLE_WORKER);
  ASSERT_TRUE(eventually([&] { return leader() > 1; }));
  start_members();
  ASSERT_TRUE(eventually([&] { return managers.at(1).ended->has_value(); })) << "the removed manager stops";
  ASSERT_TRUE(eventually([&] { return stored("node1").certificate_role() == NODE_ROLE_WORKER; }));
  EXPECT_EQ(stored("node1").raft_id(), 0u);
  EXPECT_FALSE(stored("node1").has_manager_status());
  write_many(leader(), 3);
}

TEST_F(members_test, a_silent_manager_is_unreachable_until_it_is_heard_again) {
  found();
  put("node2");
  const auto id = join("node2");
  start(id);
  ASSERT_TRUE(eventually([&] { return fact(1, "config").find("learners") == std::string::npos; }));
  put("node3");
  const auto third = join("node3");
  start(third);
  ASSERT_TRUE(eventually([&] { return fact(1, "config").find("learners") == std::string::npos; }));
  kill(third);
  EXPECT_TRUE(eventually([&] { return stored("node3").manager_status().reachability() == REACHABILITY_UNREACHABLE; }, seconds{4}));
  const auto quiet = managers.at(1).state->applied_index();
  advance(seconds{5}, milliseconds{25});
  EXPECT_EQ(managers.at(1).state->applied_index(), quiet) << "nothing is written while nothing changes";
  start(third);
  EXPECT_TRUE(eventually([&] { return stored("node3").manager_status().reachability() == REACHABILITY_REACHABLE; }));
}

TEST_F(members_test, a_manager_leaves_and_the_last_two_keep_their_quorum_in_mind) {
  found();
  put("node2");
  const auto id = join("node2");
  start(id);
  ASSERT_TRUE(eventually([&] { return fact(1, "config").find("learners") == std::string::npos; }));
  LeaveRaft request;
  request.set_node_id("node2");
  ASSERT_TRUE(ask<RaftLeft>(members, request).value);
  EXPECT_EQ(fact(1, "config"), "voters=(1)");
  EXPECT_FALSE(stored("node2").has_manager_status());
  write_many(1, 2);
}

} // namespace
} // namespace swarm
