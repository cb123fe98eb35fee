// The process driver with the real shim: when secrets leave the host's memory. Needs root, as the shim does.
#include "drivers/process/process_driver.hpp"

#include <caf/all.hpp>
#include <fstream>
#include <gtest/gtest.h>

#include "tests/drivers/contract/driver_contract.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::process {
namespace {

class process_driver_test : public testing::Test {
protected:
  process_driver_test() {
    std::filesystem::create_directories(files);
    spawn();
  }
  ~process_driver_test() override {
    for (const auto& id : made) {
      (void)test::ask<TaskHandle>(self, driver, with<StopTask>(id));
      (void)remove(id);
    }
    end();
    std::filesystem::remove_all(files);
  }

  void spawn() {
    process_driver_options opts;
    opts.state_directory = (dir.path() / "state").string();
    opts.files_directory = files;
    opts.shim = SWARM_BIN "/swarm-task-shim";
    driver = system.spawn<caf::detached>(process_driver, opts);
    news = std::make_shared<test::listener_inbox>();
    listener = system.spawn(test::listening, news);
    self->send(driver, subscribe_atom_v, listener);
  }
  void end() {
    self->monitor(driver);
    self->send_exit(driver, caf::exit_reason::user_shutdown);
    self->receive([](const caf::down_msg&) {}, caf::after(std::chrono::seconds{20}) >> [] { ADD_FAILURE() << "the driver does not end"; });
    caf::anon_send_exit(listener, caf::exit_reason::user_shutdown);
  }
  template <class R>
  static R with(const std::string& id) {
    R r;
    r.set_task_id(id);
    return r;
  }
  /// Runs `script` with a secret that it finds at secret_path().
  std::string prepare(const std::string& name, const std::string& script, const std::string& image = "any") {
    const auto id = name + std::to_string(::getpid());
    PrepareTask r;
    auto& task = *r.mutable_task();
    task.set_task_id(id);
    task.set_cluster_id("C");
    auto& container = *task.mutable_spec()->mutable_container_spec();
    container.set_image(image);
    for (const auto* word : {"sh", "-c", script.c_str()})
      container.add_args(word);
    auto& secret = *task.add_secret_files();
    secret.set_target(secret_path());
    secret.set_data("hunter2");
    secret.set_mode(0444);
    made.push_back(id);
    prepared = test::ask<TaskHandle>(self, driver, r);
    return id;
  }
  test::outcome_of<TaskHandle> start(const std::string& id) { return test::ask<TaskHandle>(self, driver, with<StartTask>(id)); }
  test::outcome_of<TaskHandle> remove(const std::string& id) { return test::ask<TaskHandle>(self, driver, with<RemoveTask>(id)); }
  [[nodiscard]] std::string secret_path() const { return (dir.path() / "key").string(); }
  [[nodiscard]] bool has_files(const std::string& id) const { return std::filesystem::exists(files + "/" + id); }
  void wait_for_end(const std::string& id) {
    (void)news->tasks.wait_for([&](const TaskHandle& h) { return h.task_id() == id && h.phase() == TaskHandle::PHASE_EXITED; });
  }

  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  test::temp_dir dir;
  std::string files = "/dev/shm/swarm-process-test-" + std::to_string(::getpid());
  driver_actor driver;
  driver_listener listener;
  std::shared_ptr<test::listener_inbox> news;
  test::outcome_of<TaskHandle> prepared;
  std::vector<std::string> made;
};

TEST_F(process_driver_test, secrets_are_there_while_the_task_runs_and_go_when_it_ends) {
  const auto seen = (dir.path() / "seen").string();
  const auto id = prepare("ends", "cat " + secret_path() + " > " + seen + "; while [ ! -e " + (dir.path() / "go").string() + " ]; do sleep 0.05; done; exit 3");
  ASSERT_EQ(prepared.error, failure{});
  EXPECT_TRUE(has_files(id));
  ASSERT_EQ(start(id).error, failure{});
  EXPECT_TRUE(has_files(id));
  std::ofstream{dir.path() / "go"} << "now";
  wait_for_end(id);
  EXPECT_FALSE(has_files(id));
  std::string text;
  std::ifstream{seen} >> text;
  EXPECT_EQ(text, "hunter2");
  const auto removed = remove(id);
  EXPECT_EQ(removed.error, failure{});
  EXPECT_EQ(removed.value.phase(), TaskHandle::PHASE_ABSENT);
}

TEST_F(process_driver_test, secrets_of_a_task_that_ended_while_nobody_looked_go_when_it_is_found) {
  const auto id = prepare("unseen", "while [ ! -e " + (dir.path() / "go").string() + " ]; do sleep 0.05; done");
  ASSERT_EQ(start(id).error, failure{});
  end();
  std::ofstream{dir.path() / "go"} << "now";
  const task_folder folder{(dir.path() / "state/tasks" / id).string()};
  for (int i = 0; i < 200 && folder.shim_alive(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  EXPECT_TRUE(has_files(id));
  spawn();
  RecoverTasks r;
  r.set_cluster_id("C");
  const auto found = test::ask<RecoveredTasks>(self, driver, r);
  ASSERT_EQ(found.value.tasks_size(), 1);
  EXPECT_EQ(found.value.tasks(0).phase(), TaskHandle::PHASE_EXITED);
  EXPECT_FALSE(has_files(id));
  EXPECT_EQ(remove(id).error, failure{});
}

TEST_F(process_driver_test, secrets_go_with_a_stop_before_the_start_and_with_every_refusal) {
  const auto stopped = prepare("stopped", "true");
  ASSERT_TRUE(has_files(stopped));
  EXPECT_EQ(test::ask<TaskHandle>(self, driver, with<StopTask>(stopped)).error, failure{});
  EXPECT_FALSE(has_files(stopped));
  const auto imageless = prepare("imageless", "true", "file:///no/such/image.tar");
  EXPECT_EQ(prepared.error.code, errc::no_such_image);
  EXPECT_FALSE(has_files(imageless));
}

} // namespace
} // namespace swarm::process
