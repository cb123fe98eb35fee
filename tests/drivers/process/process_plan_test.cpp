// What the process driver applies, and what it refuses by name.
#include "drivers/process/process_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace swarm::process {
namespace {

const host_paths paths{"/state/volumes", "/run/files"};

TaskDescription sleeper() {
  TaskDescription t;
  t.set_task_id("t1");
  auto& c = *t.mutable_spec()->mutable_container_spec();
  c.set_image("busybox:latest");
  c.add_command("sleep");
  c.add_args("10");
  return t;
}

std::string problem(const TaskDescription& t) { return plan_launch(t, paths).problem.message; }

TEST(process_plan, command_and_args_become_argv_and_any_image_name_is_recorded) {
  const auto plan = plan_launch(sleeper(), paths);
  ASSERT_TRUE(plan.problem.ok()) << plan.problem.message;
  EXPECT_EQ(std::vector<std::string>(plan.launch.argv().begin(), plan.launch.argv().end()), (std::vector<std::string>{"sleep", "10"}));
  EXPECT_EQ(plan.launch.image(), "busybox:latest");
  EXPECT_TRUE(plan.image_path.empty());
  EXPECT_EQ(plan.launch.dir(), "/");
}

TEST(process_plan, a_file_image_is_a_root_file_system) {
  auto t = sleeper();
  t.mutable_spec()->mutable_container_spec()->set_image("file:///srv/root.tar");
  EXPECT_EQ(plan_launch(t, paths).image_path, "/srv/root.tar");
  t.mutable_spec()->mutable_container_spec()->set_image("file://relative");
  EXPECT_EQ(problem(t), "image file://relative: expected file:///ABSOLUTE/PATH of a folder or tar file");
}

TEST(process_plan, without_a_command_there_is_nothing_to_run) {
  TaskDescription t;
  t.mutable_spec()->mutable_container_spec()->set_image("nginx");
  EXPECT_EQ(problem(t), "No command specified: the process driver cannot take one from image nginx");
}

TEST(process_plan, what_it_cannot_do_is_refused_by_name) {
  auto with = [](auto change) {
    auto t = sleeper();
    change(*t.mutable_spec());
    return problem(t);
  };
  EXPECT_EQ(with([](TaskSpec& s) { s.mutable_container_spec()->mutable_healthcheck()->add_test("CMD"); }),
            "the process driver does not support health checks");
  EXPECT_EQ(with([](TaskSpec& s) { s.mutable_log_driver()->set_name("syslog"); }), "the process driver does not support log driver syslog");
  EXPECT_EQ(with([](TaskSpec& s) { (*s.mutable_log_driver()->mutable_options())["tag"] = "x"; }), "the process driver does not support log option tag");
  EXPECT_EQ(with([](TaskSpec& s) { (*s.mutable_container_spec()->mutable_sysctls())["net.core.somaxconn"] = "1"; }),
            "the process driver does not support sysctl net.core.somaxconn (tasks share the host's network namespace)");
  EXPECT_EQ(with([](TaskSpec& s) { s.mutable_container_spec()->add_capability_add("CAP_NONSENSE"); }),
            "invalid capability: unknown capability: \"CAP_NONSENSE\"");
  EXPECT_EQ(with([](TaskSpec& s) { s.mutable_container_spec()->set_stop_signal("SIGNOPE"); }), "invalid signal: SIGNOPE");
  EXPECT_EQ(with([](TaskSpec& s) { s.mutable_container_spec()->mutable_healthcheck()->add_test("NONE"); }), "");
}

TEST(process_plan, mounts_have_swarms_errors_and_volumes_become_folders) {
  auto t = sleeper();
  auto& m = *t.mutable_spec()->mutable_container_spec()->add_mounts();
  m.set_type(MOUNT_TYPE_VOLUME);
  m.set_source("data");
  m.set_target("/data");
  EXPECT_EQ(plan_launch(t, paths).launch.mounts(0).source(), "/state/volumes/data");
  m.set_source("../../etc");
  EXPECT_EQ(problem(t), "\"../../etc\" includes invalid characters for a local volume name");
  m.set_source("/abs");
  EXPECT_EQ(problem(t), "invalid volume mount source, must not be an absolute path: /abs");
  m.set_type(MOUNT_TYPE_BIND);
  m.set_source("rel");
  EXPECT_EQ(problem(t), "invalid bind mount source, must be an absolute path: rel");
  m.set_target("x");
  EXPECT_EQ(problem(t), "invalid mount target, must be an absolute path: x");
  m.set_target("/x");
  m.set_type(MOUNT_TYPE_TMPFS);
  EXPECT_EQ(problem(t), "invalid tmpfs source, source must be empty");
}

TEST(process_plan, capabilities_start_from_dockers_set) {
  auto t = sleeper();
  auto& c = *t.mutable_spec()->mutable_container_spec();
  c.add_capability_add("cap_net_admin");
  c.add_capability_drop("CHOWN");
  const auto caps = plan_launch(t, paths).launch.capabilities();
  EXPECT_EQ(caps.size(), 14);
  EXPECT_NE(std::find(caps.begin(), caps.end(), "NET_ADMIN"), caps.end());
  EXPECT_EQ(std::find(caps.begin(), caps.end(), "CHOWN"), caps.end());
  c.add_capability_drop("ALL");
  EXPECT_EQ(plan_launch(t, paths).launch.capabilities_size(), 1);
}

TEST(process_plan, log_options_bound_the_files) {
  auto t = sleeper();
  auto& options = *t.mutable_spec()->mutable_log_driver()->mutable_options();
  options["max-size"] = "1m";
  options["max-file"] = "3";
  EXPECT_EQ(plan_launch(t, paths).launch.log_max_bytes(), 1 << 20);
  EXPECT_EQ(plan_launch(t, paths).launch.log_max_files(), 3u);
  options["max-size"] = "-5";
  EXPECT_EQ(problem(t), "invalid value for log option max-size: -5");
}

TEST(signal_number, knows_names_and_numbers) {
  EXPECT_EQ(signal_number("SIGTERM"), 15);
  EXPECT_EQ(signal_number("USR1"), 10);
  EXPECT_EQ(signal_number("9"), 9);
  EXPECT_EQ(signal_number("65"), 0);
  EXPECT_EQ(signal_number(""), 0);
}

} // namespace
} // namespace swarm::process
