// HTTP messages as handlers and callers see them, and the limits both sides keep. No Boost, no sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/time.hpp"

namespace swarm::http {

struct field {
  std::string name;
  std::string value;
};

/// Header fields in arrival order; names compare without case.
class headers {
public:
  headers() = default;
  headers(std::initializer_list<field> fields) : fields_{fields} {}

  void add(std::string name, std::string value) { fields_.push_back({std::move(name), std::move(value)}); }
  /// Replaces every field of that name.
  void set(std::string_view name, std::string value);
  void remove(std::string_view name);
  /// The first value, or nullptr.
  [[nodiscard]] const std::string* find(std::string_view name) const;
  /// The first value, or "".
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] bool contains(std::string_view name) const { return find(name) != nullptr; }
  /// True when a comma-separated list in any field of that name holds the token (no case).
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const;

  [[nodiscard]] auto begin() const { return fields_.begin(); }
  [[nodiscard]] auto end() const { return fields_.end(); }
  [[nodiscard]] std::size_t size() const { return fields_.size(); }

private:
  std::vector<field> fields_;
};

/// Who is at the other end. On unix sockets from SO_PEERCRED, on TCP the address and the certificate's subject.
struct peer_info {
  bool local = false;                 ///< came over a unix socket
  std::int64_t pid = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string address;                ///< "10.0.0.7:51234" (TCP)
  std::string certificate_subject;    ///< "CN=…,OU=…" of the verified client certificate (TLS)
};

/// What is known before the body is read.
struct request_head {
  std::string method;
  std::string target;                 ///< as received
  std::string path;                   ///< percent-decoded, without the query
  std::multimap<std::string, std::string> query;  ///< decoded; repeated keys keep their order
  std::string query_error;            ///< Go's text when the query has a bad escape: `invalid URL escape "%zz"`; else ""
  http::headers headers;
  int version = 11;                   ///< 10 or 11
  bool has_body = false;              ///< a Content-Length above 0, or chunked
  std::optional<std::uint64_t> content_length;
  peer_info peer;
  std::uint64_t connection_id = 0;
};

struct request : request_head {
  std::string body;
};

struct response_head {
  int version = 11;
  int status = 0;
  std::string reason;
  http::headers headers;
};

struct response : response_head {
  std::string body;
};

// Every bound of the server and the client; tests shrink them to milliseconds.
inline constexpr std::size_t header_bytes_max = 64 * 1024;       // Go allows 1 MiB; Docker clients send less than 8 KiB (X-Registry-Auth)
inline constexpr std::size_t header_count_max = 100;
inline constexpr std::size_t request_line_bytes_max = 32 * 1024; // filters travel in the target
inline constexpr std::size_t body_bytes_max = 4 * 1024 * 1024;
inline constexpr std::size_t chunk_line_bytes_max = 1024;
inline constexpr std::size_t outgoing_bytes_max = 1024 * 1024;
inline constexpr std::size_t pipelined_bytes_max = 64 * 1024;
inline constexpr std::size_t connections_max = 1024;

struct limits {
  std::size_t header_bytes = header_bytes_max;       ///< request line and fields together; above: 431
  std::size_t header_count = header_count_max;       ///< above: 431
  std::size_t request_line_bytes = request_line_bytes_max;  ///< above: 414
  std::size_t body_bytes = body_bytes_max;           ///< default of a handled route; above: 413
  std::size_t outgoing_bytes = outgoing_bytes_max;   ///< of one stream, before its writer is told to wait
  std::size_t pipelined_bytes = pipelined_bytes_max; ///< read ahead while a request is being answered; above: not read
  std::size_t connections = connections_max;         ///< above: 503 and close
  duration header_deadline = seconds{10};            ///< from the first byte of a head to its end (and TLS handshake)
  duration body_grace = seconds{10};                 ///< a body must arrive within grace + received / rate
  std::uint64_t body_rate_min = 4096;                ///< bytes per second
  duration keep_alive = seconds{90};                 ///< idle connection, between requests
  duration answer_deadline = minutes{5};             ///< a handler that neither replied nor began a stream: 500
  duration write_stall = seconds{60};                ///< bytes wait for the reader and none went out: cut
  duration linger = milliseconds{500};               ///< after an error answer, so that the client can read it
  duration connect_timeout = seconds{5};             ///< to the engine's socket
};

/// "OK", "Not Found"…; "" for unknown codes.
[[nodiscard]] std::string_view reason_phrase(int status);
/// Docker's error body: {"message":"…"} and a newline.
[[nodiscard]] std::string error_body(std::string_view message);
/// Percent-decoding; nullopt on a bad escape (bad_escape then holds it, as Go quotes it).
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view s, bool plus_is_space, std::string* bad_escape = nullptr);
/// Percent-encodes everything but unreserved characters: for building query values.
[[nodiscard]] std::string percent_encode(std::string_view s);

} // namespace swarm::http
