// The log in memory: appending, cutting, compacting, and where two logs may begin to match.
#include "actors/raft/raft_log.hpp"

#include <gtest/gtest.h>

namespace swarm::raft {
namespace {

entry_ptr entry(log_index index, term_number term) {
  auto e = std::make_shared<Entry>();
  e->set_log_index(index);
  e->set_term(term);
  e->set_data("x");
  return e;
}

raft_log log_of(log_index base, term_number base_term, std::vector<term_number> terms) {
  raft_log log{base, base_term};
  for (const auto term : terms)
    log.append(entry(log.last_index() + 1, term));
  return log;
}

TEST(raft_log, knows_the_terms_from_its_base_to_its_end_and_no_others) {
  const auto log = log_of(10, 2, {2, 3});
  EXPECT_FALSE(log.term_at(9));
  EXPECT_EQ(log.term_at(10), 2u);
  EXPECT_EQ(log.term_at(12), 3u);
  EXPECT_FALSE(log.term_at(13));
}

TEST(raft_log, is_compared_by_term_first_and_length_second) {
  const auto log = log_of(0, 0, {1, 1, 3});
  EXPECT_TRUE(log.is_up_to_date(3, 3));
  EXPECT_TRUE(log.is_up_to_date(1, 4));
  EXPECT_FALSE(log.is_up_to_date(9, 2));
  EXPECT_FALSE(log.is_up_to_date(2, 3));
}

TEST(raft_log, skips_a_whole_term_when_looking_for_a_match) {
  const auto log = log_of(0, 0, {1, 1, 4, 4, 4});
  EXPECT_EQ(log.last_not_above(5, 3).index, 2u);
  EXPECT_EQ(log.last_not_above(5, 3).term, 1u);
  EXPECT_EQ(log.last_not_above(9, 4).index, 5u);
  EXPECT_EQ(log.last_not_above(5, 0).index, 0u);
}

TEST(raft_log, compaction_keeps_the_term_that_matching_needs) {
  auto log = log_of(0, 0, {1, 2, 3});
  log.compact_to(2);
  EXPECT_EQ(log.base_index(), 2u);
  EXPECT_EQ(log.base_term(), 2u);
  EXPECT_EQ(log.first_index(), 3u);
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(log.bytes(), entry_size(*entry(3, 3)));
}

TEST(raft_log, truncation_and_reset_account_for_every_byte) {
  auto log = log_of(0, 0, {1, 2, 3});
  log.truncate_from(2);
  EXPECT_EQ(log.last_index(), 1u);
  EXPECT_EQ(log.bytes(), entry_size(*entry(1, 1)));
  log.reset(20, 7);
  EXPECT_EQ(log.last_index(), 20u);
  EXPECT_EQ(log.last_term(), 7u);
  EXPECT_EQ(log.bytes(), 0u);
}

} // namespace
} // namespace swarm::raft
