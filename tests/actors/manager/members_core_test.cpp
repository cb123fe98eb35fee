// Who comes into the Raft group and who goes, in which order, and what is written of it.
#include "actors/manager/members_core.hpp"

#include <gtest/gtest.h>

#include "tests/support/builders.hpp"

namespace swarm::manager {
namespace {

using texts = std::vector<std::string>;

/// Does what the core asks, notes it, and can refuse.
struct world {
  members_core core;
  timestamp now{instant{} + seconds{100}, 5'000};
  std::map<std::string, Node> nodes;
  MembershipRead group;
  texts done;
  failure refuse_change;
  failure refuse_write;
  bool hold = false; ///< changes of the group stay unanswered
  std::map<std::uint64_t, failure> answers;
  std::map<std::uint64_t, RaftJoined> joined;

  explicit world(std::uint64_t seed = 1) : core{options_of(seed)} {}
  static members_options options_of(std::uint64_t seed) {
    members_options opts;
    opts.seed = seed;
    return opts;
  }

  /// A manager that is a member already.
  void manager(const std::string& id, std::uint64_t raft_id, bool leads = false) {
    auto node = test::node(id, id, NODE_ROLE_MANAGER);
    node.set_certificate_role(NODE_ROLE_MANAGER);
    node.set_raft_id(raft_id);
    auto& status = *node.mutable_manager_status();
    status.set_addr("10.0.0.1:" + std::to_string(raft_id));
    status.set_reachability(REACHABILITY_REACHABLE);
    status.set_leader(leads);
    nodes[id] = node;
    auto& member = *group.mutable_membership()->add_voters();
    member.set_raft_id(raft_id);
    member.set_node_id(id);
    member.set_addr(status.addr());
    group.add_active(raft_id);
    if (leads)
      group.set_leader_raft_id(raft_id);
  }
  /// One that has its certificate and is not a member yet.
  void newcomer(const std::string& id, NodeRole certificate = NODE_ROLE_MANAGER) {
    auto node = test::node(id, id, NODE_ROLE_MANAGER);
    node.set_certificate_role(certificate);
    nodes[id] = node;
  }
  void begin() {
    StoreSnapshot snapshot;
    for (const auto& [id, node] : nodes)
      *snapshot.add_nodes() = node;
    core.reset(snapshot);
    read();
  }
  void read() {
    core.read(now, group);
    run();
  }
  void wait(duration by) {
    now.now += by;
    read();
  }
  void changed(const std::string& id, const std::function<void(Node&)>& how) {
    how(nodes[id]);
    EventBatch batch;
    *batch.add_nodes()->mutable_node() = nodes[id];
    batch.mutable_nodes(0)->set_kind(CHANGE_KIND_UPDATED);
    core.observe(batch);
    run();
  }
  void removed(const std::string& id) {
    EventBatch batch;
    *batch.add_nodes()->mutable_node() = nodes[id];
    batch.mutable_nodes(0)->set_kind(CHANGE_KIND_REMOVED);
    nodes.erase(id);
    core.observe(batch);
    run();
  }
  void join(const std::string& id, std::uint64_t tag, const std::string& addr = "10.0.0.9:2377") {
    JoinRaft request;
    request.set_node_id(id);
    request.set_addr(addr);
    core.join(now, tag, request);
    run();
  }
  void leave(const std::string& id, std::uint64_t tag) {
    LeaveRaft request;
    request.set_node_id(id);
    core.leave(now, tag, request);
    run();
  }
  void run() {
    for (auto effects = core.next(now); !effects.empty(); effects = core.next(now))
      for (auto& effect : effects)
        std::visit([this](auto& what) { perform(what); }, effect);
    core.check_invariants();
  }
  void perform(change_group& what) {
    const auto& member = what.request.member();
    const bool adds = what.request.kind() == ChangeMembership::KIND_ADD_LEARNER;
    done.push_back((adds ? "add " : "remove ") + member.node_id());
    if (hold)
      return;
    if (!refuse_change.ok())
      return core.group_changed(now, refuse_change, {});
    auto& membership = *group.mutable_membership();
    if (adds) {
      *membership.add_learners() = member;
    } else {
      for (auto* list : {membership.mutable_voters(), membership.mutable_learners()})
        for (int i = list->size() - 1; i >= 0; --i)
          if ((*list)[i].raft_id() == member.raft_id())
            list->DeleteSubrange(i, 1);
      membership.add_removed(member.raft_id());
    }
    core.group_changed(now, {}, membership);
  }
  void perform(hand_over& what) { // this leader's MEMBERS ends here
    done.push_back(what.to_raft_id == 0 ? "hand over" : "hand over to " + std::to_string(what.to_raft_id));
  }
  void perform(propose& what) {
    if (!refuse_write.ok()) {
      done.push_back("write refused");
      return core.written(now, refuse_write);
    }
    EventBatch batch;
    for (const auto& action : what.command.actions()) {
      EXPECT_TRUE(action.put_node().membership_only());
      const auto& put = action.put_node().node();
      auto& node = nodes.at(put.id());
      node.set_raft_id(put.raft_id());
      node.set_certificate_role(put.certificate_role());
      if (put.has_manager_status())
        *node.mutable_manager_status() = put.manager_status();
      else
        node.clear_manager_status();
      done.push_back("write " + put.id() + (put.raft_id() != 0 ? " member" : "")
                     + (put.certificate_role() == NODE_ROLE_MANAGER ? " manager" : " worker")
                     + (put.manager_status().leader() ? " leader" : "")
                     + (put.has_manager_status() && put.manager_status().reachability() != REACHABILITY_REACHABLE ? " unreachable" : ""));
      auto& event = *batch.add_nodes();
      event.set_kind(CHANGE_KIND_UPDATED);
      *event.mutable_node() = node;
    }
    core.observe(batch);
    core.written(now, {});
  }
  void perform(answer_join& what) {
    answers[what.tag] = what.error;
    joined[what.tag] = what.joined;
    if (what.error.ok()) {
      EXPECT_EQ(nodes.at("new").raft_id(), what.joined.raft_id()) << "told only when it is recorded";
    }
  }
  void perform(answer_leave& what) { answers[what.tag] = what.error; }
  texts take() { return std::exchange(done, {}); }
};

world three() {
  world w;
  w.manager("a", 1, true);
  w.manager("b", 2);
  w.manager("c", 3);
  w.begin();
  EXPECT_EQ(w.take(), texts{});
  return w;
}

void make_worker(Node& node) { node.mutable_spec()->set_role(NODE_ROLE_WORKER); }

TEST(members_core, a_manager_that_joins_is_added_then_recorded_then_told) {
  auto w = three();
  w.newcomer("new");
  w.begin();
  w.join("new", 7);
  EXPECT_EQ(w.take(), (texts{"add new", "write new member manager"}));
  ASSERT_TRUE(w.answers.at(7).ok());
  EXPECT_NE(w.joined.at(7).raft_id(), 0u);
  ASSERT_EQ(w.joined.at(7).managers_size(), 4);
  EXPECT_EQ(w.joined.at(7).managers(3).node_id(), "new");
  EXPECT_EQ(w.joined.at(7).managers(3).addr(), "10.0.0.9:2377");
}

TEST(members_core, only_managers_with_a_managers_certificate_may_join) {
  auto w = three();
  w.newcomer("new", NODE_ROLE_WORKER);
  w.nodes["worker"] = test::node("worker", "worker");
  w.refuse_write = {errc::unavailable, "its certificate_role stays as it is"};
  w.begin();
  w.join("new", 1);
  w.join("worker", 2);
  w.join("unknown", 3);
  for (const auto tag : {1u, 2u, 3u})
    EXPECT_EQ(w.answers.at(tag).code, errc::permission_denied);
  auto v = three();
  v.newcomer("new");
  v.begin();
  for (const auto* addr : {"", "10.0.0.1", ":2377", "10.0.0.1:", "10.0.0.1:x"}) {
    v.join("new", 4, addr);
    EXPECT_EQ(v.answers.at(4).code, errc::invalid_argument) << addr;
  }
}

TEST(members_core, a_repeated_question_gets_the_same_raft_id_as_long_as_nobody_was_told) {
  auto w = three();
  w.newcomer("new");
  w.hold = true;
  w.begin();
  w.join("new", 1);
  w.join("new", 2);
  EXPECT_EQ(w.take(), (texts{"add new"}));
  EXPECT_EQ(w.answers.at(1).code, errc::unavailable);
  w.hold = false;
  w.core.group_changed(w.now, {errc::unavailable, "try again"}, {});
  w.wait(seconds{1});
  EXPECT_TRUE(w.answers.at(2).ok());
}

TEST(members_core, a_member_that_asks_again_has_lost_its_disk_and_gets_another_raft_id) {
  auto w = three();
  w.newcomer("new");
  w.begin();
  w.join("new", 1);
  w.take();
  w.join("new", 2);
  EXPECT_EQ(w.take(), (texts{"remove new", "add new", "write new member manager"}));
  EXPECT_NE(w.joined.at(1).raft_id(), w.joined.at(2).raft_id());
}

TEST(members_core, a_join_that_cannot_be_done_in_time_is_answered) {
  auto w = three();
  w.newcomer("new");
  w.begin();
  w.refuse_change = {errc::unavailable, "another membership change is not committed yet"};
  w.join("new", 1);
  for (int i = 0; i < 200 && !w.answers.contains(1); ++i)
    w.wait(milliseconds{250});
  EXPECT_EQ(w.answers.at(1).code, errc::deadline_exceeded);
  const auto tries = w.take().size();
  EXPECT_GE(tries, 4u);
  EXPECT_LE(tries, 12u) << "it waits longer each time";
  EXPECT_EQ(w.core.waiting(), 0u);
}

TEST(members_core, a_demoted_manager_is_removed_and_then_becomes_a_worker) {
  auto w = three();
  w.changed("b", make_worker);
  EXPECT_EQ(w.take(), (texts{"remove b", "write b worker"}));
  EXPECT_FALSE(w.nodes["b"].has_manager_status());
  w.wait(seconds{5});
  EXPECT_EQ(w.take(), texts{});
}

TEST(members_core, the_leader_hands_over_before_it_is_demoted) {
  auto w = three();
  w.changed("a", make_worker);
  EXPECT_EQ(w.take(), (texts{"hand over"}));
  w.core.handed_over(w.now, {errc::unavailable, "no successor"});
  w.run();
  EXPECT_EQ(w.take(), texts{}) << "not at once again";
  w.wait(seconds{1});
  EXPECT_EQ(w.take(), (texts{"hand over"}));
}

TEST(members_core, a_drained_leader_hands_over_to_a_manager_that_is_not_drained) {
  const auto drain = [](Node& node) { node.mutable_spec()->set_availability(NODE_AVAILABILITY_DRAIN); };
  auto w = three();
  w.changed("b", drain);
  EXPECT_EQ(w.take(), texts{}) << "it does not lead";
  w.changed("a", drain);
  EXPECT_EQ(w.take(), (texts{"hand over to 3"}));
  w.core.handed_over(w.now, {errc::unavailable, "it did not catch up"});
  w.run();
  EXPECT_EQ(w.take(), texts{}) << "not at once again";
  w.group.clear_active();
  w.group.add_active(1);
  w.group.add_active(2);
  w.wait(seconds{1});
  EXPECT_EQ(w.take(), texts{}) << "the only one that could take over is not heard of";
  w.group.add_active(3);
  w.wait(seconds{1});
  EXPECT_EQ(w.take(), (texts{"hand over to 3"}));
}

TEST(members_core, where_all_managers_are_drained_nobody_hands_over) {
  auto w = three();
  for (const auto* id : {"b", "c", "a"})
    w.changed(id, [](Node& node) { node.mutable_spec()->set_availability(NODE_AVAILABILITY_DRAIN); });
  EXPECT_EQ(w.take(), texts{});
}

TEST(members_core, a_demotion_that_would_lose_the_quorum_waits_for_better_times) {
  auto w = three();
  w.refuse_change = {errc::failed_precondition, "without a quorum"};
  w.changed("b", make_worker);
  EXPECT_EQ(w.take(), (texts{"remove b"}));
  EXPECT_EQ(w.nodes["b"].certificate_role(), NODE_ROLE_MANAGER) << "still a member, so still a manager";
  w.refuse_change = {};
  w.wait(seconds{1});
  EXPECT_EQ(w.take(), (texts{"remove b", "write b worker"}));
}

TEST(members_core, a_new_leader_goes_on_with_a_demotion_that_was_half_done) {
  world w;
  w.manager("a", 1, true);
  w.manager("b", 2);
  make_worker(w.nodes["b"]);
  w.group.mutable_membership()->mutable_voters()->RemoveLast(); // removed by the leader of before
  w.begin();
  EXPECT_EQ(w.take(), (texts{"write b worker"}));
}

TEST(members_core, a_promoted_worker_gets_a_managers_certificate) {
  auto w = three();
  w.nodes["d"] = test::node("d", "d");
  w.nodes["d"].set_certificate_role(NODE_ROLE_WORKER);
  w.begin();
  w.changed("d", [](Node& node) { node.mutable_spec()->set_role(NODE_ROLE_MANAGER); });
  EXPECT_EQ(w.take(), (texts{"write d manager"}));
  w.changed("d", make_worker);
  EXPECT_EQ(w.take(), (texts{"write d worker"})) << "demoted before it joined";
}

TEST(members_core, a_member_that_no_node_stands_for_is_removed) {
  auto w = three();
  w.removed("c");
  EXPECT_EQ(w.take(), (texts{"remove c"}));
  auto& half = *w.group.mutable_membership()->add_learners();
  half.set_raft_id(77);
  half.set_node_id("new");
  w.newcomer("new");
  w.begin();
  EXPECT_EQ(w.take(), (texts{"remove new"})) << "added by the leader of before, never told";
}

TEST(members_core, managers_of_a_group_that_is_no_more_lose_their_status) {
  auto w = three();
  w.group.mutable_membership()->mutable_voters()->DeleteSubrange(1, 2);
  w.begin();
  EXPECT_EQ(w.take(), (texts{"write b manager", "write c manager"}));
  EXPECT_EQ(w.nodes["b"].raft_id(), 0u);
  EXPECT_FALSE(w.nodes["b"].has_manager_status());
}

TEST(members_core, a_manager_that_leaves_is_removed_and_answered) {
  auto w = three();
  w.leave("b", 5);
  EXPECT_EQ(w.take(), (texts{"remove b", "write b manager"}));
  EXPECT_TRUE(w.answers.at(5).ok());
  EXPECT_EQ(w.nodes["b"].raft_id(), 0u);
  w.leave("b", 6);
  EXPECT_TRUE(w.answers.at(6).ok()) << "again is fine";
  w.refuse_change = {errc::failed_precondition, "x"};
  w.leave("c", 7);
  EXPECT_EQ(w.answers.at(7).message, "can't remove member from the raft: this would result in a loss of quorum");
  w.take();
  w.leave("a", 8);
  EXPECT_EQ(w.take(), (texts{"hand over"}));
  w.core.handed_over(w.now, {});
  w.run();
  EXPECT_EQ(w.answers.at(8).code, errc::not_leader) << "the new leader takes it from there";
}

TEST(members_core, status_is_written_when_it_changes_and_only_then) {
  auto w = three();
  w.group.mutable_active()->RemoveLast();
  for (int i = 0; i < 7; ++i)
    w.wait(milliseconds{250});
  EXPECT_EQ(w.take(), texts{}) << "a short silence is none";
  for (int i = 0; i < 8; ++i)
    w.wait(milliseconds{250});
  EXPECT_EQ(w.take(), (texts{"write c member manager unreachable"}));
  w.group.add_active(3);
  w.wait(milliseconds{250});
  EXPECT_EQ(w.take(), (texts{"write c member manager"}));
}

TEST(members_core, a_new_leader_says_in_one_command_that_it_leads) {
  world w;
  w.manager("a", 1, true);
  w.manager("b", 2);
  w.group.set_leader_raft_id(2);
  w.begin();
  EXPECT_EQ(w.take(), (texts{"write a member manager", "write b member manager leader"}));
}

TEST(members_core, nothing_is_done_while_this_manager_does_not_lead) {
  world w;
  w.manager("a", 1, true);
  w.manager("b", 2);
  make_worker(w.nodes["b"]);
  w.group.clear_active();
  w.begin();
  EXPECT_EQ(w.take(), texts{});
}

TEST(members_core, requests_are_bounded) {
  auto w = three();
  w.hold = true;
  for (int i = 0; i < 70; ++i)
    w.newcomer("n" + std::to_string(i));
  w.begin();
  int refused = 0;
  for (int i = 0; i < 70; ++i)
    w.join("n" + std::to_string(i), 100 + i);
  for (const auto& [tag, answer] : w.answers)
    refused += answer.code == errc::resource_exhausted ? 1 : 0;
  EXPECT_EQ(refused, 6);
}

} // namespace
} // namespace swarm::manager
