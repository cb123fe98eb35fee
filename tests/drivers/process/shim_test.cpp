// The real shim with real namespaces. Needs root; says so loudly otherwise.
#include "drivers/process/shim.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "drivers/process/log_file.hpp"
#include "drivers/process/process_plan.hpp"
#include "drivers/process/task_folder.hpp"

namespace swarm::process {
namespace {

struct shim : testing::Test {
  std::filesystem::path root = std::filesystem::temp_directory_path() / ("swarm-shim-" + std::to_string(::getpid()));
  task_folder folder{(root / "tasks" / "t").string()};
  int status_fd = -1;
  pid_t pid = -1;

  void SetUp() override {
    ASSERT_EQ(::geteuid(), 0u) << "these tests make namespaces and must run as root";
    std::filesystem::create_directories(root);
  }
  void TearDown() override {
    if (pid > 0)
      ::kill(pid, SIGKILL), ::waitpid(pid, nullptr, 0);
    if (status_fd >= 0)
      ::close(status_fd);
    std::filesystem::remove_all(root);
  }

  ProcessLaunch launch_of(std::vector<std::string> argv, const std::function<void(TaskDescription&)>& change = {}) {
    TaskDescription t;
    t.set_task_id("shimtest" + std::to_string(::getpid()));
    t.mutable_spec()->mutable_container_spec()->set_image("any");
    for (auto& word : argv)
      t.mutable_spec()->mutable_container_spec()->add_args(std::move(word));
    if (change)
      change(t);
    const auto plan = plan_launch(t, {(root / "volumes").string(), (root / "files").string()});
    EXPECT_TRUE(plan.problem.ok()) << plan.problem.message;
    return plan.launch;
  }

