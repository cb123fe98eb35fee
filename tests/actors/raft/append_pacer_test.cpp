// When writes begin: at once for one proposer, with a crowd for many.
#include "actors/raft/append_pacer.hpp"

#include <gtest/gtest.h>

namespace swarm::raft {
namespace {

constexpr instant at(int us) { return instant{microseconds{us}}; }

/// `rounds` writes of 400 us after each of which so many commands come at once.
int write_crowds(append_pacer& pacer, int from, int rounds, std::size_t entries) {
  for (int i = 0; i < rounds; ++i, from += 1000) {
    pacer.began(at(from), entries);
    pacer.ended(at(from + 400));
  }
  return from;
}

TEST(append_pacer, one_write_at_a_time) {
  append_pacer pacer;
  EXPECT_FALSE(pacer.may_begin(at(0), 0)) << "nothing to write";
  EXPECT_TRUE(pacer.may_begin(at(0), 1));
  pacer.began(at(0), 1);
  EXPECT_FALSE(pacer.may_begin(at(0), 100));
  EXPECT_EQ(pacer.ask_again(at(0)), std::nullopt) << "the end of the write will tell";
  EXPECT_EQ(pacer.in_flight(), 1u);
  pacer.ended(at(500));
  EXPECT_EQ(pacer.in_flight(), 0u);
}

TEST(append_pacer, a_proposer_that_is_alone_never_waits) {
  append_pacer pacer;
  for (int i = 0; i < 100; ++i) {
    pacer.began(at(i * 1000), 1 + static_cast<std::size_t>(i % 2));
    pacer.ended(at(i * 1000 + 700));
    EXPECT_TRUE(pacer.may_begin(at(i * 1000 + 700), 1));
    EXPECT_EQ(pacer.ask_again(at(i * 1000 + 700)), std::nullopt);
  }
}

TEST(append_pacer, after_a_write_for_many_the_next_waits_for_a_crowd_but_not_for_ever) {
  append_pacer pacer;
  pacer.began(at(0), 5);
  pacer.ended(at(400));
  EXPECT_FALSE(pacer.may_begin(at(400), 2));
  EXPECT_TRUE(pacer.may_begin(at(400), 3)) << "a crowd, to begin with";
  EXPECT_FALSE(pacer.may_begin(at(1599), 2));
  EXPECT_TRUE(pacer.may_begin(at(1600), 1)) << "three times what the write took";
  EXPECT_EQ(pacer.ask_again(at(1600)), std::nullopt);
}

TEST(append_pacer, a_slow_disk_does_not_make_the_pause_long) {
  append_pacer pacer;
  pacer.began(at(0), 30);
  pacer.ended(at(80'000));
  EXPECT_FALSE(pacer.may_begin(at(82'999), 1));
  EXPECT_TRUE(pacer.may_begin(at(83'000), 1));
}

TEST(append_pacer, it_is_asked_again_after_the_pause_but_seldom) {
  append_pacer pacer{{.pause_max = milliseconds{20}, .look_again = milliseconds{3}}};
  pacer.began(at(0), 5);
  pacer.ended(at(400));
  EXPECT_EQ(pacer.ask_again(at(500)), at(3500)) << "the pause ends at 1600";
  pacer.began(at(500), 5);
  pacer.ended(at(5500));
  EXPECT_EQ(pacer.ask_again(at(6000)), at(20'500));
}

TEST(append_pacer, the_crowd_grows_while_it_comes_together) {
  append_pacer pacer;
  auto now = write_crowds(pacer, 0, 9, 5);
  EXPECT_EQ(pacer.crowd(), 4u) << "eight times three were there";
  now = write_crowds(pacer, now, 8, 5);
  EXPECT_EQ(pacer.crowd(), 5u);
  EXPECT_FALSE(pacer.may_begin(at(now - 500), 4));
  EXPECT_TRUE(pacer.may_begin(at(now - 500), 5));
  now = write_crowds(pacer, now, 1000, 40);
  EXPECT_EQ(pacer.crowd(), 16u) << "no crowd need be larger";
}

TEST(append_pacer, the_crowd_shrinks_to_those_who_come) {
  append_pacer pacer;
  auto now = write_crowds(pacer, 0, 1000, 40);
  now = write_crowds(pacer, now, 1, 7); // the sixteen did not come in time
  EXPECT_EQ(pacer.crowd(), 7u);
  now = write_crowds(pacer, now, 1, 1);
  EXPECT_EQ(pacer.crowd(), 3u);
  EXPECT_TRUE(pacer.may_begin(at(now), 1)) << "the last write served one";
}

TEST(append_pacer, several_writes_end_in_the_order_in_which_they_began) {
  append_pacer pacer{{.in_flight_max = 2}};
  pacer.began(at(0), 9);
  EXPECT_TRUE(pacer.may_begin(at(100), 1));
  pacer.began(at(100), 1);
  EXPECT_FALSE(pacer.may_begin(at(100), 1));
  pacer.ended(at(300));
  EXPECT_EQ(pacer.ask_again(at(300)), at(3300)) << "nine were served in 300 us";
  pacer.ended(at(400));
  EXPECT_TRUE(pacer.may_begin(at(400), 1)) << "the last write served one";
}

} // namespace
} // namespace swarm::raft
