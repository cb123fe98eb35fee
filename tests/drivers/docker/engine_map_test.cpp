// Tasks as engine JSON: the recorded service with nearly every flag, details, and answers that are not what they should be.
#include "drivers/docker/engine_map.hpp"

#include <fstream>
#include <gtest/gtest.h>

#include "messages/docker_json.hpp"
#include "messages/json_value.hpp"
#include "tests/support/datadriven.hpp"

namespace swarm::docker {
namespace {

// behaviour §1.10, as the docker CLI sends it.
constexpr const char* recorded = R"({"Name":"flg","Labels":{"l":"1"},"TaskTemplate":{"ContainerSpec":{"Image":"busybox:latest","Labels":{"c":"2"},"Command":["/bin/sh","-c"],"Args":["sleep 1000"],
 "Hostname":"n-{{.Task.Slot}}","Env":["A=1"],"Dir":"/w","User":"1:1","Groups":["12"],"Init":true,"StopSignal":"SIGTERM","TTY":true,"ReadOnly":true,
 "Mounts":[{"Type":"volume","Source":"v1","Target":"/d","VolumeOptions":{"Labels":{"a":"b"},"DriverConfig":{}}},
           {"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":1016}},
           {"Type":"bind","Source":"/tmp","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}}],
 "StopGracePeriod":3000000000,"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":2000000000,"Timeout":1000000000,"StartPeriod":1000000000,"Retries":2},
 "Hosts":["1.2.3.4 h.example"],"DNSConfig":{"Nameservers":["1.1.1.1"],"Search":["ex.com"],"Options":["ndots:1"]},"Sysctls":{"net.core.somaxconn":"128"},
 "CapabilityAdd":["CAP_NET_ADMIN"],"CapabilityDrop":["CAP_CHOWN"],"Ulimits":[{"Name":"nofile","Hard":200,"Soft":100}],"OomScoreAdj":5},
 "Resources":{"Limits":{"NanoCPUs":500000000,"MemoryBytes":67108864,"Pids":50},
              "Reservations":{"NanoCPUs":100000000,"MemoryBytes":8388608,"GenericResources":[{"DiscreteResourceSpec":{"Kind":"gpu","Value":1}}]}},
 "RestartPolicy":{"Condition":"on-failure","Delay":3000000000,"MaxAttempts":4,"Window":60000000000},
 "LogDriver":{"Name":"json-file","Options":{"max-size":"1m"}},"ForceUpdate":0},
 "EndpointSpec":{"Mode":"vip","Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8081,"PublishMode":"ingress"},
                                       {"Protocol":"udp","TargetPort":90,"PublishedPort":9090,"PublishMode":"host"}]}})";

TaskDescription recorded_task() {
  ServiceSpec spec;
  EXPECT_EQ(from_json(recorded, spec, api_minor{50}), failure{});
  TaskDescription out;
  out.set_task_id("t1");
  out.set_task_name("flg.2.t1");
  out.set_service_id("s1");
  out.set_service_name("flg");
  out.set_slot(2);
  out.set_node_id("n1");
  out.set_cluster_id("c1");
  *out.mutable_spec() = spec.task_template();
  *out.mutable_endpoint_spec() = spec.endpoint_spec();
  out.mutable_spec()->mutable_container_spec()->set_hostname("n-2");
  auto& gpu = *out.add_generic_resources()->mutable_named_resource_spec();
  gpu.set_kind("gpu");
  gpu.set_value("UUID1");
  auto& more = *out.add_generic_resources()->mutable_named_resource_spec();
  more.set_kind("gpu");
  more.set_value("UUID2");
  auto& ssd = *out.add_generic_resources()->mutable_discrete_resource_spec();
  ssd.set_kind("ssd");
  ssd.set_value(3);
  auto& secret = *out.add_secret_files();
  secret.set_target("/run/secrets/pw");
  return out;
}

TaskDescription networked_task() {
  TaskDescription out;
  out.set_task_id("t1");
  out.set_task_name("st_web.1.t1");
  out.set_service_name("st_web");
  out.mutable_spec()->mutable_container_spec()->set_image("busybox");
  out.mutable_spec()->mutable_container_spec()->set_hostname("h");
  for (const auto* id : {"n1", "n2"}) {
    out.add_network_definitions()->set_id(id);
    auto& on = *out.add_networks();
    on.set_network_id(id);
    on.add_addresses(std::string{"10.0."} + id[1] + ".5/24");
    on.add_aliases("web");
  }
  return out;
}

