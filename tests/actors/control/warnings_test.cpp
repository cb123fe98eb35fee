// Every field without effect is named, and nothing else is.
#include "actors/control/warnings.hpp"

#include <gtest/gtest.h>

#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

std::string only(const ServiceSpec& spec) {
  const auto all = control::service_warnings(spec);
  EXPECT_EQ(all.size(), 1u);
  return all.empty() ? "" : all.front();
}

TEST(warnings_test, an_ordinary_service_has_none) {
  auto spec = service_spec("web");
  publish(spec, 80, 80, PUBLISH_MODE_HOST);
  spec.mutable_task_template()->add_networks()->set_target("host");
  spec.mutable_task_template()->mutable_placement()->add_constraints("node.labels.zone == a");
  auto& mount = *spec.mutable_task_template()->mutable_container_spec()->add_mounts();
  mount.set_type(MOUNT_TYPE_VOLUME);
  mount.set_source("data");
  mount.set_target("/data");
  EXPECT_TRUE(control::service_warnings(spec).empty());
}

TEST(warnings_test, fields_without_effect_are_named_by_their_path) {
  auto spec = service_spec("web");
  publish(spec, 80, 80);
  EXPECT_TRUE(only(spec).starts_with("EndpointSpec.Ports[PublishMode=ingress] is stored but has no effect yet: "));
  spec = service_spec("web");
  (*spec.mutable_task_template()->add_networks()->mutable_driver_opts())["a"] = "b";
  EXPECT_TRUE(only(spec).starts_with("TaskTemplate.Networks[DriverOpts] "));
  spec = service_spec("web");
  spec.mutable_task_template()->mutable_container_spec()->mutable_privileges()->mutable_credential_spec();
  EXPECT_TRUE(only(spec).starts_with("ContainerSpec.Privileges.CredentialSpec "));
  spec = service_spec("web");
  auto& mount = *spec.mutable_task_template()->mutable_container_spec()->add_mounts();
  mount.set_type(MOUNT_TYPE_BIND);
  mount.set_source("/a");
  mount.set_target("/b");
  mount.mutable_bind_options()->set_create_mountpoint(true);
  mount.mutable_bind_options()->set_read_only_non_recursive(true);
  mount.mutable_bind_options()->set_read_only_force_recursive(true);
  EXPECT_EQ(control::service_warnings(spec).size(), 3u);
}

TEST(warnings_test, a_deadline_that_is_no_duration_sets_no_limit) {
  auto spec = service_spec("web");
  (*spec.mutable_labels())["swarm.update.deadline"] = "1m30s";
  EXPECT_TRUE(control::service_warnings(spec).empty());
  (*spec.mutable_labels())["swarm.update.deadline"] = "soon";
  EXPECT_EQ(only(spec), "label swarm.update.deadline: \"soon\" is no duration such as 90s: updates wait without a limit");
}

TEST(warnings_test, an_unknown_constraint_key_will_never_match) {
  auto spec = service_spec("web");
  spec.mutable_task_template()->mutable_placement()->add_constraints("node.colour == red");
  EXPECT_EQ(only(spec), "constraint key 'node.colour' is not known: no node will ever match, tasks will stay pending");
}

TEST(warnings_test, impossible_mounts_are_told_in_the_words_of_the_later_failure) {
  const auto text = [](MountType type, const char* source, const char* target) {
    auto spec = service_spec("web");
    auto& mount = *spec.mutable_task_template()->mutable_container_spec()->add_mounts();
    mount.set_type(type);
    mount.set_source(source);
    mount.set_target(target);
    return only(spec);
  };
  EXPECT_EQ(text(MOUNT_TYPE_VOLUME, "v", "x"), "tasks will be rejected: invalid mount target, must be an absolute path: x");
  EXPECT_EQ(text(MOUNT_TYPE_BIND, "x", "/x"), "tasks will be rejected: invalid bind mount source, must be an absolute path: x");
  EXPECT_EQ(text(MOUNT_TYPE_VOLUME, "/x", "/x"),
            "tasks will be rejected: invalid volume mount source, must not be an absolute path: /x");
  EXPECT_EQ(text(MOUNT_TYPE_TMPFS, "/x", "/x"), "tasks will be rejected: invalid tmpfs source, source must be empty");
}

TEST(warnings_test, owners_of_files_are_numbers) {
  auto spec = service_spec("web");
  auto& container = *spec.mutable_task_template()->mutable_container_spec();
  auto& secret = *container.add_secrets()->mutable_file();
  secret.set_name("key");
  secret.set_uid("33");
  EXPECT_TRUE(control::service_warnings(spec).empty());
  secret.set_uid("www-data");
  EXPECT_EQ(only(spec), "tasks will be rejected: the owner of secret key, \"www-data\", is not a number");
  secret.set_uid("0");
  auto& config = *container.add_configs()->mutable_file();
  config.set_name("/etc/x");
  config.set_gid("99999999999");
  EXPECT_EQ(only(spec), "tasks will be rejected: the owner of config /etc/x, \"99999999999\", is not a number");
}

} // namespace
} // namespace swarm
