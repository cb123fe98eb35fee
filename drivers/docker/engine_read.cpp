// The engine's JSON answers as our messages. Everything here comes from outside: nothing may be trusted to be there.
#include <algorithm>

#include "drivers/docker/engine_map.hpp"
#include "drivers/driver_core.hpp"
#include "messages/json_value.hpp"
#include "runtime/text.hpp"

namespace swarm::docker {
namespace {

constexpr std::size_t message_bytes_max = 2048;

const json_value& at(const json_value& from, std::string_view key) {
  static const json_value none;
  const auto* found = from.find(key);
  return found != nullptr ? *found : none;
}

std::string text_at(const json_value& from, std::string_view key) {
  return std::string{at(from, key).as_string()};
}

std::int64_t number_at(const json_value& from, std::string_view key) {
  return at(from, key).as_integer().value_or(0);
}

std::int64_t time_at(const json_value& from, std::string_view key) {
  return text::parse_rfc3339(at(from, key).as_string()).value_or(0);
}

failure garbage(std::string_view what) {
  // Unknown outcome: something answered, but not what we asked.
  return {errc::deadline_exceeded, "the engine's answer is not " + std::string{what}};
}

TaskHandle::Phase phase_of(std::string_view state) {
  if (state == "created")
    return TaskHandle::PHASE_CREATED;
  if (state == "running" || state == "paused" || state == "restarting")
    return TaskHandle::PHASE_RUNNING;
  return TaskHandle::PHASE_EXITED;
}

// "80/tcp": [{"HostIp":"0.0.0.0","HostPort":"8080"}, {"HostIp":"::",…}] — one entry per address family, as Swarm has it.
void read_ports(const json_value& ports, TaskHandle& handle) {
  for (const auto& [key, bindings] : ports.members()) {
    const auto slash = key.find('/');
    const auto protocol = slash == std::string::npos ? std::string_view{"tcp"} : std::string_view{key}.substr(slash + 1);
    for (const auto& binding : bindings.items()) {
      const auto digits = text_at(binding, "HostPort");
      if (digits.empty() || digits.size() > 5 || !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }))
        continue;
      const auto target = key.substr(0, std::min(slash, std::size_t{5}));
      if (target.empty() || !std::all_of(target.begin(), target.end(), [](char c) { return c >= '0' && c <= '9'; }))
        continue;
      auto& port = *handle.add_ports();
      port.set_protocol(protocol == "udp" ? PORT_PROTOCOL_UDP : protocol == "sctp" ? PORT_PROTOCOL_SCTP : PORT_PROTOCOL_TCP);
      port.set_target_port(static_cast<std::uint32_t>(std::stoul(target)));
      port.set_published_port(static_cast<std::uint32_t>(std::stoul(digits)));
      port.set_publish_mode(PUBLISH_MODE_HOST);
    }
  }
}

void read_health(const json_value& state, TaskHandle& handle) {
  const auto health = at(at(state, "Health"), "Status").as_string();
  if (health.empty() || health == "none")
    return;
  handle.set_has_health(true);
  handle.set_healthy(health == "healthy");
  if (health == "unhealthy" && handle.phase() == TaskHandle::PHASE_RUNNING)
    handle.set_error("dockerexec: unhealthy container");
}

void read_plugins(const json_value& info, EngineDescription& engine) {
  const auto& plugins = at(info, "Plugins");
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto* type : {"Volume", "Network", "Authorization", "Log"})
    for (const auto& name : at(plugins, type).items())
      all.emplace_back(type, std::string{name.as_string()});
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  for (const auto& [type, name] : all) {
    auto& plugin = *engine.add_plugins();
    plugin.set_type(type);
    plugin.set_name(name);
  }
}

void read_generic_resources(const json_value& info, Resources& resources) {
  for (const auto& item : at(info, "GenericResources").items()) {
    const auto& named = at(item, "NamedResourceSpec");
    const auto& discrete = at(item, "DiscreteResourceSpec");
    if (named.is_object()) {
      auto& out = *resources.add_generic_resources()->mutable_named_resource_spec();
      out.set_kind(text_at(named, "Kind"));
      out.set_value(text_at(named, "Value"));
    } else if (discrete.is_object()) {
      auto& out = *resources.add_generic_resources()->mutable_discrete_resource_spec();
      out.set_kind(text_at(discrete, "Kind"));
      out.set_value(number_at(discrete, "Value"));
    }
  }
}

} // namespace

failure read_inspect(std::string_view body, inspected& out) {
  json_value doc;
  if (!json_value::parse(body, doc).ok() || !at(doc, "State").is_object() || text_at(doc, "Id").empty())
    return garbage("a container");
  const auto& state = at(doc, "State");
  const auto& config = at(doc, "Config");
  const auto& labels = at(config, "Labels");
  auto& handle = out.handle;
  handle.set_task_id(text_at(labels, driver::label_task_id));
  out.cluster_id = text_at(labels, driver::label_cluster_id);
  out.tty = at(config, "Tty").as_bool();
  for (const auto id : text::split(at(labels, driver::label_networks).as_string(), ','))
    if (!id.empty())
      out.networks.emplace_back(id);
  handle.set_phase(phase_of(at(state, "Status").as_string()));
  auto& container = *handle.mutable_container();
  container.set_container_id(text_at(doc, "Id"));
  container.set_pid(number_at(state, "Pid"));
  container.set_exit_code(number_at(state, "ExitCode"));
  handle.set_oom_killed(at(state, "OOMKilled").as_bool());
  handle.set_error(text_at(state, "Error"));
  handle.set_started_at(time_at(state, "StartedAt"));
  handle.set_finished_at(time_at(state, "FinishedAt"));
  read_health(state, handle);
  read_ports(at(at(doc, "NetworkSettings"), "Ports"), handle);
  return {};
}

