// Addresses through inet_pton and back.
#include "runtime/link/address.hpp"

#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace swarm::link {

namespace {

constexpr std::size_t v6_prefix_bytes = 8; // who has one IPv6 address has its /64

const sockaddr_in& v4(const sockaddr_storage& a) { return reinterpret_cast<const sockaddr_in&>(a); }
const sockaddr_in6& v6(const sockaddr_storage& a) { return reinterpret_cast<const sockaddr_in6&>(a); }

std::string host_text(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = {};
  if (from.ss_family == AF_INET)
    ::inet_ntop(AF_INET, &v4(from).sin_addr, text, sizeof text);
  else
    ::inet_ntop(AF_INET6, &v6(from).sin6_addr, text, sizeof text);
  return text;
}

} // namespace

std::optional<host_and_port> split_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return std::nullopt;
  auto host = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || end != port.data() + port.size() || number > 65535)
    return std::nullopt;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return std::nullopt;
  return host_and_port{std::string{host}, std::string{port}};
}

std::optional<socket_address> parse_socket_address(std::string_view text) {
  const auto parts = split_host_port(text);
  if (!parts)
    return std::nullopt;
  const auto port = htons(static_cast<std::uint16_t>(std::stoul(parts->port)));
  socket_address out;
  auto& a4 = reinterpret_cast<sockaddr_in&>(out.storage);
  auto& a6 = reinterpret_cast<sockaddr_in6&>(out.storage);
  if (::inet_pton(AF_INET, parts->host.c_str(), &a4.sin_addr) == 1) {
    a4.sin_family = AF_INET;
    a4.sin_port = port;
    out.size = sizeof a4;
    return out;
  }
  if (::inet_pton(AF_INET6, parts->host.c_str(), &a6.sin6_addr) == 1) {
    a6.sin6_family = AF_INET6;
    a6.sin6_port = port;
    out.size = sizeof a6;
    return out;
  }
  return std::nullopt;
}

std::string address_text(const sockaddr_storage& from) {
  if (from.ss_family == AF_INET)
    return host_text(from) + ":" + std::to_string(ntohs(v4(from).sin_port));
  return "[" + host_text(from) + "]:" + std::to_string(ntohs(v6(from).sin6_port));
}

std::string address_group(const sockaddr_storage& from) {
  if (from.ss_family != AF_INET6 || IN6_IS_ADDR_V4MAPPED(&v6(from).sin6_addr))
    return host_text(from);
  return {reinterpret_cast<const char*>(&v6(from).sin6_addr), v6_prefix_bytes};
}

} // namespace swarm::link
