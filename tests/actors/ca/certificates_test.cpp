// Certificates field by field, read with OpenSSL and not with the code that made them.
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <limits>
#include <memory>

#include "actors/ca/certificates.hpp"
#include "actors/ca/join_token.hpp"
#include "runtime/crypto/x509.hpp"
#include "runtime/text.hpp"

namespace swarm::ca {
namespace {

constexpr wall_ns second = 1'000'000'000;
constexpr wall_ns hour = 3600 * second;
constexpr wall_ns day = 24 * hour;
constexpr wall_ns now = 1'750'000'000 * second;
const node_subject manager{"clusterid0123456789012345", "nodeid0123456789012345678", NODE_ROLE_MANAGER};
const node_subject worker{"clusterid0123456789012345", "nodeid0123456789012345678", NODE_ROLE_WORKER};

using x509_ptr = std::unique_ptr<X509, decltype(&X509_free)>;

x509_ptr read(const std::string& pem) {
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  x509_ptr out{PEM_read_bio_X509(bio, nullptr, nullptr, nullptr), X509_free};
  BIO_free(bio);
  return out;
}

std::string name_text(const X509_NAME* name) {
  BIO* const bio = BIO_new(BIO_s_mem());
  X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  std::string out{data, static_cast<std::size_t>(size)};
  BIO_free(bio);
  return out;
}

wall_ns seconds_of(const ASN1_TIME* time) {
  tm parts{};
  EXPECT_EQ(ASN1_TIME_to_tm(time, &parts), 1);
  return timegm(&parts) * second;
}

std::vector<std::string> dns_names(X509* cert) {
  std::vector<std::string> out;
  auto* const names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const auto* const name = sk_GENERAL_NAME_value(names, i);
    EXPECT_EQ(name->type, GEN_DNS);
    out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                     static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  GENERAL_NAMES_free(names);
  return out;
}

bool critical(X509* cert, int nid) {
  return X509_EXTENSION_get_critical(X509_get_ext(cert, X509_get_ext_by_NID(cert, nid, -1))) == 1;
}

std::string curve(X509* cert) {
  char name[64] = {};
  EVP_PKEY_get_group_name(X509_get0_pubkey(cert), name, sizeof name, nullptr);
  return name;
}

TEST(certificates, a_new_root_is_what_swarm_makes) {
  const auto root = create_root(now);
  const auto cert = read(root.certificate_pem());
  ASSERT_TRUE(cert);
  EXPECT_EQ(name_text(X509_get_subject_name(cert.get())), "CN=swarm-ca");
  EXPECT_EQ(name_text(X509_get_issuer_name(cert.get())), "CN=swarm-ca");
  EXPECT_EQ(X509_get_version(cert.get()), X509_VERSION_3);
  EXPECT_EQ(X509_get_signature_nid(cert.get()), NID_ecdsa_with_SHA256);
  EXPECT_EQ(curve(cert.get()), SN_X9_62_prime256v1);
  EXPECT_EQ(seconds_of(X509_get0_notAfter(cert.get())), now + 20 * 365 * day);
  EXPECT_LT(seconds_of(X509_get0_notBefore(cert.get())), now);
  EXPECT_EQ(X509_get_key_usage(cert.get()), static_cast<unsigned>(KU_KEY_CERT_SIGN | KU_CRL_SIGN));
  EXPECT_TRUE(critical(cert.get(), NID_key_usage));
  EXPECT_TRUE(critical(cert.get(), NID_basic_constraints));
  EXPECT_EQ(X509_check_ca(cert.get()), 1);
  EXPECT_EQ(X509_verify(cert.get(), X509_get0_pubkey(cert.get())), 1);
  EXPECT_EQ(X509_check_private_key(cert.get(), crypto::private_key::parse_pem(root.private_key_pem())->native()), 1);
  EXPECT_TRUE(token_fits_root(*parse_join_token(root.join_tokens().worker()), root.certificate_pem()));
  EXPECT_TRUE(token_fits_root(*parse_join_token(root.join_tokens().manager()), root.certificate_pem()));
}

TEST(certificates, a_managers_certificate_is_what_swarm_makes) {
  const auto root = create_root(now);
  const auto made = make_node_credentials(root, manager, now, default_node_expiry);
  ASSERT_TRUE(made);
  const auto cert = read(made->certificate_pem);
  EXPECT_EQ(name_text(X509_get_subject_name(cert.get())),
            "CN=" + manager.node_id + ",OU=swarm-manager,O=" + manager.cluster_id);
  EXPECT_EQ(name_text(X509_get_issuer_name(cert.get())), "CN=swarm-ca");
  EXPECT_EQ(dns_names(cert.get()), (std::vector<std::string>{"swarm-manager", manager.node_id, "swarm-ca"}));
  EXPECT_EQ(seconds_of(X509_get0_notBefore(cert.get())), now - hour);
  EXPECT_EQ(seconds_of(X509_get0_notAfter(cert.get())), now + 90 * day);
  EXPECT_EQ(curve(cert.get()), SN_X9_62_prime256v1);
  EXPECT_EQ(X509_get_key_usage(cert.get()), static_cast<unsigned>(KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT));
  EXPECT_EQ(X509_get_extended_key_usage(cert.get()), static_cast<unsigned>(XKU_SSL_SERVER | XKU_SSL_CLIENT));
  EXPECT_EQ(X509_check_ca(cert.get()), 0);
  EXPECT_TRUE(critical(cert.get(), NID_basic_constraints));
  EXPECT_EQ(X509_verify(cert.get(), X509_get0_pubkey(read(root.certificate_pem()).get())), 1);
  EXPECT_EQ(X509_check_private_key(cert.get(), crypto::private_key::parse_pem(made->key_pem)->native()), 1);
}

TEST(certificates, a_workers_certificate_does_not_speak_for_the_ca) {
  const auto root = create_root(now);
  const auto cert = read(make_node_credentials(root, worker, now, default_node_expiry)->certificate_pem);
  EXPECT_EQ(name_text(X509_get_subject_name(cert.get())),
            "CN=" + worker.node_id + ",OU=swarm-worker,O=" + worker.cluster_id);
  EXPECT_EQ(dns_names(cert.get()), (std::vector<std::string>{"swarm-worker", worker.node_id}));
}

TEST(certificates, the_expiry_is_the_clusters_and_less_than_an_hour_means_the_default) {
  const auto root = create_root(now);
  const auto end = [&](duration expiry) {
    return seconds_of(
               X509_get0_notAfter(read(make_node_credentials(root, worker, now, expiry)->certificate_pem).get())) -
           now;
  };
  EXPECT_EQ(end(hours{1}), hour);
  EXPECT_EQ(end(hours{48}), 48 * hour);
  EXPECT_EQ(end(minutes{59}), 90 * day);
  EXPECT_EQ(end(duration{0}), 90 * day);
  EXPECT_EQ(end(-hours{1}), 90 * day);
}

TEST(certificates, a_node_certificate_is_verified_against_its_root_dates_and_role) {
  const auto root = create_root(now);
  const auto made = *make_node_credentials(root, manager, now, hours{2});
  const auto verify = [&](wall_ns at) {
    return verify_node_certificate(made.certificate_pem, root.certificate_pem(), at);
  };
  ASSERT_TRUE(verify(now));
  EXPECT_EQ(verify(now)->node_id, manager.node_id);
  EXPECT_EQ(verify(now)->cluster_id, manager.cluster_id);
  EXPECT_EQ(verify(now)->role, NODE_ROLE_MANAGER);
  EXPECT_TRUE(verify(now - 59 * 60 * second)); // a node whose clock is behind by less than the back-dating
  EXPECT_FALSE(verify(now - 2 * hour));
  EXPECT_FALSE(verify(now + 3 * hour));
  EXPECT_FALSE(verify_node_certificate(made.certificate_pem, create_root(now).certificate_pem(), now));
  EXPECT_FALSE(verify_node_certificate(root.certificate_pem(), root.certificate_pem(), now)); // the root is no node
  EXPECT_FALSE(verify_node_certificate(made.certificate_pem + made.certificate_pem, root.certificate_pem(), now));
  EXPECT_FALSE(verify_node_certificate("", root.certificate_pem(), now));
  EXPECT_FALSE(verify_node_certificate(made.certificate_pem, "", now));
}

TEST(certificates, a_request_without_names_or_with_a_bad_key_is_refused) {
  const auto root = create_root(now);
  const auto key = crypto::private_key::generate().public_key_der();
  EXPECT_EQ(issue_node_certificate(root, {"", "n", NODE_ROLE_WORKER}, key, now, hours{1}).error.code,
            errc::invalid_argument);
  EXPECT_EQ(issue_node_certificate(root, {"c", "", NODE_ROLE_WORKER}, key, now, hours{1}).error.code,
            errc::invalid_argument);
  EXPECT_EQ(issue_node_certificate(root, {"c", "n", NODE_ROLE_UNSPECIFIED}, key, now, hours{1}).error.code,
            errc::invalid_argument);
  EXPECT_EQ(issue_node_certificate(root, manager, "junk", now, hours{1}).error.code, errc::invalid_argument);
  auto broken = root;
  broken.set_private_key_pem(create_root(now).private_key_pem());
  EXPECT_EQ(issue_node_certificate(broken, manager, key, now, hours{1}).error.code, errc::internal);
}

struct given_root : ::testing::Test {
  crypto::private_key key = crypto::private_key::generate();
  std::string pem(wall_ns from, wall_ns until) { return crypto::issue_root(key, "my own", {from, until}).pem(); }
  std::string why(const std::string& certificate, const std::string& key_pem) {
    const auto result = accept_root(certificate, key_pem, now);
    EXPECT_EQ(result.error.code, errc::invalid_argument);
    return result.error.message;
  }
};

TEST_F(given_root, a_good_one_is_taken_and_can_sign) {
  const auto given = pem(now - day, now + 366 * day);
  const auto result = accept_root("  \n" + given + "\n\n", key.pem(), now);
  ASSERT_TRUE(result.error.ok()) << result.error.message;
  EXPECT_EQ(result.root.certificate_pem(), given); // normalised
  const auto made = make_node_credentials(result.root, worker, now, hours{1});
  ASSERT_TRUE(made);
  EXPECT_TRUE(verify_node_certificate(made->certificate_pem, given, now));
}

TEST_F(given_root, an_rsa_root_is_taken_and_a_short_one_is_not) {
  const auto with_bits = [&](unsigned bits) {
    EVP_PKEY* const native = EVP_RSA_gen(bits);
    BIO* const bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, native, nullptr, nullptr, 0, nullptr, nullptr);
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio, &data);
    key = *crypto::private_key::parse_pem({data, static_cast<std::size_t>(size)});
    BIO_free(bio);
    EVP_PKEY_free(native);
    return accept_root(pem(now, now + 400 * day), key.pem(), now).error.message;
  };
  EXPECT_EQ(with_bits(2048), "");
  EXPECT_NE(with_bits(1024), "");
}

