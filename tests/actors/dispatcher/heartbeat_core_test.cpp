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

} // namespace
} // namespace swarm::dispatcher
