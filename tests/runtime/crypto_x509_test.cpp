// Keys and certificates: what is parsed, what is refused, what is issued.
#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include "runtime/crypto/bytes.hpp"
#include "runtime/crypto/x509.hpp"

namespace swarm::crypto {
namespace {

constexpr wall_ns day = 86'400'000'000'000;
constexpr wall_ns now = 1'750'000'000'000'000'000;
const validity year{now - day, now + 365 * day};

leaf_request request_for(const private_key& key) {
  return {key.public_key_der(), {"org", "unit", "name"}, {"unit", "name"}, {now, now + day}};
}

TEST(crypto_x509, a_generated_key_survives_its_pem_text) {
  const auto key = private_key::generate();
  EXPECT_TRUE(key.pem().starts_with("-----BEGIN PRIVATE KEY-----\n")); // PKCS#8
  const auto again = private_key::parse_pem(key.pem());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->public_key_der(), key.public_key_der());
  EXPECT_TRUE(again->acceptable_for_ca());
}

TEST(crypto_x509, malformed_texts_are_refused) {
  const auto key = private_key::generate();
  const auto root = issue_root(key, "root", year);
  const auto pem = root.pem();
  for (const auto& bad : {std::string{}, std::string{"x"}, pem.substr(0, pem.size() / 2), std::string(2 << 20, '-'),
                          std::string{"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"}}) {
    EXPECT_FALSE(certificate::parse_pem(bad));
    EXPECT_FALSE(private_key::parse_pem(bad));
    EXPECT_FALSE(certificate::parse_der(bad));
  }
  EXPECT_FALSE(private_key::parse_pem(pem));
  EXPECT_FALSE(certificate::parse_pem(key.pem()));
  EXPECT_FALSE(certificate::parse_pem(pem + pem.substr(0, pem.size() / 2)));
  EXPECT_FALSE(certificate::parse_der(root.der() + "x"));
  EXPECT_EQ(certificate::parse_pem(pem + pem)->size(), 2u);
  EXPECT_EQ(certificate::parse_der(root.der())->pem(), pem);
}

TEST(crypto_x509, an_encrypted_key_is_refused_without_asking_for_a_pass_phrase) {
  constexpr std::string_view encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                         "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgBAgMEBQYHCAICCAAw\n"
                                         "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEAABAgMEBQYHCAkKCwwNDg8EgZAA\n"
                                         "-----END ENCRYPTED PRIVATE KEY-----\n";
  EXPECT_FALSE(private_key::parse_pem(encrypted));
}

TEST(crypto_x509, a_leaf_chains_to_its_root_within_its_dates_only) {
  const auto root_key = private_key::generate();
  const auto root = issue_root(root_key, "root", year);
  const auto leaf = issue_leaf(root, root_key, request_for(private_key::generate()));
  ASSERT_TRUE(leaf);
  EXPECT_TRUE(leaf->issued_by(root, now + day / 2));
  EXPECT_FALSE(leaf->issued_by(root, now - day / 2));
  EXPECT_FALSE(leaf->issued_by(root, now + 2 * day));
  EXPECT_FALSE(
      leaf->issued_by(issue_root(private_key::generate(), "root", year), now + day / 2)); // same name, other key
  EXPECT_FALSE(leaf->issued_by(*leaf, now + day / 2));
  EXPECT_EQ(leaf->issuer_der(), root.subject_der());
  EXPECT_EQ(leaf->subject(), (subject_name{"org", "unit", "name"}));
  EXPECT_EQ(leaf->not_before(), now);
  EXPECT_EQ(leaf->not_after(), now + day);
}

TEST(crypto_x509, a_leaf_cannot_sign_another) {
  const auto root_key = private_key::generate();
  const auto root = issue_root(root_key, "root", year);
  const auto middle_key = private_key::generate();
  const auto middle = issue_leaf(root, root_key, request_for(middle_key));
  const auto bottom = issue_leaf(*middle, middle_key, request_for(private_key::generate()));
  ASSERT_TRUE(bottom);
  EXPECT_FALSE(bottom->issued_by(*middle, now + day / 2));
  EXPECT_FALSE(bottom->issued_by(root, now + day / 2));
}

TEST(crypto_x509, serial_numbers_are_positive_long_and_different) {
  const auto key = private_key::generate();
  const auto serial = [&] {
    const auto root = issue_root(key, "root", year);
    const auto* const number = X509_get0_serialNumber(root.native());
    EXPECT_EQ(number->type, V_ASN1_INTEGER);
    EXPECT_EQ(number->length, 20);
    return std::string{reinterpret_cast<const char*>(number->data), static_cast<std::size_t>(number->length)};
  };
  EXPECT_NE(serial(), serial());
}

TEST(crypto_x509, bad_public_keys_and_overlong_names_get_no_certificate) {
  const auto root_key = private_key::generate();
  const auto root = issue_root(root_key, "root", year);
  auto request = request_for(private_key::generate());
  auto bad = request;
  bad.public_key_der = "not a key";
  EXPECT_FALSE(issue_leaf(root, root_key, bad));
  bad.public_key_der.clear();
  EXPECT_FALSE(issue_leaf(root, root_key, bad));
  bad = request;
  bad.subject.common_name = std::string(65, 'n');
  EXPECT_FALSE(issue_leaf(root, root_key, bad));
  const auto* const weak = EVP_RSA_gen(1024);
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(weak, &der);
  bad = request;
  bad.public_key_der.assign(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  EVP_PKEY_free(const_cast<EVP_PKEY*>(weak));
  EXPECT_FALSE(issue_leaf(root, root_key, bad));
}

TEST(crypto_x509, a_comma_in_a_dns_name_stays_in_the_name) {
  const auto root_key = private_key::generate();
  const auto root = issue_root(root_key, "root", year);
  auto request = request_for(private_key::generate());
  request.dns_names = {"a,DNS:swarm-ca"};
  const auto leaf = issue_leaf(root, root_key, request);
  ASSERT_TRUE(leaf);
  EXPECT_EQ(X509_check_host(leaf->native(), "swarm-ca", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr), 0);
}

TEST(crypto_x509, a_subject_that_can_be_read_in_two_ways_has_no_reading) {
  const auto key = private_key::generate();
  auto twice = issue_root(key, "one", year);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(twice.native()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("two"), -1, -1, 0);
  EXPECT_FALSE(twice.subject());
  auto nul = issue_root(key, "one", year);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(nul.native()), "O", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("a\0b"), 3, -1, 0);
  EXPECT_FALSE(nul.subject());
}

TEST(crypto_x509, a_cross_signed_root_leads_to_the_old_one) {
  const auto old_key = private_key::generate(), fresh_key = private_key::generate(), leaf_key = private_key::generate();
  const auto old_root = issue_root(old_key, "swarm-ca", year), fresh_root = issue_root(fresh_key, "swarm-ca", year);
  const auto bridge = cross_sign(fresh_root, old_root, old_key);
  const auto leaf = *issue_leaf(fresh_root, fresh_key, request_for(leaf_key));
  EXPECT_EQ(bridge.subject_der(), fresh_root.subject_der());
  EXPECT_EQ(bridge.public_key_der(), fresh_root.public_key_der());
  EXPECT_TRUE(bridge.is_ca());
  EXPECT_TRUE(bridge.signed_by(old_root));
  EXPECT_FALSE(bridge.signed_by(fresh_root));
  EXPECT_TRUE(verify_chain({leaf, bridge}, {old_root}, now));
  EXPECT_TRUE(verify_chain({leaf, bridge}, {fresh_root}, now));
  EXPECT_TRUE(verify_chain({leaf, bridge}, {old_root, fresh_root}, now));
  EXPECT_TRUE(verify_chain({leaf}, {old_root, fresh_root}, now)) << "two roots of one name: told apart by their keys";
  EXPECT_FALSE(verify_chain({leaf}, {old_root}, now));
  EXPECT_FALSE(verify_chain({leaf, bridge}, {old_root}, now + 400 * day));
  EXPECT_FALSE(verify_chain({}, {old_root}, now));
}

} // namespace
} // namespace swarm::crypto
