// When a node counts as silent.
#include "actors/dispatcher/heartbeat_core.hpp"

#include <gtest/gtest.h>

namespace swarm::dispatcher {
namespace {

instant at(int s) { return instant{seconds{s}}; }

TEST(heartbeat, a_node_is_silent_after_three_periods) {
  heartbeat_core core;
  core.beat(at(0), "a");
  EXPECT_TRUE(core.expire(at(14)).empty());
  core.beat(at(14), "a");
  EXPECT_TRUE(core.expire(at(28)).empty());
  EXPECT_EQ(core.expire(at(29)), (std::vector<silent_node>{{"a", false}}));
  EXPECT_TRUE(core.expire(at(60)).empty()) << "told once";
}

TEST(heartbeat, a_node_that_this_leader_never_heard_has_twice_the_time) {
  heartbeat_core core;
  core.expect(at(0), "a");
  core.expect(at(20), "a"); // does not move the deadline
  EXPECT_TRUE(core.expire(at(29)).empty());
  EXPECT_EQ(core.expire(at(30)), (std::vector<silent_node>{{"a", true}}));
  core.expect(at(40), "b");
  core.beat(at(41), "b");
  EXPECT_EQ(core.expire(at(56)), (std::vector<silent_node>{{"b", false}}));
}

TEST(heartbeat, a_new_period_holds_from_the_next_beat_on) {
  heartbeat_core core;
  core.beat(at(0), "a");
  core.set_period(seconds{1});
  EXPECT_TRUE(core.expire(at(14)).empty());
  core.beat(at(14), "a");
  EXPECT_EQ(core.expire(at(17)).size(), 1U);
  core.beat(at(20), "b");
  core.forget("b");
  EXPECT_TRUE(core.expire(at(99)).empty());
}

TEST(heartbeat, a_node_whose_link_broke_off_has_two_seconds_to_come_back) {
  heartbeat_core core;
  core.beat(at(0), "a");
  EXPECT_EQ(core.link_lost(at(1), "a"), at(3));
  EXPECT_EQ(core.link_lost(at(2), "a"), at(3)) << "a second loss gives no more time";
  EXPECT_TRUE(core.expire(instant{milliseconds{2'999}}).empty());
  EXPECT_EQ(core.expire(at(3)), (std::vector<silent_node>{{"a", false}}));
  EXPECT_EQ(core.link_lost(at(4), "a"), std::nullopt) << "not watched any more";
}

TEST(heartbeat, a_link_that_is_back_leaves_the_deadline_of_the_last_beat) {
  heartbeat_core core;
  core.beat(at(0), "a");
  (void)core.link_lost(at(1), "a");
  core.link_back("a");
  EXPECT_TRUE(core.expire(at(14)).empty());
  EXPECT_EQ(core.expire(at(15)).size(), 1U);
  core.beat(at(20), "b");
  (void)core.link_lost(at(21), "b");
  core.beat(at(22), "b");
  EXPECT_TRUE(core.expire(at(36)).empty()) << "a beat is as good";
}

TEST(heartbeat, the_time_to_come_back_follows_the_period_and_is_never_past_the_deadline) {
  heartbeat_core core;
  core.expect(at(0), "new");
  EXPECT_EQ(core.link_lost(at(1), "new"), at(3)) << "also for one that this leader never heard";
  core.set_period(milliseconds{400});
  core.beat(at(10), "a");
  EXPECT_EQ(core.link_lost(at(10), "a"), at(11)) << "time for a restart";
  core.set_period(milliseconds{100});
  core.beat(at(20), "b");
  EXPECT_EQ(core.link_lost(at(20), "b"), instant{milliseconds{20'300}});
}

} // namespace
} // namespace swarm::dispatcher
