// Addresses and tokens of `swarm join`.
#include "actors/node/join_plan.hpp"

#include <gtest/gtest.h>

namespace swarm::node {
namespace {

const std::string good_token = ca::make_join_token("a root");
const std::vector<host_address> two_interfaces{{"lo", "127.0.0.1", true, false}, {"eth0", "10.0.0.5", false, false},
                                               {"eth1", "192.168.1.5", false, false}};

JoinSwarm request(const std::string& remote = "10.0.0.1:2377", const std::string& token = good_token) {
  JoinSwarm out;
  out.set_listen_addr("0.0.0.0:2377");
  out.add_remote_addrs(remote);
  out.set_join_token(token);
  return out;
}

join_plan plan(const JoinSwarm& r) { return plan_join(r, two_interfaces, "", ""); }

TEST(join_plan, what_cannot_be_told_is_left_open) {
  const auto out = plan(request());
  ASSERT_TRUE(out.problem.ok()) << out.problem.message;
  EXPECT_EQ(out.listen_addr, "0.0.0.0:2377");
  EXPECT_EQ(out.advertise_addr, "") << "found on the way to the manager";
  EXPECT_EQ(out.remote_addrs, std::vector<std::string>{"10.0.0.1:2377"});
}

TEST(join_plan, an_advertised_address_may_be_an_interface) {
  auto r = request();
  r.set_advertise_addr("eth1");
  EXPECT_EQ(plan(r).advertise_addr, "192.168.1.5:2377");
  r.set_advertise_addr("eth7");
  EXPECT_EQ(plan(r).problem.code, errc::invalid_argument);
  r.clear_advertise_addr();
  r.set_listen_addr("10.0.0.5:4000");
  EXPECT_EQ(plan(r).advertise_addr, "10.0.0.5:4000");
}

TEST(join_plan, managers_may_be_named_without_a_port) {
  EXPECT_EQ(plan(request("10.0.0.1")).remote_addrs[0], "10.0.0.1:2377");
  EXPECT_EQ(plan(request("fd00::1")).remote_addrs[0], "[fd00::1]:2377");
  EXPECT_EQ(plan(request("[fd00::1]:99")).remote_addrs[0], "[fd00::1]:99");
  EXPECT_EQ(plan(request("[fd00::1]")).remote_addrs[0], "[fd00::1]:2377");
  EXPECT_EQ(plan(request("manager.example")).remote_addrs[0], "manager.example:2377");
}

TEST(join_plan, refusals) {
  EXPECT_EQ(plan(request("10.0.0.1:2377", "SWMTKN-1-x")).problem, (failure{errc::internal, "invalid join token"}));
  auto none = request();
  none.clear_remote_addrs();
  EXPECT_EQ(plan(none).problem, (failure{errc::invalid_argument, "at least 1 RemoteAddr is required to join"}));
  EXPECT_EQ(plan(request(" ")).problem, (failure{errc::invalid_argument, "invalid RemoteAddr \"\": invalid empty address"}));
  auto no_listen = request();
  no_listen.clear_listen_addr();
  EXPECT_EQ(plan(no_listen).problem, (failure{errc::invalid_argument, "invalid ListenAddr \"\": invalid empty address"}));
  no_listen.set_listen_addr("nonsense");
  EXPECT_EQ(plan(no_listen).problem,
            (failure{errc::invalid_argument, "listen address must be an IP address or network interface (with optional port number)"}));
}

} // namespace
} // namespace swarm::node
