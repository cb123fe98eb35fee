// HTTP/1.1 server on unix sockets and TCP: strict parsing, bounded everything, pass-through to the engine's socket.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "messages/errors.hpp"
#include "runtime/http/exchange.hpp"
#include "runtime/http/types.hpp"
#include "runtime/io.hpp"

namespace swarm::http {

/// Read the body (up to body_bytes; 0 = limits::body_bytes), then call the handler.
struct handle {
  std::size_t body_bytes = 0;
};

/// Forward the request to this unix socket without reading the body first; bodies and hijacked streams are spliced.
struct pass_through {
  std::string socket_path = {};
  response_filter filter = {};
  std::string target = {};    ///< sent to the upstream instead of the client's target; "" = as received
};

/// Answer now, without reading the body.
struct refuse {
  int status = 400;
  std::string message = {};
  http::headers headers = {};
};

using route = std::variant<handle, pass_through, refuse>;
/// Decides from the head alone. On an I/O thread; must not block or throw.
using router = std::function<route(const request_head&)>;
/// Called on an I/O thread once for each handled request; must not block. An exception answers 500.
using handler = std::function<void(std::shared_ptr<exchange>, request&&)>;

struct unix_endpoint {
  std::string path = {};
  unsigned mode = 0660;
  std::string group = {};     ///< given to the socket file if this group exists; "" = leave
};

/// PEM files. A client certificate signed by client_ca is required.
struct tls_files {
  std::string certificate;    ///< chain, own certificate first
  std::string key;
  std::string client_ca;
};

struct tcp_endpoint {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;     ///< 0 = any free one, see listen's result
  std::optional<tls_files> tls = {};
  bool allow_plain_loopback = false;  ///< without TLS only loopback, and only when this is set
};

struct server_stats {
  std::size_t connections = 0;
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;      ///< over limits::connections
  std::uint64_t requests = 0;
  std::uint64_t bad_requests = 0; ///< answered by the server itself with 4xx/5xx for what they are
  std::uint64_t stalled = 0;      ///< cut: slow head, slow body, slow reader
};

class server {
public:
  server(io_threads& io, router route, handler handle, limits lim = {});
  /// stop() with no grace.
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// A stale socket file is replaced only if it is a socket and nobody answers on it; else already_exists.
  failure listen(const unix_endpoint& endpoint);
  /// bound_port gets the real port.
  failure listen(const tcp_endpoint& endpoint, std::uint16_t* bound_port = nullptr);

  /// Closes the listeners and removes socket files at once, lets running answers end for `grace`, then cuts what is
  /// left. Returns when all connections are closed. Not to be called from an I/O thread.
  void stop(duration grace = seconds{0});

  [[nodiscard]] server_stats stats() const;

private:
  struct impl;
  std::shared_ptr<impl> impl_;
};

} // namespace swarm::http