failure read_list(std::string_view body, std::vector<listed>& out) {
  json_value doc;
  if (!json_value::parse(body, doc).ok() || !doc.is_array())
    return garbage("a list of containers");
  for (const auto& row : doc.items()) {
    const auto& labels = at(row, "Labels");
    listed item{text_at(row, "Id"), text_at(labels, driver::label_task_id), text_at(labels, driver::label_cluster_id),
                text_at(row, "State")};
    if (item.container_id.empty())
      return garbage("a list of containers");
    out.push_back(std::move(item));
  }
  return {};
}

std::string read_created_id(std::string_view body) {
  json_value doc;
  return json_value::parse(body, doc).ok() ? text_at(doc, "Id") : std::string{};
}

std::string read_message(std::string_view body) {
  json_value doc;
  if (json_value::parse(body, doc).ok())
    if (auto message = text_at(doc, "message"); !message.empty()) {
      while (!message.empty() && (message.back() == '\n' || message.back() == ' '))
        message.pop_back();
      if (message.size() > message_bytes_max)
        message.resize(message_bytes_max);
      return message;
    }
  return std::string{text::trim(body.substr(0, std::min<std::size_t>(body.size(), 256)))};
}

failure read_event(std::string_view line, event& out) {
  json_value doc;
  if (!json_value::parse(line, doc).ok() || !doc.is_object())
    return garbage("an event");
  out = {};
  if (at(doc, "Type").as_string() != "container")
    return {};
  const auto& attributes = at(at(doc, "Actor"), "Attributes");
  out.action = text_at(doc, "Action");
  out.container_id = text_at(at(doc, "Actor"), "ID");
  out.task_id = text_at(attributes, driver::label_task_id);
  out.cluster_id = text_at(attributes, driver::label_cluster_id);
  out.time = number_at(doc, "timeNano");
  const auto code = at(attributes, "exitCode").as_string();
  const auto digits = !code.empty() && code.size() < 10
                      && std::all_of(code.begin(), code.end(), [](char c) { return c >= '0' && c <= '9'; });
  out.exit_code = digits ? std::stol(std::string{code}) : 0;
  return {};
}

std::string read_pull_error(std::string_view line) {
  json_value doc;
  if (!json_value::parse(line, doc).ok())
    return {};
  if (auto detail = text_at(at(doc, "errorDetail"), "message"); !detail.empty())
    return detail;
  return text_at(doc, "error");
}

failure read_fingerprint(std::string_view info_body, std::string_view version_body, fingerprint& out) {
  json_value info;
  json_value version;
  if (!json_value::parse(info_body, info).ok() || !json_value::parse(version_body, version).ok()
      || text_at(version, "ApiVersion").empty() || at(info, "NCPU").is_null())
    return garbage("its description");
  auto& description = out.description;
  description.set_hostname(text_at(info, "Name"));
  // /info speaks the kernel's language already: x86_64, aarch64.
  description.mutable_platform()->set_architecture(text_at(info, "Architecture"));
  description.mutable_platform()->set_os(text_at(info, "OSType"));
  auto& resources = *description.mutable_resources();
  resources.set_nano_cpus(std::clamp<std::int64_t>(number_at(info, "NCPU"), 0, 1'000'000) * 1'000'000'000);
  resources.set_memory_bytes(number_at(info, "MemTotal"));
  read_generic_resources(info, resources);
  auto& engine = *description.mutable_engine();
  engine.set_engine_version(text_at(info, "ServerVersion"));
  for (const auto& label : at(info, "Labels").items()) {
    const std::string entry{label.as_string()};
    const auto equals = entry.find('=');
    (*engine.mutable_labels())[entry.substr(0, equals)] = equals == std::string::npos ? "" : entry.substr(equals + 1);
  }
  read_plugins(info, engine);
  const auto api = text_at(version, "ApiVersion");
  const auto dot = api.find('.');
  const auto minor = dot == std::string::npos ? std::string{} : api.substr(dot + 1);
  if (minor.empty() || minor.size() > 3 || !std::all_of(minor.begin(), minor.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return garbage("its version");
  out.api_minor = static_cast<std::uint32_t>(std::stoul(minor));
  out.id = text_at(info, "ID");
  return {};
}

std::string label_filter(const std::map<std::string, std::vector<std::string>>& filters) {
  json_value doc = json_value::object();
  for (const auto& [key, values] : filters) {
    auto list = json_value::array();
    for (const auto& value : values)
      list.push_back(json_value{value});
    doc.set(key, std::move(list));
  }
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const auto c : doc.dump()) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  return out;
}

} // namespace swarm::docker
