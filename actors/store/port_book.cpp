// Conflicts and choice of published ports.
#include "actors/store/port_book.hpp"

#include <set>

namespace swarm::store {

namespace {

bool is_host(const PortConfig& port) { return port.publish_mode() == PUBLISH_MODE_HOST; }

std::uint32_t key_of(const PortConfig& port, std::uint32_t number) {
  const auto protocol = port.protocol() == PORT_PROTOCOL_UNSPECIFIED ? PORT_PROTOCOL_TCP : port.protocol();
  return static_cast<std::uint32_t>(protocol) << 16 | (number & 0xffff);
}

} // namespace

void port_book::enter(const PortConfig& port, const std::string& service_id) {
  if (port.published_port() == 0)
    return;
  auto& h = holders_[key_of(port, port.published_port())][service_id];
  (is_host(port) ? h.host : h.ingress) = true;
}

void port_book::leave(const PortConfig& port, const std::string& service_id) {
  const auto it = holders_.find(key_of(port, port.published_port()));
  if (it == holders_.end())
    return;
  it->second.erase(service_id);
  if (it->second.empty())
    holders_.erase(it);
}

void port_book::add(const Service& service) {
  for (const auto& port : service.spec().endpoint_spec().ports())
    enter(port, service.id());
  for (const auto& port : service.endpoint().ports())
    enter(port, service.id());
}

void port_book::remove(const Service& service) {
  for (const auto& port : service.spec().endpoint_spec().ports())
    leave(port, service.id());
  for (const auto& port : service.endpoint().ports())
    leave(port, service.id());
}

std::optional<port_book::conflict> port_book::find_conflict(const EndpointSpec& spec, std::string_view service_id) const {
  for (const auto& port : spec.ports()) {
    if (port.published_port() == 0)
      continue;
    const auto it = holders_.find(key_of(port, port.published_port()));
    if (it == holders_.end())
      continue;
    for (const auto& [id, held] : it->second) {
      if (id == service_id)
        continue;
      if (held.ingress)
        return conflict{port.published_port(), id, true};
      if (!is_host(port))
        return conflict{port.published_port(), id, false};
    }
  }
  return std::nullopt;
}

std::optional<Endpoint> port_book::allocate(const EndpointSpec& spec, const Endpoint& old,
                                            std::string_view service_id) const {
  Endpoint out;
  *out.mutable_spec() = spec;
  *out.mutable_virtual_ips() = old.virtual_ips();
  std::set<port_key> own; // of this very spec: neither given twice nor taken from the user's own choice
  for (const auto& port : spec.ports())
    own.insert(key_of(port, port.published_port()));
  for (const auto& port : spec.ports()) {
    auto& given = *out.add_ports();
    given = port;
    if (port.published_port() != 0 || is_host(port))
      continue;
    const auto usable = [&](std::uint32_t number) {
      const auto key = key_of(port, number);
      const auto it = holders_.find(key);
      return number >= dynamic_first && number <= dynamic_last && !own.contains(key)
             && (it == holders_.end() || !held_by_others(it->second, service_id));
    };
    for (const auto& before : old.ports())
      if (!is_host(before) && before.target_port() == port.target_port() && before.name() == port.name()
          && key_of(before, 0) == key_of(port, 0) && usable(before.published_port())) {
        given.set_published_port(before.published_port());
        break;
      }
    // The holders from the first dynamic port on, side by side with the numbers: the first gap is the lowest free port.
    auto held = holders_.lower_bound(key_of(port, dynamic_first));
    for (auto number = dynamic_first; given.published_port() == 0 && number <= dynamic_last; ++number) {
      const auto key = key_of(port, number);
      bool taken = own.contains(key);
      if (held != holders_.end() && held->first == key) {
        taken = taken || held_by_others(held->second, service_id);
        ++held;
      }
      if (!taken)
        given.set_published_port(number);
    }
    if (given.published_port() == 0)
      return std::nullopt;
    own.insert(key_of(port, given.published_port()));
  }
  return out;
}

} // namespace swarm::store
