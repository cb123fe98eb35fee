// Keys and certificates through OpenSSL 3.
#include "runtime/crypto/x509.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <limits>

#include "runtime/check.hpp"
#include "runtime/crypto/bytes.hpp"

namespace swarm::crypto {

struct x509_access {
  static certificate wrap(X509* cert) { return certificate{cert}; }
};

namespace {

constexpr std::size_t max_pem_bytes = 1 << 20;
constexpr wall_ns ns_per_s = 1'000'000'000;
constexpr int serial_bytes = 20; // RFC 5280: at most 20 octets, positive

template <auto Free>
struct deleter {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using bio_ptr = std::unique_ptr<BIO, deleter<BIO_free_all>>;
using store_ptr = std::unique_ptr<X509_STORE, deleter<X509_STORE_free>>;
using store_ctx_ptr = std::unique_ptr<X509_STORE_CTX, deleter<X509_STORE_CTX_free>>;

bio_ptr reader(std::string_view text) { return bio_ptr{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))}; }

std::string contents(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

// Runs an i2d function. Encoding what OpenSSL itself holds fails only without memory.
template <class Encode, class T>
std::string der_of(Encode encode, T* what) {
  unsigned char* bytes = nullptr;
  const int size = encode(what, &bytes);
  SWARM_CHECK(size > 0, "OpenSSL cannot encode");
  std::string out{reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size)};
  OPENSSL_free(bytes);
  return out;
}

// Encrypted keys are refused instead of asking on the terminal.
int no_pass_phrase(char*, int, int, void*) { return -1; }

bool acceptable(EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
    return EVP_PKEY_get_bits(key) >= 2048;
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC)
    return false;
  char group[64] = {};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1)
    return false;
  const std::string_view name{group, size};
  return name == SN_X9_62_prime256v1 || name == SN_secp384r1 || name == SN_secp521r1;
}

wall_ns to_wall(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1)
    return 0;
  const auto seconds = static_cast<std::int64_t>(timegm(&parts));
  constexpr auto last = std::numeric_limits<wall_ns>::max() / ns_per_s;
  return seconds > last ? std::numeric_limits<wall_ns>::max() : seconds * ns_per_s;
}

void set_time(ASN1_TIME* field, wall_ns when) {
  SWARM_CHECK(ASN1_TIME_set(field, static_cast<time_t>(when / ns_per_s)) != nullptr);
}

// As Go encodes names: PrintableString where the text allows it, so that subjects compare equal byte by byte.
void add_name(X509_NAME* name, const char* part, const std::string& text) {
  if (text.empty())
    return;
  const bool printable =
      text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?") ==
      std::string::npos;
  const auto added = X509_NAME_add_entry_by_txt(name, part, printable ? V_ASN1_PRINTABLESTRING : MBSTRING_UTF8,
                                                reinterpret_cast<const unsigned char*>(text.data()),
                                                static_cast<int>(text.size()), -1, 0);
  SWARM_CHECK(added == 1, part);
}

void add_extension(X509* cert, X509V3_CTX* context, int nid, const char* value) {
  auto* const extension = X509V3_EXT_conf_nid(nullptr, context, nid, value);
  SWARM_CHECK(extension != nullptr && X509_add_ext(cert, extension, -1) == 1, value);
  X509_EXTENSION_free(extension);
}

void add_dns_names(X509* cert, const std::vector<std::string>& names) {
  // Built by hand: the text form of this extension would read a comma in a name as a separator.
  auto* const list = GENERAL_NAMES_new();
  for (const auto& name : names) {
    auto* const text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
    auto* const entry = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(entry, GEN_DNS, text);
    sk_GENERAL_NAME_push(list, entry);
  }
  SWARM_CHECK(X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, X509V3_ADD_APPEND) == 1);
  GENERAL_NAMES_free(list);
}

// What a root and a leaf have in common, unsigned.
void set_serial(X509* cert) {
  unsigned char serial[serial_bytes];
  fill_random(serial, sizeof serial);
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40); // positive, and never shorter
  auto* const number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
  BN_free(number);
}

X509* draft(const subject_name& subject, EVP_PKEY* public_key, validity when) {
  auto* const cert = X509_new();
  SWARM_CHECK(cert != nullptr && X509_set_version(cert, X509_VERSION_3) == 1);
  set_serial(cert);
  set_time(X509_getm_notBefore(cert), when.not_before);
  set_time(X509_getm_notAfter(cert), when.not_after);
  auto* const name = X509_get_subject_name(cert);
  add_name(name, "O", subject.organization);
  add_name(name, "OU", subject.organizational_unit);
  add_name(name, "CN", subject.common_name);
  SWARM_CHECK(X509_set_pubkey(cert, public_key) == 1);
  return cert;
}

