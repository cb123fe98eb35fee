// Virtual addresses, addresses of tasks, and the networks that a swarm has from the start.
#include <gtest/gtest.h>

#include "actors/allocator/allocator_core.hpp"
#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

const std::string back = nth_id(1, 4);
const std::string front = nth_id(2, 4);
const std::string host = nth_id(3, 4);

/// ALLOCATOR beside a state that it is told of; small() networks have room for three.
struct addresses_test : testing::Test {
  allocator::core core{{milliseconds{500}, seconds{4}, 100, 1000}, random_source{1}};
  instant now{};
  EventBatch batch;

  static Network network(const std::string& id, const std::string& name, const std::string& subnet, const std::string& gateway) {
    Network out;
    out.set_id(id);
    out.mutable_spec()->set_name(name);
    auto& ipam = *out.add_ipam();
    ipam.set_subnet(subnet);
    ipam.set_gateway(gateway);
    return out;
  }
  static std::vector<Network> networks() {
    auto predefined = network(host, "host", "", "");
    predefined.clear_ipam();
    predefined.set_predefined(true);
    return {network(back, "back", "10.0.1.0/24", "10.0.1.1"), network(front, "front", "10.0.2.0/29", "10.0.2.1"), predefined};
  }
  addresses_test() {
    for (const auto& n : networks())
      *batch.add_networks()->mutable_network() = n;
    flush();
  }
  void flush() {
    core.observe(now, batch);
    core.check_invariants();
    batch.Clear();
  }
  static Service service(std::uint64_t n, const std::vector<std::string>& on, std::uint64_t version = 1) {
    Service out;
    out.set_id(nth_id(n));
    *out.mutable_spec() = service_spec("s" + std::to_string(n));
    for (const auto& id : on)
      out.mutable_spec()->mutable_task_template()->add_networks()->set_target(id);
    out.set_spec_version(version);
    return out;
  }
  void tell(const Service& s, ChangeKind kind = CHANGE_KIND_CREATED) {
    auto& definition = *batch.add_templates()->mutable_template_();
    definition.set_service_id(s.id());
    definition.set_spec_version(s.spec_version());
    *definition.mutable_spec() = s.spec().task_template();
    auto& event = *batch.add_services();
    event.set_kind(kind);
    *event.mutable_service() = s;
    flush();
  }
  static Task new_task(std::uint64_t n, std::uint64_t of, TaskState state = TASK_STATE_NEW) {
    auto out = task(nth_id(n, 2), n, state);
    out.set_service_id(nth_id(of));
    out.set_spec_version(1);
    return out;
  }
  void tell(const Task& t, ChangeKind kind = CHANGE_KIND_CREATED) {
    auto& event = *batch.add_tasks();
    event.set_kind(kind);
    *event.mutable_task() = t;
    flush();
  }
  /// What is proposed: "s1 10.0.1.2/24; t1 PENDING 10.0.1.3/24".
  std::string proposed() {
    std::string out;
    const auto command = core.propose(now, 9);
    if (!command)
      return "nothing";
    core.settled();
    for (const auto& action : command->actions()) {
      if (action.has_update_service_state()) {
        out += out.empty() ? "" : "; ";
        out += "service";
        for (const auto& ip : action.update_service_state().endpoint().virtual_ips())
          out += " " + ip.addr();
      }
      for (const auto& change : action.update_tasks().changes()) {
        out += out.empty() ? "" : "; ";
        out += TaskState_Name(change.status().state()).substr(11);
        for (const auto& n : change.networks())
          out += " " + (n.predefined_name().empty() ? n.addresses(0) : n.predefined_name());
        out += change.status().err().empty() ? "" : " (" + change.status().err() + ")";
      }
    }
    return out;
  }
  /// The state took over what was proposed for that task.
  void confirm(Task t, const std::string& network, const std::string& address, TaskState state = TASK_STATE_PENDING) {
    t.mutable_status()->set_state(state);
    auto& n = *t.add_networks();
    n.set_network_id(network);
    n.add_addresses(address);
    tell(t, CHANGE_KIND_UPDATED);
  }
};

