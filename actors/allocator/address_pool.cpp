// Walks over the taken addresses; free ones are not stored.
#include "actors/allocator/address_pool.hpp"

#include <algorithm>

namespace swarm::allocator {

address_pool::address_pool(const Network& network) {
  for (const auto& ipam : network.ipam()) {
    const auto subnet = parse_ipv4_subnet(ipam.subnet());
    if (!subnet || subnet->prefix > 30)
      continue;
    block b{*subnet, subnet->base + 1, subnet->last() - 1, 0};
    if (const auto range = parse_ipv4_subnet(ipam.ip_range()); range && subnet->contains(*range)) {
      b.first = std::max(b.first, range->base);
      b.last = std::min(b.last, range->last());
    }
    b.next = b.first;
    blocks_.push_back(b);
    if (const auto gateway = parse_ipv4(ipam.gateway()))
      reserved_.insert(*gateway);
    for (const auto& [name, text] : ipam.auxiliary_addresses())
      if (const auto address = parse_ipv4(text))
        reserved_.insert(*address);
  }
}

std::optional<ipv4> address_pool::free_between(ipv4 from, ipv4 to) const {
  auto at = taken_.lower_bound(from);
  for (std::uint64_t candidate = from; candidate <= to; ++candidate) {
    const auto address = static_cast<ipv4>(candidate);
    if (at != taken_.end() && *at == address)
      ++at;
    else if (!reserved_.contains(address))
      return address;
  }
  return std::nullopt;
}

std::optional<ipv4> address_pool::take() {
  for (auto& b : blocks_) {
    if (b.first > b.last)
      continue;
    auto found = b.next <= b.last ? free_between(b.next, b.last) : std::nullopt;
    if (!found && b.next > b.first)
      found = free_between(b.first, b.next - 1);
    if (!found)
      continue;
    hold(*found);
    return found;
  }
  return std::nullopt;
}

void address_pool::hold(ipv4 address) {
  taken_.insert(address);
  for (auto& b : blocks_)
    if (address >= b.next && address <= b.last)
      b.next = address + 1;
    else if (address >= b.first && address < b.next && b.next > b.last)
      b.next = address + 1; // the walk has begun again
}

bool address_pool::release(ipv4 address) { return taken_.erase(address) > 0; }

std::string address_pool::text_of(ipv4 address) const {
  for (const auto& b : blocks_)
    if (b.subnet.contains(address))
      return to_text(address) + "/" + std::to_string(b.subnet.prefix);
  return to_text(address) + "/32";
}

std::string address_pool::subnets() const {
  std::string out;
  for (const auto& b : blocks_)
    out += (out.empty() ? "" : ", ") + to_text(b.subnet);
  return out;
}

} // namespace swarm::allocator
