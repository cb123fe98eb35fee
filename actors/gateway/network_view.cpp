// Field for field what the daemon's NetworkResource has.
#include "actors/gateway/network_view.hpp"

#include <algorithm>
#include <map>

#include "messages/ipv4.hpp"
#include "messages/json_writer.hpp"
#include "messages/networks.hpp"

namespace swarm::gateway {

namespace {

using labels = google::protobuf::Map<std::string, std::string>;

void string_map(json_writer& out, const std::map<std::string, std::string>& all) {
  if (all.empty()) {
    out.null();
    return;
  }
  out.begin_object();
  for (const auto& [key, value] : all)
    out.member(key, value);
  out.end_object();
}

std::map<std::string, std::string> sorted(const labels& from) { return {from.begin(), from.end()}; }

void write_ipam(json_writer& out, const Network& network) {
  out.begin_object();
  const auto& wanted = network.spec().ipam();
  out.member("Driver", wanted.driver().empty() ? std::string_view{"default"} : std::string_view{wanted.driver()});
  out.key("Options");
  string_map(out, sorted(wanted.options()));
  out.key("Config");
  out.begin_array();
  for (const auto& ipam : network.ipam()) {
    out.begin_object();
    out.member("Subnet", ipam.subnet());
    if (!ipam.ip_range().empty())
      out.member("IPRange", ipam.ip_range());
    out.member("Gateway", ipam.gateway());
    if (!ipam.auxiliary_addresses().empty()) {
      out.key("AuxiliaryAddresses");
      string_map(out, sorted(ipam.auxiliary_addresses()));
    }
    out.end_object();
  }
  out.end_array();
  out.end_object();
}

const TaskNetwork* attachment(const Task& task, const std::string& network_id) {
  for (const auto& network : task.networks())
    if (network.network_id() == network_id)
      return &network;
  return nullptr;
}

std::string_view without_prefix(std::string_view address) { return address.substr(0, address.find('/')); }

void write_task(json_writer& out, const Task& task, const Service& service, const TaskNetwork& on, const network_users& users) {
  out.begin_object();
  out.member("Name", service.spec().name() + "." + (task.slot() != 0 ? std::to_string(task.slot()) : task.node_id()) + "." + task.id());
  out.member("EndpointID", task.id());
  out.member("EndpointIP", on.addresses_size() > 0 ? without_prefix(on.addresses(0)) : std::string_view{});
  out.key("Info");
  out.begin_object();
  for (const auto& node : users.nodes)
    if (node.id() == task.node_id())
      out.member("Host IP", node.status().addr());
  out.end_object();
  out.end_object();
}

void write_service(json_writer& out, const Service& service, const std::string& network_id, const network_users& users) {
  std::string_view vip;
  for (const auto& address : service.endpoint().virtual_ips())
    if (address.network_id() == network_id)
      vip = without_prefix(address.addr());
  out.begin_object();
  out.member("VIP", vip);
  out.key("Ports");
  out.begin_array();
  for (const auto& port : service.endpoint().ports())
    out.string("Target: " + std::to_string(port.target_port()) + ", Publish: " + std::to_string(port.published_port()));
  out.end_array();
  out.member("LocalLBIndex", std::int64_t{0});
  out.key("Tasks");
  out.begin_array();
  for (const auto& task : users.tasks)
    if (const auto* on = attachment(task, network_id); task.service_id() == service.id() && on != nullptr)
      write_task(out, task, service, *on, users);
  out.end_array();
  out.end_object();
}

void write_services(json_writer& out, const std::string& network_id, const network_users& users) {
  out.key("Services");
  out.begin_object();
  for (const auto& service : users.services) {
    const auto& on = service.spec().task_template().networks();
    if (std::none_of(on.begin(), on.end(), [&](const auto& n) { return n.target() == network_id; }))
      continue;
    out.key(service.spec().name());
    write_service(out, service, network_id, users);
  }
  out.end_object();
}

/// "k" or "k=v".
bool holds(const labels& have, const std::string& wanted) {
  const auto equals = wanted.find('=');
  const auto it = have.find(wanted.substr(0, equals));
  return it != have.end() && (equals == std::string::npos || it->second == wanted.substr(equals + 1));
}

} // namespace

std::string network_json(const Network& network, const json_value& containers, const network_users* users, api_minor api) {
  const auto& spec = network.spec();
  std::string text;
  json_writer out{text};
  out.begin_object();
  out.member("Name", spec.name());
  out.member("Id", network.id());
  out.key("Created");
  out.time(network.meta().created_at());
  out.member("Scope", "swarm");
  out.member("Driver", spec.driver());
  if (api.value >= 48)
    out.member("EnableIPv4", true);
  out.member("EnableIPv6", spec.enable_ipv6());
  out.key("IPAM");
  write_ipam(out, network);
  out.member("Internal", spec.internal());
  out.member("Attachable", spec.attachable());
  out.member("Ingress", spec.ingress());
  out.key("ConfigFrom");
  out.begin_object();
  out.member("Network", "");
  out.end_object();
  out.member("ConfigOnly", false);
  out.key("Containers");
  containers.write(out);
  auto options = sorted(spec.options());
  if (network.vni() != 0)
    options[std::string{vni_option}] = std::to_string(network.vni());
  out.key("Options");
  string_map(out, options);
  out.key("Labels");
  string_map(out, sorted(spec.labels()));
  if (users != nullptr)
    write_services(out, network.id(), *users);
  out.end_object();
  return text;
}

std::string carried_network(const json_value& engine_network, std::string_view cluster_id) {
  const auto* all = engine_network.find("Labels");
  if (all == nullptr || cluster_id.empty())
    return {};
  const auto* cluster = all->find(cluster_label);
  const auto* network = all->find(network_label);
  if (cluster == nullptr || network == nullptr || cluster->as_string() != cluster_id)
    return {};
  return std::string{network->as_string()};
}

std::string missing_network(std::string_view refusal) {
  constexpr std::string_view before = "network ", after = " not found";
  if (!refusal.starts_with(before) || !refusal.ends_with(after) || refusal.size() <= before.size() + after.size())
    return {};
  return std::string{refusal.substr(before.size(), refusal.size() - before.size() - after.size())};
}

std::string local_network_refusal(const json_value& engine_network, std::string_view cluster_id) {
  const auto* scope = engine_network.find("Scope");
  const auto* name = engine_network.find("Name");
  if (scope == nullptr || name == nullptr || scope->as_string() != "local" || !carried_network(engine_network, cluster_id).empty())
    return {};
  return "The network " + std::string{name->as_string()}
         + " cannot be used with services. Only networks scoped to the swarm can be used, such as those created with the overlay driver.";
}

std::string merged_networks_json(const std::string& engine_body, const ObjectsRead& swarm, std::string_view cluster_id,
                                 api_minor api) {
  json_value body = json_value::array();
  if (!engine_body.empty() && (!json_value::parse(engine_body, body).ok() || !body.is_array()))
    return engine_body;
  std::string text;
  json_writer out{text};
  out.begin_array();
  for (const auto& network : swarm.networks())
    out.raw(network_json(network, json_value{}, nullptr, api));
  for (const auto& network : body.items())
    if (carried_network(network, cluster_id).empty())
      network.write(out);
  out.end_array();
  return text += '\n';
}

failure read_network_wish(std::string_view body, api_minor api, network_wish& out) {
  if (auto bad = from_json(body, out.spec, api); !bad.ok())
    return bad;
  json_value parsed;
  if (auto bad = json_value::parse(body, parsed); !bad.ok())
    return bad;
  if (const auto* from = parsed.find("ConfigFrom"))
    if (const auto* name = from->find("Network"))
      out.spec.set_config_from(std::string{name->as_string()});
  out.of_swarm_scope = out.spec.scope() == "swarm" || (out.spec.driver() == "overlay" && out.spec.scope() != "local");
  return {};
}

failure read_prune_filters(std::string_view filters, prune_filters& out) {
  std::map<std::string, std::vector<std::string>> parsed;
  if (auto bad = parse_filters(filters, parsed); !bad.ok())
    return bad;
  out.labels = parsed["label"];
  out.not_labels = parsed["label!"];
  out.until = !parsed["until"].empty();
  return {};
}

bool may_prune(const prune_filters& filters, const Network& network) {
  const auto& have = network.spec().labels();
  const auto has = [&](const std::string& wanted) { return holds(have, wanted); };
  return !filters.until && !network.predefined() && !network.spec().ingress()
         && std::all_of(filters.labels.begin(), filters.labels.end(), has)
         && std::none_of(filters.not_labels.begin(), filters.not_labels.end(), has);
}

std::string engine_prune_filters(std::string_view filters) {
  std::map<std::string, std::vector<std::string>> parsed;
  if (!parse_filters(filters, parsed).ok())
    return std::string{filters}; // the engine has its own words for it
  parsed["label!"].emplace_back(network_label);
  auto out = json_value::object();
  for (const auto& [key, values] : parsed) {
    auto list = json_value::array();
    for (const auto& value : values)
      list.push_back(json_value{value});
    out.set(key, std::move(list));
  }
  return out.dump();
}

std::string pruned_json(const std::string& engine_body, const std::vector<std::string>& removed) {
  json_value body = json_value::object();
  if (!engine_body.empty() && (!json_value::parse(engine_body, body).ok() || !body.is_object()))
    return engine_body;
  auto names = json_value::array();
  for (const auto& name : removed)
    names.push_back(json_value{name});
  if (const auto* engines = body.find("NetworksDeleted"))
    for (const auto& name : engines->items())
      names.push_back(name);
  body.set("NetworksDeleted", names.items().empty() ? json_value{} : std::move(names));
  return body.dump() + '\n';
}

} // namespace swarm::gateway
