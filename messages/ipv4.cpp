// Texts of IPv4 addresses and subnets.
#include "messages/ipv4.hpp"

#include <charconv>

namespace swarm {

namespace {

std::optional<unsigned> parse_number(std::string_view text, unsigned max) {
  unsigned out = 0;
  const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool padded = text.size() > 1 && text.front() == '0';
  if (ec != std::errc{} || rest != text.data() + text.size() || padded || out > max)
    return std::nullopt;
  return out;
}

} // namespace

std::optional<ipv4> parse_ipv4(std::string_view text) {
  ipv4 out = 0;
  for (int part = 0; part < 4; ++part) {
    const auto dot = text.find('.');
    if ((dot == std::string_view::npos) != (part == 3))
      return std::nullopt;
    const auto number = parse_number(text.substr(0, dot), 255);
    if (!number)
      return std::nullopt;
    out = out << 8 | *number;
    text.remove_prefix(part == 3 ? text.size() : dot + 1);
  }
  return out;
}

std::string to_text(ipv4 address) {
  return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 255) + "." + std::to_string(address >> 8 & 255)
         + "." + std::to_string(address & 255);
}

std::optional<ipv4_subnet> parse_ipv4_subnet(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos)
    return std::nullopt;
  const auto base = parse_ipv4(text.substr(0, slash));
  const auto prefix = parse_number(text.substr(slash + 1), 32);
  if (!base || !prefix)
    return std::nullopt;
  const auto mask = *prefix == 0 ? 0 : ~ipv4{0} << (32 - *prefix);
  return ipv4_subnet{*base & mask, *prefix};
}

std::string to_text(const ipv4_subnet& subnet) { return to_text(subnet.base) + "/" + std::to_string(subnet.prefix); }

std::optional<ipv4> address_of(std::string_view address_with_prefix) {
  return parse_ipv4(address_with_prefix.substr(0, address_with_prefix.find('/')));
}

} // namespace swarm
