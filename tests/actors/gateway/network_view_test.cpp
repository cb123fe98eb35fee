// Networks of swarm scope beside the engine's: shown, merged, wished for and pruned.
#include "actors/gateway/network_view.hpp"

#include <gtest/gtest.h>

namespace swarm::gateway {
namespace {

json_value parsed(const std::string& text) {
  json_value out;
  EXPECT_TRUE(json_value::parse(text, out).ok()) << text;
  return out;
}

Network network(const std::string& name = "back") {
  Network out;
  out.set_id("id-" + name);
  out.set_vni(4097);
  auto& spec = *out.mutable_spec();
  spec.set_name(name);
  spec.set_driver("overlay");
  (*spec.mutable_labels())["tier"] = "back";
  auto& ipam = *out.add_ipam();
  ipam.set_subnet("10.0.1.0/24");
  ipam.set_gateway("10.0.1.1");
  return out;
}

TEST(network_json, has_what_the_daemon_shows) {
  EXPECT_EQ(network_json(network(), {}, nullptr, {50}),
            R"({"Name":"back","Id":"id-back","Created":"0001-01-01T00:00:00Z","Scope":"swarm","Driver":"overlay","EnableIPv4":true,)"
            R"("EnableIPv6":false,"IPAM":{"Driver":"default","Options":null,"Config":[{"Subnet":"10.0.1.0/24","Gateway":"10.0.1.1"}]},)"
            R"("Internal":false,"Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,"Containers":null,)"
            R"("Options":{"com.docker.network.driver.overlay.vxlanid_list":"4097"},"Labels":{"tier":"back"}})");
  EXPECT_EQ(network_json(network(), {}, nullptr, {47}).find("EnableIPv4"), std::string::npos);
}

TEST(network_json, names_services_and_their_tasks_when_it_is_to_be_verbose) {
  network_users users;
  auto& service = users.services.emplace_back();
  service.set_id("s1");
  service.mutable_spec()->set_name("web");
  service.mutable_spec()->mutable_task_template()->add_networks()->set_target("id-back");
  service.mutable_endpoint()->add_virtual_ips()->set_network_id("id-back");
  service.mutable_endpoint()->mutable_virtual_ips(0)->set_addr("10.0.1.2/24");
  users.services.emplace_back().mutable_spec()->set_name("elsewhere");
  auto& task = users.tasks.emplace_back();
  task.set_id("t1");
  task.set_service_id("s1");
  task.set_slot(1);
  task.set_node_id("n1");
  task.add_networks()->set_network_id("id-back");
  task.mutable_networks(0)->add_addresses("10.0.1.3/24");
  auto& node = users.nodes.emplace_back();
  node.set_id("n1");
  node.mutable_status()->set_addr("192.0.2.1");
  const auto shown = parsed(network_json(network(), {}, &users, {50}));
  EXPECT_EQ(shown.find("Services")->dump(),
            R"({"web":{"VIP":"10.0.1.2","Ports":[],"LocalLBIndex":0,"Tasks":[{"Name":"web.1.t1","EndpointID":"t1",)"
            R"("EndpointIP":"10.0.1.3","Info":{"Host IP":"192.0.2.1"}}]}})");
}

const std::string carrier = R"({"Name":"back","Id":"e1","Labels":{"io.swarm-node.cluster.id":"C","io.swarm-node.network.id":"id-back"}})";

TEST(merged_networks_json, shows_each_network_once_and_hides_what_carries_it) {
  ObjectsRead swarm;
  *swarm.add_networks() = network();
  const auto foreign = R"({"Name":"x","Id":"e2","Labels":{"io.swarm-node.cluster.id":"D","io.swarm-node.network.id":"id-x"}})";
  const auto list = parsed(merged_networks_json("[" + carrier + R"(,{"Name":"bridge","Id":"b","Labels":null},)" + foreign + "]", swarm, "C", {50}));
  std::string names;
  for (const auto& n : list.items())
    names += std::string{n.find("Id")->as_string()} + " ";
  EXPECT_EQ(names, "id-back b e2 ");
  EXPECT_EQ(merged_networks_json("not a list", swarm, "C", {50}), "not a list");
  EXPECT_EQ(parsed(merged_networks_json("", swarm, "C", {50})).items().size(), 1u) << "no engine";
}

TEST(carried_network, is_known_by_the_labels_of_this_cluster_alone) {
  EXPECT_EQ(carried_network(parsed(carrier), "C"), "id-back");
  EXPECT_EQ(carried_network(parsed(carrier), "D"), "");
  EXPECT_EQ(carried_network(parsed(carrier), ""), "");
  EXPECT_EQ(carried_network(parsed(R"({"Labels":null})"), "C"), "");
  EXPECT_EQ(carried_network(json_value{}, "C"), "");
}

TEST(missing_network, is_named_by_the_refusal) {
  EXPECT_EQ(missing_network("network loc not found"), "loc");
  EXPECT_EQ(missing_network("network  not found"), "");
  EXPECT_EQ(missing_network("network not found"), "");
  EXPECT_EQ(missing_network("service a not found"), "");
}

TEST(local_network_refusal, speaks_of_networks_of_the_engine_alone) {
  const auto refusal = [](const char* text) {
    json_value network;
    EXPECT_TRUE(json_value::parse(text, network).ok());
    return local_network_refusal(network, "c1");
  };
  EXPECT_EQ(refusal(R"({"Name":"loc","Scope":"local"})"),
            "The network loc cannot be used with services. Only networks scoped to the swarm can be used, such as those created "
            "with the overlay driver.");
  EXPECT_EQ(refusal(R"({"Name":"ov","Scope":"swarm"})"), "");
  EXPECT_EQ(refusal("null"), "");
}

TEST(read_network_wish, overlay_and_scope_decide_whose_it_is) {
  const auto wish = [](const std::string& body) {
    network_wish out;
    EXPECT_TRUE(read_network_wish(body, {50}, out).ok());
    return out;
  };
  EXPECT_TRUE(wish(R"({"Name":"a","Driver":"overlay"})").of_swarm_scope);
  EXPECT_TRUE(wish(R"({"Name":"a","Driver":"macvlan","Scope":"swarm","ConfigFrom":{"Network":"c"}})").of_swarm_scope);
  EXPECT_EQ(wish(R"({"Name":"a","Scope":"swarm","ConfigFrom":{"Network":"c"}})").spec.config_from(), "c");
  EXPECT_FALSE(wish(R"({"Name":"a","Driver":"bridge"})").of_swarm_scope);
  EXPECT_FALSE(wish(R"({"Name":"a"})").of_swarm_scope);
  const auto full = wish(R"({"Name":"a","CheckDuplicate":true,"Driver":"overlay","Scope":"","EnableIPv6":false,"IPAM":{"Driver":"default",
    "Options":{},"Config":[{"Subnet":"10.5.0.0/16","IPRange":"10.5.1.0/24","Gateway":"10.5.0.9","AuxiliaryAddresses":{"r":"10.5.0.2"}}]},
    "Internal":true,"Attachable":true,"Ingress":false,"ConfigOnly":false,"ConfigFrom":null,"Options":{"o":"1"},"Labels":{"l":"2"}})");
  EXPECT_EQ(full.spec.ipam().config(0).ip_range(), "10.5.1.0/24");
  EXPECT_EQ(full.spec.ipam().config(0).auxiliary_addresses().at("r"), "10.5.0.2");
  EXPECT_TRUE(full.spec.internal() && full.spec.attachable());
  EXPECT_EQ(full.spec.options().at("o") + full.spec.labels().at("l"), "12");
  network_wish out;
  EXPECT_FALSE(read_network_wish("{", {50}, out).ok());
}

