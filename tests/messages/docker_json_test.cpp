// Messages as Docker's JSON: recorded documents, presence rules, version gates, wrong input, round trips, speed.
#include <gtest/gtest.h>

#include <google/protobuf/util/message_differencer.h>

#include <cmath>
#include <cstdio>
#include <ctime>

#include "messages/api.pb.h"
#include "messages/docker_json.hpp"
#include "messages/objects.pb.h"
#include "messages/service_defaults.hpp"
#include "tests/messages/json_support.hpp"

namespace swarm {
namespace {

using test::canonical;

constexpr api_minor newest{50};

// Behaviour §1.10, as the docker CLI 28 sent it.
constexpr const char* every_flag = R"j(
{"Name":"flg","Labels":{"l":"1"},"TaskTemplate":{"ContainerSpec":{"Image":"busybox:latest","Labels":{"c":"2"},"Command":["/bin/sh","-c"],"Args":["sleep 1000"],
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
 "Placement":{"Constraints":["node.role==manager"],"Preferences":[{"Spread":{"SpreadDescriptor":"node.labels.z"}}],"MaxReplicas":3},
 "Networks":[{"Target":"awten0i6a178wp1oxj4b2t32v","Aliases":["al1"]}],"LogDriver":{"Name":"json-file","Options":{"max-size":"1m"}},"ForceUpdate":0},
 "Mode":{"Replicated":{"Replicas":2}},
 "UpdateConfig":{"Parallelism":2,"Delay":1000000000,"FailureAction":"rollback","Monitor":7000000000,"MaxFailureRatio":0.2,"Order":"start-first"},
 "RollbackConfig":{"Parallelism":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"start-first"},
 "EndpointSpec":{"Mode":"vip","Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8081,"PublishMode":"ingress"},
                                       {"Protocol":"udp","TargetPort":90,"PublishedPort":9090,"PublishMode":"host"}]}}
)j";

// "" or the error's text.
template <class Message>
std::string read(std::string_view text, Message& out, api_minor api = newest) {
  const auto error = from_json(text, out, api);
  EXPECT_TRUE(error.ok() || error.code == errc::invalid_argument);
  return error.message;
}

template <class Message>
std::string error_of(std::string_view text, api_minor api = newest) {
  Message out;
  return read(text, out, api);
}

// What a document becomes on its way through the message.
template <class Message>
std::string through(std::string_view text, api_minor api = newest) {
  Message out;
  const auto error = from_json(text, out, api);
  return error.ok() ? canonical(to_json(out, api)) : "<" + error.message + ">";
}

TEST(docker_json, the_recorded_request_with_every_flag_comes_back_unchanged) {
  EXPECT_EQ(through<ServiceSpec>(every_flag), canonical(every_flag));
  ServiceSpec spec;
  ASSERT_EQ(read(every_flag, spec), "");
  EXPECT_EQ(spec.task_template().container_spec().mounts(1).tmpfs_options().mode(), 1016u);
  EXPECT_EQ(spec.update_config().failure_action(), FAILURE_ACTION_ROLLBACK);
  EXPECT_EQ(spec.task_template().restart_policy().condition(), RESTART_CONDITION_ON_FAILURE);
  EXPECT_EQ(spec.endpoint_spec().ports(1).publish_mode(), PUBLISH_MODE_HOST);
  EXPECT_FLOAT_EQ(spec.update_config().max_failure_ratio(), 0.2f);
}

TEST(docker_json, a_minimal_create_comes_back_with_its_empty_structs) {
  const auto* minimal = R"({"Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"busybox","Init":false,"DNSConfig":{}},
    "Resources":{"Limits":{},"Reservations":{}},"Placement":{"Platforms":[{"Architecture":"amd64","OS":"linux"}]},"ForceUpdate":0},
    "Mode":{"Replicated":{}},"EndpointSpec":{"Mode":"vip"}})";
  EXPECT_EQ(through<ServiceSpec>(minimal), canonical(minimal));
  EXPECT_EQ(through<ServiceSpec>("{}"), R"({"Labels":{},"Mode":{},"TaskTemplate":{"ForceUpdate":0}})");
}

