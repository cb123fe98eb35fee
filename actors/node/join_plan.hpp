// What `swarm join` will do with the addresses of its request, or why not.
#pragma once

#include <string>
#include <vector>

#include "actors/ca/join_token.hpp"
#include "actors/node/init_plan.hpp"

namespace swarm::node {

struct join_plan {
  failure problem;              ///< ok, or why not (daemon's text, no rpc prefix)
  std::string listen_addr;      ///< IP:PORT
  std::string advertise_addr;   ///< IP:PORT, or "": this host's address on the way to the manager
  std::uint16_t listen_port = 0;
  std::string data_path_addr;   ///< IP, or ""
  std::vector<std::string> remote_addrs;
  ca::parsed_token token;
};

[[nodiscard]] join_plan plan_join(const JoinSwarm& request, const std::vector<host_address>& addresses,
                                  const std::string& configured_listen, const std::string& configured_advertise);

} // namespace swarm::node
