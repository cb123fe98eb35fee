// Message heads: start lines, fields, and what they say about the body.
#include "runtime/http/parser.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "runtime/http/characters.hpp"
#include "runtime/text.hpp"

namespace swarm::http {
namespace {

constexpr std::size_t method_bytes_max = 32;
constexpr unsigned empty_lines_max = 4;

// Every registered method that is not another protocol's: a wrong one never reaches the engine.
constexpr std::string_view methods[] = {
  "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "COPY", "LOCK", "MKCOL", "MOVE",
  "PROPFIND", "PROPPATCH", "SEARCH", "UNLOCK", "BIND", "REBIND", "UNBIND", "ACL", "REPORT", "MKACTIVITY", "CHECKOUT",
  "MERGE", "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "PURGE", "MKCALENDAR", "LINK", "UNLINK", "SOURCE", "QUERY"};

bool is_version(std::string_view s) {
  return s.size() == 8 && s.substr(0, 5) == "HTTP/" && is_digit(s[5]) && s[6] == '.' && is_digit(s[7]);
}

// 10 or 11; other well-formed versions 0.
int known_version(std::string_view s) {
  return s[5] == '1' && (s[7] == '0' || s[7] == '1') ? 10 + (s[7] - '0') : 0;
}

bool valid_host(std::string_view host) {
  if (host.empty())
    return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    return is_alnum(c) || std::strchr("-._~!$&'()*+;=:%[]", c) != nullptr;
  });
}

std::string_view skip_authority(std::string_view target) {
  const auto scheme = target.find("://");
  const auto name = text::to_lower(target.substr(0, scheme));
  if (scheme == std::string_view::npos || (name != "http" && name != "https"))
    return {};
  const auto rest = target.substr(scheme + 3);
  const auto end = rest.find_first_of("/?#");
  if (end == 0 || rest.empty())
    return {};
  return end == std::string_view::npos ? std::string_view{"/"} : rest.substr(end);
}

void parse_query(std::string_view query, request_head& head) {
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
    if (pair.empty())
      continue;
    const auto equals = pair.find('=');
    std::string bad;
    auto key = percent_decode(pair.substr(0, equals), true, &bad);
    auto value = equals == std::string_view::npos ? std::optional<std::string>{""}
                                                   : percent_decode(pair.substr(equals + 1), true, &bad);
    if (key && value)
      head.query.emplace(std::move(*key), std::move(*value));
    else if (head.query_error.empty())
      head.query_error = "invalid URL escape " + bad;
  }
}

} // namespace

bool parse_field(std::string_view line, field& out, std::string& why) {
  std::size_t colon = 0;
  while (colon < line.size() && is_token(line[colon]))
    ++colon;
  if (colon == 0 || colon == line.size() || line[colon] != ':') {
    why = "malformed header field name";
    return false;
  }
  const auto value = trim_blanks(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), [](char c) { return is_field_value(c); })) {
    why = "invalid character in header field value";
    return false;
  }
  out.name.assign(line.substr(0, colon));
  out.value.assign(value);
  return true;
}

void head_parser::reset() {
  const auto k = kind_;
  const auto lim = limits_;
  *this = head_parser{k, lim};
}

bool head_parser::fail(int status, std::string text) {
  error_ = {status, std::move(text)};
  return false;
}

parse_state head_parser::parse(std::string_view buffer) {
  if (!error_.ok())
    return parse_state::failed;
  while (!done_) {
    const auto from = std::max(pos_, scanned_);
    const auto lf = buffer.find('\n', from);
    if (lf == std::string_view::npos) {
      scanned_ = buffer.size();
      if (!too_large(buffer) || !partial_line(buffer.substr(pos_)))
        return parse_state::failed;
      return parse_state::need_more;
    }
    const auto next = lf + 1;
    if (lf == pos_ || buffer[lf - 1] != '\r') {
      fail(400, "line does not end with CRLF");
      return parse_state::failed;
    }
    const auto line = buffer.substr(pos_, lf - 1 - pos_);
    const bool fine = [&] {
      if (!started_ && line.empty() && kind_ == kind::request)
        return ++empty_lines_ <= empty_lines_max ? true : fail(400, "malformed HTTP request");
      if (!started_) {
        started_ = true;
        return start_line(line);
      }
      if (!line.empty())
        return field_line(line);
      done_ = true;
      return finish();
    }();
    pos_ = next;
    if (!fine || !too_large(buffer.substr(0, pos_)))
      return parse_state::failed;
  }
  return parse_state::complete;
}