TEST(docker_json, a_node_is_written_as_recorded) {
  const auto* recorded =
      R"({"ID":"o6e1","Version":{"Index":1961},"CreatedAt":"2026-11-22T08:26:08.595645196Z","UpdatedAt":"2026-11-22T08:26:09Z",
    "Spec":{"Labels":{},"Role":"worker","Availability":"active"},"Description":{"Hostname":"h1b","Platform":{"Architecture":"x86_64","OS":"linux"},
    "Resources":{"NanoCPUs":2000000000,"MemoryBytes":25276502016,"GenericResources":[{"NamedResourceSpec":{"Kind":"gpu","Value":"UUID1"}}]},
    "Engine":{"EngineVersion":"20.10.24+dfsg1","Plugins":[{"Type":"Log","Name":"awslogs"},{"Type":"Volume","Name":"local"}]},
    "TLSInfo":{"TrustRoot":"-----BEGIN","CertIssuerSubject":"MBMx","CertIssuerPublicKey":"MFkw"}},"Status":{"State":"ready","Addr":"10.201.0.2"},
    "ManagerStatus":{"Leader":true,"Reachability":"reachable","Addr":"10.201.0.1:2377"}})";
  EXPECT_EQ(through<Node>(recorded), canonical(recorded));
  Node fresh;
  fresh.set_raft_id(7);
  EXPECT_EQ(
      canonical(to_json(fresh, newest)),
      R"({"CreatedAt":"0001-01-01T00:00:00Z","Description":{"Engine":{},"Platform":{},"Resources":{},"TLSInfo":{}},)"
      R"("Spec":{"Labels":{}},"Status":{"State":"unknown"},"UpdatedAt":"0001-01-01T00:00:00Z","Version":{}})");
}

TEST(docker_json, a_task_is_written_as_recorded) {
  const auto* running =
      R"({"ID":"swgq","Version":{"Index":138},"CreatedAt":"2026-11-22T08:26:08Z","UpdatedAt":"2026-11-22T08:26:09Z","Labels":{},
    "Spec":{"ContainerSpec":{"Image":"busybox"},"ForceUpdate":0},"ServiceID":"7f48","Slot":1,"NodeID":"0yp8",
    "Status":{"Timestamp":"2026-11-22T08:26:10Z","State":"running","Message":"started","ContainerStatus":{"ContainerID":"d9c0","PID":4870,"ExitCode":0},
      "PortStatus":{"Ports":[{"Protocol":"tcp","TargetPort":81,"PublishedPort":9998,"PublishMode":"host"},{"Protocol":"tcp","TargetPort":81,"PublishedPort":9998,"PublishMode":"host"}]}},
    "DesiredState":"running","NetworksAttachments":[{"Network":{"ID":"qn0d","Version":{"Index":6},"CreatedAt":"2026-11-22T08:00:00Z","UpdatedAt":"2026-11-22T08:00:00Z",
      "Spec":{"Name":"ingress","Labels":{},"DriverConfiguration":{},"Ingress":true,"IPAMOptions":{"Driver":{}},"Scope":"swarm"},
      "DriverState":{"Name":"overlay","Options":{"com.docker.network.driver.overlay.vxlanid_list":"4096"}},
      "IPAMOptions":{"Driver":{"Name":"default"},"Configs":[{"Subnet":"10.0.0.0/24","Gateway":"10.0.0.1"}]}},"Addresses":["10.0.0.15/24"]}]})";
  EXPECT_EQ(through<TaskView>(running, {41}), canonical(running));

  TaskView pending;
  pending.set_id("p");
  pending.mutable_status()->set_timestamp(1795335968000000000);
  pending.mutable_status()->set_state(TASK_STATE_PENDING);
  pending.mutable_status()->set_message("pending task scheduling");
  pending.mutable_status()->set_err("no suitable node (insufficient resources on 2 nodes)");
  pending.set_desired_state(TASK_STATE_RUNNING);
  pending.mutable_job_iteration();
  EXPECT_EQ(
      canonical(to_json(pending, newest)),
      R"({"CreatedAt":"0001-01-01T00:00:00Z","DesiredState":"running","ID":"p","JobIteration":{},"Labels":{},"Spec":{"ForceUpdate":0},)"
      R"j("Status":{"Err":"no suitable node (insufficient resources on 2 nodes)","Message":"pending task scheduling","PortStatus":{},)j"
      R"("State":"pending","Timestamp":"2026-11-22T08:26:08Z"},"UpdatedAt":"0001-01-01T00:00:00Z","Version":{},"Volumes":null})");
}

