// A message out of one line of text, as a person types it.
#include "messages/render.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include <google/protobuf/message.h>

#include "messages/json_scalar.hpp"
#include "messages/options.pb.h"

namespace swarm {

namespace {

namespace pb = google::protobuf;

constexpr int depth_max = 100;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ','; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; }

bool same_in_any_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool is_valid_utf8(std::string_view s) {
  while (!s.empty()) {
    const auto length = scalar::utf8_length(s);
    if (length == 0)
      return false;
    s.remove_prefix(length);
  }
  return true;
}

// Recursive descent; every function returns false once an error is noted.
class parser {
public:
  explicit parser(std::string_view text) : text_{text} {}

  failure document(pb::Message& out) {
    const auto& type = *out.GetDescriptor();
    skip_blanks();
    bool fine = true;
    if (const auto name = peek_word();
        !name.empty() && (std::isupper(static_cast<unsigned char>(name.front())) || name == type.full_name())) {
      if (name != type.name() && name != type.full_name())
        fail("this is a " + std::string{name} + ", wanted is a " + type.name());
      pos_ += name.size();
      skip_blanks();
      if (peek() != '{' && pos_ < text_.size())
        fail("'{' must follow " + std::string{name});
    }
    if (error_.ok() && take('{'))
      fine = fields(out, '}');
    else if (error_.ok())
      fine = fields(out, '\0');
    skip_blanks();
    if (fine && error_.ok() && pos_ < text_.size())
      fail("nothing may follow the closing '}'");
    return error_;
  }

private:
  bool fail(std::string what) {
    if (error_.ok())
      error_ = {errc::invalid_argument, "at " + std::to_string(pos_ + 1) + ": " + std::move(what)};
    return false;
  }

  [[nodiscard]] char peek() const { return pos_ < text_.size() ? text_[pos_] : '\0'; }

  void skip_blanks() {
    while (pos_ < text_.size() && is_blank(text_[pos_]))
      ++pos_;
  }

  bool take(char c) {
    skip_blanks();
    if (peek() != c || pos_ >= text_.size())
      return false;
    ++pos_;
    return true;
  }

  [[nodiscard]] std::string_view peek_word() const {
    auto end = pos_;
    while (end < text_.size() && is_word(text_[end]))
      ++end;
    return text_.substr(pos_, end - pos_);
  }

  // Up to the closing bracket, or to the end of the text for '\0'.
  bool fields(pb::Message& msg, char closing) {
    if (++depth_ > depth_max)
      return fail("nested too deeply");
    for (;;) {
      skip_blanks();
      if (pos_ >= text_.size()) {
        --depth_;
        return closing == '\0' || fail("'}' is missing at the end");
      }
      if (closing != '\0' && take(closing)) {
        --depth_;
        return true;
      }
      const auto name = peek_word();
      const auto* field = msg.GetDescriptor()->FindFieldByName(std::string{name});
      if (name.empty())
        return fail("a field's name is expected");
      if (!field)
        return fail("\"" + std::string{name} + "\" is no field of " + msg.GetDescriptor()->name());
      pos_ += name.size();
      const bool assigned = take('=') || take(':');
      skip_blanks();
      if (!assigned && peek() != '{' && peek() != '[')
        return fail("'=' and a value must follow \"" + std::string{name} + "\"");
      if (!this->field(msg, *field))
        return false;
    }
  }

  bool field(pb::Message& msg, const pb::FieldDescriptor& field) {
    skip_blanks();
    if (field.is_map())
      return map(msg, field);
    if (!field.is_repeated())
      return value(msg, field, true);
    if (!take('['))
      return value(msg, field, true);
    for (;;) {
      if (take(']'))
        return true;
      if (pos_ >= text_.size())
        return fail("']' is missing at the end");
      if (!value(msg, field, true))
        return false;
    }
  }

  bool map(pb::Message& msg, const pb::FieldDescriptor& field) {
    const char closing = take('[') ? ']' : take('{') ? '}' : '\0';
    if (closing == '\0')
      return fail("'[' must open the entries of " + field.name());
    for (;;) {
      if (take(closing))
        return true;
      if (pos_ >= text_.size())
        return fail(std::string{"'"} + closing + "' is missing at the end");
      auto& entry = *msg.GetReflection()->AddMessage(&msg, &field);
      if (!value(entry, *field.message_type()->map_key(), false))
        return false;
      if (!take(':') && !take('='))
        return fail("':' and a value must follow a key of " + field.name());
      if (!value(entry, *field.message_type()->map_value(), true))
        return false;
    }
  }

  bool value(pb::Message& msg, const pb::FieldDescriptor& field, bool colons) {
    const auto& reflection = *msg.GetReflection();
    skip_blanks();
    if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      if (!take('{'))
        return fail("'{' must open " + field.name());
      return fields(
          field.is_repeated() ? *reflection.AddMessage(&msg, &field) : *reflection.MutableMessage(&msg, &field), '}');
    }
    const auto start = pos_;
    const bool in_quotes = peek() == '"';
    std::string text;
    if (!(in_quotes ? quoted(text) : bare(text, colons)))
      return false;
    if (!in_quotes && (text == "***" || text.starts_with('<')))
      return fail("*** and <N bytes> stand for values that were not shown");
    if (!store(msg, field, std::move(text)) && error_.ok()) {
      pos_ = start;
      return fail("no " + type_name(field) + " for " + field.name());
    }
    return error_.ok();
  }