  std::string start(const ProcessLaunch& launch) {
    EXPECT_TRUE(folder.create(launch).ok());
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    pid = ::fork();
    if (pid == 0) {
      ::close(ends[0]);
      ::_exit(run_shim(folder.path().c_str(), ends[1]));
    }
    ::close(ends[1]);
    status_fd = ends[0];
    std::string line;
    for (char c = 0; ::read(status_fd, &c, 1) == 1 && c != '\n';)
      line += c;
    return line;
  }
  std::int64_t wait() {
    int status = 0;
    ::waitpid(pid, &status, 0);
    pid = -1;
    const auto exited = folder.exited();
    EXPECT_TRUE(exited.has_value());
    return exited ? exited->exit_code() : -1;
  }
  std::string output() {
    std::string all;
    log_reader reader{folder.file("log")};
    for (LogLine line; reader.next(line);)
      all += line.data();
    return all;
  }
};

TEST_F(shim, records_output_and_exit_code) {
  EXPECT_EQ(start(launch_of({"sh", "-c", "echo out; echo err >&2; exit 7"})), "started");
  EXPECT_EQ(wait(), 7);
  EXPECT_EQ(output().size(), 8u);
}

TEST_F(shim, the_command_has_its_own_processes_and_host_name) {
  EXPECT_EQ(start(launch_of({"sh", "-c", "hostname; ls /proc | grep -c '^[0-9]*$'"}, [](TaskDescription& t) {
              t.mutable_spec()->mutable_container_spec()->set_hostname("box");
            })), "started");
  EXPECT_EQ(wait(), 0);
  EXPECT_EQ(output().substr(0, 4), "box\n");
  EXPECT_LT(std::stoi(output().substr(4)), 8);
}

TEST_F(shim, a_command_that_does_not_exist_is_an_error_with_its_name) {
  EXPECT_EQ(start(launch_of({"/no/such/program"})), "error exec: /no/such/program: No such file or directory");
  wait();
}

TEST_F(shim, killing_the_init_ends_everything_below) {
  EXPECT_EQ(start(launch_of({"sh", "-c", "sleep 100 & sleep 100"})), "started");
  EXPECT_TRUE(folder.shim_alive());
  ASSERT_EQ(::kill(static_cast<pid_t>(folder.started()->init_pid()), SIGKILL), 0);
  EXPECT_EQ(wait(), 137);
  EXPECT_FALSE(folder.shim_alive());
}

TEST_F(shim, a_signal_to_the_init_reaches_the_command) {
  EXPECT_EQ(start(launch_of({"sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done"})), "started");
  // Until the trap is set, the signal would end the shell by default: 143 is the honest answer then.
  ::usleep(200'000);
  ::kill(static_cast<pid_t>(folder.started()->init_pid()), SIGTERM);
  EXPECT_EQ(wait(), 3);
}

TEST_F(shim, mounts_users_and_read_only_roots_are_applied) {
  std::filesystem::create_directories(root / "shared");
  std::ofstream{root / "shared" / "file"} << "content\n";
  EXPECT_EQ(start(launch_of({"sh", "-c", "cat /mnt/file; id -u; touch /mnt/file 2>&1 | grep -c 'ead-only\\|denied'; touch /nope 2>&1 | grep -c 'ead-only\\|denied'"},
                            [&](TaskDescription& t) {
                              auto& c = *t.mutable_spec()->mutable_container_spec();
                              c.set_user("65534:65534");
                              c.set_read_only(true);
                              auto& m = *c.add_mounts();
                              m.set_type(MOUNT_TYPE_BIND);
                              m.set_source((root / "shared").string());
                              m.set_target("/mnt");
                              m.set_read_only(true);
                            })), "started");
  EXPECT_EQ(wait(), 0);
  EXPECT_EQ(output(), "content\n65534\n1\n1\n");
}

TEST_F(shim, the_limits_are_the_commands_not_its_own) {
  EXPECT_EQ(start(launch_of({"sleep", "100"}, [](TaskDescription& t) {
              t.mutable_spec()->mutable_resources()->mutable_limits()->set_memory_bytes(32 << 20);
            })), "started");
  const auto started = folder.started();
  ASSERT_TRUE(started.has_value());
  const auto in_a_group = [](std::uint64_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/cgroup"};
    return std::string{std::istreambuf_iterator<char>{file}, {}}.find("/swarm-node/") != std::string::npos;
  };
  EXPECT_TRUE(in_a_group(started->pid()));
  EXPECT_FALSE(in_a_group(started->shim_pid()));
  ::kill(static_cast<pid_t>(started->init_pid()), SIGKILL);
  EXPECT_EQ(wait(), 137);
}

TEST_F(shim, a_memory_limit_kills_and_says_so) {
  EXPECT_EQ(start(launch_of({"sh", "-c", "head -c 200m /dev/zero | tail -c 200m >/dev/null"}, [](TaskDescription& t) {
              t.mutable_spec()->mutable_resources()->mutable_limits()->set_memory_bytes(32 << 20);
            })), "started");
  EXPECT_NE(wait(), 0);
  const auto exited = folder.exited();
  ASSERT_TRUE(exited.has_value());
  EXPECT_TRUE(exited->oom_killed());
}

TEST_F(shim, a_folder_image_is_a_root_of_its_own_that_keeps_writes_private) {
  const auto image = root / "image";
  std::filesystem::create_directories(image / "bin");
  if (!std::filesystem::exists("/bin/busybox"))
    GTEST_SKIP() << "busybox is not installed on this host";
  std::filesystem::copy("/bin/busybox", image / "bin" / "sh");
  auto launch = launch_of({"/bin/sh", "-c", "echo x > /written; echo /*"});
  launch.set_rootfs(image.string());
  EXPECT_EQ(start(launch), "started");
  EXPECT_EQ(wait(), 0);
  EXPECT_EQ(output(), "/bin /dev /proc /sys /written\n");
  EXPECT_FALSE(std::filesystem::exists(image / "written"));
}

} // namespace
} // namespace swarm::process
