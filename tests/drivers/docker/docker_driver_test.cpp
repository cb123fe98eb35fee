// The docker driver against engines that misbehave (W01, W03, W07, W16), over a real socket.
#include "drivers/docker/docker_driver.hpp"

#include "tests/drivers/contract/driver_contract.hpp"
#include "tests/drivers/docker/fake_engine.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::docker {
namespace {

using test::fault;

class docker_driver_test : public testing::Test {
protected:
  docker_driver_test() { io.start(); }
  ~docker_driver_test() override {
    for (auto& d : drivers)
      stop(d);
    caf::anon_send_exit(listener, caf::exit_reason::user_shutdown);
  }
  driver_actor spawn() {
    docker_driver_options opts;
    opts.engine_socket = dir / "engine.sock";
    opts.state_directory = dir.path();
    opts.tick = milliseconds{20};
    opts.core.call_deadline = milliseconds{300};
    opts.core.work_deadline = milliseconds{500};
    opts.core.ping_deadline = milliseconds{300};
    opts.core.ping_period = milliseconds{200};
    opts.core.stop_margin = milliseconds{500};
    opts.core.reconnect = {milliseconds{20}, milliseconds{100}};
    opts.core.starting.lease = milliseconds{200};
    auto driver = system.spawn(docker_driver, opts, &io);
    drivers.push_back(driver);
    news = std::make_shared<test::listener_inbox>();
    listener = system.spawn(test::listening, news);
    self->send(driver, subscribe_atom_v, listener);
    return driver;
  }
  void stop(const docker_driver_actor& d) {
    if (!d)
      return;
    self->monitor(d);
    self->send_exit(d, caf::exit_reason::user_shutdown);
    self->receive([](const caf::down_msg&) {}, caf::after(std::chrono::seconds{20}) >> [] { ADD_FAILURE() << "the driver does not end"; });
  }
  static PrepareTask prepare(const std::string& id) {
    PrepareTask r;
    r.mutable_task()->set_task_id(id);
    r.mutable_task()->set_task_name("web.1." + id);
    r.mutable_task()->set_cluster_id("C");
    r.mutable_task()->mutable_spec()->mutable_container_spec()->set_image("sha256:" + std::string(64, 'a'));
    return r;
  }
  template <class R>
  static R with(const std::string& id) {
    R r;
    r.set_task_id(id);
    return r;
  }
  template <class R>
  auto ask(const driver_actor& d, const R& r) { return test::ask<TaskHandle>(self, d, r); }
  void expect_health(bool healthy) {
    news->health.wait_for([&](const DriverHealth& h) { return h.healthy() == healthy; });
  }

  test::temp_dir dir;
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  io_threads io;
  test::fake_engine engine{dir / "engine.sock"};
  std::shared_ptr<test::listener_inbox> news;
  driver_listener listener;
  std::vector<docker_driver_actor> drivers;
};

TEST_F(docker_driver_test, an_engine_that_comes_later_is_found) {
  auto driver = spawn();
  expect_health(false);
  EXPECT_EQ(ask(driver, prepare("a")).error.code, errc::unavailable);
  engine.start();
  expect_health(true);
  EXPECT_EQ(ask(driver, prepare("a")).error, failure{});
  EXPECT_EQ(ask(driver, with<StartTask>("a")).value.phase(), TaskHandle::PHASE_RUNNING);
}

TEST_F(docker_driver_test, an_engine_that_goes_away_and_comes_back_is_noticed_with_what_happened_meanwhile) {
  engine.start();
  auto driver = spawn();
  for (const auto* id : {"a", "b"}) {
    ASSERT_EQ(ask(driver, prepare(id)).error, failure{});
    ASSERT_EQ(ask(driver, with<StartTask>(id)).error, failure{});
  }
  engine.stop();
  expect_health(false);
  engine.set_state("web.1.a", "exited", 255);
  engine.start();
  expect_health(true);
  const auto end = news->tasks.wait_for([](const TaskHandle& h) { return h.task_id() == "a"; });
  EXPECT_EQ(end.phase(), TaskHandle::PHASE_EXITED);
  EXPECT_EQ(end.container().exit_code(), 255);
}

class docker_driver_faults : public docker_driver_test, public testing::WithParamInterface<std::pair<fault, errc>> {};

TEST_P(docker_driver_faults, make_create_fail_in_time_and_a_retry_finds_the_one_container) {
  engine.start();
  auto driver = spawn();
  expect_health(true);
  engine.misbehave("POST /containers/create", GetParam().first);
  const auto begin = std::chrono::steady_clock::now();
  const auto first = ask(driver, prepare("a"));
  EXPECT_EQ(first.error.code, GetParam().second) << first.error.message;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{10});
  engine.misbehave("", fault::none);
  const auto second = ask(driver, prepare("a"));
  EXPECT_EQ(second.error, failure{});
  EXPECT_EQ(second.value.phase(), TaskHandle::PHASE_CREATED);
  EXPECT_EQ(engine.creations(), 1);
  EXPECT_EQ(ask(driver, with<RemoveTask>("a")).error, failure{});
  EXPECT_EQ(engine.containers(), 0u);
}

