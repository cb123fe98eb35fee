// The nodes as SCHEDULER sees them: what is free on each, and how many tasks of which service it has.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "messages/objects.pb.h"
#include "runtime/time.hpp"

namespace swarm::scheduler {

/// Services and groups (service × spec version) by small numbers that are used again when free.
using service_index = std::uint32_t;
using group_index = std::uint32_t;
using node_index = std::uint32_t;
inline constexpr node_index no_node = ~node_index{0};

/// A node with this many failures of one service spec within the period is chosen last.
inline constexpr std::size_t failures_max = 5;
inline constexpr duration failures_period = minutes{5};

/// What tasks reserve, or what is free. Named resources are single values of a kind, discrete ones a count.
struct resources {
  std::int64_t nano_cpus = 0;
  std::int64_t memory_bytes = 0;
  std::map<std::string, std::int64_t> discrete;
  std::set<std::pair<std::string, std::string>> named;
};
[[nodiscard]] resources resources_of(const Resources& offered);

/// Counts of small keys: a sorted vector, since a node knows few of them.
class counters {
public:
  [[nodiscard]] std::uint32_t of(std::uint32_t key) const;
  void add(std::uint32_t key);
  void take(std::uint32_t key);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
  std::vector<std::pair<std::uint32_t, std::uint32_t>> entries_;
};

/// A node's facts and load. Unused once `present` is false (its number may be used again when no task names it).
struct node_entry {
  Node node;
  bool present = false;
  resources free;
  counters by_service;        ///< tasks wanted up, of each service
  counters host_ports;        ///< key: port × 4 + protocol
  std::uint32_t tasks = 0;    ///< wanted up
  std::uint32_t holding = 0;  ///< tasks that hold reservations here
  std::vector<std::pair<group_index, instant>> failures;

  [[nodiscard]] std::size_t recent_failures(group_index group, instant now) const;
  void add_failure(group_index group, instant now);
};

[[nodiscard]] inline std::uint32_t host_port_key(const PortConfig& port) {
  const auto protocol = port.protocol() == PORT_PROTOCOL_UNSPECIFIED ? PORT_PROTOCOL_TCP : port.protocol();
  return port.published_port() * 4 + static_cast<std::uint32_t>(protocol);
}

} // namespace swarm::scheduler
