// Where the files of secrets lie, and what stays of them.
#include "drivers/task_files.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <linux/magic.h>

namespace swarm::driver {
namespace {

namespace fs = std::filesystem;

bool shared_memory_is_tmpfs() {
  struct statfs info {};
  return ::statfs("/dev/shm", &info) == 0 && info.f_type == TMPFS_MAGIC;
}

std::vector<SecretFile> one_file(const std::string& data, std::uint32_t mode) {
  SecretFile file;
  file.set_target("/run/secrets/a");
  file.set_data(data);
  file.set_mode(mode);
  return {file};
}

TEST(task_files, a_folder_on_a_disk_is_replaced_by_one_in_memory_always_the_same) {
  if (!shared_memory_is_tmpfs())
    GTEST_SKIP() << "/dev/shm is no tmpfs here";
  EXPECT_EQ(folder_in_memory("/dev/shm/below/files"), "/dev/shm/below/files") << "in memory already";
  const auto instead = folder_in_memory("/proc/no-tmpfs/files");
  EXPECT_TRUE(instead.starts_with("/dev/shm/swarm-node-")) << instead;
  EXPECT_EQ(folder_in_memory("/proc/no-tmpfs/files"), instead);
  EXPECT_NE(folder_in_memory("/proc/another/files"), instead);
}

TEST(task_files, files_have_their_mode_and_nothing_stays_of_the_last_task) {
  if (!shared_memory_is_tmpfs())
    GTEST_SKIP() << "/dev/shm is no tmpfs here";
  const auto directory = "/dev/shm/swarm-node-test-" + std::to_string(::getpid());
  task_files files{directory};
  ASSERT_TRUE(files.write("t1", one_file("secret", 0400)).ok());
  ASSERT_TRUE(files.write("t2", one_file("other", 0444)).ok());
  struct stat found {};
  ASSERT_EQ(::stat((directory + "/t1/0").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0400u);
  ASSERT_EQ(::stat(directory.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0700u);
  files.remove("t1");
  EXPECT_TRUE(fs::exists(directory + "/t2/0"));
  files.remove("t2");
  EXPECT_FALSE(fs::exists(directory));
  ASSERT_TRUE(files.write("t3", one_file("again", 0444)).ok()) << "the folder is made anew";
  files.remove("t3");
}

TEST(task_files, a_link_that_somebody_has_put_in_the_way_is_not_followed) {
  if (!shared_memory_is_tmpfs())
    GTEST_SKIP() << "/dev/shm is no tmpfs here";
  const auto directory = "/dev/shm/swarm-node-link-" + std::to_string(::getpid());
  fs::create_symlink("/dev/shm", directory);
  task_files files{directory};
  EXPECT_EQ(files.write("t1", one_file("secret", 0400)).message, directory + " belongs to somebody else: remove it");
  fs::remove(directory);
}

} // namespace
} // namespace swarm::driver
