// Whether a node can take a task of a group, and if not, why (behaviour §4.7).
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "actors/scheduler/node_table.hpp"
#include "messages/constraints.hpp"
#include "messages/objects.pb.h"

namespace swarm::scheduler {

/// In the order in which they are asked. The first that refuses is the reason that is counted.
enum class filter : std::uint8_t { ready, resources, plugin, constraints, platform, host_port, max_replicas, none };
inline constexpr std::size_t filter_count = static_cast<std::size_t>(filter::none);

/// Everything that placement needs of one spec version, worked out once.
struct requirements {
  std::int64_t nano_cpus = 0;
  std::int64_t memory_bytes = 0;
  std::vector<std::pair<std::string, std::int64_t>> generic; ///< kind, count; by kind
  std::vector<constraint> constraints;
  std::vector<Platform> platforms;          ///< normalised; empty: any
  std::vector<std::string> spreads;         ///< descriptors, outermost first
  std::vector<std::string> volume_drivers;
  std::vector<std::string> networks;        ///< targets; their drivers are looked up
  std::string log_driver;
  std::vector<std::uint32_t> host_ports;
  std::uint64_t max_replicas = 0;           ///< per node; 0: any
};
[[nodiscard]] requirements requirements_of(const TaskTemplate& task);

/// Driver of each network, by id and by name.
using network_drivers = std::map<std::string, std::string>;

/// The first filter that refuses, or none.
[[nodiscard]] filter check(const requirements& wanted, service_index service, const node_entry& node,
                           const network_drivers& networks);

/// Only those whose answer changes with each task that is placed: resources, host ports, replicas.
[[nodiscard]] filter check_room(const requirements& wanted, service_index service, const node_entry& node);

/// How many nodes each filter refused.
using refusals = std::array<std::size_t, filter_count>;
/// "insufficient resources on 2 nodes; 1 node not available for new tasks": most first; "" when nothing refused.
[[nodiscard]] std::string explain(const refusals& counts);

/// Takes what the group needs out of `free`, choosing values of named resources in their order. The chosen are
/// appended. Precondition: check() found nothing to refuse.
void claim(const requirements& wanted, resources& free, google::protobuf::RepeatedPtrField<GenericResource>& chosen);

} // namespace swarm::scheduler
