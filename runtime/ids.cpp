// Base-36 text of 128-bit ids.
#include "runtime/ids.hpp"

namespace swarm {

namespace {

using u128 = unsigned __int128;
constexpr std::size_t id_chars = 25;
// Digits are worked on in pieces that fit 64 bits, 12 + 12 + 1: dividing 128 bits costs 20 times as much.
constexpr std::size_t piece_chars = 12;
constexpr std::uint64_t piece_limit = 4'738'381'338'321'616'896u; // 36^12

void write_piece(std::uint64_t value, char* out) {
  for (auto i = piece_chars; i-- > 0; value /= 36)
    out[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[value % 36];
}

/// False for anything but digits of base 36.
bool read_piece(std::string_view text, std::uint64_t& value) {
  value = 0;
  for (const char c : text) {
    unsigned digit = 0;
    if (c >= '0' && c <= '9')
      digit = static_cast<unsigned>(c - '0');
    else if (c >= 'a' && c <= 'z')
      digit = static_cast<unsigned>(c - 'a' + 10);
    else
      return false;
    value = value * 36 + digit;
  }
  return true;
}

} // namespace

std::string id128::str() const {
  if (!*this)
    return {};
  std::string out(id_chars, '0');
  const auto value = (static_cast<u128>(hi) << 64) | lo;
  const auto upper = value / 36;
  out.back() = "0123456789abcdefghijklmnopqrstuvwxyz"[static_cast<unsigned>(value - upper * 36)];
  write_piece(static_cast<std::uint64_t>(upper / piece_limit), out.data());
  write_piece(static_cast<std::uint64_t>(upper % piece_limit), out.data() + piece_chars);
  return out;
}

id128 id128::parse(std::string_view text) {
  std::uint64_t high = 0;
  std::uint64_t middle = 0;
  std::uint64_t last = 0;
  if (text.size() != id_chars || !read_piece(text.substr(0, piece_chars), high)
      || !read_piece(text.substr(piece_chars, piece_chars), middle) || !read_piece(text.substr(2 * piece_chars), last))
    return {};
  const auto upper = static_cast<u128>(high) * piece_limit + middle; // below 36^24 < 2^125
  constexpr auto max = ~u128{0};
  if (upper > max / 36 || (upper == max / 36 && last > static_cast<std::uint64_t>(max % 36)))
    return {};
  const auto value = upper * 36 + last;
  return {static_cast<std::uint64_t>(value >> 64), static_cast<std::uint64_t>(value)};
}

id128 id128::random(random_source& rng) {
  id128 id;
  do {
    id.hi = rng();
    id.lo = rng();
  } while (!id);
  return id;
}

} // namespace swarm