TEST(create_body, puts_the_container_on_its_first_network_with_its_address_and_names) {
  const auto task = networked_task();
  const attachment first{"e1", &task.networks(0)};
  json_value body;
  ASSERT_TRUE(json_value::parse(create_body(task, "/files", &first), body).ok());
  EXPECT_EQ(body.find("HostConfig")->find("NetworkMode")->as_string(), "e1");
  EXPECT_EQ(body.find("Labels")->find("io.swarm-node.networks")->as_string(), "n1,n2");
  EXPECT_EQ(body.find("NetworkingConfig")->dump(),
            R"({"EndpointsConfig":{"e1":{"IPAMConfig":{"IPv4Address":"10.0.1.5"},)"
            R"("Aliases":["st_web.1.t1","st_web","web","tasks.st_web","tasks.web","h"]}}})");
  EXPECT_EQ(connect_body(task, "c1", {"e2", &task.networks(1)}),
            R"({"Container":"c1","EndpointConfig":{"IPAMConfig":{"IPv4Address":"10.0.2.5"},)"
            R"("Aliases":["st_web.1.t1","st_web","web","tasks.st_web","tasks.web","h"]}})");
}

TEST(create_body, of_a_task_that_shares_the_hosts_network_names_no_other) {
  auto task = networked_task();
  task.add_networks()->set_predefined_name("host");
  const attachment first{"e1", &task.networks(0)};
  json_value body;
  ASSERT_TRUE(json_value::parse(create_body(task, "/files", &first), body).ok());
  EXPECT_EQ(body.find("HostConfig")->find("NetworkMode")->as_string(), "host");
  EXPECT_EQ(body.find("NetworkingConfig"), nullptr);
  EXPECT_TRUE(on_engine_network(task));
}

// One member per line, so that a change shows as one.
std::string pretty(const json_value& v, const std::string& indent = "") {
  if (v.is_object() && !v.members().empty()) {
    std::string out = "{\n";
    for (const auto& [key, member] : v.members())
      out += indent + "  " + key + ": " + pretty(member, indent + "  ") + "\n";
    return out + indent + "}";
  }
  return v.dump();
}

TEST(engine_map, the_service_with_nearly_every_flag_becomes_the_golden_request) {
  test::run_golden(SWARM_TESTDATA "/drivers/docker/testdata/create.txt", [](const test::golden_case& c) {
    auto task = recorded_task();
    if (c.cmd == "minimal") {
      task = {};
      task.set_task_id("t1");
      task.mutable_spec()->mutable_container_spec()->set_image("busybox");
    } else if (c.cmd == "privileges") {
      task = {};
      task.mutable_spec()->mutable_container_spec()->set_image("busybox@sha256:ab");
      auto& p = *task.mutable_spec()->mutable_container_spec()->mutable_privileges();
      p.mutable_credential_spec()->set_file("spec.json");
      p.mutable_selinux_context()->set_disable(true);
      p.mutable_selinux_context()->set_user("u");
      p.mutable_selinux_context()->set_level("l");
      p.mutable_seccomp()->set_mode("custom");
      p.mutable_seccomp()->set_profile("{\"x\":1}");
      p.mutable_app_armor()->set_mode("disabled");
      p.set_no_new_privileges(true);
      task.mutable_spec()->mutable_resources()->set_swap_bytes(-1);
      task.add_networks()->set_predefined_name("host");
    }
    json_value doc;
    EXPECT_EQ(json_value::parse(create_body(task, "/files/t1"), doc), failure{});
    return pretty(doc) + "\n";
  });
}

TEST(engine_map, an_inspected_container_becomes_a_handle) {
  inspected out;
  ASSERT_TRUE(read_inspect(R"({"Id":"abc","Config":{"Tty":true,"Labels":{"com.docker.swarm.task.id":"t1","io.swarm-node.cluster.id":"c1"}},
    "State":{"Status":"running","Pid":42,"ExitCode":0,"OOMKilled":false,"StartedAt":"2024-05-01T10:00:00Z","FinishedAt":"0001-01-01T00:00:00Z",
             "Health":{"Status":"starting"}},
    "NetworkSettings":{"Ports":{"81/tcp":[{"HostIp":"0.0.0.0","HostPort":"9998"},{"HostIp":"::","HostPort":"9998"}],"82/udp":null}}})", out).ok());
  EXPECT_EQ(out.handle.phase(), TaskHandle::PHASE_RUNNING);
  EXPECT_EQ(out.handle.task_id(), "t1");
  EXPECT_EQ(out.cluster_id, "c1");
  EXPECT_TRUE(out.tty);
  EXPECT_EQ(out.handle.container().pid(), 42);
  EXPECT_TRUE(out.handle.has_health());
  EXPECT_FALSE(out.handle.healthy());
  EXPECT_EQ(out.handle.error(), "");
  EXPECT_EQ(out.handle.finished_at(), 0);
  ASSERT_EQ(out.handle.ports_size(), 2) << "one entry per address family";
  EXPECT_EQ(out.handle.ports(0).published_port(), 9998u);
  EXPECT_EQ(out.handle.ports(0).target_port(), 81u);
}

