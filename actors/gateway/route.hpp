// Which part of the Engine API a request is for, decided from its method and path alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swarm::gateway {

/// The newest and oldest API this gateway speaks: 1.50 (CLI 28) down to 1.24, as the daemon of that CLI does.
inline constexpr std::uint32_t api_minor_max = 50;
inline constexpr std::uint32_t api_minor_min = 24;

enum class target : std::uint8_t {
  engine,          ///< not ours: passed through to the engine untouched
  bad_version,     ///< a version prefix that is too new, too old or malformed
  ping, info, version, events, distribution,
  network_list, network_inspect, network_create, network_remove, network_connect, network_prune,
  network_create_checked, network_remove_found, ///< second steps of the two, after the engine was asked; no route leads here
  swarm_init, swarm_join, swarm_leave, swarm_inspect, swarm_update, swarm_unlock_key, swarm_unlock,
  service_list, service_create, service_inspect, service_update, service_remove, service_logs,
  task_list, task_inspect, task_logs,
  node_list, node_inspect, node_update, node_remove,
  secret_list, secret_create, secret_inspect, secret_update, secret_remove,
  config_list, config_create, config_inspect, config_update, config_remove,
  unknown,         ///< below a path of ours, but no such route: 404 "page not found"
};

struct route {
  target to = target::engine;
  std::uint32_t api_minor = api_minor_max;
  std::string id;          ///< the {id} of the path, percent-decoded
  std::string engine_path; ///< the path without its version prefix
  std::string error;       ///< for bad_version
};

/// `path` is percent-decoded and without the query.
[[nodiscard]] route find_route(std::string_view method, std::string_view path);

/// The request target for an engine whose newest API is 1.engine_minor (0 = unknown: unchanged). Only lowers a version
/// prefix, so that an older engine answers a newer client.
[[nodiscard]] std::string engine_target(std::string_view raw_target, std::uint32_t engine_minor);

} // namespace swarm::gateway
