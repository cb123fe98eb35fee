// Non-blocking reads and writes on sockets, plain or through OpenSSL, without signals.
#include "runtime/http/transport.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace swarm::http {

char* read_scratch() {
  // Static thread storage would cost 64 KiB in every thread of the process, so it is allocated at first use.
  thread_local const std::unique_ptr<char[]> scratch{new char[read_piece]};
  return scratch.get();
}

steady_point deadline_in(duration d) {
  const auto now = std::chrono::steady_clock::now();
  return d > steady_point::max() - now ? steady_point::max() : now + d;
}

transport::transport(const io_strand& strand, int fd, SSL* tls) : descriptor_{strand, fd}, tls_{tls} {}

transport::~transport() {
  close();
  SSL_free(tls_);
}

io_result transport::tls_result(int returned) {
  if (returned > 0)
    return {io_status::ok, static_cast<std::size_t>(returned), 0};
  switch (SSL_get_error(tls_, returned)) {
    case SSL_ERROR_WANT_READ: return {io_status::wait_read, 0, 0};
    case SSL_ERROR_WANT_WRITE: return {io_status::wait_write, 0, 0};
    case SSL_ERROR_ZERO_RETURN: return {io_status::eof, 0, 0};
    case SSL_ERROR_SYSCALL: return {io_status::error, 0, errno ? errno : ECONNRESET};
    default: return {io_status::error, 0, EPROTO};
  }
}

bool transport::pending() const {
  return tls_ && SSL_has_pending(tls_) == 1;
}

io_result transport::handshake() {
  ERR_clear_error();
  return tls_result(SSL_do_handshake(tls_));
}

io_result transport::read(char* to, std::size_t size) {
  if (!is_open())
    return {io_status::error, 0, EBADF};
  if (tls_) {
    ERR_clear_error();
    return tls_result(SSL_read(tls_, to, static_cast<int>(size)));
  }
  for (;;) {
    const auto n = ::recv(fd(), to, size, 0);
    if (n > 0)
      return {io_status::ok, static_cast<std::size_t>(n), 0};
    if (n == 0)
      return {io_status::eof, 0, 0};
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return {io_status::wait_read, 0, 0};
    if (errno != EINTR)
      return {io_status::error, 0, errno};
  }
}

io_result transport::write(const char* from, std::size_t size) {
  if (!is_open() || sent_eof_)
    return {io_status::error, 0, EPIPE};
  if (tls_) {
    ERR_clear_error();
    return tls_result(SSL_write(tls_, from, static_cast<int>(std::min<std::size_t>(size, 1 << 30))));
  }
  for (;;) {
    const auto n = ::send(fd(), from, size, MSG_NOSIGNAL);
    if (n >= 0)
      return {io_status::ok, static_cast<std::size_t>(n), 0};
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return {io_status::wait_write, 0, 0};
    if (errno != EINTR)
      return {io_status::error, 0, errno};
  }
}

void transport::shutdown_send() {
  if (!is_open() || sent_eof_)
    return;
  sent_eof_ = true;
  if (tls_)
    SSL_shutdown(tls_);
  ::shutdown(fd(), SHUT_WR);
}

bool transport::peer_gone() const {
  if (!is_open())
    return true;
  pollfd p{const_cast<transport*>(this)->fd(), 0, 0};
  return ::poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

bool transport::quiet() const {
  if (!is_open())
    return false;
  pollfd p{const_cast<transport*>(this)->fd(), POLLIN | POLLRDHUP, 0};
  return ::poll(&p, 1, 0) == 0;
}

void transport::close() {
  if (!is_open())
    return;
  boost::system::error_code ignored;
  descriptor_.close(ignored);
}

std::string transport::peer_subject() const {
  X509* certificate = tls_ ? SSL_get0_peer_certificate(tls_) : nullptr;
  if (!certificate)
    return {};
  std::unique_ptr<BIO, decltype(&BIO_free_all)> text{BIO_new(BIO_s_mem()), BIO_free_all};
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(text.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

int connect_unix(const std::string& path, int& error) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    error = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return fd;
  error = errno;
  if (fd >= 0)
    ::close(fd);
  return -1;
}

std::string errno_text(int error) {
  char buffer[128] = {};
  std::string text = ::strerror_r(error, buffer, sizeof buffer);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z')
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

} // namespace swarm::http
