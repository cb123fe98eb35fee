// Flow control towards one follower.
#include "actors/raft/progress.hpp"

#include <gtest/gtest.h>

namespace swarm::raft {
namespace {

TEST(inflight_window, is_full_at_its_bound_of_messages) {
  inflight_window window{2, 1000};
  window.add(5, 10);
  EXPECT_FALSE(window.full());
  window.add(6, 10);
  EXPECT_TRUE(window.full());
  window.free_to(5);
  EXPECT_FALSE(window.full());
  EXPECT_EQ(window.bytes(), 10u);
}

TEST(inflight_window, is_full_at_its_bound_of_bytes) {
  inflight_window window{100, 50};
  window.add(5, 30);
  EXPECT_FALSE(window.full());
  window.add(6, 30);
  EXPECT_TRUE(window.full());
  window.free_to(6);
  EXPECT_EQ(window.messages(), 0u);
  EXPECT_EQ(window.bytes(), 0u);
}

TEST(progress, a_probe_is_blocked_until_it_is_answered) {
  progress follower{10, 4, 1000};
  follower.paused = true;
  EXPECT_TRUE(follower.blocked());
  EXPECT_TRUE(follower.refused(9, 5));
  EXPECT_EQ(follower.next, 5u);
  EXPECT_FALSE(follower.blocked());
}

TEST(progress, an_answer_to_an_earlier_probe_is_ignored) {
  progress follower{10, 4, 1000};
  EXPECT_FALSE(follower.refused(7, 3));
  EXPECT_EQ(follower.next, 10u);
}

TEST(progress, next_never_falls_to_what_was_acknowledged) {
  progress follower{10, 4, 1000};
  EXPECT_TRUE(follower.acknowledged(6));
  follower.become_probe();
  EXPECT_EQ(follower.next, 7u);
  EXPECT_TRUE(follower.refused(6, 2));
  EXPECT_EQ(follower.next, 7u);
}

TEST(progress, a_replicating_follower_cannot_refuse_what_it_acknowledged) {
  progress follower{10, 4, 1000};
  follower.acknowledged(9);
  follower.become_replicate();
  EXPECT_FALSE(follower.refused(9, 3));
  EXPECT_TRUE(follower.refused(12, 10));
  EXPECT_EQ(follower.next, 10u);
}

TEST(progress, nothing_is_sent_while_a_snapshot_is) {
  progress follower{10, 4, 1000};
  follower.become_snapshot();
  EXPECT_TRUE(follower.blocked());
}

} // namespace
} // namespace swarm::raft
