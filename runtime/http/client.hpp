// HTTP client for unix sockets (the engine, plugins) and TCP: pooled calls with deadlines, streams with backpressure, hijack.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/http/exchange.hpp"
#include "runtime/http/types.hpp"
#include "runtime/io.hpp"

namespace swarm::http {

enum class client_errc {
  ok,
  cannot_connect,  ///< nothing happened: no socket, refused, backlog full
  not_sent,        ///< nothing happened: queue full, deadline passed while queued, or client stopped
  deadline,        ///< unknown outcome: no full answer in time
  closed,          ///< unknown outcome: the engine closed before the answer was complete
  garbage,         ///< unknown outcome: what came back is not HTTP, or above the head limits
  too_large,       ///< the answer's body is above the given limit
  cancelled,       ///< by the caller
};

struct client_error {
  client_errc code = client_errc::ok;
  std::string text;  ///< says which socket and why
  [[nodiscard]] bool ok() const { return code == client_errc::ok; }
  /// True when the engine cannot have acted on the request.
  [[nodiscard]] bool nothing_happened() const {
    return code == client_errc::cannot_connect || code == client_errc::not_sent;
  }
};

struct client_request {
  std::string method = "GET";
  std::string target = "/";       ///< origin form, already encoded
  http::headers headers = {};     ///< Host, Content-Length and Connection are added
  std::string body = {};
};

struct client_options {
  std::string socket_path = {};
  std::string tcp_host = {};           ///< a name or an address: TCP without TLS instead of a unix socket
  std::uint16_t tcp_port = 0;
  std::size_t connections = 64;        ///< pooled, for call(); further calls wait
  std::size_t idle_connections = 8;    ///< kept open
  std::size_t queued_calls = 4096;     ///< waiting for a connection; above: not_sent
  std::size_t streams = 4096;          ///< open stream()s and hijacks; above: not_sent
  std::size_t body_bytes = 16 * 1024 * 1024;  ///< default bound of a call's answer
  std::size_t header_bytes = header_bytes_max;
  duration connect_timeout = seconds{5};
  duration idle = seconds{30};         ///< an unused connection is closed

  /// "unix:///path" or "tcp://host:port".
  [[nodiscard]] std::string address() const {
    return tcp_host.empty() ? "unix://" + socket_path : "tcp://" + tcp_host + ":" + std::to_string(tcp_port);
  }
};

/// Callbacks of one stream; all on an I/O thread, never two at once, on_end exactly once and last.
struct stream_callbacks {
  std::function<void(const response_head&)> on_headers = {};
  /// Decoded body bytes as they arrive (for a hijacked stream: raw bytes). Return false to pause until resume().
  std::function<bool(std::string_view)> on_chunk = {};
  /// code ok: the body is complete (hijacked: the engine closed its side).
  std::function<void(const client_error&)> on_end = {};
};

/// A running stream; from any thread; dropping it does not end the stream.
class client_stream {
public:
  virtual ~client_stream() = default;
  /// Ends with on_end(cancelled), unless it has ended already.
  virtual void cancel() = 0;
  /// Goes on after on_chunk returned false.
  virtual void resume() = 0;
  /// For hijacked streams, after on_headers with status 101 or a raw stream: bytes to the engine, bounded like
  /// exchange::write. `on_writable` runs once when there is room again.
  virtual write_result write(std::string_view bytes) = 0;
  virtual void on_writable(std::function<void()> callback) = 0;
  /// Half-close: no more bytes to the engine; its output goes on.
  virtual void close_write() = 0;
};

/// Any thread may call; callbacks come on an I/O thread, also for immediate failures, and exactly once (after stop():
/// at once, on the caller's thread). They must not block or throw.
class client {
public:
  client(io_threads& io, client_options options);
  /// stop().
  ~client();
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  using call_callback = std::function<void(client_error, response&&)>;
  /// One request, one whole answer, within `deadline` from now. body_bytes 0 = options.body_bytes.
  void call(client_request req, duration deadline, call_callback done, std::size_t body_bytes = 0);

  /// One request whose answer is delivered in pieces. The head must come within head_deadline; after it, silence longer
  /// than `idle` ends it with deadline (0 = may be silent for ever). With upgrade, asks for "Upgrade: tcp": if the
  /// engine agrees (101 or a raw stream) the stream is hijacked.
  std::shared_ptr<client_stream> stream(client_request req, duration head_deadline, stream_callbacks callbacks,
                                        duration idle = seconds{0}, bool upgrade = false);

  /// Fails everything that runs: calls and streams with not_sent or closed. Returns when their callbacks have run.
  void stop();

  [[nodiscard]] std::size_t open_connections() const;

private:
  struct impl;
  std::shared_ptr<impl> impl_;
};

} // namespace swarm::http
