// IP:PORT as text and as the sockets have it. Internal to runtime/link.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <sys/socket.h>

namespace swarm::link {

struct socket_address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

/// "10.0.0.1:2377" or "[::1]:2377"; port 0 is allowed. nullopt: not that, for example a host name.
[[nodiscard]] std::optional<socket_address> parse_socket_address(std::string_view text);
/// "HOST:PORT" in two; nullopt without a colon or with a port that is none.
struct host_and_port {
  std::string host;
  std::string port;
};
[[nodiscard]] std::optional<host_and_port> split_host_port(std::string_view text);
[[nodiscard]] std::string address_text(const sockaddr_storage& from);
/// Without the port: what is counted per address. IPv6 counts by /64.
[[nodiscard]] std::string address_group(const sockaddr_storage& from);

} // namespace swarm::link
