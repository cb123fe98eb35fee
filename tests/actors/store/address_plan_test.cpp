// VNIs and subnets of new networks: first fit, what is wished for, and what is refused.
#include <gtest/gtest.h>

#include <functional>

#include "actors/store/store_core.hpp"
#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

struct address_plan_test : testing::Test {
  store::core core;
  std::uint64_t index = 0;

  store::applied apply(Command c) { return core.apply(++index, std::move(c)); }
  void pools(std::vector<std::string> all, std::uint32_t size) {
    Cluster cluster;
    cluster.set_id("c");
    for (auto& pool : all)
      cluster.add_default_addr_pool(std::move(pool));
    cluster.set_subnet_size(size);
    apply(command([&](StoreAction& a) { *a.mutable_put_cluster()->mutable_cluster() = cluster; }));
  }
  std::string create(const std::string& name, const std::function<void(Network&)>& change = [](Network&) {}) {
    auto c = create_network("id-" + name, name);
    change(*c.mutable_actions(0)->mutable_put_network()->mutable_network());
    const auto out = apply(c);
    if (out.result.code() != 0)
      return out.result.message();
    const auto& network = out.events.networks(0).network();
    std::string text = std::to_string(network.vni());
    for (const auto& ipam : network.ipam())
      text += " " + ipam.subnet() + " " + ipam.gateway();
    return text;
  }
  static std::function<void(Network&)> with(const std::string& subnet, const std::string& gateway = {}) {
    return [=](Network& n) {
      auto& ipam = *n.mutable_spec()->mutable_ipam()->add_config();
      ipam.set_subnet(subnet);
      ipam.set_gateway(gateway);
    };
  }
};

TEST_F(address_plan_test, networks_get_the_first_free_subnet_and_vni_and_what_is_removed_is_used_again) {
  EXPECT_EQ(create("a"), "4096 10.0.0.0/24 10.0.0.1");
  EXPECT_EQ(create("b"), "4097 10.0.1.0/24 10.0.1.1");
  EXPECT_EQ(create("c"), "4098 10.0.2.0/24 10.0.2.1");
  apply(command([](StoreAction& a) { a.mutable_remove_network()->set_id("id-b"); }));
  EXPECT_EQ(create("d"), "4097 10.0.1.0/24 10.0.1.1");
}

TEST_F(address_plan_test, the_cluster_says_from_which_pools_and_in_which_size) {
  pools({"10.20.0.0/30", "192.168.0.0/23"}, 24);
  EXPECT_EQ(create("a"), "4096 192.168.0.0/24 192.168.0.1") << "the first pool is smaller than a subnet";
  EXPECT_EQ(create("b"), "4097 192.168.1.0/24 192.168.1.1");
  EXPECT_EQ(create("c"), "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network");
}

TEST_F(address_plan_test, a_given_subnet_is_taken_and_walked_around) {
  EXPECT_EQ(create("given", with("10.0.0.128/25")), "4096 10.0.0.128/25 10.0.0.129");
  EXPECT_EQ(create("wide", with("10.0.2.0/23", "10.0.3.254")), "4097 10.0.2.0/23 10.0.3.254");
  EXPECT_EQ(create("a"), "4098 10.0.1.0/24 10.0.1.1");
  EXPECT_EQ(create("b"), "4099 10.0.4.0/24 10.0.4.1");
}

TEST_F(address_plan_test, what_overlaps_is_refused) {
  EXPECT_EQ(create("a", with("10.1.0.0/16")), "4096 10.1.0.0/16 10.1.0.1");
  EXPECT_EQ(create("b", with("10.1.2.0/24")), "Pool overlaps with other one on this address space");
  EXPECT_EQ(create("c", with("10.0.0.0/8")), "Pool overlaps with other one on this address space");
  const auto twice = [](Network& n) {
    with("10.2.0.0/24")(n);
    with("10.2.0.128/25")(n);
  };
  EXPECT_EQ(create("d", twice), "Pool overlaps with other one on this address space");
  EXPECT_EQ(create("e", with("nonsense")), "ipam configuration: invalid subnet nonsense");
}

TEST_F(address_plan_test, a_vni_can_be_chosen_once) {
  const auto chosen = [](const std::string& vni) {
    return [=](Network& n) { (*n.mutable_spec()->mutable_options())["com.docker.network.driver.overlay.vxlanid_list"] = vni; };
  };
  EXPECT_EQ(create("a", chosen("4097")), "4097 10.0.0.0/24 10.0.0.1");
  EXPECT_EQ(create("b"), "4096 10.0.1.0/24 10.0.1.1");
  EXPECT_EQ(create("c"), "4098 10.0.2.0/24 10.0.2.1");
  EXPECT_EQ(create("d", chosen("4097")), "vxlan id 4097 is already in use by another network");
  for (const auto* bad : {"", "x", "0", "16777216", "5,6"})
    EXPECT_EQ(create("e", chosen(bad)),
              std::string{"invalid vxlan id "} + bad + " passed in com.docker.network.driver.overlay.vxlanid_list");
}

