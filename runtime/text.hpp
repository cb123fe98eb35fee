// Small text helpers that cores may use.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/time.hpp"

namespace swarm::text {

/// RFC 3339 UTC with exactly the digits needed, as Go prints time.RFC3339Nano; 0 gives "0001-01-01T00:00:00Z".
[[nodiscard]] std::string rfc3339_nano(wall_ns t);
/// The same with always nine digits (log lines).
[[nodiscard]] std::string rfc3339_nano_fixed(wall_ns t);
/// Accepts any RFC 3339 time with offset; the zero time of Go gives 0. nullopt when malformed.
[[nodiscard]] std::optional<wall_ns> parse_rfc3339(std::string_view s);

[[nodiscard]] std::string to_lower(std::string_view s);
[[nodiscard]] bool iequals(std::string_view a, std::string_view b);
[[nodiscard]] std::string_view trim(std::string_view s);
[[nodiscard]] std::vector<std::string_view> split(std::string_view s, char separator);
[[nodiscard]] std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// Standard alphabet with padding. decode returns nullopt on any stray character.
[[nodiscard]] std::string base64_encode(std::string_view bytes);
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view s);
/// URL-safe alphabet, padding optional on input (X-Registry-Auth).
[[nodiscard]] std::optional<std::string> base64url_decode(std::string_view s);

/// A string as Go's %q prints it: quotes, backslashes and control characters escaped.
[[nodiscard]] std::string quoted(std::string_view s);

} // namespace swarm::text