// False (with the error set) when what is there is above a bound.
bool head_parser::too_large(std::string_view buffer) {
  const auto line = buffer.size() > pos_ ? buffer.size() - pos_ : 0;
  if (!started_ && line > method_bytes_max && kind_ == kind::request) {
    const auto start = buffer.substr(pos_, method_bytes_max + 1);
    if (start.find(' ') == std::string_view::npos)
      return fail(400, "malformed HTTP request");
    if (line > limits_.line_bytes)
      return fail(414, "request line too long");
  }
  if (buffer.size() > limits_.bytes)
    return fail(kind_ == kind::request ? 431 : 502, "header fields too large");
  return true;
}

// What can be refused before the line is complete.
bool head_parser::partial_line(std::string_view line) {
  if (line.empty())
    return true;
  if (started_ && is_blank(line[0]))
    return fail(400, "folded header line");
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto c = line[i];
    if (c == '\r' && i + 1 < line.size())
      return fail(400, "carriage return without line feed");
    if (c == '\0')
      return fail(400, "invalid character in message head");
  }
  if (!started_ && kind_ == kind::request && !is_token(line[0]) && line[0] != '\r')
    return fail(400, "malformed HTTP request");
  return kind_ == kind::request || started_ || line.substr(0, 5) == std::string_view{"HTTP/"}.substr(0, line.size())
           ? true
           : fail(400, "malformed HTTP response");
}

bool head_parser::start_line(std::string_view line) {
  return kind_ == kind::request ? request_line(line) : status_line(line);
}

bool head_parser::request_line(std::string_view line) {
  if (line.size() > limits_.line_bytes)
    return fail(414, "request line too long");
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || first > method_bytes_max)
    return fail(400, "malformed HTTP request");
  const auto method = line.substr(0, first);
  const auto target_text = line.substr(first + 1, last - first - 1);
  const auto version = line.substr(last + 1);
  if (!std::all_of(method.begin(), method.end(), is_token) || method.empty())
    return fail(400, "invalid method");
  if (target_text.empty() || !std::all_of(target_text.begin(), target_text.end(), is_target))
    return fail(400, "invalid character in request target");
  if (!is_version(version))
    return fail(400, "malformed HTTP version");
  request_.version = known_version(version);
  if (request_.version == 0)
    return fail(505, "unsupported HTTP version");
  if (std::find(std::begin(methods), std::end(methods), method) == std::end(methods))
    return fail(501, "unknown method");
  request_.method = method;
  request_.target = target_text;
  return target(target_text);
}

bool head_parser::target(std::string_view full) {
  if (request_.method == "CONNECT")
    return true; // authority form; the server refuses the method anyway
  if (full == "*") {
    if (request_.method != "OPTIONS" && request_.method != "M-SEARCH")
      return fail(400, "invalid request target");
    request_.path = "*";
    return true;
  }
  auto rest = full[0] == '/' ? full : skip_authority(full);
  if (rest.empty())
    return fail(400, "invalid request target");
  rest = rest.substr(0, rest.find('#'));
  const auto question = rest.find('?');
  std::string bad;
  auto path = percent_decode(rest.substr(0, question), false, &bad);
  if (!path)
    return fail(400, "invalid URL escape " + bad);
  if (path->find('\0') != std::string::npos)
    return fail(400, "NUL in request target");
  request_.path = path->empty() ? "/" : std::move(*path);
  if (question != std::string_view::npos)
    parse_query(rest.substr(question + 1), request_);
  return true;
}

