// Certificate and key on disk: a pair at every moment.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "actors/ca/cert_files.hpp"
#include "runtime/crypto/atomic_file.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::ca {
namespace {

namespace fs = std::filesystem;
constexpr wall_ns now = 1'750'000'000'000'000'000;
const node_subject who{"cluster", "node", NODE_ROLE_MANAGER};

struct cert_files : ::testing::Test {
  test::temp_dir dir;
  fs::path folder = dir / "certificates";
  RootCA root = create_root(now);
  node_credentials first = *make_node_credentials(root, who, now, hours{1});
  node_credentials second = *make_node_credentials(root, who, now, hours{1});

  void SetUp() override {
    ASSERT_TRUE(save_root(folder, root.certificate_pem()).ok());
    ASSERT_TRUE(save_credentials(folder, first).ok());
  }
  load_status status() { return load_credentials(folder).status; }
  std::string key() { return load_credentials(folder).credentials.key_pem; }
  static unsigned mode(const fs::path& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }
};

TEST_F(cert_files, what_is_saved_is_loaded_and_private) {
  const auto loaded = load_credentials(folder);
  ASSERT_EQ(loaded.status, load_status::ok) << loaded.message;
  EXPECT_EQ(loaded.credentials.certificate_pem, first.certificate_pem);
  EXPECT_EQ(loaded.credentials.key_pem, first.key_pem);
  EXPECT_EQ(loaded.root_pem, root.certificate_pem());
  EXPECT_EQ(mode(folder / "swarm-node.key"), 0600u);
  EXPECT_EQ(mode(folder / "swarm-node.crt"), 0600u);
  EXPECT_EQ(mode(folder / "swarm-root-ca.crt"), 0644u);
  EXPECT_EQ(mode(folder), 0700u);
}

TEST_F(cert_files, a_renewal_interrupted_at_any_step_leaves_one_whole_pair) {
  const auto crt = folder / file::certificate, key_file = folder / file::key;
  // Cut after the first temporary file (half written), after both, after the key's rename, after everything.
  std::ofstream{crypto::staged_name(crt)} << second.certificate_pem.substr(0, 100);
  EXPECT_EQ(key(), first.key_pem);
  ASSERT_TRUE(crypto::stage_file(crt, second.certificate_pem, 0600).ok());
  ASSERT_TRUE(crypto::stage_file(key_file, second.key_pem, 0600).ok());
  EXPECT_EQ(key(), first.key_pem);
  ASSERT_TRUE(crypto::publish_file(key_file).ok());
  EXPECT_EQ(key(), second.key_pem); // completes the pair
  EXPECT_EQ(load_credentials(folder).credentials.certificate_pem, second.certificate_pem);
  EXPECT_FALSE(fs::exists(crypto::staged_name(crt)));
  ASSERT_TRUE(save_credentials(folder, first).ok());
  EXPECT_EQ(key(), first.key_pem);
}

TEST_F(cert_files, the_first_saving_interrupted_is_no_identity_or_a_whole_one) {
  const auto crt = folder / file::certificate, key_file = folder / file::key;
  fs::remove(crt);
  fs::remove(key_file);
  ASSERT_TRUE(crypto::stage_file(crt, first.certificate_pem, 0600).ok());
  ASSERT_TRUE(crypto::stage_file(key_file, first.key_pem, 0600).ok());
  EXPECT_EQ(status(), load_status::missing);
  ASSERT_TRUE(crypto::publish_file(key_file).ok());
  EXPECT_EQ(status(), load_status::ok);
}

TEST_F(cert_files, a_pair_that_does_not_belong_together_is_damaged) {
  ASSERT_TRUE(crypto::replace_file(folder / file::certificate, second.certificate_pem, 0600).ok());
  EXPECT_EQ(status(), load_status::damaged);
  ASSERT_TRUE(crypto::replace_file(folder / file::certificate, "junk", 0600).ok());
  EXPECT_EQ(status(), load_status::damaged);
  fs::remove(folder / file::certificate);
  EXPECT_EQ(status(), load_status::damaged);
}

TEST_F(cert_files, missing_and_unsafe_keys_are_told_apart) {
  ::chmod((folder / file::key).c_str(), 0644);
  EXPECT_EQ(status(), load_status::unsafe);
  fs::remove(folder / file::key);
  EXPECT_EQ(status(), load_status::missing);
}

TEST_F(cert_files, a_sealed_key_opens_with_its_data_key_only) {
  const auto key_of_disk = crypto::data_key::generate();
  ASSERT_TRUE(save_credentials(folder, second, &key_of_disk).ok());
  EXPECT_EQ(load_credentials(folder).status, load_status::locked);
  EXPECT_EQ(load_credentials(folder).credentials.certificate_pem, second.certificate_pem);
  const auto other = crypto::data_key::generate();
  EXPECT_EQ(load_credentials(folder, &other).status, load_status::damaged);
  const auto loaded = load_credentials(folder, &key_of_disk);
  EXPECT_EQ(loaded.status, load_status::ok) << loaded.message;
  EXPECT_TRUE(loaded.sealed);
  EXPECT_EQ(loaded.credentials.key_pem, second.key_pem);
}

} // namespace
} // namespace swarm::ca
