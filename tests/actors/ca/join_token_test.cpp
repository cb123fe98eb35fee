// Join tokens: Swarm's exact text, and nothing else accepted.
#include <gtest/gtest.h>

#include <set>

#include "actors/ca/join_token.hpp"
#include "runtime/crypto/bytes.hpp"

namespace swarm::ca {
namespace {

// Computed apart from this code, with Python's integers: base 36 of sha256(root) and of the bytes 00 01 … 0f.
const std::string golden_root = "-----BEGIN CERTIFICATE-----\ngolden\n-----END CERTIFICATE-----\n";
const std::string golden_token =
    "SWMTKN-1-3qwjb6faz0z2ujura0ghkrweym14ja3wlwuw3nvx05fe51aq9e-000avh9he7dy896m08s18udxr";
const std::string golden_digest = "9659c30f5f902d950ead5ba64816944fef75f0b5581622832482f8254db41872";

std::string secret_0_to_15() {
  std::string out;
  for (char c = 0; c < 16; ++c)
    out += c;
  return out;
}

TEST(join_token, has_exactly_swarms_text) {
  EXPECT_EQ(format_join_token(golden_root, secret_0_to_15()), golden_token);
  const auto parsed = parse_join_token(golden_token);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(crypto::hex(parsed->root_digest), golden_digest);
  EXPECT_FALSE(parsed->fips);
  EXPECT_TRUE(token_fits_root(*parsed, golden_root));
  EXPECT_FALSE(token_fits_root(*parsed, golden_root + "\n"));
}

TEST(join_token, extreme_numbers_keep_their_length) {
  const auto token = format_join_token("x", std::string(16, '\xff'));
  EXPECT_TRUE(token.ends_with("-f5lxx1zz5pnorynqglhzmsp33"));
  EXPECT_TRUE(format_join_token("x", std::string(16, '\0')).ends_with("-" + std::string(25, '0')));
  // The greatest digest fits, one more does not.
  EXPECT_EQ(parse_join_token("SWMTKN-1-6dp5qcb22im238nr3wvp0ic7q99w035jmy2iw7i6n43d37jtof-" + std::string(25, '0'))
                ->root_digest,
            std::string(32, '\xff'));
  EXPECT_FALSE(parse_join_token("SWMTKN-1-6dp5qcb22im238nr3wvp0ic7q99w035jmy2iw7i6n43d37jtog-" + std::string(25, '0')));
  EXPECT_FALSE(parse_join_token("SWMTKN-1-" + std::string(50, 'z') + "-" + std::string(25, '0')));
}

TEST(join_token, the_fips_form_is_understood) {
  const auto tail = golden_token.substr(std::string{"SWMTKN-1-"}.size());
  EXPECT_TRUE(parse_join_token("SWMTKN-2-1-" + tail)->fips);
  EXPECT_FALSE(parse_join_token("SWMTKN-2-0-" + tail)->fips);
  for (const auto* bad : {"SWMTKN-2-", "SWMTKN-2-2-", "SWMTKN-2--", "SWMTKN-1-1-", "SWMTKN-3-", "SWMTKN-3-1-"})
    EXPECT_FALSE(parse_join_token(bad + tail)) << bad;
}

TEST(join_token, every_shortened_extended_or_altered_text_is_refused) {
  for (std::size_t i = 0; i < golden_token.size(); ++i) {
    EXPECT_FALSE(parse_join_token(golden_token.substr(0, i)));
    EXPECT_FALSE(parse_join_token(golden_token.substr(i + 1)));
    for (const char c : {'\0', ' ', '-', '_', 'A', 'Z', '\n', '\xff', '/', '{'}) {
      auto bad = golden_token;
      bad[i] = c;
      if (bad != golden_token) {
        EXPECT_FALSE(parse_join_token(bad)) << i << ' ' << static_cast<int>(c);
      }
      auto longer = golden_token;
      longer.insert(i, 1, c);
      EXPECT_FALSE(parse_join_token(longer)) << i << ' ' << static_cast<int>(c);
    }
  }
  for (const auto& bad : {std::string{}, golden_token + "-", "-" + golden_token, golden_token + golden_token,
                          golden_token + "-x", std::string(10'000'000, '-'), std::string(10'000'000, 'a')})
    EXPECT_FALSE(parse_join_token(bad));
}

TEST(join_token, fresh_tokens_differ_by_their_secret_only) {
  std::set<std::string> seen;
  for (int i = 0; i < 500; ++i) {
    const auto token = make_join_token(golden_root);
    EXPECT_TRUE(seen.insert(token).second);
    EXPECT_EQ(token.size(), golden_token.size());
    EXPECT_EQ(token.substr(0, 60), golden_token.substr(0, 60));
  }
}

TEST(join_token, rotation_changes_the_chosen_secret_only) {
  auto tokens = make_join_tokens(golden_root);
  const auto before = tokens;
  EXPECT_NE(tokens.worker(), tokens.manager());
  rotate_join_tokens(tokens, golden_root, true, false);
  EXPECT_NE(tokens.worker(), before.worker());
  EXPECT_EQ(tokens.manager(), before.manager());
  rotate_join_tokens(tokens, golden_root, false, true);
  EXPECT_NE(tokens.manager(), before.manager());
  EXPECT_FALSE(role_of_token(tokens, before.worker()));
  EXPECT_FALSE(role_of_token(tokens, before.manager()));
}

TEST(join_token, the_secret_decides_the_role_and_guesses_get_none) {
  const auto tokens = make_join_tokens(golden_root);
  EXPECT_EQ(role_of_token(tokens, tokens.worker()), NODE_ROLE_WORKER);
  EXPECT_EQ(role_of_token(tokens, tokens.manager()), NODE_ROLE_MANAGER);
  EXPECT_FALSE(role_of_token(tokens, ""));
  EXPECT_FALSE(role_of_token(tokens, tokens.worker() + " "));
  EXPECT_FALSE(role_of_token(tokens, tokens.worker().substr(1)));
  EXPECT_FALSE(role_of_token(tokens, make_join_tokens("another root").manager()));
  EXPECT_FALSE(role_of_token(JoinTokens{}, "")); // a cluster without tokens lets nobody in
  for (int i = 0; i < 5000; ++i)
    ASSERT_FALSE(role_of_token(tokens, make_join_token(golden_root)));
  for (std::size_t i = 0; i < tokens.manager().size(); ++i) {
    auto near = tokens.manager();
    near[i] = near[i] == '0' ? '1' : '0';
    EXPECT_FALSE(role_of_token(tokens, near));
  }
}

} // namespace
} // namespace swarm::ca
