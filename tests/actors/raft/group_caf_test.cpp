// Three and five managers with everything real but the network and the clock: elections, replication, loss, snapshots,
// members that come and go.
#include "tests/support/raft_group.hpp"

namespace swarm {
namespace {

using namespace test;

using group_test = raft_group;

TEST_F(group_test, three_managers_choose_a_leader_and_agree_on_what_it_writes) {
  start_founders(3);
  const auto first = wait_for_leader();
  write_many(first, 20);
  EXPECT_EQ(acknowledged.size(), 20u);
  expect_agreement();
  for (const auto& [id, m] : managers) {
    EXPECT_EQ(m.leadership->leader_raft_id(), first);
    EXPECT_EQ(m.leadership->leader_node_id(), node_id(first));
    EXPECT_EQ(m.leadership->leader_addr(), member(first).addr());
  }
}

TEST_F(group_test, a_killed_leader_is_replaced_within_two_elections_and_nothing_acknowledged_is_lost) {
  start_founders(3);
  for (int round = 0; round < 12; ++round) {
    const auto old = wait_for_leader();
    write_many(old, 5);
    const auto under_way = write(old);
    kill(old);
    ASSERT_TRUE(eventually([&] { return leader() != 0; }, milliseconds{1'650})) << "round " << round;
    write_many(leader(), 5);
    start(old);
    expect_agreement();
    for (const auto& [id, m] : managers)
      EXPECT_EQ(fact(id, "config"), "voters=(1 2 3)") << "manager " << id << " has forgotten the group";
  }
}

TEST_F(group_test, a_lost_link_to_the_leader_is_as_good_as_its_death) {
  start_founders(3);
  const auto old = wait_for_leader();
  write_many(old, 3);
  kill(old);
  LinkChanged lost;
  lost.set_node_id(node_id(old));
  for (const auto& [id, m] : managers)
    if (m.up)
      self->send(m.raft, lost);
  EXPECT_TRUE(eventually([&] { return leader() != 0; }, milliseconds{250}));
}

TEST_F(group_test, a_follower_that_was_away_catches_up_from_the_log) {
  start_founders(3);
  const auto first = wait_for_leader();
  const raft_id away = first == 1 ? 2 : 1;
  write_many(first, 5);
  kill(away);
  write_many(first, 30);
  start(away);
  expect_agreement();
  EXPECT_EQ(fact(away, "snapshots_installed"), "0");
}

struct short_log_test : group_test {
  short_log_test() {
    opts.core.keep_entries = 10;
    opts.core.keep_entries_alone = 5;
    opts.core.compaction_batch = 4;
  }
};

TEST_F(short_log_test, a_follower_that_is_too_far_behind_gets_a_snapshot_in_chunks) {
  start_founders(3);
  const auto first = wait_for_leader();
  const raft_id away = first == 1 ? 2 : 1;
  kill(away);
  advance(seconds{1}, milliseconds{25}); // the log waits for those who were heard of just now
  write_many(first, 40, 100'000);
  start(away);
  expect_agreement();
  EXPECT_EQ(fact(away, "snapshots_installed"), "1");
  EXPECT_GT(number(away, "chunks_stored"), 3u);
  // It is a member like any other: it can be restarted, and it can lead.
  kill(away);
  start(away);
  write_many(leader(), 3);
  expect_agreement();
  TransferLeadership to;
  to.set_to_raft_id(away);
  ASSERT_TRUE(ask<LeadershipTransferred>(managers.at(leader()).raft, to).value->done());
  EXPECT_TRUE(eventually([&] { return leader() == away; }));
  write_many(away, 3);
  expect_agreement();
}

TEST_F(short_log_test, a_transfer_that_is_cut_goes_on_when_the_way_is_free_again) {
  start_founders(3);
  const auto first = wait_for_leader();
  const raft_id away = first == 1 ? 2 : 1;
  net->cut(first, away);
  net->cut(6 - first - away, away);
  advance(seconds{1}, milliseconds{25});
  write_many(first, 30, 200'000);
  const auto now = wait_for_leader();
  net->cuts.clear();
  // Chunks go one by one: the way is cut when the first one has been stored.
  net->cut_after_chunks = 2;
  ASSERT_TRUE(eventually([&] { return !net->cuts.empty(); }));
  EXPECT_EQ(fact(away, "snapshots_installed"), "0");
  advance(milliseconds{300}, milliseconds{25});
  net->cuts.clear();
  EXPECT_EQ(wait_for_leader(), now);
  expect_agreement();
  EXPECT_GE(number(away, "snapshots_installed"), 1u);
}

TEST_F(short_log_test, a_manager_killed_in_the_middle_of_a_snapshot_starts_over) {
  start_founders(3);
  const auto first = wait_for_leader();
  const raft_id away = first == 1 ? 2 : 1;
  write_many(first, 3);
  advance(milliseconds{200}, milliseconds{25}); // what is applied is on disk
  const auto applied = managers.at(away).state->applied_index();
  kill(away);
  advance(seconds{1}, milliseconds{25});
  write_many(first, 30, 200'000);
  net->cut_after_chunks = 3;
  start(away);
  ASSERT_TRUE(eventually([&] { return !net->cuts.empty(); }));
  EXPECT_GT(number(away, "chunks_stored"), 0u);
  kill(away);
  net->cuts.clear();
  start(away);
  EXPECT_EQ(fact(away, "last_applied"), std::to_string(applied)) << "the old state is whole";
  expect_agreement();
  EXPECT_EQ(fact(away, "snapshots_installed"), "1");
}

TEST_F(short_log_test, a_group_grows_from_one_to_three_and_newcomers_get_their_vote_by_themselves) {
  start_founders(1);
  wait_for_leader();
  write_many(1, 30);
  for (raft_id id = 2; id <= 3; ++id) {
    start(id);
    const auto added = change(1, ChangeMembership::KIND_ADD_LEARNER, id);
    ASSERT_TRUE(added.value) << added.error.message;
    EXPECT_EQ(added.value->membership().learners_size(), 1);
    ASSERT_TRUE(eventually([&] { return fact(id, "role") == "follower" && fact(id, "config") == fact(1, "config"); }));
    EXPECT_EQ(fact(1, "config"), id == 2 ? "voters=(1 2)" : "voters=(1 2 3)");
    EXPECT_EQ(managers.at(id).leadership->leader_node_id(), node_id(1));
    write_many(1, 5);
  }
  expect_agreement();
  EXPECT_GE(number(3, "snapshots_installed"), 1u);
  kill(1);
  const auto next = wait_for_leader();
  write_many(next, 3);
  expect_agreement();
}

TEST_F(group_test, a_removed_manager_stops_by_itself_and_its_raft_id_does_not_come_back) {
  start_founders(3);
  const auto first = wait_for_leader();
  const raft_id gone = first == 3 ? 2 : 3;
  ASSERT_TRUE(change(first, ChangeMembership::KIND_REMOVE, gone).value);
  ASSERT_TRUE(eventually([&] { return managers.at(gone).ended->has_value(); }));
  EXPECT_EQ((*managers.at(gone).ended)->code, errc::failed_precondition);
  write_many(first, 3);
  EXPECT_EQ(change(first, ChangeMembership::KIND_ADD_LEARNER, gone).error.code, errc::failed_precondition);
  expect_agreement();
}

TEST_F(group_test, a_removal_that_would_lose_the_quorum_is_refused) {
  start_founders(3);
  const auto first = wait_for_leader();
  const raft_id dead = first == 3 ? 2 : 3;
  const raft_id alive = 6 - first - dead;
  kill(dead);
  advance(seconds{1});
  const auto refused = change(first, ChangeMembership::KIND_REMOVE, alive);
  EXPECT_EQ(refused.error.code, errc::failed_precondition);
  EXPECT_TRUE(change(first, ChangeMembership::KIND_REMOVE, dead).value) << "the dead one may go";
}

TEST_F(group_test, leadership_is_handed_over_on_request) {
  start_founders(3);
  for (int round = 0; round < 3; ++round) {
    const auto old = wait_for_leader();
    write_many(old, 2);
    const auto done = ask<LeadershipTransferred>(managers.at(old).raft, TransferLeadership{});
    ASSERT_TRUE(done.value);
    EXPECT_TRUE(done.value->done()) << done.value->message();
    EXPECT_TRUE(eventually([&] { return leader() != 0 && leader() != old; }, milliseconds{50})) << "without an election timeout";
  }
  write_many(leader(), 2);
  expect_agreement();
}

TEST_F(group_test, a_leader_without_a_majority_steps_down_and_its_writes_are_not_acknowledged) {
  start_founders(5);
  const auto old = wait_for_leader();
  write_many(old, 3);
  for (raft_id id = 1; id <= 5; ++id)
    if (id != old && id != (old % 5) + 1)
      for (const auto with : {old, (old % 5) + 1})
        net->cut(id, with);
  const auto lost = write(old);
  EXPECT_FALSE(lost->done);
  ASSERT_TRUE(eventually([&] { return !leads(old); }, seconds{1}));
  ASSERT_TRUE(lost->done);
  EXPECT_EQ(lost->error.code, errc::commit_unknown);
  const auto refused = write(old);
  ASSERT_TRUE(eventually([&] { return refused->done; }));
  EXPECT_EQ(refused->error.code, errc::not_leader);
  EXPECT_FALSE(ask<ReadIndexReached>(managers.at(old).raft, ReadIndex{}).value);
  const auto next = wait_for_leader(old);
  write_many(next, 3);
  const auto term = number(next, "term");
  net->cuts.clear();
  expect_agreement();
  EXPECT_EQ(number(leader(), "term"), term) << "those who come back do not disturb";
}

TEST_F(group_test, a_read_index_on_a_follower_reflects_what_was_acknowledged) {
  start_founders(3);
  const auto first = wait_for_leader();
  const raft_id reader = first == 1 ? 2 : 1;
  for (int i = 0; i < 10; ++i) {
    const auto done = write(first);
    ASSERT_TRUE(eventually([&] { return done->done; }));
    const auto reached = ask<ReadIndexReached>(managers.at(reader).raft, ReadIndex{});
    ASSERT_TRUE(reached.value) << reached.error.message;
    EXPECT_GE(reached.value->read_index(), done->result.log_index());
    EXPECT_GE(managers.at(reader).state->applied_index(), done->result.log_index());
  }
  net->cut(first, reader);
  EXPECT_FALSE(ask<ReadIndexReached>(managers.at(reader).raft, ReadIndex{}).value) << "nobody confirms it";
}

TEST_F(group_test, five_managers_survive_two_and_wait_for_the_third) {
  start_founders(5);
  auto now = wait_for_leader();
  write_many(now, 3);
  kill(now);
  now = wait_for_leader();
  write_many(now, 3);
  kill(now);
  now = wait_for_leader();
  write_many(now, 3);
  raft_id third = 0;
  for (const auto& [id, m] : managers)
    if (m.up && id != now)
      third = id;
  kill(third);
  const auto stuck = write(now);
  advance(seconds{2});
  EXPECT_FALSE(stuck->ok());
  EXPECT_EQ(leader(), 0u);
  start(third);
  write_many(wait_for_leader(), 3);
  for (const auto& [id, m] : managers)
    if (!m.up)
      start(id);
  expect_agreement();
}

TEST_F(short_log_test, random_cuts_and_kills_lose_nothing_that_was_acknowledged) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    random_source rng{seed};
    if (seed == 1)
      start_founders(5);
    for (int fault = 0; fault < 25; ++fault) {
      const auto who = 1 + rng.below(5);
      if (rng.chance(30))
        managers.at(who).up ? kill(who) : start(who);
      else if (rng.chance(60))
        net->cut(who, 1 + rng.below(5));
      else
        net->cuts.clear();
      for (int i = 0; i < 4; ++i) {
        const auto at = 1 + rng.below(5);
        if (const auto now = rng.chance(70) ? leader() : managers.at(at).up ? at : 0; now != 0)
          write(now, rng.below(20'000));
        advance(milliseconds{50 + static_cast<std::int64_t>(rng.below(250))}, milliseconds{25});
        note_answers();
      }
    }
    net->cuts.clear();
    for (const auto& [id, m] : managers)
      if (!m.up)
        start(id);
    write_many(wait_for_leader(), 2);
    expect_agreement();
  }
  EXPECT_GT(acknowledged.size(), 50u);
}

} // namespace
} // namespace swarm