TEST_F(addresses_test, a_service_gets_its_virtual_addresses_at_once_and_first) {
  tell(service(1, {front, back, host}));
  EXPECT_EQ(proposed(), "service 10.0.2.2/29 10.0.1.2/24");
  tell(new_task(1, 1));
  EXPECT_EQ(proposed(), "PENDING 10.0.2.3/29 10.0.1.3/24 host");
}

TEST_F(addresses_test, services_in_dnsrr_mode_or_without_networks_get_none) {
  auto rr = service(1, {back});
  rr.mutable_spec()->mutable_endpoint_spec()->set_mode(ENDPOINT_MODE_DNSRR);
  *rr.mutable_endpoint()->mutable_spec() = rr.spec().endpoint_spec();
  tell(rr);
  tell(service(2, {}));
  tell(service(3, {host, "host"}));
  EXPECT_EQ(proposed(), "nothing");
  EXPECT_FALSE(core.next_due());
}

TEST_F(addresses_test, a_lost_proposal_is_repeated_with_the_same_addresses) {
  tell(service(1, {back}));
  tell(new_task(1, 1));
  EXPECT_EQ(proposed(), "service 10.0.1.2/24; PENDING 10.0.1.3/24");
  now += seconds{4};
  EXPECT_EQ(proposed(), "service 10.0.1.2/24; PENDING 10.0.1.3/24");
  tell(new_task(2, 1));
  EXPECT_EQ(proposed(), "PENDING 10.0.1.3/24; PENDING 10.0.1.4/24");
}

TEST_F(addresses_test, an_update_keeps_what_is_still_wanted_and_gives_back_the_rest) {
  auto s = service(1, {back, front});
  tell(s);
  EXPECT_EQ(proposed(), "service 10.0.1.2/24 10.0.2.2/29");
  for (const auto& [id, addr] : {std::pair{back, "10.0.1.2/24"}, std::pair{front, "10.0.2.2/29"}}) {
    auto& ip = *s.mutable_endpoint()->add_virtual_ips();
    ip.set_network_id(id);
    ip.set_addr(addr);
  }
  tell(s, CHANGE_KIND_UPDATED);
  EXPECT_EQ(core.behind(), 0u);
  auto less = service(1, {front}, 2);
  *less.mutable_endpoint()->add_virtual_ips() = s.endpoint().virtual_ips(1);
  tell(less, CHANGE_KIND_UPDATED);
  EXPECT_EQ(proposed(), "nothing");
  EXPECT_NE(core.dump().find("back " + back + " 10.0.1.0/24 vni=0 taken=0"), std::string::npos) << core.dump();
  tell(less, CHANGE_KIND_REMOVED);
  EXPECT_NE(core.dump().find("front " + front + " 10.0.2.0/29 vni=0 taken=0"), std::string::npos) << core.dump();
}

TEST_F(addresses_test, an_exhausted_network_gives_its_tasks_a_reason_once_and_goes_on_when_one_ends) {
  auto rr = service(1, {front});
  rr.mutable_spec()->mutable_endpoint_spec()->set_mode(ENDPOINT_MODE_DNSRR);
  *rr.mutable_endpoint()->mutable_spec() = rr.spec().endpoint_spec();
  tell(rr);
  const std::vector<std::string> addresses{"10.0.2.2/29", "10.0.2.3/29", "10.0.2.4/29", "10.0.2.5/29", "10.0.2.6/29"};
  for (std::uint64_t i = 1; i <= 5; ++i)
    tell(new_task(i, 1));
  EXPECT_EQ(proposed(), "PENDING 10.0.2.2/29; PENDING 10.0.2.3/29; PENDING 10.0.2.4/29; PENDING 10.0.2.5/29; PENDING 10.0.2.6/29");
  for (std::uint64_t i = 1; i <= 5; ++i)
    confirm(new_task(i, 1), front, addresses[i - 1]);
  auto sixth = new_task(6, 1);
  tell(sixth);
  const std::string reason = "no free address in network front (10.0.2.0/29)";
  EXPECT_EQ(proposed(), "NEW (" + reason + ")");
  sixth.mutable_status()->set_err(reason);
  tell(sixth, CHANGE_KIND_UPDATED);
  now += seconds{10};
  EXPECT_EQ(proposed(), "nothing") << "it is told already";
  EXPECT_GT(*core.next_due(), now);
  confirm(new_task(3, 1), front, addresses[2], TASK_STATE_FAILED);
  EXPECT_EQ(proposed(), "PENDING 10.0.2.4/29");
}