  bool bare(std::string& out, bool colons) {
    const auto start = pos_;
    while (pos_ < text_.size() && !is_blank(text_[pos_]) &&
           std::string_view{"[]{}\""}.find(text_[pos_]) == std::string_view::npos &&
           (colons || (text_[pos_] != ':' && text_[pos_] != '=')))
      ++pos_;
    out = text_.substr(start, pos_ - start);
    return !out.empty() || fail("a value is expected");
  }

  bool hex(std::size_t digits, std::uint32_t& code) {
    const auto part = text_.substr(pos_, digits);
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), code, 16);
    if (part.size() != digits || error != std::errc{} || end != part.data() + part.size())
      return fail("hexadecimal digits are expected");
    pos_ += digits;
    return true;
  }

  bool quoted(std::string& out) {
    constexpr std::string_view from = "abtnvfr\"\\'", to = "\a\b\t\n\v\f\r\"\\'";
    for (++pos_; pos_ < text_.size(); ++pos_) {
      if (text_[pos_] == '"') {
        ++pos_;
        return true;
      }
      if (text_[pos_] != '\\') {
        out += text_[pos_];
        continue;
      }
      ++pos_;
      const char kind = peek();
      std::uint32_t code = 0;
      if (const auto at = from.find(kind); at != std::string_view::npos && kind != '\0') {
        out += to[at];
        continue;
      }
      ++pos_;
      if (kind != 'x' && kind != 'u')
        return fail("unknown escape in quotes");
      if (!hex(kind == 'x' ? 2 : 4, code))
        return false;
      if (kind == 'x')
        out += static_cast<char>(code);
      else
        scalar::append_utf8(out, code);
      --pos_; // the loop steps on
    }
    return fail("a closing '\"' is missing");
  }

  template <class Number>
  static std::optional<Number> number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
  }

  static std::optional<int> enum_number(const pb::EnumDescriptor& type, std::string_view text) {
    for (int i = 0; i < type.value_count(); ++i)
      if (same_in_any_case(text, type.value(i)->name()) || same_in_any_case(text, short_name(*type.value(i))))
        return type.value(i)->number();
    return number<int>(text);
  }

  static std::string type_name(const pb::FieldDescriptor& field) {
    return field.cpp_type() == pb::FieldDescriptor::CPPTYPE_ENUM ? field.enum_type()->name() : field.type_name();
  }

  // Sets or appends; false when the text does not fit the type.
  bool store(pb::Message& msg, const pb::FieldDescriptor& field, std::string text) {
    using F = pb::FieldDescriptor;
    using R = pb::Reflection;
    const auto& reflection = *msg.GetReflection();
    const auto put = [&](auto value, auto set, auto add) {
      if (value)
        (reflection.*(field.is_repeated() ? add : set))(&msg, &field, *value);
      return value.has_value();
    };
    switch (field.cpp_type()) {
    case F::CPPTYPE_BOOL:
      return put(text == "true" || text == "false" ? std::optional{text == "true"} : std::nullopt, &R::SetBool,
                 &R::AddBool);
    case F::CPPTYPE_INT32: return put(number<std::int32_t>(text), &R::SetInt32, &R::AddInt32);
    case F::CPPTYPE_INT64: {
      auto value = number<std::int64_t>(text);
      if (!value && field.options().GetExtension(json).time())
        value = scalar::parse_rfc3339(text);
      return put(value, &R::SetInt64, &R::AddInt64);
    }
    case F::CPPTYPE_UINT32: return put(number<std::uint32_t>(text), &R::SetUInt32, &R::AddUInt32);
    case F::CPPTYPE_UINT64: return put(number<std::uint64_t>(text), &R::SetUInt64, &R::AddUInt64);
    case F::CPPTYPE_FLOAT: return put(number<float>(text), &R::SetFloat, &R::AddFloat);
    case F::CPPTYPE_DOUBLE: return put(number<double>(text), &R::SetDouble, &R::AddDouble);
    case F::CPPTYPE_ENUM: return put(enum_number(*field.enum_type(), text), &R::SetEnumValue, &R::AddEnumValue);
    case F::CPPTYPE_STRING:
      if (field.type() == F::TYPE_STRING && !is_valid_utf8(text))
        return fail("text must be valid UTF-8");
      if (field.is_repeated())
        reflection.AddString(&msg, &field, std::move(text));
      else
        reflection.SetString(&msg, &field, std::move(text));
      return true;
    case F::CPPTYPE_MESSAGE: break;
    }
    return false;
  }

  std::string_view text_;
  std::size_t pos_ = 0;
  int depth_ = 0;
  failure error_;
};

} // namespace

failure parse_rendered(std::string_view text, google::protobuf::Message& out) {
  out.Clear();
  return parser{text}.document(out);
}

} // namespace swarm
