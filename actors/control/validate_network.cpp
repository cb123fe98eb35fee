// What networks of swarm scope cannot be here: refused in words instead of being stored without effect.
#include <charconv>

#include "actors/control/validate.hpp"
#include "messages/ipv4.hpp"
#include "messages/networks.hpp"

namespace swarm::control {

namespace {

constexpr std::uint32_t mtu_min = 68; // IPv4's own
constexpr std::uint32_t mtu_max = 65535;

refusal cannot(std::string text) { return plain_refusal(errc::unimplemented, std::move(text)); }

refusal check_option(const std::string& key, const std::string& value) {
  if (key == "encrypted" && value != "false")
    return cannot("encrypted networks are not available in this version of swarm-node");
  if (key != mtu_option)
    return {};
  std::uint32_t mtu = 0;
  const auto [rest, ec] = std::from_chars(value.data(), value.data() + value.size(), mtu);
  if (ec != std::errc{} || rest != value.data() + value.size() || mtu < mtu_min || mtu > mtu_max)
    return invalid("invalid value for option " + key + ": " + value);
  return {};
}

refusal check_gateway(const ipv4_subnet& subnet, const IPAMConfig& ipam) {
  if (const auto gateway = parse_ipv4(ipam.gateway()); gateway && (*gateway == subnet.base || *gateway == subnet.last()))
    return invalid("ipam configuration: gateway " + ipam.gateway() + " is no host address of subnet " + ipam.subnet());
  for (const auto& [name, text] : ipam.auxiliary_addresses()) {
    const auto address = parse_ipv4(text);
    if (!address || !subnet.contains(*address))
      return invalid("ipam configuration: subnet " + ipam.subnet() + " does not contain auxiliary address " + text);
  }
  return {};
}

} // namespace

refusal check_network_support(const NetworkSpec& spec) {
  if (spec.driver() != "overlay" || spec.config_only() || !spec.config_from().empty())
    return cannot("networks of swarm scope are made by the overlay driver only in this version of swarm-node");
  if (const auto& driver = spec.ipam().driver(); !driver.empty() && driver != "default")
    return cannot("ipam driver " + driver + " is not available on networks of swarm scope: only default is");
  for (const auto& [key, value] : spec.options())
    if (auto bad = check_option(key, value); !bad.ok())
      return bad;
  if (spec.ipam().config_size() > 1)
    return cannot("networks of swarm scope have one subnet each in this version of swarm-node");
  for (const auto& ipam : spec.ipam().config()) {
    const auto subnet = parse_ipv4_subnet(ipam.subnet());
    if (!subnet)
      return cannot("subnet " + ipam.subnet() + ": networks of swarm scope have IPv4 addresses only in this version of swarm-node");
    if (subnet->prefix > 30)
      return invalid("ipam configuration: subnet " + ipam.subnet() + " has no room for a gateway and a task");
    if (auto bad = check_gateway(*subnet, ipam); !bad.ok())
      return bad;
  }
  return {};
}

} // namespace swarm::control
