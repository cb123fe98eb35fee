// TLS 1.3 on a link's socket. Internal to runtime/link.
#pragma once

#include <string>

#include "runtime/link/credentials.hpp"

typedef struct ssl_st SSL;

namespace swarm::link {

/// What one handshake checks; must outlive its SSL object and stay where it is.
struct handshake_check {
  bool dialled = false;
  bool verify = true;  ///< false only when dialling: any server will do, and it stays anonymous
  expectation expected;
  std::string refusal; ///< set when the peer was refused by what its certificate says
};

[[nodiscard]] SSL* make_link_ssl(const tls_identity& tls, int fd, handshake_check& check);
/// After a handshake that was verified. Role ANYONE when the peer has shown no certificate.
[[nodiscard]] identity peer_identity(SSL* ssl);
/// Why a handshake or a read has just failed in this thread; `error` is the errno of the socket, 0 = it was closed.
[[nodiscard]] std::string tls_failure_text(const handshake_check& check, int error);

} // namespace swarm::link
