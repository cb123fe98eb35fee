// Character classes of RFC 9110/9112, shared by the head and body parsers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace swarm::http {

namespace detail {
enum : std::uint8_t { token_bit = 1, target_bit = 2, value_bit = 4, digit_bit = 8, alnum_bit = 16 };

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> table{};
  for (int c = 0; c < 256; ++c) {
    const bool digit = c >= '0' && c <= '9';
    const bool alnum = digit || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool token = alnum;
    for (const char t : std::string_view{"!#$%&'*+-.^_`|~"})
      token = token || c == t;
    table[static_cast<std::size_t>(c)] = static_cast<std::uint8_t>(
      (token ? token_bit : 0) | (c > 0x20 && c < 0x7f ? target_bit : 0)
      | (c == '\t' || (c >= 0x20 && c != 0x7f) ? value_bit : 0) | (digit ? digit_bit : 0) | (alnum ? alnum_bit : 0));
  }
  return table;
}
inline constexpr auto classes = make_classes();
constexpr bool has(char c, std::uint8_t bit) { return (classes[static_cast<unsigned char>(c)] & bit) != 0; }
} // namespace detail

constexpr bool is_token(char c) { return detail::has(c, detail::token_bit); }
constexpr bool is_target(char c) { return detail::has(c, detail::target_bit); }
constexpr bool is_field_value(char c) { return detail::has(c, detail::value_bit); }
constexpr bool is_digit(char c) { return detail::has(c, detail::digit_bit); }
constexpr bool is_alnum(char c) { return detail::has(c, detail::alnum_bit); }
constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// Without spaces and tabs at both ends (no other white space: it would be an error, not padding).
constexpr std::string_view trim_blanks(std::string_view s) {
  while (!s.empty() && is_blank(s.front()))
    s.remove_prefix(1);
  while (!s.empty() && is_blank(s.back()))
    s.remove_suffix(1);
  return s;
}

} // namespace swarm::http
