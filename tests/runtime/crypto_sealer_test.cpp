// What is sealed opens only where it was sealed, unaltered, with its key.
#include <gtest/gtest.h>
#include <sodium.h>

#include <set>

#include "runtime/crypto/sealer.hpp"

namespace swarm::crypto {
namespace {

TEST(crypto_sealer, opens_what_it_sealed_at_every_size) {
  sealer s{data_key::generate(), "env"};
  for (const std::size_t size : {0u, 1u, 15u, 16u, 17u, 4096u, 1u << 20}) {
    const auto plain = random_bytes(size);
    const auto sealed = s.seal("log", "key", plain);
    EXPECT_EQ(sealed.size(), sealer::sealed_size(size));
    std::string out = "left over";
    ASSERT_EQ(s.open("log", "key", sealed, out), open_result::ok);
    EXPECT_EQ(out, plain);
  }
}

TEST(crypto_sealer, every_flipped_bit_is_reported_and_nothing_is_returned) {
  sealer s{data_key::generate(), "env"};
  const auto sealed = s.seal("log", "key", "the value that must not be misread");
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto bad = sealed;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    std::string out = "left over";
    EXPECT_EQ(s.open("log", "key", bad, out), bit < 32 ? open_result::other_key : open_result::damaged);
    EXPECT_TRUE(out.empty());
  }
}

TEST(crypto_sealer, a_value_cut_short_or_extended_is_damaged) {
  sealer s{data_key::generate(), "env"};
  const auto sealed = s.seal("log", "key", "value");
  std::string out;
  for (std::size_t size = 0; size < sealed.size(); ++size)
    EXPECT_EQ(s.open("log", "key", sealed.substr(0, size), out), open_result::damaged);
  EXPECT_EQ(s.open("log", "key", sealed + '\0', out), open_result::damaged);
}

TEST(crypto_sealer, a_value_moved_to_another_place_is_damaged) {
  const auto key = data_key::generate();
  sealer s{key.copy(), "env"};
  const auto sealed = s.seal("log", "key", "value");
  std::string out;
  EXPECT_EQ(s.open("meta", "key", sealed, out), open_result::damaged);
  EXPECT_EQ(s.open("log", "kez", sealed, out), open_result::damaged);
  EXPECT_EQ(s.open("logk", "ey", sealed, out), open_result::damaged); // lengths are bound in, not only the joined text
  EXPECT_EQ(s.with_domain("other").open("log", "key", sealed, out), open_result::damaged);
  EXPECT_EQ(sealer(key.copy(), "env").open("log", "key", sealed, out), open_result::ok);
}

TEST(crypto_sealer, another_key_is_told_from_damage_by_its_id_and_never_opens) {
  const auto key = data_key::generate();
  sealer s{key.copy(), "env"};
  const auto sealed = s.seal("log", "key", "value");
  std::string out;
  EXPECT_EQ(sealer(data_key::generate(), "env").open("log", "key", sealed, out), open_result::other_key);
  EXPECT_EQ(sealer({key.id, secret_key::generate()}, "env").open("log", "key", sealed, out), open_result::damaged);
}

TEST(crypto_sealer, equal_values_never_give_equal_bytes) {
  sealer s{data_key::generate(), "env"};
  std::set<std::string> nonces;
  for (int i = 0; i < 2000; ++i)
    EXPECT_TRUE(nonces.insert(s.seal("log", "key", "value").substr(4, 24)).second);
}

// The layout is a file format: compute it independently.
TEST(crypto_sealer, the_layout_is_the_documented_one) {
  const auto key = secret_key::generate();
  sealer s{{0x01020304, key.copy()}, "dom"};
  const auto sealed = s.seal("table", "k", "plain");
  ASSERT_EQ(sealed.substr(0, 4), std::string("\x01\x02\x03\x04", 4));
  const std::string ad = std::string("\x03") + "dom" + "\x05" + "table" + std::string("\x01\x02\x03\x04", 4) + "k";
  unsigned char plain[5];
  const auto* const raw = reinterpret_cast<const unsigned char*>(sealed.data());
  ASSERT_EQ(crypto_aead_xchacha20poly1305_ietf_decrypt(plain, nullptr, nullptr, raw + 28, sealed.size() - 28,
                                                       reinterpret_cast<const unsigned char*>(ad.data()), ad.size(),
                                                       raw + 4, key.data()),
            0);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(plain), 5), "plain");
}

} // namespace
} // namespace swarm::crypto
