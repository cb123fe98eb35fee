// Addresses and subnets from texts and back, and how subnets lie to each other.
#include "messages/ipv4.hpp"

#include <gtest/gtest.h>

namespace swarm {
namespace {

TEST(ipv4_test, addresses_are_read_and_written) {
  for (const auto* text : {"0.0.0.0", "10.0.1.2", "255.255.255.255"})
    EXPECT_EQ(to_text(parse_ipv4(text).value()), text);
  EXPECT_EQ(parse_ipv4("10.0.1.2"), 0x0a000102u);
  for (const auto* text : {"", "10", "10.0.1", "10.0.1.2.3", "10.0.1.256", "10.0.01.2", " 10.0.1.2", "10.0.1.2 ", "10..1.2", "a.b.c.d",
                           "-1.0.0.0", "10.0.1.", "::1"})
    EXPECT_FALSE(parse_ipv4(text)) << text;
  EXPECT_EQ(to_text(address_of("10.0.1.2/24").value()), "10.0.1.2");
}

TEST(ipv4_test, subnets_lose_what_is_beyond_their_prefix) {
  EXPECT_EQ(to_text(parse_ipv4_subnet("10.0.1.77/24").value()), "10.0.1.0/24");
  EXPECT_EQ(to_text(parse_ipv4_subnet("10.0.1.77/0").value()), "0.0.0.0/0");
  EXPECT_EQ(to_text(parse_ipv4_subnet("10.0.1.77/32").value()), "10.0.1.77/32");
  for (const auto* text : {"", "10.0.1.0", "10.0.1.0/", "10.0.1.0/33", "10.0.1.0/024", "fd00::/64", "10.0.1.0/24/8"})
    EXPECT_FALSE(parse_ipv4_subnet(text)) << text;
}

TEST(ipv4_test, containing_and_overlapping_count_both_ends) {
  const auto net = [](const char* text) { return parse_ipv4_subnet(text).value(); };
  EXPECT_EQ(net("10.0.1.0/24").last(), parse_ipv4("10.0.1.255"));
  EXPECT_EQ(net("0.0.0.0/0").last(), 0xffffffffu);
  EXPECT_TRUE(net("10.0.1.0/24").contains(*parse_ipv4("10.0.1.255")));
  EXPECT_FALSE(net("10.0.1.0/24").contains(*parse_ipv4("10.0.2.0")));
  EXPECT_TRUE(net("10.0.0.0/8").contains(net("10.255.255.0/24")));
  EXPECT_FALSE(net("10.0.1.0/24").contains(net("10.0.0.0/8")));
  EXPECT_TRUE(net("10.0.1.0/24").overlaps(net("10.0.0.0/8")));
  EXPECT_FALSE(net("10.0.1.0/24").overlaps(net("10.0.2.0/24")));
}

} // namespace
} // namespace swarm
