// Appends JSON text with Go's escaping.
#include "messages/json_writer.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "messages/json_scalar.hpp"

namespace swarm {

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

template <class Integer>
void append_integer(std::string& out, Integer value) {
  std::array<char, 24> buf{};
  const auto end = std::to_chars(buf.data(), buf.data() + buf.size(), value).ptr;
  out.append(buf.data(), static_cast<std::size_t>(end - buf.data()));
}

void append_escape(std::string& out, unsigned char c) {
  constexpr std::string_view from = "\b\t\n\f\r\"\\", to = "btnfr\"\\";
  out += '\\';
  if (const auto at = from.find(static_cast<char>(c)); at != std::string_view::npos) {
    out += to[at];
    return;
  }
  out += "u00";
  out += hex_digits[c >> 4];
  out += hex_digits[c & 15];
}

// U+2028 and U+2029 end a line in JavaScript; Go always escapes them.
bool is_line_separator(std::string_view s) { return s.starts_with("\xe2\x80\xa8") || s.starts_with("\xe2\x80\xa9"); }

void append_string(std::string& out, std::string_view s) {
  out += '"';
  std::size_t plain = 0; // start of the run that needs no escape
  std::size_t i = 0;
  const auto flush = [&] { out.append(s, plain, i - plain); };
  while (i < s.size()) {
    const auto c = static_cast<unsigned char>(s[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      ++i;
      continue;
    }
    if (c < 0x80) {
      flush();
      append_escape(out, c);
      plain = ++i;
      continue;
    }
    const auto length = scalar::utf8_length(s.substr(i));
    if (length == 0) {
      flush();
      out += "\\ufffd";
      plain = ++i;
    } else if (is_line_separator(s.substr(i, length))) {
      flush();
      out += s[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      plain = i += length;
    } else {
      i += length;
    }
  }
  flush();
  out += '"';
}

} // namespace

void json_writer::separate() {
  if (comma_)
    out_ += ',';
  comma_ = true;
}

void json_writer::open(char bracket) {
  separate();
  out_ += bracket;
  comma_ = false;
}

void json_writer::close(char bracket) {
  out_ += bracket;
  comma_ = true;
}

void json_writer::key(std::string_view name) {
  if (comma_)
    out_ += ',';
  append_string(out_, name);
  out_ += ':';
  comma_ = false;
}

void json_writer::raw_key(std::string_view quoted_with_colon) {
  if (comma_)
    out_ += ',';
  out_ += quoted_with_colon;
  comma_ = false;
}

void json_writer::raw(std::string_view value) {
  separate();
  out_ += value;
}

void json_writer::integer(std::int64_t value) {
  separate();
  append_integer(out_, value);
}

void json_writer::unsigned_integer(std::uint64_t value) {
  separate();
  append_integer(out_, value);
}

void json_writer::floating(double value) {
  if (!std::isfinite(value))
    return null();
  separate();
  scalar::append_float(out_, value);
}

void json_writer::floating(float value) {
  if (!std::isfinite(value))
    return null();
  separate();
  scalar::append_float(out_, value);
}

void json_writer::string(std::string_view value) {
  separate();
  append_string(out_, value);
}

void json_writer::base64(std::string_view bytes) {
  separate();
  out_ += '"';
  scalar::append_base64(out_, bytes);
  out_ += '"';
}

void json_writer::time(std::int64_t wall_ns) {
  separate();
  out_ += '"';
  scalar::append_rfc3339(out_, wall_ns);
  out_ += '"';
}

} // namespace swarm
