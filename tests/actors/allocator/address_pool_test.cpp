// Which address comes next.
#include "actors/allocator/address_pool.hpp"

#include <gtest/gtest.h>

namespace swarm {
namespace {

Network network(const std::string& subnet, const std::string& gateway, const std::string& range = {}) {
  Network out;
  auto& ipam = *out.add_ipam();
  ipam.set_subnet(subnet);
  ipam.set_gateway(gateway);
  ipam.set_ip_range(range);
  return out;
}

std::string next(allocator::address_pool& pool) {
  const auto got = pool.take();
  return got ? pool.text_of(*got) : "none";
}
ipv4 at(const char* text) { return parse_ipv4(text).value(); }

TEST(address_pool_test, addresses_come_in_order_without_network_gateway_and_broadcast) {
  allocator::address_pool pool{network("10.0.1.0/29", "10.0.1.1")};
  for (const auto* expected : {"10.0.1.2/29", "10.0.1.3/29", "10.0.1.4/29", "10.0.1.5/29", "10.0.1.6/29", "none", "none"})
    EXPECT_EQ(next(pool), expected);
  EXPECT_EQ(pool.taken(), 5u);
}

TEST(address_pool_test, what_was_given_back_comes_last) {
  allocator::address_pool pool{network("10.0.1.0/29", "10.0.1.1")};
  EXPECT_EQ(next(pool), "10.0.1.2/29");
  EXPECT_TRUE(pool.release(at("10.0.1.2")));
  EXPECT_FALSE(pool.release(at("10.0.1.2")));
  for (const auto* expected : {"10.0.1.3/29", "10.0.1.4/29", "10.0.1.5/29", "10.0.1.6/29", "10.0.1.2/29", "none"})
    EXPECT_EQ(next(pool), expected);
  pool.release(at("10.0.1.4"));
  EXPECT_EQ(next(pool), "10.0.1.4/29");
}

TEST(address_pool_test, a_gateway_in_the_middle_and_auxiliary_addresses_are_left_out) {
  auto n = network("10.0.1.0/29", "10.0.1.3");
  (*n.mutable_ipam(0)->mutable_auxiliary_addresses())["router"] = "10.0.1.5";
  allocator::address_pool pool{n};
  for (const auto* expected : {"10.0.1.1/29", "10.0.1.2/29", "10.0.1.4/29", "10.0.1.6/29", "none"})
    EXPECT_EQ(next(pool), expected);
}

TEST(address_pool_test, a_range_bounds_what_is_given_and_a_second_subnet_follows_the_first) {
  auto n = network("10.0.1.0/24", "10.0.1.1", "10.0.1.128/31");
  n.add_ipam()->set_subnet("10.9.0.0/30");
  n.mutable_ipam(1)->set_gateway("10.9.0.1");
  allocator::address_pool pool{n};
  for (const auto* expected : {"10.0.1.128/24", "10.0.1.129/24", "10.9.0.2/30", "none"})
    EXPECT_EQ(next(pool), expected);
  EXPECT_EQ(pool.subnets(), "10.0.1.0/24, 10.9.0.0/30");
}

TEST(address_pool_test, after_a_leader_change_it_goes_on_behind_what_is_held) {
  allocator::address_pool pool{network("10.0.1.0/29", "10.0.1.1")};
  pool.hold(at("10.0.1.4"));
  pool.hold(at("10.0.1.2"));
  for (const auto* expected : {"10.0.1.5/29", "10.0.1.6/29", "10.0.1.3/29", "none"})
    EXPECT_EQ(next(pool), expected);
}

TEST(address_pool_test, a_full_wide_network_is_told_apart_quickly) {
  allocator::address_pool pool{network("10.0.0.0/16", "10.0.0.1")};
  for (int i = 0; i < 65533; ++i)
    ASSERT_TRUE(pool.take());
  EXPECT_FALSE(pool.take());
  pool.release(at("10.0.128.7"));
  EXPECT_EQ(next(pool), "10.0.128.7/16");
}

TEST(address_pool_test, a_network_without_subnets_gives_nothing) {
  allocator::address_pool pool{Network{}};
  EXPECT_EQ(next(pool), "none");
  EXPECT_EQ(pool.text_of(at("10.0.0.1")), "10.0.0.1/32");
}

} // namespace
} // namespace swarm
