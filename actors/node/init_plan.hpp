// Decides what `swarm init` will make: addresses, cluster spec and refusals, from the request and the host's interfaces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "messages/control.pb.h"
#include "messages/errors.hpp"

namespace swarm::node {

/// One address of one network interface of this host.
struct host_address {
  std::string interface;
  std::string ip;        ///< without prefix length
  bool loopback = false;
  bool ipv6 = false;
};

struct init_plan {
  failure problem;             ///< ok, or why not (daemon's text, no rpc prefix)
  std::string listen_addr;     ///< IP:PORT
  std::string advertise_addr;  ///< IP:PORT
  std::string data_path_addr;  ///< IP, or ""
  ClusterSpec spec;            ///< the defaults of Swarm with the request's non-zero fields over them
  std::vector<std::string> default_addr_pool;
  std::uint32_t subnet_size = 24;
  std::uint32_t data_path_port = 4789;
};

/// What a cluster has when nobody says otherwise (behaviour §1.8).
[[nodiscard]] ClusterSpec default_cluster_spec();

/// `configured_listen` and `configured_advertise` are the daemon's own options, used where the request is empty.
[[nodiscard]] init_plan plan_init(const InitSwarm& request, const std::vector<host_address>& addresses,
                                  const std::string& configured_listen, const std::string& configured_advertise);

/// "IP", "IP:PORT", "[IP6]:PORT" or an interface's name -> IP:PORT; `what` is "listen" or "advertise" for the text.
struct resolved_address {
  failure problem;
  std::string ip;
  std::uint16_t port = 0;
};
[[nodiscard]] resolved_address resolve_listen(const std::string& text, const std::vector<host_address>& addresses);
[[nodiscard]] resolved_address resolve_advertise(const std::string& text, const resolved_address& listen,
                                                 const std::vector<host_address>& addresses);
[[nodiscard]] std::string join_host_port(const std::string& ip, std::uint16_t port);
/// The other way: "10.0.0.1" of "10.0.0.1:2377", "::1" of "[::1]:2377".
[[nodiscard]] std::string host_of(const std::string& address);

/// The refusal of `swarm leave` without force on a manager (behaviour §2.2).
[[nodiscard]] std::string leave_warning(unsigned managers, unsigned reachable, bool active);

} // namespace swarm::node
