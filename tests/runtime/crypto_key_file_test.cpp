// The data key file and the unlock key's text.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "runtime/crypto/atomic_file.hpp"
#include "runtime/crypto/key_file.hpp"
#include "runtime/text.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::crypto {
namespace {

namespace fs = std::filesystem;
using status = key_file_status;

std::string slurp(const fs::path& path) {
  std::ostringstream out;
  out << std::ifstream{path, std::ios::binary}.rdbuf();
  return out.str();
}

void overwrite(const fs::path& path, const std::string& bytes) {
  std::ofstream{path, std::ios::binary | std::ios::trunc} << bytes;
  ::chmod(path.c_str(), 0600);
}

struct crypto_key_file : ::testing::Test {
  test::temp_dir dir;
  fs::path path = dir / "storage.key";
  data_key key = data_key::generate();
};

TEST_F(crypto_key_file, a_saved_key_comes_back_and_only_its_owner_can_read_it) {
  ASSERT_TRUE(save_data_key(path, key, nullptr).ok());
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  const auto loaded = load_data_key(path, nullptr);
  ASSERT_EQ(loaded.status, status::ok) << loaded.message;
  EXPECT_EQ(loaded.key->id, key.id);
  EXPECT_EQ(loaded.key->key.view(), key.key.view());
  EXPECT_FALSE(loaded.wrapped);
  EXPECT_FALSE(fs::exists(staged_name(path)));
}

TEST_F(crypto_key_file, a_missing_file_is_missing) { EXPECT_EQ(load_data_key(path, nullptr).status, status::missing); }

TEST_F(crypto_key_file, a_wrapped_key_opens_with_its_unlock_key_only) {
  const auto unlock = secret_key::generate();
  const auto other = secret_key::generate();
  ASSERT_TRUE(save_data_key(path, key, &unlock).ok());
  EXPECT_EQ(load_data_key(path, nullptr).status, status::locked);
  EXPECT_EQ(load_data_key(path, &other).status, status::wrong_unlock_key);
  const auto loaded = load_data_key(path, &unlock);
  ASSERT_EQ(loaded.status, status::ok);
  EXPECT_TRUE(loaded.wrapped);
  EXPECT_EQ(loaded.key->key.view(), key.key.view());
  EXPECT_EQ(slurp(path).find(text::base64_encode(key.key.view())), std::string::npos);
}

TEST_F(crypto_key_file, a_file_that_others_can_read_is_refused) {
  ASSERT_TRUE(save_data_key(path, key, nullptr).ok());
  for (const unsigned mode : {0640u, 0604u, 0660u}) {
    ::chmod(path.c_str(), mode);
    EXPECT_EQ(load_data_key(path, nullptr).status, status::unsafe);
  }
  ::chmod(path.c_str(), 0600);
  fs::rename(path, dir / "elsewhere");
  fs::create_symlink(dir / "elsewhere", path);
  EXPECT_EQ(load_data_key(path, nullptr).status, status::unsafe);
}

TEST_F(crypto_key_file, a_file_of_another_user_is_refused) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root to give a file away";
  ASSERT_TRUE(save_data_key(path, key, nullptr).ok());
  ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
  EXPECT_EQ(load_data_key(path, nullptr).status, status::unsafe);
}

TEST_F(crypto_key_file, every_flipped_or_missing_byte_is_noticed) {
  ASSERT_TRUE(save_data_key(path, key, nullptr).ok());
  const auto good = slurp(path);
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    overwrite(path, bad);
    EXPECT_EQ(load_data_key(path, nullptr).status, status::damaged) << i;
    overwrite(path, good.substr(0, i));
    EXPECT_EQ(load_data_key(path, nullptr).status, status::damaged) << i;
  }
  overwrite(path, good + "x");
  EXPECT_EQ(load_data_key(path, nullptr).status, status::damaged);
}

TEST_F(crypto_key_file, a_directory_or_a_giant_file_is_an_error_not_a_hang) {
  fs::create_directory(path);
  EXPECT_EQ(load_data_key(path, nullptr).status, status::failed);
  fs::remove(path);
  overwrite(path, std::string(2 << 20, 'x'));
  EXPECT_EQ(load_data_key(path, nullptr).status, status::failed);
  fs::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(load_data_key(path, nullptr).status, status::failed);
}

TEST_F(crypto_key_file, saving_where_there_is_no_folder_fails) {
  EXPECT_FALSE(save_data_key(dir / "none" / "storage.key", key, nullptr).ok());
}

TEST(crypto_unlock_key, has_swarms_spelling) {
  const auto key =
      secret_key::from_bytes(std::string("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                                         "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f",
                                         32));
  EXPECT_EQ(format_unlock_key(key), "SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
  ASSERT_TRUE(parse_unlock_key("SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"));
  EXPECT_EQ(parse_unlock_key("SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")->view(), key.view());
}

TEST(crypto_unlock_key, takes_nothing_but_its_own_spelling) {
  const auto good = format_unlock_key(secret_key::generate());
  for (const auto& bad :
       {std::string{}, good + "=", good + "A", good.substr(1), good.substr(0, good.size() - 1), " " + good, good + "\n",
        "SWMKEY-2" + good.substr(8), "swmkey-1" + good.substr(8), std::string(100'000, 'A')})
    EXPECT_FALSE(parse_unlock_key(bad)) << bad.substr(0, 80);
  // 43 characters carry 258 bits: three of the four spellings of the last character are not canonical.
  const std::string zero = "SWMKEY-1-" + std::string(43, 'A');
  EXPECT_TRUE(parse_unlock_key(zero));
  for (const char last : {'B', 'C', 'D'})
    EXPECT_FALSE(parse_unlock_key(zero.substr(0, zero.size() - 1) + last));
  EXPECT_FALSE(parse_unlock_key("SWMKEY-1-" + std::string(42, '-') + "A")); // the URL alphabet is another one
}

} // namespace
} // namespace swarm::crypto
