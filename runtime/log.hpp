// One line per event: time level node actor event key=value… Never blocks the caller; secrets cannot be printed.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/errors.hpp"

namespace swarm::log {

/// error = a human must look; warn = handled but degraded; info = changes of state; debug = everything.
enum class level : std::uint8_t { debug, info, warn, error, off };
enum class format : std::uint8_t { text, json };

[[nodiscard]] std::string_view to_string(level value);
[[nodiscard]] std::string_view to_string(format value);
[[nodiscard]] std::optional<level> parse_level(std::string_view name);
[[nodiscard]] std::optional<format> parse_format(std::string_view name);

/// A string that must not be seen: tokens, keys, secret data. It converts to nothing but "***" when logged; whoever
/// needs the bytes says so with reveal().
class secret {
public:
  secret() = default;
  explicit secret(std::string value) : value_{std::move(value)} {}
  [[nodiscard]] const std::string& reveal() const { return value_; }
  [[nodiscard]] bool empty() const { return value_.empty(); }
  bool operator==(const secret&) const = default;

private:
  std::string value_;
};

/// The right-hand side of key=value. Numbers and booleans stay numbers and booleans in JSON.
class value {
public:
  value(std::string_view text) : text_{text}, quoted_{true} {}          // NOLINT(google-explicit-constructor)
  value(const char* text) : value{std::string_view{text}} {}            // NOLINT
  value(const std::string& text) : value{std::string_view{text}} {}     // NOLINT
  value(bool flag) : text_{flag ? "true" : "false"} {}                  // NOLINT
  template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
  value(T number) : text_{std::to_string(number)} {}                    // NOLINT
  value(double number);                                                 // NOLINT
  value(const secret&) : value{std::string_view{"***"}} {}              // NOLINT
  value(errc code) : value{swarm::to_string(code)} {}                   // NOLINT
  value(const failure& error);                                          // NOLINT
  /// Anything with a to_string found by argument-dependent lookup, such as our enums.
  template <class T>
    requires requires(const T& x) { { to_string(x) } -> std::convertible_to<std::string_view>; }
  value(const T& x) : value{std::string_view{to_string(x)}} {}          // NOLINT
  /// The ids of runtime/ids.hpp.
  template <class T>
    requires requires(const T& x) { { x.str() } -> std::same_as<std::string>; }
  value(const T& x) : value{x.str()} {}                                 // NOLINT

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool quoted() const { return quoted_; }

private:
  std::string text_;
  bool quoted_ = false;
};

struct field {
  std::string_view key;
  value what;
};
using fields = std::initializer_list<field>;

/// One event as the sink sees it, before it becomes a line.
struct record {
  std::int64_t wall_ns = 0;
  level severity = level::info;
  std::string_view node;
  std::string_view actor;
  std::string_view event;
  fields extra;
};

/// The line without its end. Control characters and invalid UTF-8 are escaped, so that one event stays one line.
[[nodiscard]] std::string render(const record& what, format how);

struct options {
  level threshold = level::info;
  format how = format::text;
  std::string node;                       ///< shown in each line; empty until this node has an id
  int fd = 2;                             ///< where lines go
  bool journald_prefix = false;           ///< put <N> before each line, see journald_wanted()
  std::size_t queue_lines = 8192;         ///< more waiting lines than this are dropped and counted
};

/// True when $JOURNAL_STREAM names the file behind `fd` (systemd.exec(5)): stderr goes to the journal.
[[nodiscard]] bool journald_wanted(int fd);

/// Starts the writer. Before start() and after stop(), events go to stderr directly, line by line.
void start(const options& opts);
/// Writes what is queued (at most about a second) and ends the writer.
void stop();
/// Waits until all queued lines are written, at most about a second.
void flush();

/// Reloadable while running.
void set_level(level threshold);
void set_format(format how);
void set_node(std::string node);
[[nodiscard]] bool enabled(level severity);

/// Lines lost because the queue was full, and how often each severity was used, since the program began.
[[nodiscard]] std::uint64_t dropped();
[[nodiscard]] std::uint64_t count(level severity);

void write(level severity, std::string_view actor, std::string_view event, fields extra = {});
inline void debug(std::string_view actor, std::string_view event, fields extra = {}) {
  write(level::debug, actor, event, extra);
}
inline void info(std::string_view actor, std::string_view event, fields extra = {}) {
  write(level::info, actor, event, extra);
}
inline void warn(std::string_view actor, std::string_view event, fields extra = {}) {
  write(level::warn, actor, event, extra);
}
inline void error(std::string_view actor, std::string_view event, fields extra = {}) {
  write(level::error, actor, event, extra);
}

} // namespace swarm::log
