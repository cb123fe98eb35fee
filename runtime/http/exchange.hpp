// One request's answer: thread-safe, may outlive its connection.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/http/types.hpp"

namespace swarm::http {

struct exchange_state;

/// What a writer learns about its chunk.
enum class write_result {
  accepted,      ///< taken; goes out in order
  backpressure,  ///< NOT taken: limits::outgoing_bytes are waiting for the reader; on_writable says when to try again
  closed,        ///< not taken: client gone, cut, or the answer is finished
};

/// What pass-through may change in the engine's answer. Both may be empty.
struct response_filter {
  /// Edits status and fields before they go to the client (framing fields are restored afterwards).
  std::function<void(response_head&)> head = {};
  /// Called once with the whole decoded body; returns the new one. The answer is then buffered up to `body_bytes`
  /// (above: 502). Not called for hijacked streams, HEAD, 204, 304.
  std::function<std::string(const response_head&, std::string body)> body = {};
  std::size_t body_bytes = 16 * 1024 * 1024;
};

/// All calls from any thread; their order is kept. Exactly one of reply, begin_stream, proxy is used, once; later calls
/// are ignored. Dropping the last reference without an answer sends 500; without finish() it cuts the stream.
class exchange {
public:
  explicit exchange(std::shared_ptr<exchange_state> state) : state_{std::move(state)} {}
  ~exchange();
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;

  /// The whole answer. Content-Length, Date and Connection are added; HEAD, 204 and 304 get no body.
  void reply(int status, headers fields, std::string body);
  /// {"message": text} with Content-Type: application/json.
  void reply_error(int status, std::string_view text);

  /// Sends the head at once. HTTP/1.1 clients get chunks, 1.0 clients a body that ends with the connection.
  void begin_stream(int status, headers fields);
  /// One chunk, flushed at once. A chunk is taken when it fits into limits::outgoing_bytes or nothing is waiting.
  write_result write(std::string_view chunk);
  /// The end of the stream; what was accepted still goes out.
  void finish();
  /// Cuts the connection, so that the client sees an incomplete stream.
  void abort();

  /// Forwards a request that was read already (its body included) to the engine's socket and relays the answer,
  /// hijacked streams included.
  void proxy(std::string socket_path, request req, response_filter filter = {});

  /// Runs once on an I/O thread when the client is gone before the answer is complete; at once if it is gone already.
  /// A later call replaces the callback. Never runs after a completed answer.
  void on_close(std::function<void()> callback);
  /// Runs once on an I/O thread when a write would be accepted again after `backpressure`. Set it before retrying:
  /// it runs at once when there is room already.
  void on_writable(std::function<void()> callback);

  [[nodiscard]] bool closed() const;
  /// Bytes accepted and not yet handed to the kernel.
  [[nodiscard]] std::size_t unsent() const;

private:
  std::shared_ptr<exchange_state> state_;
};

} // namespace swarm::http
