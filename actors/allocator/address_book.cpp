// Holders and pools, kept in step.
#include "actors/allocator/address_book.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace swarm::allocator {

void address_book::put(const Network& network) {
  const auto it = networks_.find(network.id());
  if (it == networks_.end())
    networks_.emplace(network.id(), entry{network, address_pool{network}});
  else
    it->second.network = network;
}

void address_book::remove(const std::string& network_id) {
  networks_.erase(network_id);
  for (auto it = holders_.begin(); it != holders_.end();) {
    std::erase_if(it->second, [&](const address& a) { return a.first == network_id; });
    it = it->second.empty() ? holders_.erase(it) : std::next(it);
  }
}

const Network* address_book::find(const std::string& network_id) const {
  const auto it = networks_.find(network_id);
  return it == networks_.end() ? nullptr : &it->second.network;
}

std::optional<std::string> address_book::take(const std::string& holder, const std::string& network_id) {
  const auto network = networks_.find(network_id);
  if (network == networks_.end())
    return std::nullopt;
  auto& pool = network->second.pool;
  if (const auto it = holders_.find(holder); it != holders_.end())
    for (const auto& [id, had] : it->second)
      if (id == network_id)
        return pool.text_of(had);
  const auto fresh = pool.take();
  if (!fresh)
    return std::nullopt;
  holders_[holder].emplace_back(network_id, *fresh);
  return pool.text_of(*fresh);
}

void address_book::hold(const std::string& holder, const std::string& network_id, std::string_view text) {
  const auto network = networks_.find(network_id);
  const auto wanted = address_of(text);
  if (network == networks_.end() || !wanted)
    return;
  auto& all = holders_[holder];
  const auto mine = std::find_if(all.begin(), all.end(), [&](const address& a) { return a.first == network_id; });
  if (mine == all.end()) {
    all.emplace_back(network_id, *wanted);
  } else if (mine->second != *wanted) {
    network->second.pool.release(mine->second);
    mine->second = *wanted;
  }
  network->second.pool.hold(*wanted);
}

bool address_book::keep_only(const std::string& holder, const std::vector<std::string>& networks) {
  const auto it = holders_.find(holder);
  if (it == holders_.end())
    return false;
  bool freed = false;
  std::erase_if(it->second, [&](const address& a) {
    if (std::find(networks.begin(), networks.end(), a.first) != networks.end())
      return false;
    if (const auto network = networks_.find(a.first); network != networks_.end())
      freed = network->second.pool.release(a.second) || freed;
    return true;
  });
  if (it->second.empty())
    holders_.erase(it);
  return freed;
}

bool address_book::release(const std::string& holder) { return keep_only(holder, {}); }

std::string address_book::why_none(const std::string& network_id) const {
  const auto it = networks_.find(network_id);
  if (it == networks_.end())
    return "network " + network_id + " not found";
  return "no free address in network " + it->second.network.spec().name() + " (" + it->second.pool.subnets() + ")";
}

void address_book::clear() { *this = {}; }

void address_book::check_invariants() const {
  std::map<std::string, std::size_t> held;
  for (const auto& [holder, all] : holders_) {
    SWARM_CHECK(!all.empty(), holder);
    for (const auto& [network, a] : all)
      ++held[network];
  }
  for (const auto& [id, count] : held)
    SWARM_CHECK(networks_.contains(id) && networks_.at(id).pool.taken() <= count, id);
}

std::string address_book::dump() const {
  std::string out;
  for (const auto& [id, e] : networks_)
    if (!e.network.predefined())
      out += "network " + e.network.spec().name() + " " + id + " " + e.pool.subnets() + " vni=" + std::to_string(e.network.vni())
             + " taken=" + std::to_string(e.pool.taken()) + "\n";
  return out;
}

} // namespace swarm::allocator
