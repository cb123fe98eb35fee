// The filters, their explanations, and the choice of generic resources.
#include "actors/scheduler/filters.hpp"

#include <algorithm>
#include <numeric>

namespace swarm::scheduler {

namespace {

Platform normalised(const Platform& p) {
  auto out = p;
  if (p.architecture() == "x86_64")
    out.set_architecture("amd64");
  else if (p.architecture() == "aarch64")
    out.set_architecture("arm64");
  return out;
}

bool is_ready(const Node& node) {
  return node.status().state() == NODE_STATE_READY &&
         (node.spec().availability() == NODE_AVAILABILITY_ACTIVE ||
          node.spec().availability() == NODE_AVAILABILITY_UNSPECIFIED);
}

std::int64_t available(const resources& free, const std::string& kind) {
  std::int64_t count = 0;
  if (const auto it = free.discrete.find(kind); it != free.discrete.end())
    count += it->second;
  for (auto it = free.named.lower_bound({kind, {}}); it != free.named.end() && it->first == kind; ++it)
    ++count;
  return count;
}

bool has_resources(const requirements& wanted, const resources& free) {
  return wanted.nano_cpus <= free.nano_cpus && wanted.memory_bytes <= free.memory_bytes &&
         std::all_of(wanted.generic.begin(), wanted.generic.end(),
                     [&](const auto& g) { return g.second <= available(free, g.first); });
}

enum class plugin { found, missing, type_unknown };

// A plugin may be listed with its tag: "vieux/sshfs:latest".
plugin find_plugin(const Node& node, std::string_view type, const std::string& name) {
  auto out = plugin::type_unknown;
  for (const auto& p : node.description().engine().plugins()) {
    if (p.type() != type)
      continue;
    if (p.name() == name || p.name() == name + ":latest")
      return plugin::found;
    out = plugin::missing;
  }
  return out;
}

bool has_plugins(const requirements& wanted, const Node& node, const network_drivers& networks) {
  for (const auto& driver : wanted.volume_drivers)
    if (find_plugin(node, "Volume", driver) != plugin::found)
      return false;
  // A node that names no plugin of a kind does not report that kind.
  for (const auto& target : wanted.networks)
    if (const auto it = networks.find(target); it != networks.end() && !it->second.empty() &&
                                               find_plugin(node, "Network", it->second) == plugin::missing)
      return false;
  return wanted.log_driver.empty() || find_plugin(node, "Log", wanted.log_driver) != plugin::missing;
}

bool has_platform(const requirements& wanted, const Node& node) {
  if (wanted.platforms.empty())
    return true;
  const auto own = normalised(node.description().platform());
  return std::any_of(wanted.platforms.begin(), wanted.platforms.end(), [&](const Platform& p) {
    return (p.architecture().empty() || p.architecture() == own.architecture()) && (p.os().empty() || p.os() == own.os());
  });
}

std::string counted(const char* text, std::size_t n) {
  return std::string{text} + " on " + std::to_string(n) + (n == 1 ? " node" : " nodes");
}

std::string explain_one(filter why, std::size_t n) {
  switch (why) {
    case filter::ready:
      return std::to_string(n) + (n == 1 ? " node" : " nodes") + " not available for new tasks";
    case filter::resources:
      return counted("insufficient resources", n);
    case filter::plugin:
      return counted("missing plugin", n);
    case filter::constraints:
      return counted("scheduling constraints not satisfied", n);
    case filter::platform:
      return counted("unsupported platform", n);
    case filter::host_port:
      return counted("host-mode port already in use", n);
    case filter::max_replicas:
      return "max replicas per node limit exceed";
    case filter::none:
      break;
  }
  return {};
}

} // namespace

requirements requirements_of(const TaskTemplate& task) {
  requirements out;
  const auto& spec = task.spec();
  const auto& reserved = spec.resources().reservations();
  out.nano_cpus = reserved.nano_cpus();
  out.memory_bytes = reserved.memory_bytes();
  std::map<std::string, std::int64_t> generic;
  for (const auto& g : reserved.generic_resources())
    if (g.has_discrete_resource_spec())
      generic[g.discrete_resource_spec().kind()] += g.discrete_resource_spec().value();
    else
      generic[g.named_resource_spec().kind()] += 1;
  out.generic.assign(generic.begin(), generic.end());
  out.constraints = stored_constraints(spec.placement());
  for (const auto& p : spec.placement().platforms())
    out.platforms.push_back(normalised(p));
  for (const auto& p : spec.placement().preferences())
    if (p.has_spread())
      out.spreads.push_back(p.spread().spread_descriptor());
  out.max_replicas = spec.placement().max_replicas();
  for (const auto& m : spec.container_spec().mounts()) {
    const auto& driver = m.volume_options().driver_config().name();
    if (m.type() == MOUNT_TYPE_VOLUME && !driver.empty() && driver != "local")
      out.volume_drivers.push_back(driver);
  }
  for (const auto& n : spec.networks())
    out.networks.push_back(n.target());
  if (spec.log_driver().name() != "none")
    out.log_driver = spec.log_driver().name();
  for (const auto& port : task.endpoint_spec().ports())
    if (port.publish_mode() == PUBLISH_MODE_HOST && port.published_port() != 0)
      out.host_ports.push_back(host_port_key(port));
  return out;
}

filter check(const requirements& wanted, service_index service, const node_entry& node, const network_drivers& networks) {
  if (!is_ready(node.node))
    return filter::ready;
  if (!has_resources(wanted, node.free))
    return filter::resources;
  if (!has_plugins(wanted, node.node, networks))
    return filter::plugin;
  if (!matches(wanted.constraints, node.node))
    return filter::constraints;
  if (!has_platform(wanted, node.node))
    return filter::platform;
  return check_room(wanted, service, node);
}

filter check_room(const requirements& wanted, service_index service, const node_entry& node) {
  if (!has_resources(wanted, node.free))
    return filter::resources;
  for (const auto port : wanted.host_ports)
    if (node.host_ports.of(port) > 0)
      return filter::host_port;
  if (wanted.max_replicas > 0 && node.by_service.of(service) >= wanted.max_replicas)
    return filter::max_replicas;
  return filter::none;
}

std::string explain(const refusals& counts) {
  std::array<std::size_t, filter_count> order;
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return counts[a] > counts[b]; });
  std::string out;
  for (const auto i : order) {
    if (counts[i] == 0)
      break;
    out += (out.empty() ? "" : "; ") + explain_one(static_cast<filter>(i), counts[i]);
  }
  return out;
}

void claim(const requirements& wanted, resources& free, google::protobuf::RepeatedPtrField<GenericResource>& chosen) {
  free.nano_cpus -= wanted.nano_cpus;
  free.memory_bytes -= wanted.memory_bytes;
  for (const auto& [kind, count] : wanted.generic) {
    auto left = count;
    for (auto it = free.named.lower_bound({kind, {}}); left > 0 && it != free.named.end() && it->first == kind; --left) {
      auto& value = *chosen.Add()->mutable_named_resource_spec();
      value.set_kind(kind);
      value.set_value(it->second);
      it = free.named.erase(it);
    }
    if (left <= 0)
      continue;
    auto& value = *chosen.Add()->mutable_discrete_resource_spec();
    value.set_kind(kind);
    value.set_value(left);
    free.discrete[kind] -= left;
  }
}

} // namespace swarm::scheduler
