// The driver contract: one suite that every driver must pass.
#include "tests/drivers/contract/driver_contract.hpp"

#include <atomic>

#include "drivers/simulated/simulated_driver.hpp"
#include "runtime/ids.hpp"
#include "tests/drivers/contract/docker_under_test.hpp"

namespace swarm::test {

TaskDescription describe_task(const std::string& cluster_id) {
  static random_source rng{static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count())};
  TaskDescription out;
  out.set_task_id(task_id::fresh(rng).str());
  out.set_task_name("web.1." + out.task_id());
  out.set_service_id("contractservice0000000000");
  out.set_service_name("web");
  out.set_slot(1);
  out.set_node_id("contractnode0000000000000");
  out.set_cluster_id(cluster_id);
  out.mutable_spec()->mutable_container_spec()->set_image("busybox:latest");
  return out;
}

namespace {

class simulated_under_test : public driver_under_test {
public:
  explicit simulated_under_test(caf::actor_system& system)
    : system_{system}, driver_{system.spawn(simulated::simulated_driver, simulated::simulated_options{})} {}
  ~simulated_under_test() override { caf::anon_send_exit(driver_, caf::exit_reason::user_shutdown); }
  driver_actor handle() override { return driver_; }
  void run_for_ever(TaskDescription&) override {}
  void exit_soon(TaskDescription& task, int code) override {
    auto& labels = *task.mutable_spec()->mutable_container_spec()->mutable_labels();
    labels["simulated.run_for"] = "100ms";
    labels["simulated.exit_code"] = std::to_string(code);
  }
  void print_lines(TaskDescription& task, int count) override {
    (*task.mutable_spec()->mutable_container_spec()->mutable_labels())["simulated.log_lines"] = std::to_string(count);
  }
  void refuse_start(TaskDescription& task) override {
    (*task.mutable_spec()->mutable_container_spec()->mutable_labels())["simulated.fail_start"] = "no such command";
  }
  void vanish(const std::string& task_id) override { caf::anon_send(driver_, forget_atom_v, task_id); }

private:
  caf::actor_system& system_;
  simulated::simulated_driver_actor driver_;
};

struct contract_param {
  const char* name;
  driver_factory make;
};

class driver_contract : public testing::TestWithParam<contract_param> {
protected:
  void SetUp() override {
    driver = GetParam().make(system);
    if (!driver)
      GTEST_SKIP() << "this machine cannot run this driver";
    news = std::make_shared<listener_inbox>();
    listener = system.spawn(listening, news);
    self->send(driver->handle(), subscribe_atom_v, listener);
  }
  void TearDown() override {
    for (const auto& task_id : made)
      (void)ask<TaskHandle>(self, driver->handle(), remove(task_id));
    caf::anon_send_exit(listener, caf::exit_reason::user_shutdown);
    driver.reset();
  }
  template <class Request>
  auto request(const Request& r) { return ask<TaskHandle>(self, driver->handle(), r); }
  static InspectTask inspect(const std::string& id) { InspectTask r; r.set_task_id(id); return r; }
  static StartTask start(const std::string& id) { StartTask r; r.set_task_id(id); return r; }
  static RemoveTask remove(const std::string& id) { RemoveTask r; r.set_task_id(id); return r; }
  static StopTask stop(const std::string& id, std::int64_t grace = 1'000'000'000) {
    StopTask r;
    r.set_task_id(id);
    r.set_grace_period(grace);
    return r;
  }
  PrepareTask prepare(const TaskDescription& task) {
    made.push_back(task.task_id());
    PrepareTask r;
    *r.mutable_task() = task;
    return r;
  }
  TaskDescription running_task() {
    auto task = describe_task();
    driver->run_for_ever(task);
    EXPECT_EQ(request(prepare(task)).error, failure{});
    EXPECT_EQ(request(start(task.task_id())).error, failure{});
    return task;
  }
  TaskHandle observed(const std::string& task_id, TaskHandle::Phase phase) {
    return news->tasks.wait_for([&](const TaskHandle& h) { return h.task_id() == task_id && h.phase() == phase; });
  }

  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  std::unique_ptr<driver_under_test> driver;
  std::shared_ptr<listener_inbox> news;
  driver_listener listener;
  std::vector<std::string> made;
};

TEST_P(driver_contract, a_task_is_prepared_started_stopped_and_removed) {
  auto task = describe_task();
  driver->run_for_ever(task);
  const auto prepared = request(prepare(task));
  ASSERT_EQ(prepared.error, failure{});
  EXPECT_EQ(prepared.value.phase(), TaskHandle::PHASE_CREATED);
  EXPECT_EQ(prepared.value.task_id(), task.task_id());
  EXPECT_NE(prepared.value.container().container_id(), "");
  const auto started = request(start(task.task_id()));
  ASSERT_EQ(started.error, failure{});
  EXPECT_EQ(started.value.phase(), TaskHandle::PHASE_RUNNING);
  EXPECT_GT(started.value.container().pid(), 0);
  EXPECT_EQ(started.value.container().container_id(), prepared.value.container().container_id());
  const auto stopped = request(stop(task.task_id()));
  ASSERT_EQ(stopped.error, failure{});
  EXPECT_EQ(stopped.value.phase(), TaskHandle::PHASE_EXITED);
  const auto removed = request(remove(task.task_id()));
  ASSERT_EQ(removed.error, failure{});
  EXPECT_EQ(removed.value.phase(), TaskHandle::PHASE_ABSENT);
  EXPECT_EQ(request(inspect(task.task_id())).value.phase(), TaskHandle::PHASE_ABSENT);
}

TEST_P(driver_contract, preparing_twice_finds_what_the_first_one_made) {
  auto task = describe_task();
  driver->run_for_ever(task);
  const auto first = request(prepare(task));
  const auto second = request(prepare(task));
  ASSERT_EQ(second.error, failure{});
  EXPECT_EQ(second.value.phase(), TaskHandle::PHASE_CREATED);
  EXPECT_EQ(second.value.container().container_id(), first.value.container().container_id());
}

TEST_P(driver_contract, starting_a_running_task_changes_nothing) {
  const auto task = running_task();
  const auto before = request(inspect(task.task_id())).value;
  const auto again = request(start(task.task_id()));
  ASSERT_EQ(again.error, failure{});
  EXPECT_EQ(again.value.phase(), TaskHandle::PHASE_RUNNING);
  EXPECT_EQ(again.value.container().pid(), before.container().pid());
}

TEST_P(driver_contract, starting_what_was_never_prepared_is_refused) {
  EXPECT_EQ(request(start("neverprepared000000000000")).error.code, errc::not_found);
}

TEST_P(driver_contract, what_is_not_there_can_be_stopped_inspected_and_removed) {
  const std::string id = "neverprepared000000000000";
  for (const auto& outcome : {request(inspect(id)), request(stop(id)), request(remove(id))}) {
    EXPECT_EQ(outcome.error, failure{});
    EXPECT_EQ(outcome.value.phase(), TaskHandle::PHASE_ABSENT);
    EXPECT_EQ(outcome.value.task_id(), id);
  }
}

TEST_P(driver_contract, a_task_that_ends_is_observed_with_its_exit_code) {
  for (const auto code : {0, 3}) {
    auto task = describe_task();
    driver->exit_soon(task, code);
    ASSERT_EQ(request(prepare(task)).error, failure{});
    ASSERT_EQ(request(start(task.task_id())).error, failure{});
    const auto end = observed(task.task_id(), TaskHandle::PHASE_EXITED);
    EXPECT_EQ(end.container().exit_code(), code);
    EXPECT_GT(end.finished_at(), 0);
    EXPECT_EQ(request(inspect(task.task_id())).value.container().exit_code(), code);
  }
}

TEST_P(driver_contract, a_task_that_has_ended_is_not_started_again) {
  auto task = describe_task();
  driver->exit_soon(task, 3);
  ASSERT_EQ(request(prepare(task)).error, failure{});
  ASSERT_EQ(request(start(task.task_id())).error, failure{});
  const auto end = observed(task.task_id(), TaskHandle::PHASE_EXITED);
  const auto again = request(start(task.task_id()));
  ASSERT_EQ(again.error, failure{});
  EXPECT_EQ(again.value.phase(), TaskHandle::PHASE_EXITED);
  EXPECT_EQ(again.value.started_at(), end.started_at());
}

TEST_P(driver_contract, a_task_that_vanishes_is_observed_as_absent) {
  const auto task = running_task();
  driver->vanish(task.task_id());
  observed(task.task_id(), TaskHandle::PHASE_ABSENT);
  EXPECT_EQ(request(inspect(task.task_id())).value.phase(), TaskHandle::PHASE_ABSENT);
}

TEST_P(driver_contract, a_start_that_is_refused_says_why) {
  auto task = describe_task();
  driver->refuse_start(task);
  ASSERT_EQ(request(prepare(task)).error, failure{});
  const auto outcome = request(start(task.task_id()));
  EXPECT_EQ(classify(outcome.error.code), error_class::refused);
  EXPECT_TRUE(outcome.error.message.starts_with("starting container failed: ")) << outcome.error.message;
}

TEST_P(driver_contract, all_tasks_of_the_cluster_are_recovered_and_no_others) {
  auto ours = running_task();
  auto prepared = describe_task();
  driver->run_for_ever(prepared);
  ASSERT_EQ(request(prepare(prepared)).error, failure{});
  auto foreign = describe_task("anothercluster00000000000");
  driver->run_for_ever(foreign);
  ASSERT_EQ(request(prepare(foreign)).error, failure{});
  RecoverTasks recover;
  recover.set_cluster_id(ours.cluster_id());
  const auto found = ask<RecoveredTasks>(self, driver->handle(), recover);
  ASSERT_EQ(found.error, failure{});
  std::map<std::string, TaskHandle::Phase> phases;
  for (const auto& handle : found.value.tasks())
    phases[handle.task_id()] = handle.phase();
  EXPECT_EQ(phases[ours.task_id()], TaskHandle::PHASE_RUNNING);
  EXPECT_EQ(phases[prepared.task_id()], TaskHandle::PHASE_CREATED);
  EXPECT_FALSE(phases.contains(foreign.task_id()));
}

TEST_P(driver_contract, it_says_what_the_host_offers_and_that_it_is_well) {
  const auto print = ask<NodeFingerprint>(self, driver->handle(), FingerprintNode{});
  ASSERT_EQ(print.error, failure{});
  EXPECT_TRUE(print.value.healthy()) << print.value.message();
  EXPECT_NE(print.value.description().hostname(), "");
  EXPECT_EQ(print.value.description().platform().os(), "linux");
  EXPECT_GE(print.value.description().resources().nano_cpus(), 1'000'000'000);
  EXPECT_GT(print.value.description().resources().memory_bytes(), 0);
  EXPECT_TRUE(news->health.wait_for([](const DriverHealth&) { return true; }).healthy());
}

TEST_P(driver_contract, log_lines_come_as_far_as_credit_goes) {
  auto task = describe_task();
  driver->print_lines(task, 5);
  ASSERT_EQ(request(prepare(task)).error, failure{});
  ASSERT_EQ(request(start(task.task_id())).error, failure{});
  auto chunks = std::make_shared<inbox<LogChunk>>();
  auto sink = system.spawn(sinking, chunks);
  auto read = [&](std::int64_t tail, std::uint64_t subscription) {
    std::vector<LogLine> lines;
    std::string error;
    ReadTaskLogs r;
    r.set_task_id(task.task_id());
    r.set_subscription(subscription);
    r.set_stdout(true);
    r.set_stderr(true);
    r.set_tail(tail);
    self->send(driver->handle(), r, sink);
    // While the task may not have printed yet, an empty log ends without any credit.
    EXPECT_TRUE(tail <= 0 || chunks->empty_for(std::chrono::milliseconds{50})) << "lines without credit";
    for (auto ended = false; !ended;) {
      LogCredit credit;
      credit.set_subscription(subscription);
      credit.set_bytes(1);
      self->send(driver->handle(), credit);
      const auto chunk = chunks->wait_for([](const LogChunk&) { return true; });
      EXPECT_EQ(chunk.subscription(), subscription);
      EXPECT_LE(chunk.lines_size(), 1) << "one byte of credit lets one line pass";
      lines.insert(lines.end(), chunk.lines().begin(), chunk.lines().end());
      ended = chunk.end() || testing::Test::HasFailure();
      error = chunk.error();
      if (chunk.task_id().empty())
        break; // timed out
      // A line may overdraw the credit: pay it back.
      LogCredit paid;
      paid.set_subscription(subscription);
      for (const auto& line : chunk.lines())
        paid.set_bytes(paid.bytes() + static_cast<std::uint32_t>(line.data().size()) - 1);
      if (!ended)
        self->send(driver->handle(), paid);
    }
    EXPECT_EQ(error, "");
    return lines;
  };
  std::vector<LogLine> all;
  for (int tries = 0; tries < 50 && all.size() < 5; ++tries) // the task may still be printing
    all = read(-1, static_cast<std::uint64_t>(tries) + 100);
  ASSERT_EQ(all.size(), 5u);
  EXPECT_TRUE(all[0].data().starts_with("line 1"));
  EXPECT_TRUE(all[0].data().ends_with("\n"));
  EXPECT_GT(all[0].timestamp(), 0);
  EXPECT_EQ(all[0].stream(), 1u);
  const auto last = read(2, 99);
  ASSERT_EQ(last.size(), 2u);
  EXPECT_TRUE(last[1].data().starts_with("line 5"));
  caf::anon_send_exit(sink, caf::exit_reason::user_shutdown);
}

TEST_P(driver_contract, the_log_of_a_task_that_is_not_there_ends_with_an_error) {
  auto chunks = std::make_shared<inbox<LogChunk>>();
  auto sink = system.spawn(sinking, chunks);
  ReadTaskLogs r;
  r.set_task_id("neverprepared000000000000");
  r.set_subscription(7);
  r.set_stdout(true);
  r.set_tail(-1);
  self->send(driver->handle(), r, sink);
  const auto chunk = chunks->wait_for([](const LogChunk& c) { return c.end(); });
  EXPECT_NE(chunk.error(), "");
  caf::anon_send_exit(sink, caf::exit_reason::user_shutdown);
}

TEST_P(driver_contract, twenty_tasks_at_once_all_run) {
  std::vector<TaskDescription> tasks;
  for (int i = 0; i < 20; ++i) {
    tasks.push_back(describe_task());
    driver->run_for_ever(tasks.back());
    self->send(driver->handle(), prepare(tasks.back()));
  }
  int prepared = 0;
  self->receive_for(prepared, 20)([](const TaskHandle& h) { EXPECT_EQ(h.phase(), TaskHandle::PHASE_CREATED); },
                                  caf::after(std::chrono::seconds{90}) >> [] { ADD_FAILURE() << "prepare hangs"; });
  for (const auto& task : tasks)
    self->send(driver->handle(), start(task.task_id()));
  int started = 0;
  self->receive_for(started, 20)([](const TaskHandle& h) { EXPECT_EQ(h.phase(), TaskHandle::PHASE_RUNNING); },
                                 caf::after(std::chrono::seconds{90}) >> [] { ADD_FAILURE() << "start hangs"; });
  for (const auto& task : tasks)
    self->send(driver->handle(), remove(task.task_id()));
  int removed = 0;
  self->receive_for(removed, 20)([](const TaskHandle& h) { EXPECT_EQ(h.phase(), TaskHandle::PHASE_ABSENT); },
                                 caf::after(std::chrono::seconds{90}) >> [] { ADD_FAILURE() << "remove hangs"; });
}

std::string name_of(const testing::TestParamInfo<contract_param>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(simulated, driver_contract, testing::Values(contract_param{"simulated", [](caf::actor_system& system) {
  return std::unique_ptr<driver_under_test>{std::make_unique<simulated_under_test>(system)};
}}), name_of);
INSTANTIATE_TEST_SUITE_P(docker, driver_contract, testing::Values(contract_param{"docker", make_docker_under_test}), name_of);

} // namespace
} // namespace swarm::test
