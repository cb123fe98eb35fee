// Server-side TLS with required client certificates, on sockets that must never raise SIGPIPE.
#include "runtime/http/server.hpp"
#include "runtime/http/transport.hpp"

#include <cerrno>
#include <cstdint>

#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace swarm::http {
namespace {

int socket_of(BIO* bio) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

bool try_again(ssize_t n) {
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

// OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE when the peer is gone; a library must not need a
// process-wide signal setting.
const BIO_METHOD* quiet_socket_method() {
  static const BIO_METHOD* const method = [] {
    auto* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "quiet socket");
    BIO_meth_set_write(m, [](BIO* bio, const char* data, int size) {
      BIO_clear_retry_flags(bio);
      const auto n = ::send(socket_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
      if (try_again(n))
        BIO_set_retry_write(bio);
      return static_cast<int>(n);
    });
    BIO_meth_set_read(m, [](BIO* bio, char* data, int size) {
      BIO_clear_retry_flags(bio);
      const auto n = ::recv(socket_of(bio), data, static_cast<std::size_t>(size), 0);
      if (try_again(n))
        BIO_set_retry_read(bio);
      return static_cast<int>(n);
    });
    BIO_meth_set_ctrl(m, [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH ? 1 : 0; });
    return m;
  }();
  return method;
}

std::string openssl_text() {
  const auto code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason ? reason : "unknown error";
}

} // namespace

void ssl_ctx_deleter::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}

tls_context make_server_tls(const tls_files& files, std::string& why) {
  ERR_clear_error();
  tls_context context{SSL_CTX_new(TLS_server_method())};
  const auto failed = [&](const std::string& what) {
    why = what + ": " + openssl_text();
    return tls_context{};
  };
  if (!context)
    return failed("TLS");
  auto* c = context.get();
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION); // Docker SDKs of old; the docker CLI itself speaks 1.3
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_chain_file(c, files.certificate.c_str()) != 1)
    return failed("certificate " + files.certificate);
  if (SSL_CTX_use_PrivateKey_file(c, files.key.c_str(), SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(c) != 1)
    return failed("key " + files.key);
  if (files.client_ca.empty() || SSL_CTX_load_verify_locations(c, files.client_ca.c_str(), nullptr) != 1)
    return failed("client CA " + files.client_ca);
  if (auto* names = SSL_load_client_CA_file(files.client_ca.c_str()))
    SSL_CTX_set_client_CA_list(c, names);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

SSL* make_ssl(SSL_CTX* context, int fd, bool accepting) {
  auto* ssl = SSL_new(context);
  auto* bio = BIO_new(quiet_socket_method());
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  if (accepting)
    SSL_set_accept_state(ssl);
  else
    SSL_set_connect_state(ssl);
  return ssl;
}

} // namespace swarm::http
