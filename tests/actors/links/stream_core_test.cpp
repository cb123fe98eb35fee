// Numbers of log streams of one peer.
#include "actors/links/stream_core.hpp"

#include <gtest/gtest.h>

namespace swarm::links {
namespace {

TEST(stream_core, the_same_number_of_two_kinds_gets_two_local_ones) {
  stream_core streams{1000, 10};
  const auto a = streams.open({stream_kind::agent, 1}), b = streams.open({stream_kind::logs, 1});
  ASSERT_TRUE(a && b);
  EXPECT_NE(*a, *b);
  EXPECT_GE(std::min(*a, *b), 1000U);
  EXPECT_EQ(streams.local({stream_kind::logs, 1}), b);
  EXPECT_EQ(streams.theirs(*a), (stream_core::remote{stream_kind::agent, 1}));
}

TEST(stream_core, a_number_in_use_and_one_too_many_are_refused) {
  stream_core streams{1, 2};
  EXPECT_TRUE(streams.open({stream_kind::logs, 5}));
  EXPECT_FALSE(streams.open({stream_kind::logs, 5}));
  EXPECT_TRUE(streams.open({stream_kind::logs, 6}));
  EXPECT_FALSE(streams.open({stream_kind::logs, 7}));
  streams.close(*streams.local({stream_kind::logs, 5}));
  EXPECT_TRUE(streams.open({stream_kind::logs, 5}));
}

TEST(stream_core, closed_streams_are_forgotten_and_their_local_numbers_not_used_again) {
  stream_core streams{1, 10};
  const auto first = *streams.open({stream_kind::logs, 5});
  streams.close(first);
  streams.close(first);
  EXPECT_FALSE(streams.theirs(first));
  EXPECT_FALSE(streams.local({stream_kind::logs, 5}));
  EXPECT_NE(*streams.open({stream_kind::logs, 5}), first);
  EXPECT_EQ(streams.size(), 1U);
  EXPECT_EQ(streams.all().size(), 1U);
}

} // namespace
} // namespace swarm::links
