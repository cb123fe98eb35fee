// Strict HTTP/1.x parsing without I/O: message heads, line by line as bytes arrive, and body framing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/http/types.hpp"

namespace swarm::http {

/// Why a message is refused: the status to answer with and a text. ok() while status is 0.
struct parse_error {
  int status = 0;
  std::string text;
  [[nodiscard]] bool ok() const { return status == 0; }
};

enum class body_kind { none, length, chunked, until_close };

/// Where the body ends.
struct framing {
  body_kind kind = body_kind::none;
  std::uint64_t length = 0;
};

enum class parse_state { need_more, complete, failed };

struct head_limits {
  std::size_t bytes = header_bytes_max;
  std::size_t count = header_count_max;
  std::size_t line_bytes = request_line_bytes_max;
  bool require_host = true;  ///< HTTP/1.1 requests without Host are refused, as Go does
};

/// Stricter than RFC 9112 wherever it leaves a choice, because the engine behind us parses the same bytes again:
/// lines end with CRLF only, no folding, one Content-Length, "chunked" is the only coding, no control characters.
/// A defect is found as soon as its line is there, not at the end of the head.
class head_parser {
public:
  enum class kind { request, response };
  explicit head_parser(kind k, head_limits lim = {}) : kind_{k}, limits_{lim} {}

  /// `buffer` starts with the message and only grows between calls. On complete, the head is its first consumed() bytes.
  parse_state parse(std::string_view buffer);
  void reset();

  [[nodiscard]] std::size_t consumed() const { return pos_; }
  [[nodiscard]] const parse_error& error() const { return error_; }
  /// Of a request (for a response see response_framing).
  [[nodiscard]] const framing& body() const { return framing_; }
  /// Method, target, path, query, headers, version; or for responses status, reason, headers, version.
  [[nodiscard]] request_head& request() { return request_; }
  [[nodiscard]] response_head& response() { return response_; }
  /// True once any byte of the message itself was seen (empty lines before a request do not count).
  [[nodiscard]] bool started() const { return started_; }

  /// How the answer to a request of `method` ends.
  [[nodiscard]] framing response_framing(std::string_view method) const;

private:
  bool fail(int status, std::string text);
  bool start_line(std::string_view line);
  bool request_line(std::string_view line);
  bool status_line(std::string_view line);
  bool target(std::string_view target);
  bool field_line(std::string_view line);
  bool framing_field(std::string_view name, std::string_view value);
  bool finish();
  bool partial_line(std::string_view line);
  bool too_large(std::string_view buffer);

  kind kind_;
  head_limits limits_;
  std::size_t pos_ = 0;      // start of the current line
  std::size_t scanned_ = 0;  // no LF before this
  unsigned empty_lines_ = 0;
  bool started_ = false;
  bool have_length_ = false;
  bool have_coding_ = false;
  bool done_ = false;
  std::string coding_;
  framing framing_;
  request_head request_;
  response_head response_;
  parse_error error_;
};

/// One field line without its CRLF. False with a text when it is malformed.
bool parse_field(std::string_view line, field& out, std::string& why);

/// Finds the end of a body and, if asked, takes the chunk framing off. Trailers are checked and dropped.
class body_decoder {
public:
  body_decoder() = default;
  explicit body_decoder(framing f) { reset(f); }
  void reset(framing f);

  /// Takes what belongs to the body from the front of `in`; returns how much. Decoded bytes are appended to `out` if given.
  std::size_t feed(std::string_view in, std::string* out);
  /// The connection ended: completes a body that lasts until then. Returns complete().
  bool end_of_input();
  [[nodiscard]] bool complete() const { return state_ == state::complete; }
  [[nodiscard]] bool failed() const { return state_ == state::failed; }
  [[nodiscard]] const std::string& why() const { return why_; }
  /// Decoded bytes so far, also those of a chunk that is announced but not here yet.
  [[nodiscard]] std::uint64_t announced() const { return announced_; }

private:
  enum class state { size_start, size, ext_name_start, ext_name, ext_value_start, ext_value, ext_quoted, ext_escape,
                     ext_end, size_lf, data, data_cr, data_lf, trailer, fixed, until_close, complete, failed };
  void control(char c);
  void control_size(char c);
  void control_extension(char c);
  void end_of_size_line();
  void end_of_trailer_line();
  void fail(std::string why);

  state state_ = state::complete;
  std::uint64_t left_ = 0;
  std::uint64_t announced_ = 0;
  std::int64_t excess_ = 0;     // framing bytes not justified by data
  std::size_t line_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::string line_;
  std::string why_;
};

} // namespace swarm::http
