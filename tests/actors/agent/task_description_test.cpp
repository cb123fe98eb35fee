// Task descriptions: names, templates in the spec, secrets and configs with templates of their own.
#include "actors/agent/task_description.hpp"

#include <gtest/gtest.h>

namespace swarm::agent {
namespace {

class description : public testing::Test {
protected:
  description() {
    task.set_id("t1");
    task.set_service_id("s1");
    task.set_slot(2);
    service.set_id("s1");
    service.set_name("web");
    (*service.mutable_labels())["tier"] = "front";
    secret.set_data("hunter2");
    config.set_data("listen {{.Task.Slot}} {{env \"PORT\"}} {{secret \"pw\"}} {{config \"plain\"}} {{.Node.Hostname}}");
    plain.set_data("as {{it}} is");
  }
  failure make() {
    const payloads data{[this](const std::string& id) { return id == "sec" ? &secret : nullptr; },
                        [this](const std::string& id) { return id == "cfg" ? &config : id == "plain" ? &plain : nullptr; },
                        [this](const std::string& id) { return id == "net" ? &network : nullptr; }};
    return describe(task, what, service, {"n1", "host1", "x86_64", "linux", "c1"}, data, out);
  }
  ContainerSpec& spec() { return *what.mutable_spec()->mutable_container_spec(); }
  void use_secret() {
    auto& reference = *spec().add_secrets();
    reference.set_secret_id("sec");
    reference.mutable_file()->set_name("pw");
    reference.mutable_file()->set_uid("33");
    reference.mutable_file()->set_mode(0440);
  }
  void use_config(const std::string& id, const std::string& target) {
    auto& reference = *spec().add_configs();
    reference.set_config_id(id);
    reference.mutable_file()->set_name(target);
  }

  AssignedTask task;
  TaskTemplate what;
  ServiceIdentity service;
  SecretSpec secret;
  ConfigSpec config, plain;
  Network network;
  TaskDescription out;
};

TEST_F(description, is_named_after_slot_or_node) {
  ASSERT_TRUE(make().ok());
  EXPECT_EQ(out.task_name(), "web.2.t1");
  task.set_slot(0);
  ASSERT_TRUE(make().ok());
  EXPECT_EQ(out.task_name(), "web.n1.t1");
}

TEST_F(description, brings_the_networks_of_swarm_scope_and_waits_for_one_that_is_not_here) {
  network.mutable_spec()->set_name("back");
  task.add_networks()->set_network_id("net");
  task.add_networks()->set_predefined_name("host");
  ASSERT_TRUE(make().ok());
  ASSERT_EQ(out.network_definitions_size(), 1);
  EXPECT_EQ(out.network_definitions(0).spec().name(), "back");
  EXPECT_EQ(out.networks_size(), 2);
  task.add_networks()->set_network_id("other");
  EXPECT_EQ(make(), (failure{errc::unavailable, "network other has not arrived on this node"}));
}

TEST_F(description, expands_hostname_env_and_mounts) {
  spec().set_hostname("n-{{.Task.Slot}}");
  spec().add_env("WHO={{.Service.Name}}/{{.Node.Hostname}}/{{index .Service.Labels \"tier\"}}");
  auto& mount = *spec().add_mounts();
  mount.set_source("data-{{.Task.Slot}}");
  mount.set_target("/{{.Service.Name}}");
  (*mount.mutable_volume_options()->mutable_labels())["task"] = "{{.Task.ID}}";
  (*mount.mutable_volume_options()->mutable_driver_config()->mutable_options())["o"] = "{{.Node.ID}}";
  ASSERT_TRUE(make().ok());
  const auto& made = out.spec().container_spec();
  EXPECT_EQ(made.hostname(), "n-2");
  EXPECT_EQ(made.env(0), "WHO=web/host1/front");
  EXPECT_EQ(made.mounts(0).source(), "data-2");
  EXPECT_EQ(made.mounts(0).target(), "/web");
  EXPECT_EQ(made.mounts(0).volume_options().labels().at("task"), "t1");
  EXPECT_EQ(made.mounts(0).volume_options().driver_config().options().at("o"), "n1");
}

TEST_F(description, the_slot_of_a_global_task_is_its_node) {
  task.set_slot(0);
  spec().set_hostname("{{.Task.Slot}}");
  ASSERT_TRUE(make().ok());
  EXPECT_EQ(out.spec().container_spec().hostname(), "n1");
}

TEST_F(description, a_template_error_names_the_field) {
  spec().set_hostname("{{.Nope}}");
  EXPECT_EQ(make().message.find("expanding hostname failed: template: expansion:1:"), 0u);
  spec().set_hostname("");
  spec().add_env("A={{nope}}");
  EXPECT_EQ(make().message.find("expanding env failed: "), 0u);
}

TEST_F(description, places_secrets_and_configs) {
  use_secret();
  use_config("plain", "etc/app.conf");
  use_config("plain", "/abs");
  ASSERT_TRUE(make().ok());
  ASSERT_EQ(out.secret_files_size(), 3);
  EXPECT_EQ(out.secret_files(0).target(), "/run/secrets/pw");
  EXPECT_EQ(out.secret_files(0).uid(), "33");
  EXPECT_EQ(out.secret_files(0).mode(), 0440u);
  EXPECT_EQ(out.secret_files(1).target(), "/etc/app.conf");
  EXPECT_EQ(out.secret_files(1).data(), "as {{it}} is") << "no templating asked for";
  EXPECT_EQ(out.secret_files(2).target(), "/abs");
}

TEST_F(description, a_config_for_the_runtime_is_no_file_and_not_waited_for) {
  auto& reference = *spec().add_configs();
  reference.set_config_id("not here");
  reference.set_config_name("spec");
  reference.mutable_runtime();
  ASSERT_TRUE(make().ok());
  EXPECT_EQ(out.secret_files_size(), 0);
}

TEST_F(description, templated_payloads_reach_env_secrets_and_configs_by_target) {
  use_secret();
  use_config("plain", "plain");
  use_config("cfg", "made");
  config.mutable_templating()->set_name("golang");
  spec().add_env("PORT=80{{.Task.Slot}}");
  ASSERT_TRUE(make().ok());
  EXPECT_EQ(out.secret_files(2).data(), "listen 2 802 hunter2 as {{it}} is host1");
}

TEST_F(description, a_payload_that_names_what_the_task_does_not_have_is_refused) {
  use_config("cfg", "made");
  config.mutable_templating()->set_name("golang");
  const auto error = make();
  EXPECT_EQ(error.code, errc::invalid_argument);
  EXPECT_NE(error.message.find("secret target pw not found"), std::string::npos) << error.message;
}

TEST_F(description, what_has_not_arrived_is_waited_for) {
  spec().add_secrets()->set_secret_id("later");
  EXPECT_EQ(make().code, errc::unavailable);
}

} // namespace
} // namespace swarm::agent
