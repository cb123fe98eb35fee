// IPv4 addresses and subnets as numbers: reading, writing, containing, overlapping.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swarm {

/// In host byte order, so that addresses can be counted.
using ipv4 = std::uint32_t;

/// "10.0.1.2"; nothing else: no leading zeros, no spaces.
[[nodiscard]] std::optional<ipv4> parse_ipv4(std::string_view text);
[[nodiscard]] std::string to_text(ipv4 address);

/// A block of addresses; bits beyond the prefix are zero.
struct ipv4_subnet {
  ipv4 base = 0;
  unsigned prefix = 0; ///< 0..32

  [[nodiscard]] ipv4 last() const { return base + static_cast<ipv4>(size() - 1); }
  [[nodiscard]] std::uint64_t size() const { return std::uint64_t{1} << (32 - prefix); }
  [[nodiscard]] bool contains(ipv4 a) const { return a >= base && a <= last(); }
  [[nodiscard]] bool contains(const ipv4_subnet& other) const { return contains(other.base) && contains(other.last()); }
  [[nodiscard]] bool overlaps(const ipv4_subnet& other) const { return base <= other.last() && other.base <= last(); }
  bool operator==(const ipv4_subnet&) const = default;
};

/// "10.0.1.0/24"; address bits beyond the prefix are dropped.
[[nodiscard]] std::optional<ipv4_subnet> parse_ipv4_subnet(std::string_view text);
[[nodiscard]] std::string to_text(const ipv4_subnet& subnet);

/// The address of "10.0.1.2/24".
[[nodiscard]] std::optional<ipv4> address_of(std::string_view address_with_prefix);

} // namespace swarm
