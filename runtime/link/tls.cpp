// OpenSSL for links: TLS 1.3 only, no resumption, certificates of one cluster.
#include "runtime/link/tls.hpp"

#include <cerrno>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "runtime/crypto/x509.hpp"
#include "runtime/http/transport.hpp"

namespace swarm::link {

namespace {

constexpr int chain_depth = 2;                 // an intermediate while a root is being replaced
constexpr long certificate_bytes = 32 * 1024;  // of a peer's chain, before it is known

int check_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

std::optional<identity> identity_in(X509* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate, &bytes);
  if (size <= 0)
    return std::nullopt;
  const auto parsed = crypto::certificate::parse_der({reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size)});
  OPENSSL_free(bytes);
  const auto subject = parsed ? parsed->subject() : std::nullopt;
  if (!subject || parsed->is_ca())
    return std::nullopt;
  auto out = identity_of(subject->organization, subject->organizational_unit, subject->common_name);
  if (out)
    out->not_after = parsed->not_after();
  return out;
}

int verify(int ok, X509_STORE_CTX* store) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* check = static_cast<handshake_check*>(SSL_get_ex_data(ssl, check_index()));
  if (ok != 1) {
    check->refusal = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    return 0;
  }
  if (X509_STORE_CTX_get_error_depth(store) > 0)
    return 1;
  check->refusal = refusal_of(identity_in(X509_STORE_CTX_get_current_cert(store)), check->expected);
  if (check->refusal.empty())
    return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

failure refuse(std::string text) {
  ERR_clear_error();
  return {errc::invalid_argument, std::move(text)};
}

failure use_certificate(SSL_CTX* context, const credentials& from, identity& self) {
  const auto chain = crypto::certificate::parse_pem(from.certificate_pem);
  const auto key = crypto::private_key::parse_pem(from.key_pem);
  if (!chain || !key)
    return refuse("the node's certificate or key cannot be read");
  const auto& own = chain->front();
  if (!own.belongs_to(*key))
    return refuse("the node's key does not belong to its certificate");
  const auto who = identity_in(own.native());
  if (const auto why = refusal_of(who, {from.cluster_id, "", false}); from.cluster_id.empty() || !why.empty())
    return refuse("the node's certificate is not one of this cluster");
  self = *who;
  bool used = SSL_CTX_use_certificate(context, own.native()) == 1 && SSL_CTX_use_PrivateKey(context, key->native()) == 1;
  for (std::size_t i = 1; used && i < chain->size(); ++i)
    used = SSL_CTX_add1_chain_cert(context, (*chain)[i].native()) == 1;
  return used ? failure{} : refuse("the node's certificate cannot be used");
}

} // namespace

failure make_tls_identity(const credentials& from, std::shared_ptr<const tls_identity>& out) {
  ERR_clear_error();
  auto made = std::make_shared<tls_identity>();
  made->context.reset(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  auto* context = made->context.get();
  if (!context)
    return refuse("OpenSSL has no TLS");
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(context, certificate_bytes);
  SSL_CTX_set_verify_depth(context, chain_depth);
  if (!from.roots_pem.empty()) {
    const auto roots = crypto::certificate::parse_pem(from.roots_pem);
    if (!roots)
      return refuse("the root certificate cannot be read");
    for (const auto& root : *roots)
      if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root.native()) != 1)
        return refuse("the root certificate cannot be used");
    made->has_roots = true;
  }
  if (!from.certificate_pem.empty())
    if (auto why = use_certificate(context, from, made->self); !why.ok())
      return why;
  made->cluster_id = from.cluster_id;
  out = std::move(made);
  return {};
}

failure credential_store::replace(const credentials& with) {
  std::shared_ptr<const tls_identity> made;
  if (auto why = make_tls_identity(with, made); !why.ok())
    return why;
  const std::lock_guard lock{mutex_};
  current_ = std::move(made);
  return {};
}

std::shared_ptr<const tls_identity> credential_store::current() const {
  const std::lock_guard lock{mutex_};
  return current_;
}

SSL* make_link_ssl(const tls_identity& tls, int fd, handshake_check& check) {
  auto* ssl = http::make_ssl(tls.context.get(), fd, !check.dialled);
  SSL_set_ex_data(ssl, check_index(), &check);
  // An accepting end asks for a certificate and does without; one that is shown must be good.
  if (check.dialled && !check.verify)
    SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);
  else
    SSL_set_verify(ssl, SSL_VERIFY_PEER, verify);
  return ssl;
}

identity peer_identity(SSL* ssl) {
  auto* certificate = SSL_get0_peer_certificate(ssl);
  if (!certificate || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
    return {};
  return identity_in(certificate).value_or(identity{});
}

std::string tls_failure_text(const handshake_check& check, int error) {
  const auto code = ERR_get_error();
  ERR_clear_error();
  if (!check.refusal.empty())
    return check.refusal;
  if (code != 0)
    if (const char* reason = ERR_reason_error_string(code))
      return reason;
  return error == 0 ? "the peer closed the connection" : http::errno_text(error);
}

} // namespace swarm::link