TEST_F(addresses_test, tasks_that_end_or_are_not_to_run_give_back_what_they_hold) {
  tell(service(1, {back}));
  EXPECT_EQ(proposed(), "service 10.0.1.2/24");
  tell(new_task(1, 1));
  EXPECT_EQ(proposed(), "PENDING 10.0.1.3/24");
  auto unwanted = new_task(1, 1);
  unwanted.set_desired_state(TASK_STATE_REMOVE);
  tell(unwanted, CHANGE_KIND_UPDATED);
  EXPECT_EQ(core.new_tasks(), 0u);
  confirm(new_task(2, 1), back, "10.0.1.9/24", TASK_STATE_RUNNING);
  tell(new_task(2, 1, TASK_STATE_RUNNING), CHANGE_KIND_REMOVED);
  EXPECT_NE(core.dump().find("taken=1\n"), std::string::npos) << "the virtual address: " << core.dump();
}

TEST_F(addresses_test, a_task_of_a_network_that_is_gone_says_so) {
  tell(service(1, {back}));
  (void)proposed();
  auto& gone = *batch.add_networks();
  gone.set_kind(CHANGE_KIND_REMOVED);
  gone.mutable_network()->set_id(back);
  flush();
  tell(new_task(1, 1));
  EXPECT_EQ(proposed(), "NEW (network " + back + " not found)");
}

TEST_F(addresses_test, a_new_leader_gives_nothing_that_is_held) {
  StoreSnapshot snapshot;
  for (const auto& n : networks())
    *snapshot.add_networks() = n;
  auto s = service(1, {back});
  auto& ip = *s.mutable_endpoint()->add_virtual_ips();
  ip.set_network_id(back);
  ip.set_addr("10.0.1.2/24");
  *snapshot.add_services() = s;
  auto& definition = *snapshot.add_templates();
  definition.set_service_id(s.id());
  definition.set_spec_version(1);
  *definition.mutable_spec() = s.spec().task_template();
  for (const auto& [n, state] : {std::pair<std::uint64_t, TaskState>{1, TASK_STATE_RUNNING}, {2, TASK_STATE_FAILED}}) {
    auto t = new_task(n, 1, state);
    auto& attached = *t.add_networks();
    attached.set_network_id(back);
    attached.add_addresses("10.0.1." + std::to_string(2 + n) + "/24");
    *snapshot.add_tasks() = t;
  }
  *snapshot.add_tasks() = new_task(3, 1);
  core.reset(now, snapshot);
  EXPECT_EQ(proposed(), "PENDING 10.0.1.4/24") << ".3 runs, .4 has ended";
}

TEST_F(addresses_test, a_swarm_begins_with_ingress_host_and_bridge) {
  Cluster cluster;
  cluster.set_id("c");
  StoreSnapshot snapshot;
  *snapshot.mutable_cluster() = cluster;
  core.reset(now, snapshot);
  const auto command = core.propose(now, 1);
  ASSERT_TRUE(command);
  ASSERT_EQ(command->actions_size(), 3);
  EXPECT_TRUE(command->actions(0).put_network().network().spec().ingress());
  EXPECT_TRUE(command->actions(1).put_network().network().predefined());
  core.settled();
  EXPECT_EQ(*core.next_due(), now + milliseconds{500}) << "again, unless they appear";
  for (const auto& action : command->actions())
    *batch.add_networks()->mutable_network() = action.put_network().network();
  flush();
  EXPECT_FALSE(core.next_due());
  for (const auto& action : command->actions())
    if (!action.put_network().network().spec().ingress()) // the user has removed it
      *snapshot.add_networks() = action.put_network().network();
  core.reset(now, snapshot);
  EXPECT_FALSE(core.next_due());
}

} // namespace
} // namespace swarm
