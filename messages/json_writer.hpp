// Writes JSON text piece by piece into a string; no tree is built.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace swarm {

/// Appends JSON to `out` exactly as Go's encoder does with HTML escaping off (which is how the Docker daemon writes):
/// compact, floats in their shortest form, invalid UTF-8 replaced by U+FFFD. Commas and colons are put by itself;
/// the caller must open and close in pairs and write a key before each member's value. No newline at the end.
class json_writer {
public:
  explicit json_writer(std::string& out) : out_{out} {}

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  void key(std::string_view name);
  /// A key that is known to need no escaping and comes with quotes and colon: "\"Name\":".
  void raw_key(std::string_view quoted_with_colon);

  void null() { raw("null"); }
  void boolean(bool value) { raw(value ? "true" : "false"); }
  void integer(std::int64_t value);
  void unsigned_integer(std::uint64_t value);
  /// NaN and infinities have no JSON form and become null.
  void floating(double value);
  void floating(float value);
  void string(std::string_view value);
  void base64(std::string_view bytes);
  /// Wall nanoseconds as RFC 3339 UTC; 0 is Go's zero time.
  void time(std::int64_t wall_ns);
  /// One complete JSON value, written as it is.
  void raw(std::string_view value);

  void member(std::string_view name, std::string_view value) { key(name), string(value); }
  void member(std::string_view name, const char* value) { key(name), string(value); }
  void member(std::string_view name, bool value) { key(name), boolean(value); }
  void member(std::string_view name, std::int64_t value) { key(name), integer(value); }
  void member(std::string_view name, std::uint64_t value) { key(name), unsigned_integer(value); }

private:
  void open(char bracket);
  void close(char bracket);
  void separate();

  std::string& out_;
  bool comma_ = false; // the next key or element must be preceded by one
};

} // namespace swarm
