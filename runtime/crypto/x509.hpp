// Private keys and certificates as values: what the CA issues and what a node keeps. All of OpenSSL's X.509 is here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/time.hpp"

struct evp_pkey_st;
struct x509_st;

namespace swarm::crypto {

/// ECDSA P-256 when generated here; RSA and the other NIST curves when given by an operator.
class private_key {
public:
  static private_key generate();
  /// PKCS#8 or traditional PEM without a pass phrase; nullopt for anything else.
  static std::optional<private_key> parse_pem(std::string_view pem);

  [[nodiscard]] std::string pem() const;            ///< PKCS#8; the caller wipes it
  [[nodiscard]] std::string public_key_der() const; ///< SubjectPublicKeyInfo
  /// ECDSA on P-256, P-384 or P-521, or RSA of at least 2048 bits.
  [[nodiscard]] bool acceptable_for_ca() const;
  [[nodiscard]] evp_pkey_st* native() const { return key_.get(); }

private:
  explicit private_key(evp_pkey_st* key);
  std::shared_ptr<evp_pkey_st> key_; // OpenSSL frees it with a clearing free
};

/// Of a subject, the parts that Swarm uses.
struct subject_name {
  std::string organization;
  std::string organizational_unit;
  std::string common_name;
  bool operator==(const subject_name&) const = default;
};

class certificate {
public:
  /// All certificates of a PEM text, in order. nullopt: none, a malformed one, or more than 1 MiB of text.
  static std::optional<std::vector<certificate>> parse_pem(std::string_view pem);
  static std::optional<certificate> parse_der(std::string_view der);

  [[nodiscard]] std::string pem() const;
  [[nodiscard]] std::string der() const;
  [[nodiscard]] std::string subject_der() const;
  [[nodiscard]] std::string issuer_der() const;
  [[nodiscard]] std::string public_key_der() const;
  /// nullopt when a part occurs twice or holds a NUL: such a name could be read in two ways.
  [[nodiscard]] std::optional<subject_name> subject() const;
  [[nodiscard]] wall_ns not_before() const;
  [[nodiscard]] wall_ns not_after() const; ///< later than the year 2261 is given as the greatest wall_ns
  [[nodiscard]] bool is_ca() const;
  [[nodiscard]] bool belongs_to(const private_key& key) const;
  /// Chain of exactly two: signature, dates at `at`, and that the issuer is a CA. No purpose is checked.
  [[nodiscard]] bool issued_by(const certificate& ca, wall_ns at) const;
  /// The signature alone: neither dates nor names.
  [[nodiscard]] bool signed_by(const certificate& ca) const;
  [[nodiscard]] x509_st* native() const { return certificate_.get(); }

private:
  friend struct x509_access;
  explicit certificate(x509_st* cert);
  std::shared_ptr<x509_st> certificate_;
};

struct validity {
  wall_ns not_before = 0;
  wall_ns not_after = 0;
};

/// The same subject and public key as `subject`, for its dates, signed by `ca`: who trusts `ca` alone can verify what
/// `subject` has issued.
[[nodiscard]] certificate cross_sign(const certificate& subject, const certificate& ca, const private_key& ca_key);

/// Whether `chain` (a leaf, then intermediates) leads to one of `roots` at `at`. No purpose is checked.
[[nodiscard]] bool verify_chain(const std::vector<certificate>& chain, const std::vector<certificate>& roots, wall_ns at);

/// Self-signed; keyCertSign and cRLSign, CA:TRUE, a 159-bit random serial number.
[[nodiscard]] certificate issue_root(const private_key& key, const std::string& common_name, validity when);

struct leaf_request {
  std::string public_key_der; ///< all that is taken over from the asking node
  subject_name subject;
  std::vector<std::string> dns_names;
  validity when;
};
/// digitalSignature and keyEncipherment; serverAuth and clientAuth; CA:FALSE. nullopt: the public key is malformed or
/// is not a kind that acceptable_for_ca() would take, or a part of the subject is longer than 64 bytes.
[[nodiscard]] std::optional<certificate> issue_leaf(const certificate& ca, const private_key& ca_key,
                                                    const leaf_request& request);

} // namespace swarm::crypto