TEST_F(given_root, every_reason_for_a_refusal_is_named) {
  const auto good = pem(now - day, now + 366 * day);
  EXPECT_EQ(why("junk", key.pem()), "could not parse the desired CA certificate");
  EXPECT_EQ(why("", key.pem()), "could not parse the desired CA certificate");
  EXPECT_EQ(why(good + good, key.pem()), "the desired CA certificate cannot contain multiple certificates");
  EXPECT_EQ(why(good, "junk"), "could not parse the desired CA key");
  EXPECT_EQ(why(good, crypto::private_key::generate().pem()), "certificate key mismatch");
  EXPECT_EQ(why(pem(now - day, now + 364 * day), key.pem()), "CA certificate expires too soon");
  EXPECT_EQ(why(pem(now - 2 * day, now - day), key.pem()), "CA certificate expires too soon");
  EXPECT_EQ(why(pem(now + day, now + 400 * day), key.pem()), "CA certificate is not valid yet");
  const auto root = create_root(now);
  const auto leaf = make_node_credentials(root, manager, now, hours{400 * 24});
  EXPECT_EQ(why(leaf->certificate_pem, leaf->key_pem), "the desired CA certificate is not a CA certificate");
}

TEST_F(given_root, a_root_that_lasts_beyond_what_nanoseconds_can_count_is_taken) {
  auto cert = crypto::issue_root(key, "my own", {now, now + day});
  ASN1_TIME_set_string(X509_getm_notAfter(cert.native()), "99991231235959Z"); // RFC 5280: no end
  X509_sign(cert.native(), key.native(), EVP_sha256());
  EXPECT_EQ(cert.not_after(), std::numeric_limits<wall_ns>::max());
  EXPECT_TRUE(accept_root(cert.pem(), key.pem(), now).error.ok());
}