TEST(docker_json, a_service_and_a_swarm_are_written_as_docker_does) {
  Service service;
  service.set_id("s1");
  service.mutable_meta()->mutable_version()->set_index(9);
  service.mutable_spec()->set_name("web");
  service.mutable_job_status();
  service.mutable_service_status()->set_running_tasks(1);
  service.set_spec_version(7);
  EXPECT_EQ(
      canonical(to_json(service, newest)),
      R"({"CreatedAt":"0001-01-01T00:00:00Z","Endpoint":{"Spec":{}},"ID":"s1","JobStatus":{"JobIteration":{},"LastExecution":"0001-01-01T00:00:00Z"},)"
      R"("ServiceStatus":{"CompletedTasks":0,"DesiredTasks":0,"RunningTasks":1},"Spec":{"Labels":{},"Mode":{},"Name":"web","TaskTemplate":{"ForceUpdate":0}},)"
      R"("UpdatedAt":"0001-01-01T00:00:00Z","Version":{"Index":9}})");
  const auto* spec = R"({"Name":"default","Labels":{},"Orchestration":{"TaskHistoryRetentionLimit":5},
    "Raft":{"SnapshotInterval":10000,"KeepOldSnapshots":0,"LogEntriesForSlowFollowers":500,"ElectionTick":10,"HeartbeatTick":1},
    "Dispatcher":{"HeartbeatPeriod":5000000000},"CAConfig":{"NodeCertExpiry":7776000000000000},"TaskDefaults":{},"EncryptionConfig":{"AutoLockManagers":false}})";
  EXPECT_EQ(through<ClusterSpec>(spec), canonical(spec));
  Cluster cluster;
  EXPECT_EQ(
      canonical(to_json(cluster, newest)),
      R"({"CreatedAt":"0001-01-01T00:00:00Z","DataPathPort":0,"DefaultAddrPool":null,"RootRotationInProgress":false,"Spec":{"CAConfig":{},"Dispatcher":{},)"
      R"("EncryptionConfig":{"AutoLockManagers":false},"Labels":{},"Orchestration":{},"Raft":{"ElectionTick":0,"HeartbeatTick":0},"TaskDefaults":{}},)"
      R"("SubnetSize":0,"TLSInfo":{},"UpdatedAt":"0001-01-01T00:00:00Z","Version":{}})");
}

TEST(docker_json, bodies_that_are_no_objects_have_dockers_presence_rules) {
  EXPECT_EQ(to_json(SwarmInfo{}, newest).find("\"Cluster\""), std::string::npos);
  SwarmInfo info;
  info.set_local_node_state("inactive");
  EXPECT_EQ(
      to_json(info, newest),
      R"({"NodeID":"","NodeAddr":"","LocalNodeState":"inactive","ControlAvailable":false,"Error":"","RemoteManagers":null})");
  EXPECT_EQ(to_json(ServiceUpdateResponse{}, newest), R"({"Warnings":null})");
  EXPECT_EQ(to_json(ErrorResponse{}, newest), R"({"message":""})");
  EventMessage event;
  event.set_type("service");
  event.set_action("create");
  event.mutable_actor()->set_id("s");
  event.set_scope("swarm");
  event.set_time(1);
  event.set_time_nano(1000000002);
  EXPECT_EQ(
      to_json(event, newest),
      R"({"Type":"service","Action":"create","Actor":{"ID":"s","Attributes":{}},"scope":"swarm","time":1,"timeNano":1000000002})");
  SwarmInitRequest init;
  ASSERT_EQ(
      read(
          R"({"ListenAddr":"0.0.0.0:2377","DataPathPort":4789,"DefaultAddrPool":["10.0.0.0/8"],"SubnetSize":24,"Availability":"drain","AutoLockManagers":true})",
          init),
      "");
  EXPECT_EQ(init.subnet_size(), 24u);
  EXPECT_EQ(init.availability(), NODE_AVAILABILITY_DRAIN);
  ASSERT_EQ(read(R"({"DefaultAddrPool":["10.0.0.0/8"],"SubnetSize":24,"DataPathPort":1})", init, {38}), "");
  EXPECT_EQ(init.ByteSizeLong(), 0u);
  EXPECT_EQ(error_of<SwarmInitRequest>(R"({"Availability":"on"})"), R"(invalid Availability: "on")");
}

