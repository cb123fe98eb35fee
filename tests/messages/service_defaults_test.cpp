// What `service inspect` adds to what the user sent.
#include <gtest/gtest.h>

#include "messages/docker_json.hpp"
#include "messages/service_defaults.hpp"
#include "tests/messages/json_support.hpp"

namespace swarm {
namespace {

using test::canonical;

ServiceSpec spec_of(std::string_view json) {
  ServiceSpec spec;
  const auto error = from_json(json, spec, {});
  EXPECT_TRUE(error.ok()) << error.message;
  return spec;
}

std::string normalised(std::string_view json) {
  auto spec = spec_of(json);
  normalise_service(spec);
  const auto once = to_json(spec, {});
  normalise_service(spec);
  EXPECT_EQ(to_json(spec, {}), once) << "idempotent";
  return canonical(once);
}

std::string with_defaults(std::string_view json) {
  auto spec = spec_of(json);
  apply_service_defaults(spec);
  return canonical(to_json(spec, {}));
}

TEST(service_defaults, conversion_adds_what_swarm_always_shows) {
  EXPECT_EQ(
      normalised(R"({"Name":"w","TaskTemplate":{"ContainerSpec":{"Image":"i","Mounts":[{"Target":"/x"}]}}})"),
      canonical(
          R"({"Name":"w","Labels":{},"Mode":{"Replicated":{"Replicas":1}},"TaskTemplate":{"ContainerSpec":{"Image":"i","Isolation":"default",
              "DNSConfig":{},"Mounts":[{"Type":"bind","Target":"/x"}]},"Runtime":"container","ForceUpdate":0,"Placement":{}}})"));
  EXPECT_EQ(
      normalised(R"({"TaskTemplate":{"Resources":{},"RestartPolicy":{}},"Mode":{"Global":{}},"UpdateConfig":{},
              "EndpointSpec":{"Ports":[{"TargetPort":80},{"Protocol":"udp","PublishMode":"host"}]}})"),
      canonical(
          R"({"Labels":{},"Mode":{"Global":{}},"TaskTemplate":{"Runtime":"container","ForceUpdate":0,"Placement":{},"Resources":{},
              "RestartPolicy":{"Condition":"any","MaxAttempts":0}},"UpdateConfig":{"Parallelism":0,"MaxFailureRatio":0,"Order":"stop-first","FailureAction":"pause"},
              "EndpointSpec":{"Mode":"vip","Ports":[{"Protocol":"tcp","TargetPort":80,"PublishMode":"ingress"},{"Protocol":"udp","PublishMode":"host"}]}})"));
}

TEST(service_defaults, modes_get_their_numbers) {
  const auto mode = [](const char* given) {
    auto spec = spec_of(std::string{"{\"Mode\":"} + given + "}");
    normalise_service(spec);
    return canonical(to_json(spec.mode(), {}));
  };
  EXPECT_EQ(mode("{}"), R"({"Replicated":{"Replicas":1}})");
  EXPECT_EQ(mode(R"({"Replicated":{"Replicas":0}})"), R"({"Replicated":{"Replicas":0}})");
  EXPECT_EQ(mode(R"({"ReplicatedJob":{}})"), R"({"ReplicatedJob":{"MaxConcurrent":1,"TotalCompletions":1}})");
  EXPECT_EQ(mode(R"({"ReplicatedJob":{"MaxConcurrent":3}})"),
            R"({"ReplicatedJob":{"MaxConcurrent":3,"TotalCompletions":3}})");
  EXPECT_EQ(mode(R"({"GlobalJob":{}})"), R"({"GlobalJob":{}})");
  EXPECT_EQ(mode(R"({"Global":{},"GlobalJob":{}})"), R"({"Global":{},"GlobalJob":{}})") << "for CONTROL to refuse";
}

TEST(service_defaults, insert_defaults_shows_all_of_swarms_defaults) {
  EXPECT_EQ(with_defaults(R"({"Name":"w","TaskTemplate":{"ContainerSpec":{"Image":"i","Init":false}}})"),
            canonical(R"({"Name":"w","Labels":{},"Mode":{"Replicated":{"Replicas":1}},
              "TaskTemplate":{"ContainerSpec":{"Image":"i","Init":false,"Isolation":"default","DNSConfig":{},"StopGracePeriod":10000000000},
                "Runtime":"container","ForceUpdate":0,"Placement":{},"Resources":{"Limits":{},"Reservations":{}},
                "RestartPolicy":{"Condition":"any","Delay":5000000000,"MaxAttempts":0}},
              "UpdateConfig":{"Parallelism":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"stop-first"},
              "RollbackConfig":{"Parallelism":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"stop-first"},
              "EndpointSpec":{"Mode":"vip"}})"));
}

TEST(service_defaults, insert_defaults_changes_nothing_that_was_given) {
  auto spec = spec_of(
      R"({"TaskTemplate":{"ContainerSpec":{"StopGracePeriod":0},"RestartPolicy":{"Condition":"none","Delay":0,"MaxAttempts":2}},
                          "UpdateConfig":{"Parallelism":0,"Monitor":1,"Order":"start-first","FailureAction":"rollback"}})");
  apply_service_defaults(spec);
  EXPECT_EQ(spec.task_template().container_spec().stop_grace_period(), 0);
  EXPECT_EQ(spec.task_template().restart_policy().delay(), 0);
  EXPECT_EQ(spec.task_template().restart_policy().condition(), RESTART_CONDITION_NONE);
  EXPECT_EQ(spec.update_config().parallelism(), 0u) << "0 is all at once, not unset";
  EXPECT_EQ(spec.update_config().monitor(), 1);
  EXPECT_EQ(spec.update_config().order(), UPDATE_ORDER_START_FIRST);
  auto job = spec_of(R"({"Mode":{"GlobalJob":{}}})");
  apply_service_defaults(job);
  EXPECT_FALSE(job.has_update_config()) << "jobs may not have one";
}

} // namespace
} // namespace swarm