// nullopt when the part occurs twice or holds a NUL; "" when it does not occur.
std::optional<std::string> name_part(X509_NAME* name, int nid) {
  const int at = X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0)
    return std::string{};
  if (X509_NAME_get_index_by_NID(name, nid, at) >= 0)
    return std::nullopt;
  unsigned char* bytes = nullptr;
  const int size = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0)
    return std::nullopt;
  std::string text{reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size)};
  OPENSSL_free(bytes);
  if (text.find('\0') != std::string::npos)
    return std::nullopt;
  return text;
}

} // namespace

// -- private keys ---------------------------------------------------------------------------------------------------

private_key::private_key(evp_pkey_st* key) : key_{key, EVP_PKEY_free} {}

private_key private_key::generate() {
  auto* const key = EVP_EC_gen("P-256");
  SWARM_CHECK(key != nullptr, "OpenSSL cannot generate a key");
  return private_key{key};
}

std::optional<private_key> private_key::parse_pem(std::string_view pem) {
  if (pem.size() > max_pem_bytes)
    return std::nullopt;
  const auto bio = reader(pem);
  auto* const key = PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr);
  ERR_clear_error();
  if (key == nullptr)
    return std::nullopt;
  return private_key{key};
}

std::string private_key::pem() const {
  const bio_ptr bio{BIO_new(BIO_s_secmem())};
  SWARM_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return contents(bio.get());
}

std::string private_key::public_key_der() const { return der_of(i2d_PUBKEY, key_.get()); }

bool private_key::acceptable_for_ca() const { return acceptable(key_.get()); }

// -- certificates ---------------------------------------------------------------------------------------------------

certificate::certificate(x509_st* cert) : certificate_{cert, X509_free} {}

std::optional<std::vector<certificate>> certificate::parse_pem(std::string_view pem) {
  if (pem.size() > max_pem_bytes)
    return std::nullopt;
  const auto bio = reader(pem);
  std::vector<certificate> out;
  while (auto* const cert = PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, nullptr))
    out.push_back(certificate{cert});
  // The loop ends well only by not finding another "BEGIN".
  const bool clean = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!clean || out.empty())
    return std::nullopt;
  return out;
}

std::optional<certificate> certificate::parse_der(std::string_view der) {
  if (der.size() > max_pem_bytes)
    return std::nullopt;
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = at + der.size();
  auto* const cert = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  ERR_clear_error();
  if (cert == nullptr)
    return std::nullopt;
  auto out = certificate{cert};
  if (at != end)
    return std::nullopt;
  return out;
}

std::string certificate::pem() const {
  const bio_ptr bio{BIO_new(BIO_s_mem())};
  SWARM_CHECK(PEM_write_bio_X509(bio.get(), certificate_.get()) == 1);
  return contents(bio.get());
}

std::string certificate::der() const { return der_of(i2d_X509, certificate_.get()); }
std::string certificate::subject_der() const {
  return der_of(i2d_X509_NAME, X509_get_subject_name(certificate_.get()));
}
std::string certificate::issuer_der() const { return der_of(i2d_X509_NAME, X509_get_issuer_name(certificate_.get())); }
std::string certificate::public_key_der() const {
  return der_of(i2d_X509_PUBKEY, X509_get_X509_PUBKEY(certificate_.get()));
}

std::optional<subject_name> certificate::subject() const {
  auto* const name = X509_get_subject_name(certificate_.get());
  auto organization = name_part(name, NID_organizationName);
  auto unit = name_part(name, NID_organizationalUnitName);
  auto common = name_part(name, NID_commonName);
  if (!organization || !unit || !common)
    return std::nullopt;
  return subject_name{std::move(*organization), std::move(*unit), std::move(*common)};
}

wall_ns certificate::not_before() const { return to_wall(X509_get0_notBefore(certificate_.get())); }
wall_ns certificate::not_after() const { return to_wall(X509_get0_notAfter(certificate_.get())); }
bool certificate::is_ca() const { return X509_check_ca(certificate_.get()) == 1; }

bool certificate::belongs_to(const private_key& key) const {
  const bool same = X509_check_private_key(certificate_.get(), key.native()) == 1;
  ERR_clear_error();
  return same;
}

bool certificate::issued_by(const certificate& ca, wall_ns at) const {
  const store_ptr store{X509_STORE_new()};
  const store_ctx_ptr context{X509_STORE_CTX_new()};
  bool valid = X509_STORE_add_cert(store.get(), ca.certificate_.get()) == 1 &&
               X509_STORE_CTX_init(context.get(), store.get(), certificate_.get(), nullptr) == 1;
  if (valid) {
    X509_STORE_CTX_set_time(context.get(), 0, static_cast<time_t>(at / ns_per_s));
    valid = X509_verify_cert(context.get()) == 1 && sk_X509_num(X509_STORE_CTX_get0_chain(context.get())) == 2;
  }
  ERR_clear_error();
  return valid;
}

