// The spellings that JSON and one-line rendering share: RFC 3339 times, base64, UTF-8, Go's floats and %q.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swarm::scalar {

/// Wall nanoseconds as Go prints time.RFC3339Nano in UTC: exactly the digits needed, 0 is "0001-01-01T00:00:00Z".
void append_rfc3339(std::string& out, std::int64_t wall_ns);
/// Any RFC 3339 time with offset; Go's zero time gives 0; nullopt when malformed or beyond what 64-bit nanoseconds
/// hold (the years 1677 to 2262).
[[nodiscard]] std::optional<std::int64_t> parse_rfc3339(std::string_view s);

/// Standard alphabet with padding.
void append_base64(std::string& out, std::string_view bytes);
/// Go's StdEncoding: line breaks are skipped. On failure `bad_at` is the offset of the first wrong byte.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view s, std::size_t& bad_at);

/// Length of the valid UTF-8 sequence at the front of `s` (1..4); 0 when there is none.
[[nodiscard]] std::size_t utf8_length(std::string_view s);
void append_utf8(std::string& out, std::uint32_t code_point);

/// As Go's encoding/json: shortest digits that read back the same, exponent only below 1e-6 and from 1e21 on.
void append_float(std::string& out, double value);
void append_float(std::string& out, float value);

/// As Go's %q, with the surrounding quotes.
void append_quoted(std::string& out, std::string_view s);
[[nodiscard]] std::string quoted(std::string_view s);

} // namespace swarm::scalar
