// Reads JSON text token by token with Go's rules and error texts; no tree is built.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "messages/errors.hpp"

namespace swarm {

/// Bounds for one document. The caller bounds its size.
struct json_limits {
  std::uint32_t depth = 200;        ///< Go allows 10,000; nothing in the API is deeper than 15
  std::uint32_t values = 1'000'000; ///< all values together: bounds what a small body may blow up to in memory
};

enum class json_kind : std::uint8_t { null, boolean, number, string, array, object };

/// "object", "string"… as Go's errors call it.
[[nodiscard]] std::string_view to_string(json_kind kind);

/// A pull reader: look at kind(), then take that value. The first error stays, and every call after it is a harmless
/// no-op that returns false, so that loops end by themselves and one check of error() at the end is enough.
/// Strict JSON as Go has it: no comments, no trailing commas, no BOM; invalid UTF-8 and lone surrogates become U+FFFD.
class json_reader {
public:
  /// `text` must outlive the reader.
  explicit json_reader(std::string_view text, json_limits limits = {}) : text_{text}, limits_{limits} {}

  /// The kind of the value that comes next; null when there is an error.
  [[nodiscard]] json_kind kind();

  /// Each takes the next value; an error when it is of another kind.
  bool read_null();
  bool read_bool(bool& value);
  bool read_string(std::string& value);
  /// The digits as they stand in the text (valid by JSON's grammar, of any size).
  bool read_number(std::string_view& digits);

  /// `if (in.enter_object()) while (in.next_key(key)) …take or skip one value…`. next_* is false at the end or on error.
  bool enter_object();
  bool next_key(std::string& key);
  bool enter_array();
  bool next_element();
  bool skip();

  /// After the one value: an error when anything but blanks follows.
  bool finish();
  /// No value at all: what is left of the text is blank.
  [[nodiscard]] bool blank();

  [[nodiscard]] bool ok() const { return error_.ok(); }
  [[nodiscard]] const failure& error() const { return error_; }

private:
  bool fail(std::string message);
  bool bad(std::string_view where);
  void skip_blanks();
  [[nodiscard]] char peek() const { return pos_ < text_.size() ? text_[pos_] : '\0'; }
  bool take(json_kind wanted);
  bool enter(json_kind wanted);
  bool leave();
  bool next(char closing, std::string_view where);
  bool literal(std::string_view word);
  bool quoted(std::string* value);
  bool escape(std::string& out);
  bool hex4(std::uint32_t& code);
  bool digits(std::string_view where);

  std::string_view text_;
  json_limits limits_;
  std::size_t pos_ = 0;
  std::uint32_t depth_ = 0;
  std::uint32_t values_ = 0;
  bool first_ = false; // just entered: no comma is due
  failure error_;
};

} // namespace swarm
