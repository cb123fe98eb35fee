// What only a real Docker Engine can show: secrets, health checks, ports, adoption, restarts and hangs of the engine.
#include <chrono>
#include <sys/stat.h>
#include <thread>

#include "tests/drivers/contract/docker_under_test.hpp"

namespace swarm::test {
namespace {

using clock = std::chrono::steady_clock;

class docker_on_engine : public testing::Test {
protected:
  void SetUp() override {
    engine = shared_engine();
    if (engine == nullptr)
      GTEST_SKIP() << "this machine cannot run an engine";
    begin();
  }
  void TearDown() override {
    if (engine == nullptr)
      return;
    for (const auto& id : made)
      (void)ask<TaskHandle>(self, driver->handle(), with<RemoveTask>(id));
    end();
  }
  void begin() {
    driver = std::make_unique<docker_under_test>(system, *engine);
    news = std::make_shared<listener_inbox>();
    listener = system.spawn(listening, news);
    self->send(driver->handle(), subscribe_atom_v, listener);
    RecoverTasks recover;
    recover.set_cluster_id(describe_task().cluster_id());
    recovered = ask<RecoveredTasks>(self, driver->handle(), recover).value;
  }
  void end() {
    caf::anon_send_exit(listener, caf::exit_reason::user_shutdown);
    driver.reset();
  }
  template <class R>
  static R with(const std::string& id) {
    R r;
    r.set_task_id(id);
    return r;
  }
  outcome_of<TaskHandle> prepare(const TaskDescription& task) {
    made.push_back(task.task_id());
    PrepareTask r;
    *r.mutable_task() = task;
    return ask<TaskHandle>(self, driver->handle(), r);
  }
  outcome_of<TaskHandle> start(const std::string& id) { return ask<TaskHandle>(self, driver->handle(), with<StartTask>(id)); }
  outcome_of<TaskHandle> inspect(const std::string& id) { return ask<TaskHandle>(self, driver->handle(), with<InspectTask>(id)); }
  TaskDescription run(const std::string& script) {
    auto task = describe_task();
    docker_under_test::shell(task, script);
    EXPECT_EQ(prepare(task).error, failure{});
    EXPECT_EQ(start(task.task_id()).error, failure{});
    return task;
  }
  std::string exec(const TaskDescription& task, const std::string& command) { return engine->docker("exec " + task.task_name() + " " + command); }

  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  test_engine* engine = nullptr;
  std::unique_ptr<docker_under_test> driver;
  std::shared_ptr<listener_inbox> news;
  driver_listener listener;
  RecoveredTasks recovered;
  std::vector<std::string> made;
};

TEST_F(docker_on_engine, the_container_carries_swarms_name_and_labels) {
  const auto task = run("sleep 1000");
  EXPECT_EQ(engine->docker("inspect -f '{{.Name}} {{index .Config.Labels \"com.docker.swarm.task.id\"}} {{index .Config.Labels \"com.docker.swarm.service.name\"}} "
                           "{{with .HostConfig.RestartPolicy.Name}}{{if ne . \"no\"}}{{.}}{{end}}{{end}}' " + task.task_name()),
            "/" + task.task_name() + " " + task.task_id() + " web ");
}

TEST_F(docker_on_engine, secrets_are_read_only_files_in_memory_and_go_with_the_task) {
  auto task = describe_task();
  docker_under_test::shell(task, "sleep 1000");
  auto& secret = *task.add_secret_files();
  secret.set_target("/run/secrets/pw");
  secret.set_data("hunter2");
  secret.set_uid("33");
  secret.set_gid("44");
  secret.set_mode(0440);
  auto& config_file = *task.add_secret_files();
  config_file.set_target("/etc/app/app.conf");
  config_file.set_data("x=1");
  config_file.set_mode(0444);
  ASSERT_EQ(prepare(task).error, failure{});
  ASSERT_EQ(start(task.task_id()).error, failure{});
  EXPECT_EQ(exec(task, "cat /run/secrets/pw /etc/app/app.conf"), "hunter2x=1");
  EXPECT_EQ(exec(task, "stat -c '%u %g %a' /run/secrets/pw"), "33 44 440");
  EXPECT_NE(exec(task, "sh -c 'echo y > /etc/app/app.conf'").find("Read-only file system"), std::string::npos);
  const auto folder = engine->state_directory() + "/files/" + task.task_id();
  struct stat info {};
  EXPECT_EQ(::stat(folder.c_str(), &info), 0);
  (void)engine->docker("kill " + task.task_name());
  for (int i = 0; i < 100 && ::stat(folder.c_str(), &info) == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  EXPECT_NE(::stat(folder.c_str(), &info), 0) << "its container is there still, its secrets are not";
  EXPECT_EQ(ask<TaskHandle>(self, driver->handle(), with<RemoveTask>(task.task_id())).error, failure{});
}

TEST_F(docker_on_engine, running_waits_for_the_first_healthy_and_unhealthy_is_seen) {
  auto task = describe_task();
  docker_under_test::shell(task, "sleep 1; touch /ok; sleep 3; rm /ok; sleep 1000");
  auto& health = *task.mutable_spec()->mutable_container_spec()->mutable_healthcheck();
  health.add_test("CMD-SHELL");
  health.add_test("test -e /ok");
  health.set_interval(500'000'000);
  health.set_timeout(2'000'000'000);
  health.set_retries(4);
  ASSERT_EQ(prepare(task).error, failure{});
  const auto started = start(task.task_id());
  ASSERT_EQ(started.error, failure{});
  EXPECT_TRUE(started.value.has_health());
  EXPECT_FALSE(started.value.healthy());
  EXPECT_EQ(started.value.error(), "");
  EXPECT_TRUE(news->tasks.wait_for([](const TaskHandle& h) { return h.has_health() && h.healthy(); }).container().pid() > 0);
  const auto bad = news->tasks.wait_for([](const TaskHandle& h) { return h.has_health() && !h.healthy(); });
  EXPECT_EQ(bad.error(), "dockerexec: unhealthy container");
}

TEST_F(docker_on_engine, host_ports_are_bound_and_reported_and_a_taken_port_says_so) {
  auto task = describe_task();
  docker_under_test::shell(task, "sleep 1000");
  task.clear_networks();
  auto& port = *task.mutable_endpoint_spec()->add_ports();
  port.set_protocol(PORT_PROTOCOL_TCP);
  port.set_target_port(81);
  port.set_published_port(9998);
  port.set_publish_mode(PUBLISH_MODE_HOST);
  ASSERT_EQ(prepare(task).error, failure{});
  const auto started = start(task.task_id());
  ASSERT_EQ(started.error, failure{});
  ASSERT_GE(started.value.ports_size(), 1);
  EXPECT_EQ(started.value.ports(0).published_port(), 9998u);
  EXPECT_EQ(started.value.ports(0).target_port(), 81u);
  auto second = task;
  second.set_task_id(describe_task().task_id());
  second.set_task_name("web.2." + second.task_id());
  ASSERT_EQ(prepare(second).error, failure{});
  const auto refused = start(second.task_id());
  EXPECT_NE(refused.error.message.find("port is already allocated"), std::string::npos) << refused.error.message;
  EXPECT_EQ(classify(refused.error.code), error_class::refused);
}

TEST_F(docker_on_engine, a_missing_image_and_a_missing_bind_source_are_refused_with_the_engines_text) {
  auto task = describe_task();
  docker_under_test::shell(task, "sleep 1000");
  task.mutable_spec()->mutable_container_spec()->set_image("sha256:" + std::string(64, '1'));
  const auto missing = prepare(task);
  EXPECT_EQ(missing.error.code, errc::no_such_image);
  EXPECT_EQ(missing.error.message.find("No such image: sha256:1111"), 0u) << missing.error.message;
  auto bind = describe_task();
  docker_under_test::shell(bind, "sleep 1000");
  auto& mount = *bind.mutable_spec()->mutable_container_spec()->add_mounts();
  mount.set_type(MOUNT_TYPE_BIND);
  mount.set_source("/no/such/folder");
  mount.set_target("/x");
  const auto refused = prepare(bind);
  EXPECT_EQ(refused.error.code, errc::invalid_argument);
  EXPECT_EQ(refused.error.message, "invalid mount config for type \"bind\": bind source path does not exist: /no/such/folder");
}

TEST_F(docker_on_engine, an_unreachable_registry_does_not_hold_up_images_that_are_here) {
  const auto begin = clock::now();
  for (int i = 0; i < 3; ++i)
    (void)run("sleep 1000"); // busybox:latest: Swarm asks the registry each time
  EXPECT_LT(clock::now() - begin, std::chrono::seconds{15}) << "three starts on a loaded machine, at most 2 s of waiting in all";
}

TEST_F(docker_on_engine, containers_outlive_the_driver_and_are_adopted) {
  const auto task = run("sleep 1000");
  auto created = describe_task();
  docker_under_test::shell(created, "sleep 1000");
  ASSERT_EQ(prepare(created).error, failure{});
  const auto before = inspect(task.task_id()).value;
  end();
  engine->docker("run -d --name bystander --network none busybox sleep 1000");
  begin();
  std::map<std::string, TaskHandle> found;
  for (const auto& h : recovered.tasks())
    found[h.task_id()] = h;
  EXPECT_EQ(found.size(), 2u) << "the bystander is nobody of ours";
  EXPECT_EQ(found[task.task_id()].phase(), TaskHandle::PHASE_RUNNING);
  EXPECT_EQ(found[task.task_id()].container().pid(), before.container().pid());
  EXPECT_EQ(found[created.task_id()].phase(), TaskHandle::PHASE_CREATED);
  EXPECT_EQ(prepare(created).value.container().container_id(), found[created.task_id()].container().container_id());
  EXPECT_EQ(engine->docker("inspect -f '{{.State.Running}}' bystander"), "true");
  engine->docker("rm -f bystander");
}

TEST_F(docker_on_engine, an_engine_that_hangs_is_noticed_and_its_return_too) {
  const auto task = run("sleep 1000");
  news->health.wait_for([](const DriverHealth& h) { return h.healthy(); });
  engine->pause();
  EXPECT_FALSE(news->health.wait_for([](const DriverHealth& h) { return !h.healthy(); }).message().empty());
  engine->resume();
  news->health.wait_for([](const DriverHealth& h) { return h.healthy(); });
  EXPECT_EQ(inspect(task.task_id()).value.phase(), TaskHandle::PHASE_RUNNING);
}

TEST_F(docker_on_engine, an_engine_that_is_killed_and_started_again_loses_no_news) {
  const auto task = run("sleep 1000");
  news->health.wait_for([](const DriverHealth& h) { return h.healthy(); });
  engine->restart(); // without live-restore its containers die with it
  const auto end = news->tasks.wait_for([&](const TaskHandle& h) { return h.task_id() == task.task_id() && h.phase() != TaskHandle::PHASE_RUNNING; });
  EXPECT_EQ(end.phase(), TaskHandle::PHASE_EXITED);
  EXPECT_EQ(inspect(task.task_id()).value.phase(), TaskHandle::PHASE_EXITED);
  const auto next = run("sleep 1000");
  EXPECT_EQ(inspect(next.task_id()).value.phase(), TaskHandle::PHASE_RUNNING);
}

TEST_F(docker_on_engine, follows_a_log_as_it_is_written) {
  const auto task = run("i=0; while :; do i=$((i+1)); echo line $i; echo bad $i >&2; sleep 0.2; done");
  auto chunks = std::make_shared<inbox<LogChunk>>();
  auto sink = system.spawn(sinking, chunks);
  ReadTaskLogs r;
  r.set_task_id(task.task_id());
  r.set_subscription(5);
  r.set_follow(true);
  r.set_stdout(true);
  r.set_stderr(true);
  r.set_tail(-1);
  self->send(driver->handle(), r, sink);
  LogCredit credit;
  credit.set_subscription(5);
  credit.set_bytes(1'000'000);
  self->send(driver->handle(), credit);
  bool out = false;
  bool err = false;
  while (!(out && err) && !HasFailure()) {
    const auto chunk = chunks->wait_for([](const LogChunk&) { return true; });
    for (const auto& line : chunk.lines()) {
      out = out || (line.stream() == 1 && line.data() == "line 3\n");
      err = err || (line.stream() == 2 && line.data() == "bad 3\n");
    }
  }
  CancelLogs cancel;
  cancel.set_subscription(5);
  self->send(driver->handle(), cancel);
  caf::anon_send_exit(sink, caf::exit_reason::user_shutdown);
}

// Not a limit but a record: how the driver compares with the bare engine on this machine, now.
TEST_F(docker_on_engine, one_container_costs_little_more_than_create_and_start) {
  const auto image = engine->docker("images -q --no-trunc busybox:latest");
  auto bare = [&](int i) {
    const auto begin = clock::now();
    engine->docker("run -d --name bare" + std::to_string(i) + " --network none " + image + " sleep 1000");
    const auto took = clock::now() - begin;
    engine->docker("rm -f bare" + std::to_string(i));
    return std::chrono::duration<double>(took).count();
  };
  auto ours = [&] {
    auto task = describe_task();
    docker_under_test::shell(task, "sleep 1000");
    task.mutable_spec()->mutable_container_spec()->set_image(image);
    const auto begin = clock::now();
    (void)prepare(task);
    (void)start(task.task_id());
    const auto took = clock::now() - begin;
    (void)ask<TaskHandle>(self, driver->handle(), with<RemoveTask>(task.task_id()));
    return std::chrono::duration<double>(took).count();
  };
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < 5; ++i) {
    a.push_back(bare(i));
    b.push_back(ours());
  }
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  std::printf("docker run %.0f ms, driver prepare + start %.0f ms (medians of 5)\n", a[2] * 1000, b[2] * 1000);
  EXPECT_LT(b[2], a[2] * 2) << "the command line starts a process of its own for each";
}

} // namespace
} // namespace swarm::test
