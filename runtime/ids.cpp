// Base-36 text of 128-bit ids.
#include "runtime/ids.hpp"

namespace swarm {

namespace {
constexpr std::size_t id_chars = 25;
using u128 = unsigned __int128;
} // namespace

std::string id128::str() const {
  if (!*this)
    return {};
  std::string out(id_chars, '0');
  auto value = (static_cast<u128>(hi) << 64) | lo;
  for (auto i = id_chars; i-- > 0 && value != 0; value /= 36)
    out[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[static_cast<int>(value % 36)];
  return out;
}

id128 id128::parse(std::string_view text) {
  if (text.size() != id_chars)
    return {};
  u128 value = 0;
  for (const char c : text) {
    int digit = 0;
    if (c >= '0' && c <= '9')
      digit = c - '0';
    else if (c >= 'a' && c <= 'z')
      digit = c - 'a' + 10;
    else
      return {};
    if (value > (~u128{0} - static_cast<u128>(digit)) / 36)
      return {};
    value = value * 36 + static_cast<u128>(digit);
  }
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