TEST(docker_json, null_when_empty_and_always_follow_gos_rules_for_each_shape) {
  const auto* privileges = R"({"ContainerSpec":{"Privileges":{}},"ForceUpdate":0})";
  EXPECT_EQ(
      through<TaskSpec>(privileges),
      R"({"ContainerSpec":{"Privileges":{"CredentialSpec":null,"NoNewPrivileges":false,"SELinuxContext":null}},"ForceUpdate":0})");
  EXPECT_EQ(
      through<TaskSpec>(
          R"({"ContainerSpec":{"Secrets":[{}],"Configs":[{"Runtime":{}}],"Init":false,"StopGracePeriod":0}})"),
      R"({"ContainerSpec":{"Configs":[{"ConfigID":"","ConfigName":"","Runtime":{}}],"Init":false,"Secrets":[{"File":null,"SecretID":"","SecretName":""}],)"
      R"("StopGracePeriod":0},"ForceUpdate":0})");
  EXPECT_EQ(through<TmpfsOptions>(R"({"Options":[["exec"],["uid","1"],[]]})"),
            R"({"Options":[["exec"],["uid","1"],[]]})");
  EXPECT_EQ(through<UpdateConfig>("{}"), R"({"MaxFailureRatio":0,"Order":"","Parallelism":0})");
}

TEST(docker_json, keys_are_read_in_any_case_and_unknown_ones_skipped) {
  ServiceSpec spec;
  ASSERT_EQ(read(R"({"NAME":"a","tasktemplate":{"containerSpec":{"IMAGE":"i","tty":true,"dnsConfig":{"search":["x"]}}},
                     "Unknown":{"deep":[1,{"x":null}]},"Name ":"no"})",
                 spec),
            "");
  EXPECT_EQ(spec.name(), "a");
  EXPECT_EQ(spec.task_template().container_spec().image(), "i");
  EXPECT_TRUE(spec.task_template().container_spec().tty());
  EXPECT_EQ(spec.task_template().container_spec().dns_config().search(0), "x");
}

TEST(docker_json, null_leaves_unset_and_the_last_of_equal_keys_wins) {
  ServiceSpec spec;
  ASSERT_EQ(
      read(
          R"({"Name":null,"Labels":null,"TaskTemplate":null,"UpdateConfig":null,"Mode":{"Replicated":{"Replicas":null}}})",
          spec),
      "");
  EXPECT_FALSE(spec.has_task_template());
  EXPECT_FALSE(spec.mode().replicated().has_replicas());
  ASSERT_EQ(read(R"({"Name":"a","name":"b","Labels":{"x":"1","y":"1","x":"2"},"Labels":{"y":"2","z":null},
                     "TaskTemplate":{"ForceUpdate":1,"ContainerSpec":{"Args":["a","b"],"args":["c",null]}},"TaskTemplate":{"ForceUpdate":2}})",
                 spec),
            "");
  EXPECT_EQ(spec.name(), "b");
  EXPECT_EQ(spec.labels().size(), 3u);
  EXPECT_EQ(spec.labels().at("x"), "2");
  EXPECT_EQ(spec.labels().at("y"), "2");
  EXPECT_EQ(spec.labels().at("z"), "");
  EXPECT_EQ(spec.task_template().force_update(), 2u) << "a struct given twice is merged, as in Go";
  ASSERT_EQ(spec.task_template().container_spec().args_size(), 2);
  EXPECT_EQ(spec.task_template().container_spec().args(0), "c");
  EXPECT_EQ(spec.task_template().container_spec().args(1), "");
}

TEST(docker_json, inlined_messages_stand_in_the_enclosing_object) {
  Secret secret;
  ASSERT_EQ(
      read(
          R"({"id":"x","version":{"Index":18446744073709551615},"createdat":"2026-11-22T08:26:08.5+01:00","Spec":{"Data":"c2VjcmV0"}})",
          secret),
      "");
  EXPECT_EQ(secret.meta().version().index(), 18446744073709551615u);
  EXPECT_EQ(secret.meta().created_at(), 1795332368500000000);
  EXPECT_EQ(secret.spec().data(), "secret");
  const auto shown = to_json(secret, newest);
  EXPECT_EQ(shown.find("Data"), std::string::npos) << shown;
}

