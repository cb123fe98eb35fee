// Locking, unlocking and new unlock keys on a manager's disk, and what a crash in between leaves.
#include <gtest/gtest.h>

#include <fstream>

#include "actors/node/key_guard.hpp"
#include "runtime/crypto/atomic_file.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::node {
namespace {

namespace fs = std::filesystem;
using status = key_guard::status;
constexpr wall_ns now = 1'750'000'000'000'000'000;

std::string slurp(const fs::path& path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

struct key_guard_test : testing::Test {
  test::temp_dir dir;
  fs::path certificates = dir / "certificates";
  fs::path data_key = dir / "storage.key";
  fs::path tls_key = certificates / ca::file::key;
  RootCA root = ca::create_root(now);
  ca::node_credentials identity =
    *ca::make_node_credentials(root, {"cluster", "node", NODE_ROLE_MANAGER}, now, hours{1});
  crypto::secret_key first = crypto::secret_key::generate();
  crypto::secret_key second = crypto::secret_key::generate();
  key_guard guard{certificates, data_key};

  void make(const crypto::secret_key* unlock_key) {
    ASSERT_TRUE(ca::save_root(certificates, root.certificate_pem()).ok());
    ASSERT_TRUE(guard.create(unlock_key).ok());
    ASSERT_TRUE(guard.save(identity).ok());
  }
  status reopen(const crypto::secret_key* unlock_key) {
    guard = key_guard{certificates, data_key};
    auto found = guard.open(unlock_key);
    if (found.what == status::ok) {
      EXPECT_EQ(found.identity.credentials.key_pem, identity.key_pem);
    }
    return found.what;
  }
};

TEST_F(key_guard_test, an_empty_host_has_no_identity) { EXPECT_EQ(reopen(nullptr), status::missing); }

TEST_F(key_guard_test, without_autolock_everything_opens_by_itself) {
  make(nullptr);
  EXPECT_EQ(reopen(nullptr), status::ok);
  EXPECT_EQ(guard.unlock_key(), nullptr);
  EXPECT_EQ(slurp(tls_key), identity.key_pem);
}

TEST_F(key_guard_test, a_host_that_is_made_locked_never_has_a_key_in_clear) {
  make(&first);
  EXPECT_EQ(slurp(tls_key).find("PRIVATE KEY"), std::string::npos);
  EXPECT_EQ(slurp(data_key).find("plain"), std::string::npos);
  EXPECT_EQ(reopen(nullptr), status::locked);
  EXPECT_EQ(reopen(&second), status::wrong_unlock_key);
  EXPECT_EQ(reopen(&first), status::ok);
}

TEST_F(key_guard_test, a_locked_host_still_tells_who_it_is) {
  make(&first);
  guard = key_guard{certificates, data_key};
  const auto found = guard.open(nullptr);
  EXPECT_EQ(found.what, status::locked);
  EXPECT_EQ(found.identity.credentials.certificate_pem, identity.certificate_pem);
  EXPECT_EQ(found.identity.credentials.key_pem, "");
  EXPECT_EQ(found.identity.root_pem, root.certificate_pem());
}

TEST_F(key_guard_test, the_disk_follows_the_cluster_on_new_keys_and_off) {
  make(nullptr);
  ASSERT_TRUE(guard.follow(&first).ok());
  EXPECT_EQ(reopen(nullptr), status::locked);
  ASSERT_EQ(reopen(&first), status::ok);
  ASSERT_TRUE(guard.follow(&second).ok());
  EXPECT_EQ(reopen(&first), status::wrong_unlock_key);
  ASSERT_EQ(reopen(&second), status::ok);
  ASSERT_TRUE(guard.follow(nullptr).ok());
  EXPECT_EQ(reopen(nullptr), status::ok);
  EXPECT_EQ(slurp(tls_key), identity.key_pem);
}

TEST_F(key_guard_test, what_is_there_already_is_not_written_again) {
  make(&first);
  const auto before = slurp(data_key) + slurp(tls_key);
  ASSERT_TRUE(guard.follow(&first).ok());
  EXPECT_EQ(slurp(data_key) + slurp(tls_key), before);
}

TEST_F(key_guard_test, a_crash_between_the_files_of_locking_is_finished_later) {
  make(nullptr);
  const auto plain = slurp(data_key);
  ASSERT_TRUE(guard.follow(&first).ok());
  ASSERT_TRUE(crypto::replace_file(data_key, plain, 0600).ok()); // the TLS key is sealed, the data key lies in clear
  ASSERT_EQ(reopen(nullptr), status::ok);
  ASSERT_TRUE(guard.follow(&first).ok());
  EXPECT_EQ(reopen(nullptr), status::locked);
  EXPECT_EQ(reopen(&first), status::ok);
}

TEST_F(key_guard_test, a_crash_between_the_files_of_unlocking_is_finished_later) {
  make(&first);
  const auto sealed = slurp(tls_key);
  ASSERT_TRUE(guard.follow(nullptr).ok());
  ASSERT_TRUE(crypto::replace_file(tls_key, sealed, 0600).ok());
  ASSERT_EQ(reopen(nullptr), status::ok);
  ASSERT_TRUE(guard.follow(nullptr).ok());
  EXPECT_EQ(slurp(tls_key), identity.key_pem);
}

TEST_F(key_guard_test, a_renewed_certificate_of_a_locked_host_is_sealed_too) {
  make(&first);
  identity = *ca::make_node_credentials(root, {"cluster", "node", NODE_ROLE_MANAGER}, now, hours{1});
  ASSERT_TRUE(guard.save(identity).ok());
  EXPECT_EQ(slurp(tls_key).find("PRIVATE KEY"), std::string::npos);
  EXPECT_EQ(reopen(&first), status::ok);
}

TEST_F(key_guard_test, keys_that_do_not_belong_together_are_refused) {
  make(&first);
  ASSERT_TRUE(crypto::save_data_key(data_key, crypto::data_key::generate(), nullptr).ok());
  EXPECT_EQ(reopen(nullptr), status::failed);
  fs::remove(data_key);
  EXPECT_EQ(reopen(nullptr), status::failed);
}

TEST_F(key_guard_test, a_worker_has_nothing_to_wrap) {
  ASSERT_TRUE(ca::save_root(certificates, root.certificate_pem()).ok());
  ASSERT_TRUE(ca::save_credentials(certificates, identity).ok());
  ASSERT_EQ(reopen(nullptr), status::ok);
  EXPECT_TRUE(guard.follow(&first).ok());
  EXPECT_EQ(reopen(nullptr), status::ok);
}

} // namespace
} // namespace swarm::node
