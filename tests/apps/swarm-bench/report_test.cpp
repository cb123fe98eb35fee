// Medians, numbers and the table: a benchmark that computes its ratios wrongly is worse than none.
#include "apps/swarm-bench/report.hpp"

#include <gtest/gtest.h>

#include "apps/swarm-bench/api_client.hpp"

namespace swarm::bench {
namespace {

TEST(report, median_and_percentile) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  std::vector<double> hundred;
  for (int i = 0; i < 100; ++i)
    hundred.push_back(i);
  EXPECT_EQ(percentile(hundred, 50), 50);
  EXPECT_EQ(percentile(hundred, 99), 99);
  EXPECT_EQ(percentile(hundred, 100), 99);
  EXPECT_EQ(percentile({}, 50), 0);
}

TEST(report, numbers_are_short) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(12345.6), "12346");
  EXPECT_EQ(short_number(123.4), "123");
  EXPECT_EQ(short_number(12.34), "12.3");
  EXPECT_EQ(short_number(1.234), "1.23");
  EXPECT_EQ(short_number(0.01234), "0.0123");
}

TEST(report, json_line) {
  EXPECT_EQ(to_json({"write-service", "8 clients", "ours", 2, {{"per_s", 1234.5, true}, {"p50_ms", 0.25}}, ""}),
            R"({"row":"write-service","what":"8 clients","side":"ours","round":2,"per_s":1234.5,"p50_ms":0.25})");
  EXPECT_EQ(to_json({"idle", "", "peer", 1, {}, "no \"pid\""}),
            R"({"row":"idle","what":"","side":"peer","round":1,"error":"no \"pid\""})");
}

TEST(report, the_table_has_medians_and_says_how_many_times_ours_is_better) {
  const auto text = table({
      {"write", "1 client", "peer", 1, {{"per_s", 100, true}, {"p50_ms", 9}}, ""},
      {"write", "1 client", "ours", 1, {{"per_s", 400, true}, {"p50_ms", 3}}, ""},
      {"write", "1 client", "ours", 2, {{"per_s", 600, true}, {"p50_ms", 3}}, ""},
      {"idle", "", "ours", 1, {{"rss_mb", 30}}, ""},
      {"idle", "", "peer", 1, {}, "gone"},
  });
  EXPECT_EQ(text, "| row | metric | peer | ours | ours is better by |\n"
                  "|---|---|---|---|---|\n"
                  "| write, 1 client | per_s | 100 | 500 | 5.00x |\n"
                  "| write, 1 client | p50_ms | 9.00 | 3.00 | 3.00x |\n"
                  "| idle | rss_mb |  | 30.0 |  |\n"
                  "\nNot measured:\nidle (peer, round 1): gone\n");
}

TEST(api_text, first_values_of_a_key) {
  const auto json = R"([{"ID":"abc","ServiceStatus":{"RunningTasks":12,"DesiredTasks": 3}}])";
  EXPECT_EQ(text_of(json, "ID"), "abc");
  EXPECT_EQ(text_of(json, "None"), "");
  EXPECT_EQ(number_of(json, "RunningTasks"), 12);
  EXPECT_EQ(number_of(json, "DesiredTasks"), 3);
  EXPECT_EQ(number_of(json, "None"), -1);
}

} // namespace
} // namespace swarm::bench