TEST(prune, filters_speak_of_labels_and_spare_what_the_swarm_needs) {
  const auto may = [](const std::string& filters, const Network& n) {
    prune_filters parsed_filters;
    EXPECT_TRUE(read_prune_filters(filters, parsed_filters).ok());
    return may_prune(parsed_filters, n);
  };
  EXPECT_TRUE(may("", network()));
  EXPECT_TRUE(may(R"({"label":["tier=back"]})", network()));
  EXPECT_FALSE(may(R"({"label":["tier=front"]})", network()));
  EXPECT_FALSE(may(R"({"label!":{"tier":true}})", network()));
  EXPECT_FALSE(may(R"({"until":["24h"]})", network()));
  auto ingress = network("ingress");
  ingress.mutable_spec()->set_ingress(true);
  EXPECT_FALSE(may("", ingress));
  auto host = network("host");
  host.set_predefined(true);
  EXPECT_FALSE(may("", host));
}

TEST(prune, the_engine_leaves_carriers_alone_and_its_answer_is_completed) {
  EXPECT_EQ(engine_prune_filters(""), R"({"label!":["io.swarm-node.network.id"]})");
  EXPECT_EQ(engine_prune_filters(R"({"until":["1h"],"label!":["k"]})"), R"({"label!":["k","io.swarm-node.network.id"],"until":["1h"]})");
  EXPECT_EQ(pruned_json(R"({"NetworksDeleted":["e"]})", {"back"}), "{\"NetworksDeleted\":[\"back\",\"e\"]}\n");
  EXPECT_EQ(pruned_json(R"({"NetworksDeleted":null})", {}), "{\"NetworksDeleted\":null}\n");
  EXPECT_EQ(pruned_json("", {"back"}), "{\"NetworksDeleted\":[\"back\"]}\n");
}

} // namespace
} // namespace swarm::gateway
