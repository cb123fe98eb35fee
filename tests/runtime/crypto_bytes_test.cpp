// Digests, randomness, comparison and key memory.
#include <gtest/gtest.h>

#include <set>

#include "runtime/crypto/bytes.hpp"

namespace swarm::crypto {
namespace {

TEST(crypto_bytes, sha256_gives_the_published_digest_of_abc) {
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(crypto_bytes, random_bytes_do_not_repeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i)
    EXPECT_TRUE(seen.insert(random_bytes(16)).second);
  EXPECT_NE(seeded_source()(), seeded_source()());
}

TEST(crypto_bytes, comparison_sees_each_differing_bit_and_each_length) {
  const std::string a = random_bytes(40);
  EXPECT_TRUE(equal_constant_time(a, a));
  EXPECT_TRUE(equal_constant_time("", ""));
  for (std::size_t i = 0; i < a.size() * 8; ++i) {
    auto b = a;
    b[i / 8] = static_cast<char>(b[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(equal_constant_time(a, b));
  }
  EXPECT_FALSE(equal_constant_time(a, a.substr(1)));
  EXPECT_FALSE(equal_constant_time(a, a + 'x'));
}

TEST(crypto_bytes, wiping_overwrites_the_bytes_where_they_are) {
  std::string secret(64, 's');
  const auto* const where = secret.data();
  wipe(secret);
  EXPECT_TRUE(secret.empty());
  EXPECT_EQ(std::string(where + 1, 63).find('s'), std::string::npos); // the buffer itself still belongs to `secret`
}

TEST(crypto_bytes, keys_are_fresh_and_copies_are_equal) {
  const auto a = secret_key::generate();
  const auto b = secret_key::generate();
  EXPECT_NE(a.view(), b.view());
  EXPECT_EQ(a.copy().view(), a.view());
  EXPECT_EQ(secret_key::from_bytes(a.view()).view(), a.view());
  EXPECT_DEATH(static_cast<void>(secret_key::from_bytes("short")), "32 bytes");
}

} // namespace
} // namespace swarm::crypto
