// TCP with TLS: client certificates are required, and streams, half-close and refusals work as in the clear.
#include <fstream>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tests/runtime/http/fixture.hpp"

namespace swarm::http::test {
namespace {

struct identity {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  identity() = default;
  identity(const identity&) = delete;
  identity& operator=(const identity&) = delete;
  ~identity() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
};

void issue(identity& to, const char* name, identity& from, bool ca, long serial) {
  X509_set_version(to.certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(to.certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(to.certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(to.certificate), 3600);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(to.certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(to.certificate, X509_get_subject_name(from.certificate));
  X509_set_pubkey(to.certificate, to.key);
  X509V3_CTX context;
  X509V3_set_ctx(&context, from.certificate, to.certificate, nullptr, nullptr, 0);
  auto* basic = X509V3_EXT_conf_nid(nullptr, &context, NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
  X509_add_ext(to.certificate, basic, -1);
  X509_EXTENSION_free(basic);
  X509_sign(to.certificate, from.key, EVP_sha256());
}

void save(const identity& id, const std::string& cert_path, const std::string& key_path) {
  std::FILE* f = std::fopen(cert_path.c_str(), "w");
  PEM_write_X509(f, id.certificate);
  std::fclose(f);
  f = std::fopen(key_path.c_str(), "w");
  PEM_write_PrivateKey(f, id.key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(f);
}

struct tls_server : running_server {
  explicit tls_server(handler h = echo, limits l = {}) : running_server{std::move(h), l} {
    issue(ca, "test ca", ca, true, 1);
    issue(own, "server", ca, false, 2);
    issue(user, "alice", ca, false, 3);
    issue(other_ca, "other ca", other_ca, true, 1);
    issue(stranger, "mallory", other_ca, false, 2);
    save(ca, dir / "ca.pem", dir / "ca.key");
    save(own, dir / "cert.pem", dir / "key.pem");
    EXPECT_TRUE(http.listen(tcp_endpoint{.tls = files()}, &port).ok());
  }
  [[nodiscard]] tls_files files() const { return {dir / "cert.pem", dir / "key.pem", dir / "ca.pem"}; }

  identity ca, own, user, other_ca, stranger;
  std::uint16_t port = 0;
};

/// A blocking TLS client; writes after the server has gone must not kill the test.
struct tls_peer {
  tls_peer(std::uint16_t port, const identity* id) : socket{peer::tcp(port)} {
    ::signal(SIGPIPE, SIG_IGN);
    timeval wait{20, 0};
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (id) {
      SSL_CTX_use_certificate(context, id->certificate);
      SSL_CTX_use_PrivateKey(context, id->key);
    }
    ssl = SSL_new(context);
    SSL_set_fd(ssl, socket.fd());
    connected = SSL_connect(ssl) == 1;
  }
  ~tls_peer() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
  void send(std::string_view bytes) { SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())); }
  std::string until_eof() {
    std::string all, piece(65536, '\0');
    for (int n = 0; (n = SSL_read(ssl, piece.data(), static_cast<int>(piece.size()))) > 0;)
      all.append(piece, 0, static_cast<std::size_t>(n));
    clean_end = SSL_get_error(ssl, 0) == SSL_ERROR_ZERO_RETURN || (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
    return all;
  }

  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  peer socket;
  SSL* ssl = nullptr;
  bool connected = false;
  bool clean_end = false;
};

constexpr auto get = "GET / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";

TEST(http_tls, a_client_with_a_certificate_is_served_and_named) {
  promise_box<peer_info> who;
  tls_server s{[&](std::shared_ptr<exchange> ex, request&& r) {
    who.set(r.peer);
    ex->reply(200, {}, std::string(1'000'000, 'x'));
  }};
  tls_peer p{s.port, &s.user};
  ASSERT_TRUE(p.connected);
  p.send(get);
  EXPECT_EQ(body_of(p.until_eof()).size(), 1'000'000u);
  EXPECT_TRUE(p.clean_end);
  const auto info = who.get();
  EXPECT_FALSE(info.local);
  EXPECT_EQ(info.certificate_subject, "CN=alice");
  EXPECT_TRUE(info.address.starts_with("127.0.0.1:"));
}

TEST(http_tls, without_the_right_certificate_no_request_is_served) {
  std::atomic<int> handled{0};
  tls_server s{[&](std::shared_ptr<exchange> ex, request&&) {
    ++handled;
    ex->reply(200, {}, "");
  }};
  for (const identity* id : std::initializer_list<const identity*>{nullptr, &s.stranger}) {
    tls_peer p{s.port, id}; // with TLS 1.3 the refusal may come after the client's handshake
    p.send(get);
    EXPECT_EQ(p.until_eof(), "");
  }
  auto plain = peer::tcp(s.port);
  plain.send(get);
  EXPECT_EQ(plain.until_eof().find("HTTP/"), std::string::npos);
  EXPECT_EQ(handled, 0);
  EXPECT_TRUE(eventually([&] { return s.http.stats().connections == 0; }));
}

TEST(http_tls, a_handshake_that_does_not_go_on_is_cut) {
  limits l;
  l.header_deadline = milliseconds{50};
  tls_server s{echo, l};
  auto p = peer::tcp(s.port);
  p.send("\x16\x03\x01");
  EXPECT_EQ(p.until_eof(), "");
  EXPECT_FALSE(p.timed_out);
  EXPECT_EQ(s.http.stats().stalled, 1u);
}

TEST(http_tls, a_hijacked_stream_half_closes_through_tls) {
  temp_dir dir;
  scripted_engine engine{dir / "e.sock", [](peer& p) {
                           p.until("\r\n\r\n");
                           p.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
                           const auto input = p.until_eof();
                           p.send("saw " + std::to_string(input.size()));
                         }};
  tls_server s{[&](std::shared_ptr<exchange> ex, request&& r) { ex->proxy(dir / "e.sock", std::move(r)); }};
  tls_peer p{s.port, &s.user};
  ASSERT_TRUE(p.connected);
  p.send("POST /attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
  p.send(std::string(200000, 'i'));
  SSL_shutdown(p.ssl); // as Go's tls.Conn.CloseWrite
  EXPECT_TRUE(p.until_eof().ends_with("saw 200000"));
}

TEST(http_tls, files_that_do_not_serve_are_named) {
  tls_server s;
  auto f = s.files();
  f.client_ca.clear();
  EXPECT_EQ(s.http.listen(tcp_endpoint{.tls = f}).code, errc::invalid_argument);
  f = s.files();
  f.key = s.dir / "ca.key";
  EXPECT_NE(s.http.listen(tcp_endpoint{.tls = f}).message.find("ca.key"), std::string::npos);
  f = s.files();
  f.certificate = "/nonexistent.pem";
  EXPECT_NE(s.http.listen(tcp_endpoint{.tls = f}).message.find("/nonexistent.pem"), std::string::npos);
}

} // namespace
} // namespace swarm::http::test
