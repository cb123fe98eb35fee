// The rules about networks that several actors share: which need addresses, which services have virtual ones.
#pragma once

#include <cstdint>
#include <string_view>

#include "messages/objects.pb.h"

namespace swarm {

/// Virtual network identifiers count up from here; below are those of people who choose their own.
inline constexpr std::uint32_t first_vni = 4096;
inline constexpr std::uint32_t last_vni = (1u << 24) - 1;
/// 1500 of Ethernet without the 50 of vxlan.
inline constexpr std::uint32_t default_mtu = 1450;
inline constexpr std::string_view vni_option = "com.docker.network.driver.overlay.vxlanid_list";
inline constexpr std::string_view mtu_option = "com.docker.network.driver.mtu";

/// On the bridge that carries a network of swarm scope on one host: that network's id; and the cluster that made it.
inline constexpr std::string_view network_label = "io.swarm-node.network.id";
inline constexpr std::string_view cluster_label = "io.swarm-node.cluster.id";

/// Networks that every engine has; a service names them, and needs no address.
[[nodiscard]] inline bool is_engine_network(std::string_view name) {
  return name == "host" || name == "bridge" || name == "none";
}

/// Unset and unspecified mean vip, as in Swarm.
[[nodiscard]] inline bool has_virtual_ips(const ServiceSpec& spec) {
  return spec.endpoint_spec().mode() != ENDPOINT_MODE_DNSRR;
}

} // namespace swarm