bool head_parser::status_line(std::string_view line) {
  if (line.size() < 12 || !is_version(line.substr(0, 8)) || line[8] != ' ' || !is_digit(line[9]) || !is_digit(line[10])
      || !is_digit(line[11]) || (line.size() > 12 && line[12] != ' ') || line[9] == '0')
    return fail(502, "malformed HTTP response");
  response_.version = known_version(line);
  if (response_.version == 0)
    return fail(502, "unsupported HTTP version in response");
  response_.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  const auto reason = line.size() > 13 ? line.substr(13) : std::string_view{};
  if (!std::all_of(reason.begin(), reason.end(), is_field_value))
    return fail(502, "malformed HTTP response");
  response_.reason = reason;
  return true;
}

bool head_parser::field_line(std::string_view line) {
  if (is_blank(line[0]))
    return fail(400, "folded header line");
  auto& fields = kind_ == kind::request ? request_.headers : response_.headers;
  if (fields.size() >= limits_.count)
    return fail(kind_ == kind::request ? 431 : 502, "too many header fields");
  field f;
  std::string why;
  if (!parse_field(line, f, why))
    return fail(400, std::move(why));
  if (!framing_field(f.name, f.value))
    return false;
  fields.add(std::move(f.name), std::move(f.value));
  return true;
}

bool head_parser::framing_field(std::string_view name, std::string_view value) {
  constexpr std::string_view length_name = "content-length";
  constexpr std::string_view coding_name = "transfer-encoding";
  if (name.size() != length_name.size() && name.size() != coding_name.size())
    return true;
  auto lower = text::to_lower(name);
  // Some programs behind proxies read "Content_Length" as Content-Length: nobody sends it in good faith.
  if (lower == "content_length" || lower == "transfer_encoding")
    return fail(400, "ambiguous header field name");
  if (lower == length_name) {
    if (have_length_)
      return fail(400, "duplicate Content-Length");
    have_length_ = true;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), framing_.length);
    if (value.empty() || !is_digit(value[0]) || error != std::errc{} || end != value.data() + value.size()
        || framing_.length > static_cast<std::uint64_t>(INT64_MAX))
      return fail(400, "bad Content-Length " + text::quoted(value));
    framing_.kind = body_kind::length;
  } else if (lower == coding_name) {
    if (have_coding_)
      coding_ += ',';
    have_coding_ = true;
    coding_ += value;
  }
  if (have_length_ && have_coding_)
    return fail(400, "both Content-Length and Transfer-Encoding");
  return true;
}

bool head_parser::finish() {
  const auto version = kind_ == kind::request ? request_.version : response_.version;
  if (have_coding_) {
    if (version < 11)
      return fail(400, "Transfer-Encoding in an HTTP/1.0 message");
    auto codings = text::split(coding_, ',');
    std::size_t chunked = 0;
    for (auto& c : codings) {
      c = trim_blanks(c);
      if (c.empty())
        return fail(400, "malformed Transfer-Encoding");
      chunked += text::iequals(c, "chunked") ? 1 : 0;
    }
    if (chunked > 1 || (chunked == 1 && !text::iequals(codings.back(), "chunked")))
      return fail(400, "chunked must be the last transfer coding");
    if (codings.size() != 1 || chunked != 1)
      return fail(501, "unsupported transfer encoding: " + text::quoted(coding_));
    framing_.kind = body_kind::chunked;
  }
  if (kind_ == kind::response)
    return true;
  if (framing_.kind == body_kind::length) {
    request_.content_length = framing_.length;
    if (framing_.length == 0)
      framing_.kind = body_kind::none;
  }
  request_.has_body = framing_.kind != body_kind::none;
  std::size_t hosts = 0;
  for (const auto& f : request_.headers)
    if (f.name.size() == 4 && text::iequals(f.name, "host")) {
      if (++hosts > 1)
        return fail(400, "too many Host headers");
      if (!valid_host(f.value))
        return fail(400, "malformed Host header");
    }
  if (hosts == 0 && version == 11 && limits_.require_host)
    return fail(400, "missing required Host header");
  return true;
}

framing head_parser::response_framing(std::string_view method) const {
  const auto status = response_.status;
  if (method == "HEAD" || status < 200 || status == 204 || status == 304)
    return {};
  if (framing_.kind == body_kind::length && framing_.length == 0)
    return {};
  if (framing_.kind == body_kind::none)
    return {body_kind::until_close, 0};
  return framing_;
}

} // namespace swarm::http