TEST(docker_json, fields_are_gated_by_the_api_version) {
  const auto* all = R"({"Networks":[{"Target":"n"}],"Mode":{"ReplicatedJob":{}},"TaskTemplate":{"ContainerSpec":{
      "Privileges":{"CredentialSpec":{"Config":"c"},"Seccomp":{"Mode":"default"},"AppArmor":{"Mode":"default"},"NoNewPrivileges":true},
      "Sysctls":{"a":"b"},"CapabilityAdd":["A"],"CapabilityDrop":["D"],"Ulimits":[{"Name":"n"}],"Healthcheck":{"StartInterval":5},"OomScoreAdj":3,
      "Configs":[{"Runtime":{}}],"Mounts":[{"TmpfsOptions":{"Options":[["x"]]},"VolumeOptions":{"Subpath":"s"},"ClusterOptions":{}}]},
    "Resources":{"Limits":{"Pids":4},"SwapBytes":1,"MemorySwappiness":2},"Placement":{"MaxReplicas":1}}})";
  // The version from which each key exists; "Networks" is the one that ends.
  const std::vector<std::pair<std::string, std::uint32_t>> since = {
      {"\"Sysctls\"", 40},         {"\"Config\"", 40},         {"\"Runtime\"", 40},         {"\"MaxReplicas\"", 40},
      {"\"CapabilityAdd\"", 41},   {"\"Ulimits\"", 41},        {"\"CapabilityDrop\"", 41},  {"\"Pids\"", 41},
      {"\"ReplicatedJob\"", 41},   {"\"ClusterOptions\"", 42}, {"\"Seccomp\"", 44},         {"\"AppArmor\"", 44},
      {"\"NoNewPrivileges\"", 44}, {"\"StartInterval\"", 44},  {"\"Subpath\"", 45},         {"\"Options\"", 46},
      {"\"OomScoreAdj\"", 46},     {"\"SwapBytes\"", 52},      {"\"MemorySwappiness\"", 52}};
  ServiceSpec whole;
  ASSERT_EQ(read(all, whole, {60}), "");
  whole.add_networks()->set_target("n");
  for (const std::uint32_t minor : {39, 40, 41, 43, 44, 50, 52}) {
    const auto out = to_json(whole, {minor});           // gate on output
    const auto in = through<ServiceSpec>(all, {minor}); // gate on input and output
    for (const auto& [key, first] : since) {
      EXPECT_EQ(out.find(key) != std::string::npos, minor >= first) << key << " at 1." << minor;
      EXPECT_EQ(in.find(key) != std::string::npos, minor >= first) << key << " at 1." << minor;
    }
    EXPECT_EQ(out.find("\"Networks\"") != std::string::npos, minor < 44);
    EXPECT_EQ(in.find("\"Networks\"") != std::string::npos, minor < 44);
  }
  ServiceSpec old;
  ASSERT_EQ(read(all, old, {39}), "");
  EXPECT_EQ(old.task_template().container_spec().sysctls_size(), 0) << "dropped, not only hidden";
}

TEST(docker_json, wrong_types_are_named_as_dockers_api_package_names_them) {
  const std::pair<const char*, const char*> rows[] = {
    {R"({"UpdateConfig":{"Delay":"1s"}})", "string into Go struct field UpdateConfig.UpdateConfig.Delay of type time.Duration"},
    {R"({"UpdateConfig":{"Order":1}})", "number into Go struct field UpdateConfig.UpdateConfig.Order of type string"},
    {R"({"EndpointSpec":{"Mode":1}})", "number into Go struct field EndpointSpec.EndpointSpec.Mode of type swarm.ResolutionMode"},
    {R"({"TaskTemplate":{"Runtime":1}})", "number into Go struct field TaskSpec.TaskTemplate.Runtime of type swarm.RuntimeType"},
    {R"({"TaskTemplate":{"ContainerSpec":{"Healthcheck":{"Retries":"x"}}}})",
     "string into Go struct field HealthConfig.TaskTemplate.ContainerSpec.Healthcheck.Retries of type int"},
    {R"({"TaskTemplate":{"ContainerSpec":{"Secrets":1}}})",
     "number into Go struct field ContainerSpec.TaskTemplate.ContainerSpec.Secrets of type []*swarm.SecretReference"},
    {R"({"TaskTemplate":{"ContainerSpec":{"Secrets":[1]}}})",
     "number into Go struct field ContainerSpec.TaskTemplate.ContainerSpec.Secrets of type swarm.SecretReference"},
    {R"({"TaskTemplate":{"ContainerSpec":{"Secrets":[{"File":1}]}}})",
     "number into Go struct field SecretReference.TaskTemplate.ContainerSpec.Secrets.File of type swarm.SecretReferenceFileTarget"},
    {R"({"TaskTemplate":{"ContainerSpec":{"Configs":[{"File":{"Mode":-1}}]}}})",
     "number -1 into Go struct field ConfigReferenceFileTarget.TaskTemplate.ContainerSpec.Configs.File.Mode of type fs.FileMode"},
    {R"({"TaskTemplate":{"ContainerSpec":{"Mounts":[{"VolumeOptions":{"DriverConfig":[]}}]}}})",
     "array into Go struct field VolumeOptions.TaskTemplate.ContainerSpec.Mounts.VolumeOptions.DriverConfig of type mount.Driver"},
  };
  for (const auto& [text, error] : rows)
    EXPECT_EQ(error_of<ServiceSpec>(text), std::string{"json: cannot unmarshal "} + error) << text;
  EXPECT_EQ(error_of<ClusterSpec>(R"({"Name":1})"), "json: cannot unmarshal number into Go struct field Spec.Name of type string");
}

