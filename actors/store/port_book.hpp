// Which service holds which published port: conflicts, and the choice of dynamic ports.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "messages/objects.pb.h"

namespace swarm::store {

/// Rules (behaviour §4.14): an ingress port belongs to one service, and no other may publish it on hosts; many services
/// may publish the same host port, since whether they meet on a node is for the scheduler to see. Ports count per protocol.
class port_book {
public:
  static constexpr std::uint32_t dynamic_first = 30000;
  static constexpr std::uint32_t dynamic_last = 32767;

  /// Enters what spec and endpoint of a service publish, or takes it out again. Harmless when repeated.
  void add(const Service& service);
  void remove(const Service& service);

  struct conflict {
    std::uint32_t port = 0;
    std::string service_id;
    bool ingress = false; ///< how the other service holds it
  };
  /// The first port of the spec that another service stands in the way of.
  [[nodiscard]] std::optional<conflict> find_conflict(const EndpointSpec& spec, std::string_view service_id) const;

  /// The endpoint of a spec: dynamic ports stay what they are in `old` while no other service holds them, else the lowest
  /// free ones are taken. nullopt when too few are left. Precondition: find_conflict() finds none.
  [[nodiscard]] std::optional<Endpoint> allocate(const EndpointSpec& spec, const Endpoint& old,
                                                 std::string_view service_id) const;

  bool operator==(const port_book&) const = default;

private:
  using port_key = std::uint32_t; // protocol << 16 | port
  struct holding {
    bool ingress = false;
    bool host = false;
    bool operator==(const holding&) const = default;
  };

  void enter(const PortConfig& port, const std::string& service_id);
  void leave(const PortConfig& port, const std::string& service_id);

  using services = std::map<std::string, holding, std::less<>>;
  [[nodiscard]] static bool held_by_others(const services& held, std::string_view service_id) {
    return held.size() > 1 || !held.contains(service_id);
  }

  std::map<port_key, services> holders_; // no empty inner maps
};

} // namespace swarm::store