TEST(certificates, the_tls_info_names_the_issuer_in_der) {
  const auto root = create_root(now);
  const auto info = tls_info(root.certificate_pem());
  const auto cert = read(root.certificate_pem());
  EXPECT_EQ(info.trust_root(), root.certificate_pem());
  EXPECT_EQ(text::base64_encode(info.cert_issuer_subject()), "MBMxETAPBgNVBAMTCHN3YXJtLWNh"); // as Docker shows it
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(X509_get0_pubkey(cert.get()), &der);
  EXPECT_EQ(info.cert_issuer_public_key(), std::string(reinterpret_cast<char*>(der), static_cast<std::size_t>(size)));
  OPENSSL_free(der);
}

TEST(certificates, renewal_falls_between_half_and_four_fifths_of_the_life) {
  const auto root = create_root(now);
  const auto made = *make_node_credentials(root, worker, now, hours{9});
  random_source rng{5};
  wall_ns least = now + 100 * day, most = 0;
  for (int i = 0; i < 300; ++i) {
    const auto at = *renewal_time(made.certificate_pem, rng);
    least = std::min(least, at);
    most = std::max(most, at);
  }
  EXPECT_GE(least, now - hour + 5 * hour);
  EXPECT_LE(most, now - hour + 8 * hour);
  EXPECT_GT(most - least, 2 * hour);
  EXPECT_FALSE(renewal_time("junk", rng));
}

TEST(certificates, role_names_go_both_ways) {
  EXPECT_EQ(parse_role_name(role_name(NODE_ROLE_MANAGER)), NODE_ROLE_MANAGER);
  EXPECT_EQ(parse_role_name(role_name(NODE_ROLE_WORKER)), NODE_ROLE_WORKER);
  EXPECT_EQ(parse_role_name("swarm-ca"), NODE_ROLE_UNSPECIFIED);
  EXPECT_EQ(parse_role_name(""), NODE_ROLE_UNSPECIFIED);
}

} // namespace
} // namespace swarm::ca