TEST_F(address_plan_test, a_predefined_network_and_an_update_get_nothing_new) {
  EXPECT_EQ(create("host", [](Network& n) { n.set_predefined(true); }), "0");
  create("a");
  auto update = create_network("id-a", "a");
  update.mutable_actions(0)->mutable_put_network()->set_expected_version(index);
  const auto out = apply(update);
  ASSERT_EQ(out.result.code(), 0u) << out.result.message();
  EXPECT_EQ(out.events.networks(0).network().vni(), 4096u);
  EXPECT_EQ(out.events.networks(0).network().ipam(0).subnet(), "10.0.0.0/24");
}

TEST_F(address_plan_test, ten_thousand_networks_are_planned_quickly_and_never_overlap) {
  for (int i = 0; i < 2000; ++i)
    ASSERT_TRUE(create("n" + std::to_string(i)).ends_with(".1")) << i;
  EXPECT_EQ(create("last"), "6096 10.7.208.0/24 10.7.208.1");
}

// -- addresses of services and tasks -----------------------------------------------------------------------------------------

TEST_F(address_plan_test, virtual_addresses_stay_while_the_service_is_on_their_network) {
  create("a");
  create("b");
  auto spec = service_spec("web");
  spec.mutable_task_template()->add_networks()->set_target("id-a");
  apply(create_service(nth_id(1), spec));
  const auto created = index;
  auto give = command([](StoreAction& a) {
    auto& update = *a.mutable_update_service_state();
    update.set_service_id(nth_id(1));
    for (const auto* network : {"id-a", "id-b", "gone"}) {
      auto& ip = *update.mutable_endpoint()->add_virtual_ips();
      ip.set_network_id(network);
      ip.set_addr("10.0.0.2/24");
    }
  });
  auto out = apply(give);
  ASSERT_EQ(out.events.services_size(), 1);
  ASSERT_EQ(out.events.services(0).service().endpoint().virtual_ips_size(), 1) << "only on networks that it is on";
  EXPECT_EQ(out.events.services(0).service().endpoint().virtual_ips(0).addr(), "10.0.0.2/24");
  EXPECT_EQ(out.events.services(0).service().meta().version().index(), created) << "the version that users echo stays";

  publish(spec, 0, 80);
  out = apply(update_service(nth_id(1), created, spec));
  ASSERT_EQ(out.result.code(), 0u) << out.result.message();
  EXPECT_EQ(out.events.services(0).service().endpoint().virtual_ips_size(), 1);
  EXPECT_EQ(out.events.services(0).service().endpoint().ports(0).published_port(), 30000u);
  spec.mutable_endpoint_spec()->set_mode(ENDPOINT_MODE_DNSRR);
  out = apply(update_service(nth_id(1), index, spec));
  EXPECT_EQ(out.events.services(0).service().endpoint().virtual_ips_size(), 0);
}

TEST_F(address_plan_test, a_task_takes_addresses_only_while_it_is_new) {
  create("a");
  apply(create_service(nth_id(1), service_spec("web")));
  apply(create_tasks(nth_id(1), index, {task(nth_id(1, 2), 1, TASK_STATE_NEW)}));
  auto change = observed(nth_id(1, 2), TASK_STATE_PENDING);
  auto& network = *change.add_networks();
  network.set_network_id("id-a");
  network.add_addresses("10.0.0.3/24");
  auto out = apply(update_task(change));
  ASSERT_EQ(out.events.tasks_size(), 1);
  ASSERT_EQ(out.events.tasks(0).task().networks_size(), 1);
  EXPECT_EQ(out.events.tasks(0).task().networks(0).addresses(0), "10.0.0.3/24");
  change.mutable_networks(0)->set_addresses(0, "10.0.0.9/24");
  change.mutable_status()->set_message("again");
  out = apply(update_task(change));
  EXPECT_EQ(out.events.tasks(0).task().networks(0).addresses(0), "10.0.0.3/24");
  EXPECT_EQ(apply(update_task(assigned(nth_id(1, 2), "n1"))).events.tasks(0).task().networks_size(), 1);
  ReadObjects request;
  request.set_kind(OBJECT_KIND_TASK);
  ObjectsRead read;
  ASSERT_TRUE(core.read(request, read).ok());
  ASSERT_EQ(read.networks_size(), 1) << "a list of tasks comes with their networks";
  EXPECT_EQ(read.networks(0).spec().name(), "a");
  core.check_invariants();
}

} // namespace
} // namespace swarm
