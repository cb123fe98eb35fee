// Objects as clients see them: tasks joined with their specs, the Swarm section, filters, versions.
#include "actors/gateway/views.hpp"

#include <gtest/gtest.h>

#include "actors/gateway/api_error.hpp"
#include "messages/api.pb.h"
#include "messages/json_value.hpp"

namespace swarm::gateway {
namespace {

json_value parsed(const std::string& text) {
  json_value out;
  const auto f = json_value::parse(text, out);
  EXPECT_TRUE(f.ok()) << f.message << "\n" << text;
  return out;
}

ObjectsRead two_tasks() {
  ObjectsRead read;
  auto& t = *read.add_templates();
  t.set_service_id("svc");
  t.set_spec_version(7);
  t.mutable_spec()->mutable_container_spec()->set_image("busybox:latest");
  for (int slot = 1; slot <= 2; ++slot) {
    auto& task = *read.add_tasks();
    task.set_id("task" + std::to_string(slot));
    task.mutable_meta()->mutable_version()->set_index(11);
    task.set_service_id("svc");
    task.set_spec_version(7);
    task.set_slot(static_cast<std::uint64_t>(slot));
    task.mutable_status()->set_state(TASK_STATE_RUNNING);
    task.mutable_status()->set_message("started");
    task.set_desired_state(TASK_STATE_RUNNING);
  }
  read.mutable_tasks(0)->set_node_id("n1");
  return read;
}

TEST(tasks_json, puts_the_spec_back_into_each_task) {
  const auto list = parsed(tasks_json(two_tasks(), {50}));
  ASSERT_EQ(list.items().size(), 2u);
  const auto& task = list.items()[0];
  EXPECT_EQ(task.find("ID")->as_string(), "task1");
  EXPECT_EQ(task.find("Version")->find("Index")->as_integer(), 11);
  EXPECT_EQ(task.find("Spec")->find("ContainerSpec")->find("Image")->as_string(), "busybox:latest");
  EXPECT_EQ(task.find("Status")->find("State")->as_string(), "running");
  EXPECT_EQ(task.find("DesiredState")->as_string(), "running");
  EXPECT_TRUE(task.find("Labels")->is_object());
  EXPECT_TRUE(task.find("Volumes")->is_null());
  EXPECT_EQ(list.items()[1].find("NodeID"), nullptr); // not assigned yet
}

TEST(tasks_json, shows_the_networks_that_a_task_is_on_with_its_addresses) {
  auto read = two_tasks();
  auto& network = *read.add_networks();
  network.set_id("net");
  network.set_vni(4097);
  network.mutable_spec()->set_name("back");
  network.mutable_spec()->set_driver("overlay");
  network.add_ipam()->set_subnet("10.0.1.0/24");
  auto& attached = *read.mutable_tasks(0)->add_networks();
  attached.set_network_id("net");
  attached.add_addresses("10.0.1.3/24");
  const auto list = parsed(tasks_json(read, {50}));
  const auto& attachments = list.items()[0].find("NetworksAttachments")->items();
  ASSERT_EQ(attachments.size(), 1u);
  EXPECT_EQ(attachments[0].find("Addresses")->items()[0].as_string(), "10.0.1.3/24");
  const auto& shown = *attachments[0].find("Network");
  EXPECT_EQ(shown.find("Spec")->find("Name")->as_string(), "back");
  EXPECT_EQ(shown.find("DriverState")->find("Options")->find("com.docker.network.driver.overlay.vxlanid_list")->as_string(), "4097");
  EXPECT_EQ(shown.find("IPAMOptions")->find("Configs")->items()[0].find("Subnet")->as_string(), "10.0.1.0/24");
  EXPECT_EQ(list.items()[1].find("NetworksAttachments"), nullptr);
}

TEST(tasks_json, the_first_iteration_of_a_job_has_no_index) {
  auto read = two_tasks();
  read.mutable_tasks(0)->set_job_iteration(0);
  read.mutable_tasks(1)->set_job_iteration(3);
  const auto list = parsed(tasks_json(read, {50}));
  ASSERT_NE(list.items()[0].find("JobIteration"), nullptr);
  EXPECT_TRUE(list.items()[0].find("JobIteration")->members().empty());
  EXPECT_EQ(list.items()[1].find("JobIteration")->find("Index")->as_integer(), 3);
}

TEST(tasks_json, a_task_that_is_held_back_shows_why_until_it_starts_or_has_a_trouble_of_its_own) {
  auto read = two_tasks();
  const auto error = [&] {
    const auto list = parsed(tasks_json(read, {50}));
    const auto* found = list.items()[0].find("Status")->find("Err");
    return found == nullptr ? std::string{} : std::string{found->as_string()};
  };
  auto& task = *read.mutable_tasks(0);
  task.set_desired_state(TASK_STATE_READY);
  task.mutable_status()->set_state(TASK_STATE_READY);
  task.set_held("waiting");
  EXPECT_EQ(error(), "waiting");
  task.mutable_status()->set_err("no such image");
  EXPECT_EQ(error(), "no such image");
  task.mutable_status()->clear_err();
  task.mutable_status()->set_state(TASK_STATE_SHUTDOWN);
  EXPECT_EQ(error(), "");
}

TEST(tasks_json, older_clients_do_not_see_newer_fields) {
  EXPECT_EQ(parsed(tasks_json(two_tasks(), {41})).items()[0].find("Volumes"), nullptr);
}

TEST(service_json, shows_defaults_only_when_asked) {
  Service service;
  service.set_id("s");
  service.mutable_spec()->mutable_task_template()->mutable_container_spec()->set_image("x");
  EXPECT_EQ(parsed(service_json(service, false, {50})).find("Spec")->find("UpdateConfig"), nullptr);
  const auto filled = parsed(service_json(service, true, {50}));
  ASSERT_NE(filled.find("Spec")->find("UpdateConfig"), nullptr);
  EXPECT_EQ(filled.find("Spec")->find("UpdateConfig")->find("Parallelism")->as_integer(), 1);
}

TEST(service_json, shows_an_endpoint_only_where_there_is_something_to_reach) {
  Service service;
  auto& endpoint = *service.mutable_endpoint()->mutable_spec();
  endpoint.set_mode(ENDPOINT_MODE_VIP);
  *service.mutable_spec()->mutable_endpoint_spec() = endpoint;
  EXPECT_TRUE(parsed(service_json(service, false, {50})).find("Endpoint")->find("Spec")->members().empty());
  ObjectsRead read;
  *read.add_services() = service;
  EXPECT_TRUE(parsed(services_json(read, {50})).items()[0].find("Endpoint")->find("Spec")->members().empty());
  auto on_host = service;
  on_host.mutable_spec()->mutable_task_template()->add_networks()->set_target("host");
  EXPECT_EQ(parsed(service_json(on_host, false, {50})).find("Endpoint")->find("Spec")->find("Mode")->as_string(), "vip");
  service.mutable_endpoint()->add_virtual_ips()->set_addr("10.0.1.2/24");
  EXPECT_EQ(parsed(service_json(service, false, {50})).find("Endpoint")->find("Spec")->find("Mode")->as_string(), "vip");
  EXPECT_EQ(service.spec().endpoint_spec().mode(), ENDPOINT_MODE_VIP);
}

TEST(cluster_view, never_shows_keys_and_shows_tokens_only_when_asked) {
  Cluster cluster;
  cluster.mutable_root_ca()->mutable_join_tokens()->set_worker("SWMTKN-1-w");
  cluster.mutable_root_ca()->set_private_key_pem("PRIVATE");
  cluster.set_unlock_key("SWMKEY-1-x");
  const auto open = to_json(cluster_view(cluster, true), {50});
  EXPECT_NE(open.find("SWMTKN-1-w"), std::string::npos);
  EXPECT_EQ(open.find("PRIVATE"), std::string::npos);
  EXPECT_EQ(open.find("SWMKEY"), std::string::npos);
  EXPECT_EQ(to_json(cluster_view(cluster, false), {50}).find("SWMTKN"), std::string::npos);
}

TEST(swarm_info, has_the_inactive_form_of_docker) {
  EXPECT_EQ(swarm_info_json({}, nullptr, {50}),
            R"({"NodeID":"","NodeAddr":"","LocalNodeState":"inactive","ControlAvailable":false,"Error":"","RemoteManagers":null})");
}

TEST(swarm_header, tells_role_and_state) {
  LocalNode local;
  EXPECT_EQ(swarm_header(local), "inactive");
  local.set_state(LOCAL_NODE_STATE_ACTIVE);
  EXPECT_EQ(swarm_header(local), "active/worker");
  local.set_control_available(true);
  EXPECT_EQ(swarm_header(local), "active/manager");
}

TEST(check_filters, unknown_keys_are_refused_in_the_words_of_the_version) {
  ReadObjects out;
  EXPECT_EQ(check_filters(OBJECT_KIND_SERVICE, R"({"bogus":{"1":true}})", {50}, out).message, "invalid filter 'bogus'");
  EXPECT_EQ(check_filters(OBJECT_KIND_SERVICE, R"({"bogus":["1"]})", {41}, out).message, "Invalid filter 'bogus'");
  EXPECT_TRUE(check_filters(OBJECT_KIND_TASK, R"({"_up-to-date":{"true":true},"service":["web"]})", {50}, out).ok());
  EXPECT_EQ(out.filters_size(), 2);
  EXPECT_FALSE(check_filters(OBJECT_KIND_TASK, "{", {50}, out).ok());
}

TEST(check_filters, values_out_of_range_are_refused_by_name) {
  ReadObjects out;
  EXPECT_EQ(check_filters(OBJECT_KIND_TASK, R"({"desired-state":["running","x"]})", {50}, out),
            (failure{errc::internal, "Invalid desired-state filter: 'x'"}));
  EXPECT_EQ(check_filters(OBJECT_KIND_NODE, R"({"role":["boss"]})", {50}, out), (failure{errc::internal, "Invalid role filter: 'boss'"}));
  EXPECT_EQ(check_filters(OBJECT_KIND_NODE, R"({"membership":["x"]})", {50}, out),
            (failure{errc::internal, "Invalid membership filter: 'x'"}));
  EXPECT_TRUE(check_filters(OBJECT_KIND_NODE, R"({"role":["manager"],"membership":["pending"]})", {50}, out).ok());
}

TEST(check_filters, exact_names_filter_secrets_but_not_configs) {
  ReadObjects out;
  EXPECT_TRUE(check_filters(OBJECT_KIND_SECRET, R"({"names":["a"]})", {41}, out).ok());
  EXPECT_EQ(check_filters(OBJECT_KIND_CONFIG, R"({"names":["a"]})", {41}, out).message, "Invalid filter 'names'");
}

TEST(check_filters, null_is_no_filter) {
  ReadObjects out;
  EXPECT_TRUE(check_filters(OBJECT_KIND_SERVICE, "null", {50}, out).ok());
  EXPECT_EQ(out.filters_size(), 0);
}

TEST(parse_version, speaks_like_strconv) {
  std::uint64_t v = 0;
  EXPECT_TRUE(parse_version("12", "service", v).ok());
  EXPECT_EQ(v, 12u);
  EXPECT_EQ(parse_version("", "service", v).message,
            "invalid service version '': strconv.ParseUint: parsing \"\": invalid syntax");
  EXPECT_EQ(parse_version("-1", "node", v).message,
            "invalid node version '-1': strconv.ParseUint: parsing \"-1\": invalid syntax");
  EXPECT_EQ(parse_version("99999999999999999999", "node", v).message,
            "invalid node version '99999999999999999999': strconv.ParseUint: parsing \"99999999999999999999\": value out of range");
}

TEST(parse_flag, takes_what_go_takes_and_names_the_rest) {
  bool flag = true;
  for (const auto* no : {"", "0", "f", "False"})
    EXPECT_TRUE(parse_flag(no, "k", flag).ok() && !flag) << no;
  for (const auto* yes : {"1", "T", "true"})
    EXPECT_TRUE(parse_flag(yes, "k", flag).ok() && flag) << yes;
  for (const auto* bad : {"x", "yes", "tRUE", "2", " 1"})
    EXPECT_EQ(parse_flag(bad, "rotateWorkerToken", flag),
              (failure{errc::invalid_argument, "invalid value for rotateWorkerToken: " + std::string{bad}}));
}

TEST(bool_value, everything_but_the_words_for_no_is_true) {
  for (const auto* no : {"", "0", "no", "FALSE", "none", " false "})
    EXPECT_FALSE(bool_value(no)) << no;
  for (const auto* yes : {"1", "true", "yes", "x"})
    EXPECT_TRUE(bool_value(yes)) << yes;
}

TEST(api_error, managers_errors_carry_grpcs_prefix_and_the_daemons_do_not) {
  EXPECT_EQ(from_manager({errc::invalid_argument, "x"}).message, "rpc error: code = InvalidArgument desc = x");
  EXPECT_EQ(from_manager({errc::invalid_argument, "x"}).status, 400);
  EXPECT_EQ(from_manager({errc::out_of_sequence, "update out of sequence"}).message,
            "rpc error: code = Unknown desc = update out of sequence");
  EXPECT_EQ(from_manager({errc::out_of_sequence, ""}).status, 500);
  EXPECT_EQ(from_manager({errc::not_found, "service x not found"}).message, "service x not found");
  EXPECT_EQ(from_manager({errc::already_exists, "n"}).status, 409);
  EXPECT_EQ(from_daemon({errc::unavailable, "t"}).status, 503);
  EXPECT_EQ(from_daemon({errc::unimplemented, "t"}).status, 501);
}

} // namespace
} // namespace swarm::gateway