TEST(docker_json, wrong_types_are_refused_with_gos_text_and_the_path) {
  EXPECT_EQ(error_of<ServiceSpec>(R"({"Name":1})"),
            "json: cannot unmarshal number into Go struct field ServiceSpec.Name of type string");
  EXPECT_EQ(error_of<ServiceSpec>(R"({"TaskTemplate":{"ForceUpdate":"x"}})"),
            "json: cannot unmarshal string into Go struct field TaskSpec.TaskTemplate.ForceUpdate of type uint64");
  EXPECT_EQ(error_of<ServiceSpec>(R"({"TaskTemplate":{"ContainerSpec":{"Args":"x"}}})"),
            "json: cannot unmarshal string into Go struct field ContainerSpec.TaskTemplate.ContainerSpec.Args of type "
            "[]string");
  EXPECT_EQ(
      error_of<ServiceSpec>(R"({"TaskTemplate":{"ContainerSpec":{"Args":[true]}}})"),
      "json: cannot unmarshal bool into Go struct field ContainerSpec.TaskTemplate.ContainerSpec.Args of type string");
  EXPECT_EQ(error_of<ServiceSpec>(R"({"Labels":[]})"),
            "json: cannot unmarshal array into Go struct field ServiceSpec.Labels of type map[string]string");
  EXPECT_EQ(
      error_of<ServiceSpec>(R"({"Mode":{"Replicated":7}})"),
      "json: cannot unmarshal number into Go struct field ServiceMode.Mode.Replicated of type swarm.ReplicatedService");
  EXPECT_EQ(error_of<ServiceSpec>("[1]"), "json: cannot unmarshal array into Go value of type swarm.ServiceSpec");
  EXPECT_EQ(error_of<ServiceSpec>("\"x\""), "json: cannot unmarshal string into Go value of type swarm.ServiceSpec");
  EXPECT_EQ(error_of<TmpfsOptions>(R"({"Options":["x"]})"),
            "json: cannot unmarshal string into Go struct field TmpfsOptions.Options of type []string");
  EXPECT_EQ(error_of<SecretSpec>(R"({"Data":"a*b="})"), "illegal base64 data at input byte 1");
  EXPECT_EQ(error_of<SecretSpec>(R"({"Data":"AAAAeA"})"), "illegal base64 data at input byte 4") << "where the last group begins";
  EXPECT_EQ(error_of<Secret>(R"({"CreatedAt":"yesterday"})"),
            R"(parsing time "yesterday" as "2006-01-02T15:04:05Z07:00" failed (CreatedAt))");
  EXPECT_EQ(error_of<ServiceSpec>(R"({"Name":1,"Labels":{"a":2},"x":tru})"),
            "invalid character '}' in literal true (expecting 'e')")
      << "syntax first";
}