TEST(engine_map, states_become_phases) {
  const std::vector<std::pair<std::string, TaskHandle::Phase>> cases{
    {"created", TaskHandle::PHASE_CREATED}, {"running", TaskHandle::PHASE_RUNNING}, {"paused", TaskHandle::PHASE_RUNNING},
    {"exited", TaskHandle::PHASE_EXITED},   {"dead", TaskHandle::PHASE_EXITED},     {"removing", TaskHandle::PHASE_EXITED}};
  for (const auto& [state, phase] : cases) {
    inspected out;
    ASSERT_TRUE(read_inspect(R"({"Id":"a","State":{"Status":")" + state + R"("}})", out).ok());
    EXPECT_EQ(out.handle.phase(), phase) << state;
  }
}

TEST(engine_map, what_is_not_what_it_should_be_is_an_unknown_outcome) {
  for (const auto* body : {"", "x", "{}", "[]", "null", "{\"Id\":1}", "{\"Id\":\"a\"}", "{\"Id\":\"a\",\"State\":[]}", "{\"Id\":\"a\",\"State\":{"}) {
    inspected out;
    EXPECT_EQ(read_inspect(body, out).code, errc::deadline_exceeded) << body;
    std::vector<listed> rows;
    EXPECT_EQ(read_list(body, rows).ok(), std::string_view{body} == "[]") << body;
    fingerprint print;
    EXPECT_FALSE(read_fingerprint(body, body, print).ok()) << body;
    event ev;
    const auto is_object = std::string_view{body}.starts_with('{') && std::string_view{body}.ends_with('}');
    EXPECT_EQ(read_event(body, ev).ok(), is_object) << body;
    EXPECT_EQ(ev.action, "");
    EXPECT_EQ(read_pull_error(body), "");
  }
  EXPECT_EQ(read_created_id("{\"Id\":7}"), "");
  EXPECT_EQ(read_message("{\"message\":\"why\\n\"}"), "why");
  EXPECT_EQ(read_message("plain text"), "plain text");
  EXPECT_EQ(read_message("{\"message\":\"" + std::string(10'000, 'x') + "\"}").size(), 2048u);
}

TEST(engine_map, the_fingerprint_is_swarms) {
  fingerprint out;
  ASSERT_TRUE(read_fingerprint(R"({"ID":"E1","Name":"host1","Architecture":"x86_64","OSType":"linux","NCPU":2,"MemTotal":25276502016,"ServerVersion":"20.10.24",
    "Labels":["disk=ssd","bare"],"Plugins":{"Volume":["local"],"Network":["overlay","bridge"],"Authorization":null,"Log":["json-file","awslogs"]},
    "GenericResources":[{"NamedResourceSpec":{"Kind":"gpu","Value":"UUID1"}},{"DiscreteResourceSpec":{"Kind":"ssd","Value":3}}]})",
    R"({"ApiVersion":"1.41"})", out).ok());
  EXPECT_EQ(out.api_minor, 41u);
  EXPECT_EQ(out.id, "E1");
  EXPECT_EQ(to_json(out.description, api_minor{50}),
            R"({"Hostname":"host1","Platform":{"Architecture":"x86_64","OS":"linux"},"Resources":{"NanoCPUs":2000000000,"MemoryBytes":25276502016,)"
            R"("GenericResources":[{"NamedResourceSpec":{"Kind":"gpu","Value":"UUID1"}},{"DiscreteResourceSpec":{"Kind":"ssd","Value":3}}]},)"
            R"("Engine":{"EngineVersion":"20.10.24","Labels":{"bare":"","disk":"ssd"},"Plugins":[{"Type":"Log","Name":"awslogs"},{"Type":"Log","Name":"json-file"},)"
            R"({"Type":"Network","Name":"bridge"},{"Type":"Network","Name":"overlay"},{"Type":"Volume","Name":"local"}]},"TLSInfo":{}})");
}

TEST(engine_map, events_carry_their_task) {
  event ev;
  ASSERT_TRUE(read_event(R"({"Type":"container","Action":"die","Actor":{"ID":"abc","Attributes":{"exitCode":"137","com.docker.swarm.task.id":"t1","io.swarm-node.cluster.id":"c1"}},"timeNano":12})", ev).ok());
  EXPECT_EQ(ev.action + ev.task_id + ev.cluster_id + std::to_string(ev.exit_code) + std::to_string(ev.time), "diet1c113712");
  ASSERT_TRUE(read_event(R"({"Type":"network","Action":"create"})", ev).ok());
  EXPECT_EQ(ev.action, "");
}

} // namespace
} // namespace swarm::docker
