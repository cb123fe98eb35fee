// First fit, in the order of addresses: with a few hundred networks a walk over the used ones costs nothing.
#include "actors/store/address_plan.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "messages/ipv4.hpp"
#include "messages/networks.hpp"

namespace swarm::store {

namespace {

constexpr std::uint32_t default_subnet_size = 24;

failure refused(errc code, std::string text) { return {code, std::move(text)}; }

std::vector<ipv4_subnet> used_subnets(const tables& state) {
  std::vector<ipv4_subnet> out;
  for (const auto& [id, network] : state.networks.all())
    for (const auto& ipam : network->ipam())
      if (const auto subnet = parse_ipv4_subnet(ipam.subnet()))
        out.push_back(*subnet);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.base < b.base; });
  return out;
}

/// The first block of that prefix in the pool that touches none of `used`, which is sorted.
std::optional<ipv4_subnet> first_free(const ipv4_subnet& pool, unsigned prefix, const std::vector<ipv4_subnet>& used) {
  const auto step = std::uint64_t{1} << (32 - prefix);
  std::uint64_t at = pool.base;
  for (const auto& other : used) {
    if (other.last() < at)
      continue;
    if (other.base >= at + step)
      break;
    at = (std::uint64_t{other.last()} / step + 1) * step;
  }
  if (at + step - 1 > pool.last())
    return std::nullopt;
  return ipv4_subnet{static_cast<ipv4>(at), prefix};
}

failure plan_given(const NetworkSpec& spec, std::vector<ipv4_subnet> used, Network& network) {
  for (const auto& wanted : spec.ipam().config()) {
    const auto subnet = parse_ipv4_subnet(wanted.subnet());
    if (!subnet || subnet->prefix > 30)
      return refused(errc::invalid_argument, "ipam configuration: invalid subnet " + wanted.subnet());
    if (std::any_of(used.begin(), used.end(), [&](const auto& other) { return other.overlaps(*subnet); }))
      return refused(errc::invalid_argument, "Pool overlaps with other one on this address space");
    used.push_back(*subnet);
    auto& ipam = *network.add_ipam();
    ipam = wanted;
    ipam.set_subnet(to_text(*subnet));
    if (ipam.gateway().empty())
      ipam.set_gateway(to_text(subnet->base + 1));
  }
  return {};
}

failure plan_from_pools(const tables& state, const std::vector<ipv4_subnet>& used, Network& network) {
  std::vector<std::string> pools{"10.0.0.0/8"};
  auto prefix = default_subnet_size;
  if (state.cluster && state.cluster->default_addr_pool_size() > 0)
    pools.assign(state.cluster->default_addr_pool().begin(), state.cluster->default_addr_pool().end());
  if (state.cluster && state.cluster->subnet_size() != 0)
    prefix = state.cluster->subnet_size();
  for (const auto& text : pools) {
    const auto pool = parse_ipv4_subnet(text);
    if (!pool || pool->prefix > prefix || prefix > 30)
      continue;
    const auto subnet = first_free(*pool, prefix, used);
    if (!subnet)
      continue;
    auto& ipam = *network.add_ipam();
    ipam.set_subnet(to_text(*subnet));
    ipam.set_gateway(to_text(subnet->base + 1));
    return {};
  }
  return refused(errc::resource_exhausted, "could not find an available, non-overlapping IPv4 address pool among the "
                                           "defaults to assign to the network");
}

failure plan_vni(const tables& state, Network& network) {
  std::set<std::uint32_t> used;
  for (const auto& [id, other] : state.networks.all())
    used.insert(other->vni());
  if (const auto wanted = network.spec().options().find(std::string{vni_option}); wanted != network.spec().options().end()) {
    const auto& text = wanted->second;
    std::uint32_t vni = 0;
    const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), vni);
    if (ec != std::errc{} || rest != text.data() + text.size() || vni == 0 || vni > last_vni)
      return refused(errc::invalid_argument, "invalid vxlan id " + text + " passed in " + std::string{vni_option});
    if (used.contains(vni))
      return refused(errc::invalid_argument, "vxlan id " + text + " is already in use by another network");
    network.set_vni(vni);
    return {};
  }
  auto vni = first_vni;
  for (auto it = used.lower_bound(vni); it != used.end() && *it == vni; ++it)
    ++vni;
  if (vni > last_vni)
    return refused(errc::resource_exhausted, "no vxlan id is left");
  network.set_vni(vni);
  return {};
}

} // namespace

failure plan_addresses(const tables& state, Network& network) {
  network.clear_ipam();
  network.set_vni(0);
  if (network.predefined())
    return {};
  if (auto bad = plan_vni(state, network); !bad.ok())
    return bad;
  const auto used = used_subnets(state);
  const NetworkSpec spec = network.spec();
  return spec.ipam().config().empty() ? plan_from_pools(state, used, network) : plan_given(spec, used, network);
}

} // namespace swarm::store
