// Clients that break the rules of links: blocking sockets, any bytes.
#pragma once

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "runtime/crypto/x509.hpp"
#include "runtime/http/transport.hpp"
#include "runtime/link/frame.hpp"

namespace swarm::link::test {

/// TCP only.
class plain_client {
public:
  explicit plain_client(const std::string& addr) {
    const auto colon = addr.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoul(addr.substr(colon + 1))));
    ::inet_pton(AF_INET, addr.substr(0, colon).c_str(), &to.sin_addr);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  ~plain_client() { ::close(fd_); }
  plain_client(const plain_client&) = delete;
  plain_client& operator=(const plain_client&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int fd() const { return fd_; }
  void send(std::string_view bytes) { (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  /// Reads to the end; false when the peer stays for 10 s.
  bool closed_by_peer() {
    char buffer[4096];
    for (;;) {
      const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return true;
      if (n < 0)
        return false;
    }
  }

private:
  int fd_ = -1;
  bool connected_ = false;
};

/// TLS with a given certificate or none, believing any server.
class raw_client {
public:
  explicit raw_client(const std::string& addr, const std::string& certificate_pem = {}, const std::string& key_pem = {},
                      int version = TLS1_3_VERSION)
    : socket_{addr}, context_{SSL_CTX_new(TLS_client_method()), SSL_CTX_free} {
    SSL_CTX_set_min_proto_version(context_.get(), version);
    SSL_CTX_set_max_proto_version(context_.get(), version);
    if (!certificate_pem.empty()) {
      SSL_CTX_use_certificate(context_.get(), crypto::certificate::parse_pem(certificate_pem)->front().native());
      SSL_CTX_use_PrivateKey(context_.get(), crypto::private_key::parse_pem(key_pem)->native());
    }
    ssl_.reset(http::make_ssl(context_.get(), socket_.fd(), false), SSL_free);
    ok_ = SSL_connect(ssl_.get()) == 1;
    ERR_clear_error();
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] int fd() const { return socket_.fd(); }

  void send(std::string_view bytes) {
    while (ok_ && !bytes.empty()) {
      const auto n = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 16)));
      if (n <= 0) {
        ok_ = false;
        ERR_clear_error();
        return;
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void send_hello(std::uint32_t major = protocol_major, std::uint32_t silence_ms = 0) {
    LinkHello hello;
    hello.set_major(major);
    hello.set_minor(7);
    hello.set_software("test");
    hello.set_silence_ms(silence_ms);
    Envelope e;
    e.set_type("LinkHello");
    e.set_payload(hello.SerializeAsString());
    send(encode_frame(e));
  }
  /// The next envelope; false at the end of the connection.
  bool next(Envelope& out) {
    char buffer[16 * 1024];
    while (ok_) {
      if (reader_.next(out) == frame_reader::outcome::envelope)
        return true;
      const auto n = SSL_read(ssl_.get(), buffer, sizeof buffer);
      if (n <= 0)
        break;
      reader_.feed({buffer, static_cast<std::size_t>(n)});
    }
    ok_ = false;
    ERR_clear_error();
    return false;
  }
  bool closed_by_peer() {
    Envelope ignored;
    while (next(ignored)) {
    }
    return socket_.closed_by_peer();
  }

private:
  plain_client socket_;
  std::shared_ptr<SSL_CTX> context_;
  std::shared_ptr<SSL> ssl_;
  frame_reader reader_{64 << 20};
  bool ok_ = false;
};

} // namespace swarm::link::test
