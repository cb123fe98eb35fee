// A non-blocking byte stream over a unix or TCP socket, optionally TLS. Internal to runtime/http: includes Asio.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include "runtime/time.hpp"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace swarm::http {

using io_strand = boost::asio::strand<boost::asio::io_context::executor_type>;
using steady_point = std::chrono::steady_clock::time_point;
inline constexpr std::size_t read_piece = 64 * 1024;

/// One per thread and never held across a wait: an idle connection owns no read buffer.
[[nodiscard]] char* read_scratch();

/// A point `d` from now; saturates, so that "for ever" can be said with duration::max().
[[nodiscard]] steady_point deadline_in(duration d);

enum class io_status { ok, wait_read, wait_write, eof, error };

struct io_result {
  io_status status = io_status::ok;
  std::size_t bytes = 0;
  int error = 0;  ///< errno
};

/// All calls on one strand. Reads and writes never block; when they cannot go on they say what to wait for. Readiness
/// instead of completion is what lets plain and TLS connections share one code path and keeps idle ones small.
class transport {
public:
  /// Takes the descriptor, and the SSL object if given.
  transport(const io_strand& strand, int fd, SSL* tls);
  ~transport();
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;

  /// TLS only: ok when done.
  io_result handshake();
  io_result read(char* to, std::size_t size);
  io_result write(const char* from, std::size_t size);
  /// Half-close: the peer reads EOF after what was written (TLS: after close_notify).
  void shutdown_send();
  /// True when the peer can neither send nor receive any more (a unix socket closed, or a reset).
  [[nodiscard]] bool peer_gone() const;
  /// True when nothing waits to be read and the peer has not closed: an idle connection that may be used again.
  [[nodiscard]] bool quiet() const;
  void close();
  [[nodiscard]] bool is_open() const { return descriptor_.is_open(); }
  [[nodiscard]] int fd() { return descriptor_.native_handle(); }
  /// RFC 2253 subject of the verified client certificate, or "".
  [[nodiscard]] std::string peer_subject() const;

  /// Call `fn()` when the socket is ready; not called after close().
  template <class F>
  void wait_read(F fn) {
    if (pending()) { // decrypted already: the socket would stay silent
      boost::asio::post(descriptor_.get_executor(), std::move(fn));
      return;
    }
    descriptor_.async_wait(descriptor::wait_read, [fn = std::move(fn)](const boost::system::error_code& e) mutable {
      if (!e)
        fn();
    });
  }
  template <class F>
  void wait_write(F fn) {
    descriptor_.async_wait(descriptor::wait_write, [fn = std::move(fn)](const boost::system::error_code& e) mutable {
      if (!e)
        fn();
    });
  }
  /// When the peer has closed both directions (unix) or reset the connection.
  template <class F>
  void wait_hangup(F fn) {
    descriptor_.async_wait(descriptor::wait_error, [fn = std::move(fn)](const boost::system::error_code& e) mutable {
      if (!e)
        fn();
    });
  }

private:
  using descriptor = boost::asio::posix::basic_stream_descriptor<io_strand>;
  io_result tls_result(int returned);
  [[nodiscard]] bool pending() const;

  descriptor descriptor_;
  SSL* tls_ = nullptr;
  bool sent_eof_ = false;
};

struct tls_files;
struct ssl_ctx_deleter {
  void operator()(SSL_CTX* context) const;
};
using tls_context = std::unique_ptr<SSL_CTX, ssl_ctx_deleter>;

/// A server context that requires client certificates, TLS 1.2 or later. Null with a text when a file does not serve.
[[nodiscard]] tls_context make_server_tls(const tls_files& files, std::string& why);
/// A TLS object on this socket, for the accepting or the connecting end.
[[nodiscard]] SSL* make_ssl(SSL_CTX* context, int fd, bool accepting);

/// A non-blocking connected socket, or -1 with errno (EAGAIN: the backlog is full, try again later).
[[nodiscard]] int connect_unix(const std::string& path, int& error);
/// strerror as Go prints it: lower case first letter.
[[nodiscard]] std::string errno_text(int error);

} // namespace swarm::http
