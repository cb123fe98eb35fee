// Replacing a file whole or not at all.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "runtime/crypto/atomic_file.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::crypto {
namespace {

namespace fs = std::filesystem;

struct crypto_atomic_file : ::testing::Test {
  test::temp_dir dir;
  fs::path path = dir / "f";
};

TEST_F(crypto_atomic_file, a_staged_file_leaves_the_old_one_until_it_is_published) {
  ASSERT_TRUE(replace_file(path, "old", 0600).ok());
  ASSERT_TRUE(stage_file(path, "new", 0600).ok());
  EXPECT_EQ(read_file(path, true).bytes, "old");
  ASSERT_TRUE(publish_file(path).ok());
  EXPECT_EQ(read_file(path, true).bytes, "new");
  EXPECT_FALSE(fs::exists(staged_name(path)));
}

TEST_F(crypto_atomic_file, the_mode_is_the_wanted_one_whatever_a_left_over_had) {
  std::ofstream{staged_name(path)} << "left over";
  ::chmod(staged_name(path).c_str(), 0666);
  const auto old_mask = ::umask(0);
  ASSERT_TRUE(replace_file(path, "x", 0600).ok());
  ::umask(old_mask);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(crypto_atomic_file, a_link_planted_under_the_temporary_name_is_not_followed) {
  std::ofstream{dir / "victim"} << "precious";
  fs::create_symlink(dir / "victim", staged_name(path));
  ASSERT_TRUE(replace_file(path, "x", 0600).ok());
  EXPECT_EQ(read_file(dir / "victim", false).bytes, "precious");
}

TEST_F(crypto_atomic_file, publishing_what_was_not_staged_is_an_error) {
  EXPECT_EQ(publish_file(path).code, errc::storage_failed);
}

} // namespace
} // namespace swarm::crypto