TEST(docker_json, numbers_must_fit_their_type) {
  const auto replicas = [](const std::string& digits) {
    return error_of<ReplicatedService>("{\"Replicas\":" + digits + "}");
  };
  const auto refused = [](const std::string& shown) {
    return "json: cannot unmarshal number " + shown + " into Go struct field ReplicatedService.Replicas of type uint64";
  };
  EXPECT_EQ(replicas("18446744073709551615"), "");
  EXPECT_EQ(replicas("9223372036854775808"), "") << "2^63";
  for (const auto* bad :
       {"18446744073709551616", "-1", "-0", "1.5", "1.0", "1e3", "1e400", "123456789012345678901234567890"})
    EXPECT_EQ(replicas(bad), refused(bad));
  EXPECT_EQ(replicas(std::string(100'000, '9')), refused(std::string(64, '9')));

  HealthConfig health;
  EXPECT_EQ(read(R"({"Interval":-9223372036854775808,"Timeout":9223372036854775807,"Retries":-0})", health), "");
  EXPECT_EQ(health.interval(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(
      error_of<HealthConfig>(R"({"Interval":9223372036854775808})"),
      "json: cannot unmarshal number 9223372036854775808 into Go struct field HealthConfig.Interval of type time.Duration");
  EXPECT_NE(error_of<PortConfig>(R"({"TargetPort":4294967296})"), "");

  UpdateConfig update;
  EXPECT_EQ(read(R"({"MaxFailureRatio":1e-400})", update), "");
  EXPECT_EQ(update.max_failure_ratio(), 0.0f);
  EXPECT_EQ(read(R"({"MaxFailureRatio":-0})", update), "");
  EXPECT_EQ(read(R"({"MaxFailureRatio":123456789012345678901234567890})", update), "");
  EXPECT_EQ(error_of<UpdateConfig>(R"({"MaxFailureRatio":1e400})"),
            "json: cannot unmarshal number 1e400 into Go struct field UpdateConfig.MaxFailureRatio of type float32");
  EXPECT_NE(error_of<UpdateConfig>(R"({"MaxFailureRatio":1e39})"), "") << "more than a float32 holds";
  EXPECT_NE(error_of<UpdateConfig>(R"({"MaxFailureRatio":1)" + std::string(400, '0') + "}"), "");
}

TEST(docker_json, unknown_enum_texts_are_refused_in_docker_words) {
  EXPECT_EQ(error_of<Mount>(R"({"Type":"bad"})"), R"(invalid MountType: "bad")");
  EXPECT_EQ(error_of<Mount>(R"({"Type":"image"})"), R"(invalid MountType: "image")");
  EXPECT_EQ(error_of<RestartPolicy>(R"({"Condition":"x\""})"), R"(invalid RestartCondition: "x\"")");
  EXPECT_EQ(error_of<UpdateConfig>(R"({"FailureAction":"x"})"), "unrecognized update failure action x");
  EXPECT_EQ(error_of<UpdateConfig>(R"({"Order":"x"})"), "unrecognized update order x");
  EXPECT_EQ(error_of<EndpointSpec>(R"({"Mode":"x"})"), R"(invalid resolution mode: "x")");
  EXPECT_EQ(error_of<NodeSpec>(R"({"Role":"x"})"), R"(invalid Role: "x")");
  EXPECT_EQ(error_of<NodeSpec>(R"({"Availability":"x"})"), R"(invalid Availability: "x")");
  EXPECT_EQ(error_of<NodeSpec>(R"({"Role":"x","Name":1})"),
            "json: cannot unmarshal number into Go struct field NodeSpec.Name of type string")
      << "types before values";
  EXPECT_EQ(error_of<RestartPolicy>(R"({"Condition":"ANY"})"), R"(invalid RestartCondition: "ANY")");
  EXPECT_EQ(error_of<UpdateConfig>(R"({"FailureAction":"Pause"})"), "unrecognized update failure action Pause");
  EXPECT_EQ(error_of<UpdateConfig>(R"({"Order":"Stop-First"})"), "unrecognized update order Stop-First");
  EXPECT_EQ(error_of<NodeSpec>(R"({"Role":"","Availability":"PAUSE"})"), "")
      << "Docker compares in any case; empty is for the caller to judge";
}

TEST(docker_json, bodies_that_are_no_single_document_are_refused) {
  EXPECT_EQ(error_of<ServiceSpec>(""), "got EOF while reading request body");
  EXPECT_EQ(error_of<ServiceSpec>(" \n"), "got EOF while reading request body");
  EXPECT_EQ(error_of<ServiceSpec>("{}{}"), "unexpected content after JSON");
  EXPECT_EQ(error_of<ServiceSpec>("{\"Name\":"), "unexpected EOF");
  EXPECT_EQ(error_of<ServiceSpec>("x"), "invalid character 'x' looking for beginning of value");
  EXPECT_EQ(error_of<ServiceSpec>("null"), "") << "as an empty object, as in Go";
  EXPECT_EQ(error_of<ServiceSpec>("nul"), "unexpected EOF");
}

TEST(docker_json, names_that_are_invalid_utf8_are_stored_as_replacement_characters) {
  ServiceSpec spec;
  ASSERT_EQ(read("{\"Name\":\"a\xff\",\"Labels\":{\"\xc3\":\"\\ud800\"}}", spec), "");
  EXPECT_EQ(spec.name(), "a\ufffd");
  EXPECT_EQ(spec.labels().at("\ufffd"), "\ufffd");
}

template <class Message>
void round_trips(std::uint64_t seed) {
  for (int i = 0; i < 40; ++i) {
    Message before, after;
    test::random_filler{seed + static_cast<std::uint64_t>(i)}.fill(before);
    const auto text = to_json(before, {60});
    const auto error = from_json(text, after, {60});
    ASSERT_TRUE(error.ok()) << Message::descriptor()->name() << " seed " << seed + static_cast<std::uint64_t>(i) << ": "
                            << error.message << "\n"
                            << text;
    std::string difference;
    google::protobuf::util::MessageDifferencer differ;
    differ.ReportDifferencesToString(&difference);
    ASSERT_TRUE(differ.Compare(before, after)) << Message::descriptor()->name() << " seed "
                                               << seed + static_cast<std::uint64_t>(i) << ": " << difference << "\n"
                                               << text;
    ASSERT_EQ(to_json(after, {60}), text);
  }
}

TEST(docker_json, random_messages_survive_writing_and_reading) {
  const auto seed = test::fresh_seed();
  round_trips<ServiceSpec>(seed);
  round_trips<Service>(seed);
  round_trips<Node>(seed);
  round_trips<Cluster>(seed);
  round_trips<TaskView>(seed);
  round_trips<NetworkSpec>(seed);
  round_trips<ConfigSpec>(seed);
  round_trips<SwarmInfo>(seed);
  round_trips<EventMessage>(seed);
}

TEST(docker_json, mutated_documents_never_crash_and_never_hang) {
  std::mt19937_64 random{5};
  const std::string base = every_flag;
  int accepted = 0;
  for (int i = 0; i < 3000; ++i) {
    auto text = base;
    for (auto n = random() % 4 + 1; n-- > 0;) {
      const auto at = random() % text.size();
      switch (random() % 4) {
      case 0: text[at] = static_cast<char>(random()); break;
      case 1: text.erase(at, random() % 10); break;
      case 2: text.insert(at, 1, "{}[]\",:0e-\\"[random() % 11]); break;
      default: text.resize(at + 1); break;
      }
    }
    ServiceSpec spec;
    if (from_json(text, spec, newest).ok()) {
      ++accepted;
      ServiceSpec again;
      EXPECT_TRUE(from_json(to_json(spec, newest), again, newest).ok()) << text;
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 3000);
}

TEST(docker_json, is_fast_enough_for_long_lists) {
  Service service;
  ASSERT_EQ(read(every_flag, *service.mutable_spec()), "");
  service.set_id("4kbes6crbt941oqwlrwwg6oui");
  service.mutable_meta()->set_created_at(1795335968595645196);
  *service.mutable_endpoint()->mutable_spec() = service.spec().endpoint_spec();
  std::string text;
  constexpr int rounds = 1000;
  const auto measure = [&](auto work) {
    const auto start = std::clock(); // processor time: other load must not fail this
    for (int i = 0; i < rounds; ++i)
      work();
    return 1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / rounds;
  };
  const auto write_us = measure([&] {
    text.clear();
    json_writer out{text};
    to_json(service, out, newest);
  });
  Service out;
  const auto read_us = measure([&] { (void)from_json(text, out, newest); });
  std::printf("service of %zu bytes: write %.1f us, read %.1f us (%s)\n", text.size(), write_us, read_us,
#ifdef __OPTIMIZE__
              "optimised"
#else
              "not optimised"
#endif
  );
  EXPECT_LT(write_us, 2000);
  EXPECT_LT(read_us, 5000);
}

} // namespace
} // namespace swarm
