// What all drivers share: delays, labels, what to do with containers found, handles that overtake each other, files.
#include "drivers/driver_core.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/task_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::driver {
namespace {

TEST(backoff, doubles_from_first_to_max_and_starts_anew_after_a_success) {
  random_source rng{1};
  backoff b{{milliseconds{100}, seconds{8}}};
  for (int i = 0; i < 40; ++i) {
    const auto whole = std::min<std::int64_t>(100ll << std::min(i, 20), 8000);
    const auto wait = b.next(rng);
    EXPECT_GE(wait, milliseconds{whole} / 2) << i;
    EXPECT_LE(wait, milliseconds{whole}) << i;
  }
  b.reset();
  EXPECT_LE(b.next(rng), milliseconds{100});
}

TEST(decide_found, touches_only_what_carries_our_label_and_is_known_to_be_unwanted) {
  EXPECT_EQ(decide_found("C", "C", true, true), found_decision::adopt);
  EXPECT_EQ(decide_found("C", "C", true, false), found_decision::adopt);
  EXPECT_EQ(decide_found("C", "C", false, true), found_decision::remove);
  EXPECT_EQ(decide_found("C", "C", false, false), found_decision::leave_alone);
  EXPECT_EQ(decide_found("D", "C", false, true), found_decision::leave_alone);
  EXPECT_EQ(decide_found("", "C", true, true), found_decision::leave_alone);
  EXPECT_EQ(decide_found("", "", false, true), found_decision::leave_alone);
}

TEST(labels_of, lets_no_user_label_hide_a_system_label) {
  TaskDescription task;
  task.set_task_id("t1");
  task.set_cluster_id("c1");
  auto& labels = *task.mutable_spec()->mutable_container_spec()->mutable_labels();
  labels["com.docker.swarm.task.id"] = "forged";
  labels["mine"] = "x";
  const auto out = labels_of(task);
  EXPECT_EQ(out.at("com.docker.swarm.task.id"), "t1");
  EXPECT_EQ(out.at("com.docker.swarm.task"), "");
  EXPECT_EQ(out.at("io.swarm-node.cluster.id"), "c1");
  EXPECT_EQ(out.at("mine"), "x");
}

TEST(mount_error, gives_swarms_texts) {
  auto error = [](MountType type, const std::string& source, const std::string& target) {
    TaskSpec spec;
    auto& mount = *spec.mutable_container_spec()->add_mounts();
    mount.set_type(type);
    mount.set_source(source);
    mount.set_target(target);
    return mount_error(spec);
  };
  EXPECT_EQ(error(MOUNT_TYPE_VOLUME, "v", "/x"), "");
  EXPECT_EQ(error(MOUNT_TYPE_VOLUME, "", "/x"), "");
  EXPECT_EQ(error(MOUNT_TYPE_VOLUME, "v", "x"), "invalid mount target, must be an absolute path: x");
  EXPECT_EQ(error(MOUNT_TYPE_BIND, "x", "/x"), "invalid bind mount source, must be an absolute path: x");
  EXPECT_EQ(error(MOUNT_TYPE_VOLUME, "/x", "/x"), "invalid volume mount source, must not be an absolute path: /x");
  EXPECT_EQ(error(MOUNT_TYPE_TMPFS, "x", "/x"), "invalid tmpfs source, source must be empty");
}

TaskHandle handle(TaskHandle::Phase phase, const std::string& id, std::int64_t pid = 0, std::int64_t code = 0) {
  TaskHandle out;
  out.set_phase(phase);
  out.mutable_container()->set_container_id(id);
  out.mutable_container()->set_pid(pid);
  out.mutable_container()->set_exit_code(code);
  return out;
}

TEST(merge_handle, never_goes_back_for_the_same_container) {
  auto known = handle(TaskHandle::PHASE_EXITED, "c", 0, 3);
  merge_handle(known, handle(TaskHandle::PHASE_RUNNING, "c", 42));
  EXPECT_EQ(known.phase(), TaskHandle::PHASE_EXITED);
  merge_handle(known, handle(TaskHandle::PHASE_EXITED, "c", 0, 0));
  EXPECT_EQ(known.container().exit_code(), 3) << "the first word on its end stays";
  merge_handle(known, handle(TaskHandle::PHASE_CREATED, "another"));
  EXPECT_EQ(known.phase(), TaskHandle::PHASE_CREATED);
}

TEST(merge_handle, keeps_what_only_the_older_news_knew) {
  auto known = handle(TaskHandle::PHASE_RUNNING, "c", 42);
  known.add_ports()->set_target_port(80);
  known.set_started_at(7);
  merge_handle(known, handle(TaskHandle::PHASE_EXITED, "c", 0, 1));
  EXPECT_EQ(known.ports_size(), 1);
  EXPECT_EQ(known.started_at(), 7);
}

SecretFile file(const std::string& data, std::uint32_t mode, const std::string& uid = "") {
  SecretFile out;
  out.set_target("/run/secrets/x");
  out.set_data(data);
  out.set_mode(mode);
  out.set_uid(uid);
  return out;
}

class task_files_on_tmpfs : public testing::Test {
protected:
  void SetUp() override {
    directory = "/dev/shm/swt-files-" + std::to_string(::getpid());
    if (!std::filesystem::exists("/dev/shm"))
      GTEST_SKIP() << "no tmpfs here";
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  std::string directory;
};

TEST_F(task_files_on_tmpfs, are_written_with_mode_and_owner_in_a_closed_folder_and_removed) {
  task_files files{directory};
  const auto uid = ::geteuid() == 0 ? "33" : "";
  ASSERT_EQ(files.write("t1", {file("hunter2", 0440, uid), file(std::string("\0x", 2), 0444)}), failure{});
  struct stat info {};
  ASSERT_EQ(::stat((directory + "/t1/0").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0440u);
  EXPECT_EQ(info.st_uid, ::geteuid() == 0 ? 33u : ::geteuid());
  EXPECT_EQ(info.st_size, 7);
  ASSERT_EQ(::stat((directory + "/t1").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  ASSERT_EQ(files.write("t1", {file("again", 0400)}), failure{}) << "may be repeated";
  EXPECT_FALSE(std::filesystem::exists(directory + "/t1/1"));
  files.remove("t1");
  EXPECT_FALSE(std::filesystem::exists(directory + "/t1"));
}

TEST_F(task_files_on_tmpfs, leave_nothing_behind_when_one_fails) {
  task_files files{directory};
  EXPECT_EQ(files.write("t1", {file("ok", 0444), file("x", 0444, "www-data")}).message,
            "strconv.Atoi: parsing \"www-data\": invalid syntax");
  EXPECT_FALSE(std::filesystem::exists(directory + "/t1"));
}

TEST_F(task_files_on_tmpfs, cannot_be_led_out_of_their_folder) {
  std::filesystem::create_directories(directory);
  std::ofstream{directory + "/keep"} << "x";
  task_files files{directory + "/below"};
  files.remove("..");
  files.remove("../keep");
  files.remove("");
  EXPECT_TRUE(std::filesystem::exists(directory + "/keep"));
}

} // namespace
} // namespace swarm::driver
