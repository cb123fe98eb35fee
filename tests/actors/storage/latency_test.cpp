// Percentiles from buckets.
#include <gtest/gtest.h>

#include "actors/storage/latency.hpp"

namespace swarm::storage {
namespace {

TEST(latency, an_empty_one_is_all_zero) {
  EXPECT_EQ(latency{}.percentile(50), 0u);
  EXPECT_EQ(latency{}.max(), 0u);
}

TEST(latency, percentiles_are_at_most_six_percent_too_high_and_never_too_low) {
  latency l;
  for (std::uint64_t i = 1; i <= 100'000; ++i)
    l.add(i);
  for (const unsigned percent : {1u, 50u, 90u, 99u}) {
    const auto exact = percent * 1000u;
    EXPECT_GE(l.percentile(percent), exact);
    EXPECT_LE(l.percentile(percent), exact + exact / 16);
  }
  EXPECT_EQ(l.percentile(100), 100'000u);
  EXPECT_EQ(l.max(), 100'000u);
}

TEST(latency, extreme_values_stay_in_bounds) {
  latency l;
  l.add(0);
  l.add(UINT64_MAX);
  EXPECT_EQ(l.percentile(50), 0u);
  EXPECT_EQ(l.max(), UINT64_MAX);
  EXPECT_EQ(l.count(), 2u);
}

TEST(latency, one_value_is_every_percentile) {
  latency l;
  l.add(777);
  EXPECT_EQ(l.percentile(1), 777u);
  EXPECT_EQ(l.percentile(99), 777u);
}

} // namespace
} // namespace swarm::storage
