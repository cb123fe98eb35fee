// Go's text/template, as far as Swarm lets people use it: in env, hostname, mounts, and templated secrets and configs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "messages/errors.hpp"

namespace swarm::agent::gotemplate {

/// What a template works on. An `object` has fixed fields (an unknown one is an error), a `map` any.
class value {
public:
  enum class type : std::uint8_t { none, text, integer, boolean, map, object, list };
  using fields = std::map<std::string, value>;

  value() = default;
  value(std::string text) : kind_{type::text}, text_{std::move(text)} {}            // NOLINT(google-explicit-constructor)
  value(const char* text) : value{std::string{text}} {}                             // NOLINT
  static value of(std::int64_t number);
  static value of(bool flag);
  static value object(std::string go_type, fields members);
  static value map(const std::map<std::string, std::string>& entries);

  [[nodiscard]] type kind() const { return kind_; }
  [[nodiscard]] const std::string& text() const { return text_; }  ///< also the Go type of an object
  [[nodiscard]] std::int64_t number() const { return number_; }
  [[nodiscard]] const fields& members() const;
  [[nodiscard]] bool truth() const;
  /// As {{.}} prints it.
  [[nodiscard]] std::string print() const;

private:
  type kind_ = type::none;
  std::int64_t number_ = 0;
  std::string text_;
  std::shared_ptr<const fields> members_;
};

/// Named functions beside Go's own: env, secret, config in payloads. A failed call ends the expansion with its error.
struct call_result {
  value result;
  std::string error;
};
using functions = std::map<std::string, std::function<call_result(const std::vector<value>&)>>;

struct expansion {
  std::string text;
  std::string error; ///< "" or Go's kind of text: `template: expansion:1: function "x" not defined`
};

/// Text without "{{" comes back as it is. Understood: fields, index, pipelines, parentheses, variables, if/else, with,
/// range, comments, trim markers; print, printf, println, len, eq ne lt le gt ge, and or not, join.
/// Output is bounded by output_bytes_max, nesting by 64.
inline constexpr std::size_t output_bytes_max = 1024 * 1024;
[[nodiscard]] expansion expand(std::string_view text, const value& root, const functions& extra = {});

} // namespace swarm::agent::gotemplate