TEST_P(docker_driver_faults, in_ping_make_it_unhealthy_and_pass) {
  engine.start();
  auto driver = spawn();
  expect_health(true);
  if (GetParam().first == fault::lost_reply)
    return;
  engine.misbehave("GET /_ping", GetParam().first);
  expect_health(false);
  engine.misbehave("", fault::none);
  expect_health(true);
}

TEST_P(docker_driver_faults, in_everything_do_no_harm) {
  engine.start();
  engine.misbehave("", GetParam().first); // a prefix of nothing: still well
  auto driver = spawn();
  expect_health(true);
  ASSERT_EQ(ask(driver, prepare("a")).error, failure{});
  for (const auto* method : {"GET /", "POST /", "DELETE /"}) {
    engine.misbehave(method, GetParam().first);
    (void)ask(driver, with<InspectTask>("a"));
    (void)ask(driver, with<StartTask>("a"));
    (void)ask(driver, with<StopTask>("a"));
    (void)test::ask<NodeFingerprint>(self, driver, FingerprintNode{});
    RecoverTasks r;
    r.set_cluster_id("C");
    (void)test::ask<RecoveredTasks>(self, driver, r);
  }
  engine.misbehave("", fault::none);
  for (int tries = 0; tries < 100; ++tries)
    if (ask(driver, with<RemoveTask>("a")).error.ok())
      break;
  EXPECT_EQ(engine.containers(), 0u);
}

std::string fault_name(const testing::TestParamInfo<std::pair<fault, errc>>& info) {
  static constexpr const char* names[] = {"none", "hang", "close", "garbage", "half_chunk", "error_500", "lost_reply", "endless"};
  return names[static_cast<int>(info.param.first)];
}

INSTANTIATE_TEST_SUITE_P(each, docker_driver_faults,
                         testing::Values(std::pair{fault::hang, errc::deadline_exceeded}, std::pair{fault::close, errc::deadline_exceeded},
                                         std::pair{fault::garbage, errc::deadline_exceeded}, std::pair{fault::half_chunk, errc::deadline_exceeded},
                                         std::pair{fault::error_500, errc::internal}, std::pair{fault::lost_reply, errc::deadline_exceeded},
                                         std::pair{fault::endless, errc::deadline_exceeded}),
                         fault_name);

TEST_F(docker_driver_test, one_stuck_container_does_not_block_the_others) {
  engine.start();
  auto driver = spawn();
  expect_health(true);
  for (const auto* id : {"a", "b"})
    ASSERT_EQ(ask(driver, prepare(id)).error, failure{});
  engine.misbehave("POST /containers/web.1.a/", fault::hang);
  self->send(driver, with<StartTask>("a"));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ask(driver, with<StartTask>("b")).value.phase(), TaskHandle::PHASE_RUNNING);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds{400});
  engine.misbehave("", fault::none);
}

TEST_F(docker_driver_test, a_second_one_on_the_same_engine_refuses_until_the_first_has_gone) {
  engine.start();
  auto first = spawn();
  expect_health(true);
  auto second = spawn();
  const auto why = news->health.wait_for([](const DriverHealth& h) { return !h.healthy(); });
  EXPECT_NE(why.message().find("uses this engine"), std::string::npos) << why.message();
  EXPECT_EQ(ask(second, prepare("a")).error.code, errc::unavailable);
  stop(drivers[0]);
  drivers[0] = docker_driver_actor{};
  first = driver_actor{};
  expect_health(true);
  EXPECT_EQ(ask(second, prepare("a")).error, failure{});
}

} // namespace
} // namespace swarm::docker
