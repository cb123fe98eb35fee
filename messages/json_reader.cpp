// The pull reader: one pass over the text, error texts as Go's encoding/json scanner has them.
#include "messages/json_reader.hpp"

#include <utility>

#include "messages/json_scalar.hpp"

namespace swarm {

namespace {

constexpr std::uint32_t replacement = 0xfffd;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// As Go's quoteChar: the byte taken as a code point.
std::string quote_char(unsigned char c) {
  if (c == '\'')
    return R"('\'')";
  if (c == '"')
    return R"('"')";
  if (c >= 0x80) {
    if (c > 0xa0 && c != 0xad) {
      std::string out = "'";
      scalar::append_utf8(out, c);
      return out + "'";
    }
    constexpr std::string_view hex = "0123456789abcdef";
    return std::string{"'\\u00"} + hex[c >> 4] + hex[c & 15] + "'";
  }
  auto out = scalar::quoted(std::string_view{reinterpret_cast<const char*>(&c), 1});
  out.front() = out.back() = '\'';
  return out;
}

} // namespace

std::string_view to_string(json_kind kind) {
  switch (kind) {
  case json_kind::null: return "null";
  case json_kind::boolean: return "bool";
  case json_kind::number: return "number";
  case json_kind::string: return "string";
  case json_kind::array: return "array";
  case json_kind::object: return "object";
  }
  return "value";
}

bool json_reader::fail(std::string message) {
  if (error_.ok())
    error_ = {errc::invalid_argument, std::move(message)};
  pos_ = text_.size();
  return false;
}

bool json_reader::bad(std::string_view where) {
  if (pos_ >= text_.size())
    return fail("unexpected EOF");
  return fail("invalid character " + quote_char(static_cast<unsigned char>(text_[pos_])) + " " + std::string{where});
}

void json_reader::skip_blanks() {
  while (pos_ < text_.size() &&
         (text_[pos_] == ' ' || text_[pos_] == '\n' || text_[pos_] == '\t' || text_[pos_] == '\r'))
    ++pos_;
}

bool json_reader::blank() {
  skip_blanks();
  return pos_ == text_.size();
}

json_kind json_reader::kind() {
  skip_blanks();
  switch (peek()) {
  case '{': return json_kind::object;
  case '[': return json_kind::array;
  case '"': return json_kind::string;
  case 't':
  case 'f': return json_kind::boolean;
  case 'n': return json_kind::null;
  case '-': return json_kind::number;
  default: break;
  }
  if (is_digit(peek()))
    return json_kind::number;
  bad("looking for beginning of value");
  return json_kind::null;
}

bool json_reader::take(json_kind wanted) {
  const auto found = kind();
  if (!ok())
    return false;
  if (found != wanted)
    return fail("json: cannot unmarshal " + std::string{to_string(found)} + " into a value of type " +
                std::string{to_string(wanted)});
  if (++values_ > limits_.values)
    return fail("JSON document has more than " + std::to_string(limits_.values) + " values");
  return true;
}

bool json_reader::literal(std::string_view word) {
  for (const char c : word) {
    if (pos_ >= text_.size() || text_[pos_] != c)
      return bad("in literal " + std::string{word} + " (expecting '" + c + "')");
    ++pos_;
  }
  return true;
}

bool json_reader::read_null() { return take(json_kind::null) && literal("null"); }

bool json_reader::read_bool(bool& value) {
  if (!take(json_kind::boolean))
    return false;
  value = peek() == 't';
  return literal(value ? "true" : "false");
}

bool json_reader::digits(std::string_view where) {
  if (!is_digit(peek()))
    return bad(where);
  while (is_digit(peek()))
    ++pos_;
  return true;
}

bool json_reader::read_number(std::string_view& value) {
  if (!take(json_kind::number))
    return false;
  const auto start = pos_;
  if (peek() == '-')
    ++pos_;
  if (peek() == '0')
    ++pos_;
  else if (!digits("in numeric literal"))
    return false;
  if (peek() == '.') {
    ++pos_;
    if (!digits("after decimal point in numeric literal"))
      return false;
  }
  if (peek() == 'e' || peek() == 'E') {
    ++pos_;
    if (peek() == '+' || peek() == '-')
      ++pos_;
    if (!digits("in exponent of numeric literal"))
      return false;
  }
  value = text_.substr(start, pos_ - start);
  return true;
}

bool json_reader::read_string(std::string& value) { return take(json_kind::string) && quoted(&value); }

// From the opening quote to behind the closing one; only checked when `value` is null.
bool json_reader::quoted(std::string* value) {
  std::string skipped;
  auto& out = value ? *value : skipped;
  out.clear();
  ++pos_;
  for (;;) {
    const auto start = pos_;
    while (pos_ < text_.size() && static_cast<unsigned char>(text_[pos_]) >= 0x20 &&
           static_cast<unsigned char>(text_[pos_]) < 0x80 && text_[pos_] != '"' && text_[pos_] != '\\')
      ++pos_;
    if (value)
      out.append(text_, start, pos_ - start);
    if (pos_ >= text_.size() || static_cast<unsigned char>(text_[pos_]) < 0x20)
      return bad("in string literal");
    if (text_[pos_] == '"') {
      ++pos_;
      return true;
    }
    if (text_[pos_] == '\\') {
      if (!escape(out))
        return false;
      continue;
    }
    const auto length = scalar::utf8_length(text_.substr(pos_, 4));
    if (value && length == 0)
      scalar::append_utf8(out, replacement);
    else if (value)
      out.append(text_, pos_, length);
    pos_ += length == 0 ? 1 : length;
  }
}

bool json_reader::hex4(std::uint32_t& code) {
  code = 0;
  for (int i = 0; i < 4; ++i, ++pos_) {
    const char c = peek();
    const int digit = is_digit(c)            ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (pos_ >= text_.size() || digit < 0)
      return bad("in \\u hexadecimal character escape");
    code = code << 4 | static_cast<std::uint32_t>(digit);
  }
  return true;
}

bool json_reader::escape(std::string& out) {
  constexpr std::string_view from = "bfnrt\\/\"", to = "\b\f\n\r\t\\/\"";
  ++pos_;
  if (const auto at = from.find(peek()); pos_ < text_.size() && at != std::string_view::npos) {
    out += to[at];
    ++pos_;
    return true;
  }
  if (peek() != 'u')
    return bad("in string escape code");
  ++pos_;
  std::uint32_t code = 0;
  if (!hex4(code))
    return false;
  if (code >= 0xd800 && code < 0xdc00 && text_.substr(pos_, 2) == "\\u") {
    const auto back = pos_;
    pos_ += 2;
    std::uint32_t low = 0;
    if (!hex4(low))
      return false;
    if (low >= 0xdc00 && low < 0xe000)
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    else
      pos_ = back; // not its pair: it stands for itself
  }
  scalar::append_utf8(out, code >= 0xd800 && code < 0xe000 ? replacement : code);
  return true;
}

bool json_reader::enter(json_kind wanted) {
  if (!take(wanted))
    return false;
  if (++depth_ > limits_.depth)
    return fail("exceeded max depth");
  ++pos_;
  first_ = true;
  return true;
}

bool json_reader::enter_object() { return enter(json_kind::object); }
bool json_reader::enter_array() { return enter(json_kind::array); }

bool json_reader::leave() {
  ++pos_;
  --depth_;
  first_ = false;
  return false;
}

// Behind the comma (or the opening bracket) of one more entry; false at the closing bracket.
bool json_reader::next(char closing, std::string_view where) {
  if (!ok())
    return false;
  skip_blanks();
  if (peek() == closing)
    return leave();
  if (!std::exchange(first_, false)) {
    if (peek() != ',')
      return bad(where);
    ++pos_;
    skip_blanks();
  }
  return true;
}

bool json_reader::next_key(std::string& key) {
  if (!next('}', "after object key:value pair"))
    return false;
  if (peek() != '"')
    return bad("looking for beginning of object key string");
  if (!quoted(&key))
    return false;
  skip_blanks();
  if (peek() != ':')
    return bad("after object key");
  ++pos_;
  return true;
}

bool json_reader::next_element() { return next(']', "after array element"); }

bool json_reader::skip() {
  bool flag = false;
  std::string key;
  std::string_view number;
  switch (kind()) {
  case json_kind::null: return ok() && read_null();
  case json_kind::boolean: return read_bool(flag);
  case json_kind::number: return read_number(number);
  case json_kind::string: return take(json_kind::string) && quoted(nullptr);
  case json_kind::array:
    if (enter_array())
      while (next_element())
        skip();
    return ok();
  case json_kind::object:
    if (enter_object())
      while (next_key(key))
        skip();
    return ok();
  }
  return false;
}

bool json_reader::finish() {
  if (ok() && !blank())
    return fail("unexpected content after JSON");
  return ok();
}

} // namespace swarm
