// Joins rows with what they name, and writes them as JSON.
#include "actors/gateway/views.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

#include "messages/api.pb.h"
#include "messages/json_value.hpp"
#include "messages/json_writer.hpp"
#include "messages/networks.hpp"
#include "messages/service_defaults.hpp"
#include "runtime/text.hpp"

namespace swarm::gateway {

namespace {

using spec_texts = std::map<std::pair<std::string, std::uint64_t>, std::string>;

spec_texts spec_texts_of(const ObjectsRead& read, api_minor api) {
  spec_texts out;
  for (const auto& t : read.templates()) {
    auto spec = t.spec();
    if (spec.runtime() == "container")
      spec.clear_runtime(); // a service shows it, a task does not
    out.emplace(std::pair{t.service_id(), t.spec_version()}, to_json(spec, api));
  }
  return out;
}

// The state's name in the API: TASK_STATE_RUNNING -> "running".
std::string state_text(TaskState state) {
  auto name = TaskState_Name(state);
  constexpr std::string_view prefix = "TASK_STATE_";
  return text::to_lower(std::string_view{name}.substr(std::min(prefix.size(), name.size())));
}

NetworkView network_view(const Network& network) {
  const auto& from = network.spec();
  NetworkView out;
  out.set_id(network.id());
  *out.mutable_meta() = network.meta();
  auto& spec = *out.mutable_spec();
  spec.set_name(from.name());
  *spec.mutable_labels() = from.labels();
  spec.mutable_driver_configuration()->set_name(from.driver());
  *spec.mutable_driver_configuration()->mutable_options() = from.options();
  spec.set_ipv6_enabled(from.enable_ipv6());
  spec.set_internal(from.internal());
  spec.set_attachable(from.attachable());
  spec.set_ingress(from.ingress());
  spec.set_scope("swarm");
  out.mutable_driver_state()->set_name(from.driver());
  if (network.vni() != 0)
    (*out.mutable_driver_state()->mutable_options())[std::string{vni_option}] = std::to_string(network.vni());
  out.mutable_ipam_options()->mutable_driver()->set_name("default");
  for (const auto& ipam : network.ipam()) {
    auto& range = *out.mutable_ipam_options()->add_configs();
    range.set_subnet(ipam.subnet());
    range.set_range(ipam.ip_range());
    range.set_gateway(ipam.gateway());
  }
  return out;
}

using network_texts = std::map<std::string, std::string>;

network_texts network_texts_of(const ObjectsRead& read, api_minor api) {
  network_texts out;
  for (const auto& network : read.networks())
    out.emplace(network.id(), to_json(network_view(network), api));
  return out;
}

void write_attachments(json_writer& out, const Task& task, const network_texts& networks) {
  out.key("NetworksAttachments");
  out.begin_array();
  for (const auto& attached : task.networks()) {
    const auto text = networks.find(attached.network_id());
    if (text == networks.end())
      continue;
    out.begin_object();
    out.key("Network");
    out.raw(text->second);
    if (attached.addresses_size() > 0) {
      out.key("Addresses");
      out.begin_array();
      for (const auto& address : attached.addresses())
        out.string(address);
      out.end_array();
    }
    out.end_object();
  }
  out.end_array();
}

struct joined_texts {
  spec_texts specs;
  network_texts networks;
};

// What is held back shows why, unless it has a trouble of its own.
void write_status(json_writer& out, const Task& task, api_minor api) {
  if (task.held().empty() || !task.status().err().empty() || task.status().state() > TASK_STATE_READY)
    return to_json(task.status(), out, api);
  auto status = task.status();
  status.set_err(task.held());
  to_json(status, out, api);
}

// Field for field TaskView of api.proto, without building one: a list may hold 100,000.
void write_task(json_writer& out, const Task& task, const joined_texts& texts, api_minor api) {
  const auto& specs = texts.specs;
  out.begin_object();
  out.member("ID", task.id());
  out.key("Version");
  out.begin_object();
  out.member("Index", static_cast<std::uint64_t>(task.meta().version().index()));
  out.end_object();
  out.key("CreatedAt");
  out.time(task.meta().created_at());
  out.key("UpdatedAt");
  out.time(task.meta().updated_at());
  out.key("Labels");
  out.raw("{}");
  out.key("Spec");
  const auto spec = specs.find({task.service_id(), task.spec_version()});
  out.raw(spec == specs.end() ? std::string_view{"{}"} : std::string_view{spec->second});
  out.member("ServiceID", task.service_id());
  if (task.slot() != 0)
    out.member("Slot", static_cast<std::uint64_t>(task.slot()));
  if (!task.node_id().empty())
    out.member("NodeID", task.node_id());
  out.key("Status");
  write_status(out, task, api);
  out.member("DesiredState", state_text(task.desired_state()));
  if (task.networks_size() > 0)
    write_attachments(out, task, texts.networks);
  if (task.assigned_generic_resources_size() > 0) {
    out.key("GenericResources");
    out.begin_array();
    for (const auto& resource : task.assigned_generic_resources()) {
      out.raw(to_json(resource, api));
    }
    out.end_array();
  }
  if (task.has_job_iteration() && api.value >= 41) {
    out.key("JobIteration");
    out.begin_object();
    if (task.job_iteration() != 0)
      out.member("Index", static_cast<std::uint64_t>(task.job_iteration()));
    out.end_object();
  }
  if (api.value >= 42) {
    out.key("Volumes");
    out.null();
  }
  out.end_object();
}

/// Swarm fills in an endpoint only for a service that publishes ports or is on networks.
Service shown(const Service& service) {
  auto out = service;
  if (out.endpoint().ports().empty() && out.endpoint().virtual_ips().empty() && out.endpoint().spec().ports().empty()
      && out.spec().task_template().networks().empty())
    out.mutable_endpoint()->mutable_spec()->Clear();
  return out;
}

struct allowed_filters {
  ObjectKind kind;
  std::vector<std::string_view> keys;
};

const std::vector<std::string_view>& keys_of(ObjectKind kind) {
  static const std::vector<allowed_filters> table{
    {OBJECT_KIND_SERVICE, {"id", "name", "label", "mode", "runtime"}},
    {OBJECT_KIND_TASK, {"id", "name", "label", "service", "node", "desired-state", "_up-to-date", "runtime"}},
    {OBJECT_KIND_NODE, {"id", "name", "label", "node.label", "role", "membership"}},
    {OBJECT_KIND_SECRET, {"id", "name", "names", "label"}},
    {OBJECT_KIND_CONFIG, {"id", "name", "label"}},
    {OBJECT_KIND_NETWORK, {"id", "name", "driver", "label", "scope", "type", "dangling"}},
  };
  static const std::vector<std::string_view> none;
  for (const auto& row : table)
    if (row.kind == kind)
      return row.keys;
  return none;
}

std::string upper(std::string text) {
  for (auto& c : text)
    c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

/// What else than a text a filter may be: states, roles, memberships.
failure check_value(ObjectKind kind, const std::string& key, const std::string& value) {
  TaskState state{};
  const bool bad = kind == OBJECT_KIND_TASK && key == "desired-state"
                     ? value.empty() || !TaskState_Parse("TASK_STATE_" + upper(value), &state)
                   : kind == OBJECT_KIND_NODE && key == "role"       ? value != "manager" && value != "worker"
                   : kind == OBJECT_KIND_NODE && key == "membership" ? value != "accepted" && value != "pending"
                                                                     : false;
  return bad ? failure{errc::internal, "Invalid " + key + " filter: '" + value + "'"} : failure{};
}

std::string_view state_text(LocalNodeState state) {
  switch (state) {
    case LOCAL_NODE_STATE_PENDING: return "pending";
    case LOCAL_NODE_STATE_ACTIVE: return "active";
    case LOCAL_NODE_STATE_ERROR: return "error";
    case LOCAL_NODE_STATE_LOCKED: return "locked";
    default: return "inactive";
  }
}

} // namespace

std::string tasks_json(const ObjectsRead& read, api_minor api) {
  const joined_texts texts{spec_texts_of(read, api), network_texts_of(read, api)};
  std::string text;
  text.reserve(static_cast<std::size_t>(read.tasks_size()) * 700 + 2);
  json_writer out{text};
  out.begin_array();
  for (const auto& task : read.tasks())
    write_task(out, task, texts, api);
  out.end_array();
  return text;
}

std::string task_json(const ObjectsRead& read, api_minor api) {
  std::string text;
  json_writer out{text};
  write_task(out, read.tasks(0), {spec_texts_of(read, api), network_texts_of(read, api)}, api);
  return text;
}

std::string services_json(const ObjectsRead& read, api_minor api) {
  std::string text;
  json_writer out{text};
  out.begin_array();
  for (const auto& service : read.services())
    to_json(shown(service), out, api);
  out.end_array();
  return text;
}

std::string service_json(const Service& service, bool insert_defaults, api_minor api) {
  if (!insert_defaults)
    return to_json(shown(service), api);
  auto filled = shown(service);
  apply_service_defaults(*filled.mutable_spec());
  return to_json(filled, api);
}

Cluster cluster_view(const Cluster& cluster, bool with_tokens) {
  auto out = cluster;
  if (with_tokens)
    *out.mutable_join_tokens() = cluster.root_ca().join_tokens();
  else
    out.clear_join_tokens();
  out.clear_root_ca();
  out.clear_unlock_key();
  return out;
}

std::string swarm_info_json(const LocalNode& local, const ObjectsRead* cluster_and_nodes, api_minor api) {
  SwarmInfo info;
  info.set_node_id(local.node_id());
  info.set_node_addr(local.node_addr());
  info.set_local_node_state(std::string{state_text(local.state())});
  info.set_control_available(local.control_available());
  info.set_error(local.error());
  for (const auto& peer : local.remote_managers()) {
    auto& out = *info.add_remote_managers();
    out.set_node_id(peer.node_id());
    out.set_addr(peer.addr());
  }
  if (cluster_and_nodes != nullptr) {
    info.set_nodes(static_cast<std::uint64_t>(cluster_and_nodes->nodes_size()));
    const auto managers = std::count_if(cluster_and_nodes->nodes().begin(), cluster_and_nodes->nodes().end(),
                                        [](const Node& n) { return n.has_manager_status(); });
    info.set_managers(static_cast<std::uint64_t>(managers));
    *info.mutable_cluster() = cluster_view(cluster_and_nodes->cluster(), false);
    if (managers == 2)
      info.add_warnings("WARNING: Running Swarm in a two-manager configuration. This configuration provides no fault"
                        " tolerance, and poses a high risk to lose control over the cluster."
                        " Refer to https://docs.docker.com/engine/swarm/admin_guide/ to configure the Swarm for fault-tolerance.");
  }
  return to_json(info, api);
}

std::string swarm_header(const LocalNode& local) {
  std::string out{state_text(local.state())};
  if (local.state() == LOCAL_NODE_STATE_ACTIVE)
    out += local.control_available() ? "/manager" : "/worker";
  return out;
}

failure check_filters(ObjectKind kind, std::string_view filters, api_minor api, ReadObjects& out) {
  std::map<std::string, std::vector<std::string>> parsed;
  if (auto f = parse_filters(filters, parsed); !f.ok())
    return f;
  const auto& allowed = keys_of(kind);
  for (const auto& [key, values] : parsed) {
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end())
      return {errc::invalid_argument, (api.value >= 42 ? "invalid filter '" : "Invalid filter '") + key + "'"};
    auto& filter = *out.add_filters();
    filter.set_key(key);
    for (const auto& value : values) {
      if (auto bad = check_value(kind, key, value); !bad.ok())
        return bad;
      filter.add_values(value);
    }
  }
  return {};
}

failure parse_version(std::string_view text, std::string_view object, std::uint64_t& out) {
  const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (ec == std::errc{} && rest == text.data() + text.size() && !text.empty())
    return {};
  const auto why = ec == std::errc::result_out_of_range ? "value out of range" : "invalid syntax";
  return {errc::invalid_argument, "invalid " + std::string{object} + " version '" + std::string{text}
                                    + "': strconv.ParseUint: parsing " + text::quoted(text) + ": " + why};
}

failure parse_flag(std::string_view text, std::string_view key, bool& out) {
  constexpr std::string_view yes[] = {"1", "t", "T", "true", "TRUE", "True"};
  constexpr std::string_view no[] = {"", "0", "f", "F", "false", "FALSE", "False"};
  out = std::find(std::begin(yes), std::end(yes), text) != std::end(yes);
  if (out || std::find(std::begin(no), std::end(no), text) != std::end(no))
    return {};
  return {errc::invalid_argument, "invalid value for " + std::string{key} + ": " + std::string{text}};
}

bool bool_value(std::string_view text) {
  const auto s = text::to_lower(text::trim(text));
  return !(s.empty() || s == "0" || s == "no" || s == "false" || s == "none");
}

} // namespace swarm::gateway
