// Quorums against the published vectors and against counting by hand.
#include "actors/raft/quorum.hpp"

#include <gtest/gtest.h>

#include <map>

#include "runtime/random.hpp"
#include "tests/actors/raft/vectors.hpp"

namespace swarm::raft {
namespace {

using test::items;
using test::json;
using test::member;
using test::number;

majority voters_of(const json& list) {
  majority out;
  for (const auto& id : items(list))
    out.insert(number(id));
  return out;
}

acked_index look_up(const std::map<raft_id, log_index>& acked) {
  return [&acked](raft_id id) -> std::optional<log_index> {
    const auto it = acked.find(id);
    return it == acked.end() ? std::nullopt : std::optional{it->second};
  };
}

/// The obvious way: try every acknowledged index, count who has it.
log_index count_by_hand(const majority& voters, const std::map<raft_id, log_index>& acked) {
  if (voters.empty())
    return everything;
  log_index best = 0;
  for (const auto& [candidate, index] : acked) {
    std::size_t have = 0;
    for (const auto id : voters.voters())
      if (const auto it = acked.find(id); it != acked.end() && it->second >= index)
        ++have;
    if (have > voters.voters().size() / 2)
      best = std::max(best, index);
  }
  return best;
}

TEST(quorum, published_commit_vectors_hold) {
  const auto vectors = test::read_vectors("quorum_committed.json", 66);
  if (!vectors)
    GTEST_SKIP();
  int cases = 0;
  for (const auto& v : items(*vectors)) {
    SCOPED_TRACE(member(v, "id").string_value());
    std::map<raft_id, log_index> acked;
    for (const auto& [id, index] : member(v, "acked").struct_value().fields())
      acked[std::stoull(id)] = number(index);
    const joint_majority both{voters_of(member(v, "voters")), voters_of(member(v, "voters_outgoing"))};
    const auto& expected = member(v, "expect_committed");
    const auto want = expected.has_string_value() ? everything : number(expected);
    EXPECT_EQ(both.committed(look_up(acked)), want);
    if (!member(v, "joint").bool_value()) {
      EXPECT_EQ(both.incoming.committed(look_up(acked)), want);
    }
    ++cases;
  }
  EXPECT_EQ(cases, 66);
}

TEST(quorum, published_vote_vectors_hold) {
  const auto vectors = test::read_vectors("quorum_vote.json", 61);
  if (!vectors)
    GTEST_SKIP();
  int cases = 0;
  for (const auto& v : items(*vectors)) {
    SCOPED_TRACE(member(v, "id").string_value());
    std::map<raft_id, bool> votes;
    for (const auto& [id, vote] : member(v, "votes").struct_value().fields())
      votes[std::stoull(id)] = vote.bool_value();
    const cast_vote cast = [&](raft_id id) -> std::optional<bool> {
      const auto it = votes.find(id);
      return it == votes.end() ? std::nullopt : std::optional{it->second};
    };
    const joint_majority both{voters_of(member(v, "voters")), voters_of(member(v, "voters_outgoing"))};
    static const std::map<std::string, vote_result> names{
      {"VoteWon", vote_result::won}, {"VotePending", vote_result::pending}, {"VoteLost", vote_result::lost}};
    const auto want = names.at(member(v, "expect_result").string_value());
    EXPECT_EQ(both.tally(cast), want);
    if (!member(v, "joint").bool_value()) {
      EXPECT_EQ(both.incoming.tally(cast), want);
    }
    ++cases;
  }
  EXPECT_EQ(cases, 61);
}

class random_quorum {
public:
  explicit random_quorum(random_source& rng) {
    voters = draw(rng);
    other = draw(rng);
    for (raft_id id = 1; id <= 12; ++id)
      if (rng.chance(70))
        acked[id] = rng.below(rng.chance(50) ? 10 : 1'000'000);
  }
  majority voters;
  majority other;
  std::map<raft_id, log_index> acked;

private:
  static majority draw(random_source& rng) {
    majority out;
    for (auto left = rng.below(10); left > 0; --left)
      out.insert(1 + rng.below(12));
    return out;
  }
};

TEST(quorum, sorting_agrees_with_counting_on_fifty_thousand_random_groups) {
  random_source rng{20'240'601};
  for (int i = 0; i < 50'000; ++i) {
    const random_quorum q{rng};
    const auto acked = look_up(q.acked);
    const auto plain = q.voters.committed(acked);
    ASSERT_EQ(plain, count_by_hand(q.voters, q.acked)) << "case " << i;
    ASSERT_EQ((joint_majority{q.voters, {}}.committed(acked)), plain) << "joint with nobody is plain";
    ASSERT_EQ((joint_majority{q.voters, q.voters}.committed(acked)), plain) << "joint with itself is plain";
    ASSERT_EQ((joint_majority{q.voters, q.other}.committed(acked)), (joint_majority{q.other, q.voters}.committed(acked)));
    ASSERT_LE((joint_majority{q.voters, q.other}.committed(acked)), plain);
  }
}

TEST(quorum, lowering_an_index_that_is_above_the_result_changes_nothing) {
  random_source rng{7};
  for (int i = 0; i < 5'000; ++i) {
    random_quorum q{rng};
    const auto before = q.voters.committed(look_up(q.acked));
    for (auto& [id, index] : q.acked) {
      if (index <= before)
        continue;
      const auto kept = std::exchange(index, before);
      ASSERT_EQ(q.voters.committed(look_up(q.acked)), before) << "case " << i;
      index = kept;
    }
  }
}

TEST(quorum, a_vote_is_won_lost_or_open_as_counted_by_hand) {
  random_source rng{11};
  for (int i = 0; i < 20'000; ++i) {
    majority voters;
    for (auto left = rng.below(9); left > 0; --left)
      voters.insert(1 + rng.below(12));
    std::map<raft_id, bool> votes;
    for (raft_id id = 1; id <= 12; ++id)
      if (rng.chance(60))
        votes[id] = rng.chance(50);
    std::size_t yes = 0;
    std::size_t no = 0;
    for (const auto id : voters.voters())
      if (const auto it = votes.find(id); it != votes.end())
        ++(it->second ? yes : no);
    const auto size = voters.voters().size();
    const auto want = size == 0 || yes > size / 2 ? vote_result::won
                      : 2 * no >= size            ? vote_result::lost
                                                  : vote_result::pending;
    const auto got = voters.tally([&](raft_id id) -> std::optional<bool> {
      const auto it = votes.find(id);
      return it == votes.end() ? std::nullopt : std::optional{it->second};
    });
    ASSERT_EQ(got, want) << "case " << i;
  }
}

} // namespace
} // namespace swarm::raft
