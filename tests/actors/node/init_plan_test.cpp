// What `swarm init` accepts, chooses and refuses.
#include "actors/node/init_plan.hpp"

#include <gtest/gtest.h>

namespace swarm::node {
namespace {

const std::vector<host_address> one_card{{"lo", "127.0.0.1", true, false}, {"eth0", "10.0.0.5", false, false}};

init_plan plan(const InitSwarm& request, const std::vector<host_address>& addresses = one_card) {
  return plan_init(request, addresses, "0.0.0.0:2377", "");
}

TEST(init_plan, one_system_address_is_advertised_without_being_asked_for) {
  const auto p = plan({});
  ASSERT_TRUE(p.problem.ok()) << p.problem.message;
  EXPECT_EQ(p.listen_addr, "0.0.0.0:2377");
  EXPECT_EQ(p.advertise_addr, "10.0.0.5:2377");
  EXPECT_EQ(p.subnet_size, 24u);
  EXPECT_EQ(p.data_path_port, 4789u);
  EXPECT_EQ(p.default_addr_pool, std::vector<std::string>{"10.0.0.0/8"});
}

TEST(init_plan, defaults_are_swarms_and_given_fields_win) {
  InitSwarm request;
  request.mutable_spec()->mutable_orchestration()->set_task_history_retention_limit(2);
  const auto p = plan(request);
  EXPECT_EQ(p.spec.orchestration().task_history_retention_limit(), 2);
  EXPECT_EQ(p.spec.raft().snapshot_interval(), 10'000u);
  EXPECT_EQ(p.spec.dispatcher().heartbeat_period(), 5'000'000'000);
  EXPECT_EQ(p.spec.ca_config().node_cert_expiry(), 7'776'000'000'000'000);
  EXPECT_EQ(p.spec.name(), "default");
}

TEST(init_plan, several_addresses_are_not_guessed_between) {
  const auto same = plan({}, {{"eth0", "10.0.0.5", false, false}, {"eth0", "10.0.0.6", false, false}});
  EXPECT_EQ(same.problem.message, "could not choose an IP address to advertise since this system has multiple addresses on "
                                  "interface eth0 (10.0.0.5 and 10.0.0.6) - specify one with --advertise-addr");
  const auto different = plan({}, {{"eth0", "10.0.0.5", false, false}, {"eth1", "10.1.0.6", false, false}});
  EXPECT_EQ(different.problem.message, "could not choose an IP address to advertise since this system has multiple addresses on "
                                       "different interfaces (10.0.0.5 on eth0 and 10.1.0.6 on eth1) - specify one with --advertise-addr");
  EXPECT_EQ(plan({}, {{"lo", "127.0.0.1", true, false}}).problem.message,
            "could not find the system's IP address - specify one with --advertise-addr");
}

struct address_case {
  const char* listen;
  const char* advertise;
  const char* expected_listen; // or the error when expected_advertise is null
  const char* expected_advertise;
};

TEST(init_plan, the_address_of_a_node_has_neither_port_nor_brackets) {
  for (const auto* ip : {"10.0.0.9", "::1", "fd00::1:2"})
    EXPECT_EQ(host_of(join_host_port(ip, 2377)), ip);
  EXPECT_EQ(host_of(""), "");
}

TEST(init_plan, addresses_may_be_ips_ports_or_interfaces) {
  const address_case cases[] = {
    {"", "10.0.0.9", "0.0.0.0:2377", "10.0.0.9:2377"},
    {"", "10.0.0.9:4000", "0.0.0.0:2377", "10.0.0.9:4000"},
    {"10.0.0.5:3000", "", "10.0.0.5:3000", "10.0.0.5:3000"},
    {"eth0", "", "10.0.0.5:2377", "10.0.0.5:2377"},
    {"eth0:99", "lo", "10.0.0.5:99", "127.0.0.1:99"},
    {"[::1]:7", "", "[::1]:7", "[::1]:7"},
    {"", "0.0.0.0", "advertise address must be a non-zero IP address or network interface (with optional port number)", nullptr},
    {"", "no such card", "advertise address must be a non-zero IP address or network interface (with optional port number)", nullptr},
    {"10.0.0.5:port", "", "listen address must be an IP address or network interface (with optional port number)", nullptr},
    {"10.0.0.5:99999", "", "listen address must be an IP address or network interface (with optional port number)", nullptr},
    {"nope0", "", "listen address must be an IP address or network interface (with optional port number)", nullptr},
  };
  for (const auto& c : cases) {
    InitSwarm request;
    request.set_listen_addr(c.listen);
    request.set_advertise_addr(c.advertise);
    const auto p = plan(request);
    if (c.expected_advertise == nullptr) {
      EXPECT_EQ(p.problem.message, c.expected_listen);
      continue;
    }
    EXPECT_TRUE(p.problem.ok()) << p.problem.message;
    EXPECT_EQ(p.listen_addr, c.expected_listen);
    EXPECT_EQ(p.advertise_addr, c.expected_advertise);
  }
}

TEST(init_plan, refusals_are_in_dockers_words) {
  InitSwarm request;
  request.set_subnet_size(30);
  EXPECT_EQ(plan(request).problem, (failure{errc::internal, "subnet size is out of range: 30"}));
  request.set_subnet_size(20);
  request.add_default_addr_pool("10.0.0.0/24");
  EXPECT_EQ(plan(request).problem.message, "invalid CIDR: \"10.0.0.0/24\". Subnet size is too small for pool: 20");
  request.clear_default_addr_pool();
  request.set_data_path_port(80);
  EXPECT_EQ(plan(request).problem.message, "Datapath port number is not in valid range (1024-49151) : 80");
  request.set_data_path_port(0);
  request.mutable_spec()->mutable_ca_config()->set_node_cert_expiry(1);
  EXPECT_EQ(plan(request).problem.message, "minimum certificate expiry time is: 1h0m0s");
  request.mutable_spec()->Clear();
  request.mutable_spec()->set_name("mine");
  EXPECT_EQ(plan(request).problem.message, "swarm spec must be named \"default\"");
}

TEST(leave_warning, tells_the_last_manager_that_all_is_lost) {
  EXPECT_EQ(leave_warning(1, 1, true),
            "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager "
            "erases all current state of the swarm. Use `--force` to ignore this message. ");
  EXPECT_NE(leave_warning(3, 3, true).find("force-new-cluster"), std::string::npos);
}

} // namespace
} // namespace swarm::node