bool certificate::signed_by(const certificate& ca) const {
  auto* const key = X509_get0_pubkey(ca.certificate_.get());
  const bool fits = key != nullptr && X509_verify(certificate_.get(), key) == 1;
  ERR_clear_error();
  return fits;
}

// -- issuing --------------------------------------------------------------------------------------------------------

certificate issue_root(const private_key& key, const std::string& common_name, validity when) {
  auto* const cert = draft({{}, {}, common_name}, key.native(), when);
  auto out = x509_access::wrap(cert);
  SWARM_CHECK(X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1);
  X509V3_CTX context;
  X509V3_set_ctx(&context, cert, cert, nullptr, nullptr, 0);
  add_extension(cert, &context, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(cert, &context, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(cert, &context, NID_subject_key_identifier, "hash");
  SWARM_CHECK(X509_sign(cert, key.native(), EVP_sha256()) > 0);
  return out;
}

certificate cross_sign(const certificate& subject, const certificate& ca, const private_key& ca_key) {
  auto* const cert = X509_dup(subject.native());
  SWARM_CHECK(cert != nullptr);
  auto out = x509_access::wrap(cert);
  for (int at = X509_get_ext_by_NID(cert, NID_authority_key_identifier, -1); at >= 0;
       at = X509_get_ext_by_NID(cert, NID_authority_key_identifier, -1))
    X509_EXTENSION_free(X509_delete_ext(cert, at));
  set_serial(cert);
  SWARM_CHECK(X509_set_issuer_name(cert, X509_get_subject_name(ca.native())) == 1);
  X509V3_CTX context;
  X509V3_set_ctx(&context, ca.native(), cert, nullptr, nullptr, 0);
  if (X509_get0_subject_key_id(ca.native()) != nullptr)
    add_extension(cert, &context, NID_authority_key_identifier, "keyid");
  SWARM_CHECK(X509_sign(cert, ca_key.native(), EVP_sha256()) > 0);
  return out;
}

bool verify_chain(const std::vector<certificate>& chain, const std::vector<certificate>& roots, wall_ns at) {
  if (chain.empty() || roots.empty())
    return false;
  const store_ptr store{X509_STORE_new()};
  const store_ctx_ptr context{X509_STORE_CTX_new()};
  const std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> between{sk_X509_new_null(),
                                                                         [](STACK_OF(X509)* s) { sk_X509_free(s); }};
  bool valid = true;
  for (const auto& root : roots)
    valid = valid && X509_STORE_add_cert(store.get(), root.native()) == 1;
  for (std::size_t i = 1; i < chain.size(); ++i)
    valid = valid && sk_X509_push(between.get(), chain[i].native()) > 0;
  valid = valid && X509_STORE_CTX_init(context.get(), store.get(), chain.front().native(), between.get()) == 1;
  if (valid) {
    X509_STORE_CTX_set_time(context.get(), 0, static_cast<time_t>(at / ns_per_s));
    valid = X509_verify_cert(context.get()) == 1;
  }
  ERR_clear_error();
  return valid;
}

std::optional<certificate> issue_leaf(const certificate& ca, const private_key& ca_key, const leaf_request& request) {
  const auto* at = reinterpret_cast<const unsigned char*>(request.public_key_der.data());
  const std::unique_ptr<EVP_PKEY, deleter<EVP_PKEY_free>> public_key{
      d2i_PUBKEY(nullptr, &at, static_cast<long>(request.public_key_der.size()))};
  ERR_clear_error();
  const auto too_long = [](const std::string& part) { return part.size() > 64; }; // X.520 upper bounds
  if (!public_key || !acceptable(public_key.get()) || too_long(request.subject.organization) ||
      too_long(request.subject.organizational_unit) || too_long(request.subject.common_name))
    return std::nullopt;
  auto* const cert = draft(request.subject, public_key.get(), request.when);
  auto out = x509_access::wrap(cert);
  SWARM_CHECK(X509_set_issuer_name(cert, X509_get_subject_name(ca.native())) == 1);
  X509V3_CTX context;
  X509V3_set_ctx(&context, ca.native(), cert, nullptr, nullptr, 0);
  add_extension(cert, &context, NID_key_usage, "critical,digitalSignature,keyEncipherment");
  add_extension(cert, &context, NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(cert, &context, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(cert, &context, NID_subject_key_identifier, "hash");
  if (X509_get0_subject_key_id(ca.native()) != nullptr) // an operator's root may lack one
    add_extension(cert, &context, NID_authority_key_identifier, "keyid");
  add_dns_names(cert, request.dns_names);
  SWARM_CHECK(X509_sign(cert, ca_key.native(), EVP_sha256()) > 0);
  return out;
}

} // namespace swarm::crypto
