// A task as the engine's create request: field by field what Swarm's own executor writes.
#include "drivers/docker/engine_map.hpp"

#include <algorithm>
#include <functional>
#include <google/protobuf/map.h>

#include "drivers/driver_core.hpp"
#include "messages/json_value.hpp"
#include "messages/json_writer.hpp"
#include "runtime/text.hpp"

namespace swarm::docker {
namespace {

using strings = google::protobuf::RepeatedPtrField<std::string>;
using string_map = google::protobuf::Map<std::string, std::string>;

void string_array(json_writer& out, std::string_view key, const strings& values) {
  if (values.empty())
    return;
  out.key(key);
  out.begin_array();
  for (const auto& value : values)
    out.string(value);
  out.end_array();
}

void string_object(json_writer& out, std::string_view key, const std::map<std::string, std::string>& values) {
  out.key(key);
  out.begin_object();
  for (const auto& [name, value] : values)
    out.member(name, value);
  out.end_object();
}

std::map<std::string, std::string> sorted(const string_map& values) {
  return {values.begin(), values.end()};
}

void text_member(json_writer& out, std::string_view key, const std::string& value) {
  if (!value.empty())
    out.member(key, value);
}

std::string port_key(const PortConfig& port) {
  const auto* protocol = port.protocol() == PORT_PROTOCOL_UDP ? "udp"
                         : port.protocol() == PORT_PROTOCOL_SCTP ? "sctp"
                                                                 : "tcp";
  return std::to_string(port.target_port()) + "/" + protocol;
}

// Only host-mode ports: the routing mesh is not the container's business.
std::map<std::string, std::vector<std::uint32_t>> host_ports(const TaskDescription& task) {
  std::map<std::string, std::vector<std::uint32_t>> out;
  for (const auto& port : task.endpoint_spec().ports())
    if (port.publish_mode() == PUBLISH_MODE_HOST)
      out[port_key(port)].push_back(port.published_port());
  return out;
}

void health_check(json_writer& out, const HealthConfig& health) {
  out.key("Healthcheck");
  out.begin_object();
  string_array(out, "Test", health.test());
  auto number = [&](std::string_view key, std::int64_t value) {
    if (value != 0)
      out.member(key, value);
  };
  number("Interval", health.interval());
  number("Timeout", health.timeout());
  number("StartPeriod", health.start_period());
  number("StartInterval", health.start_interval());
  number("Retries", health.retries());
  out.end_object();
}

std::string_view mount_type(const Mount& mount) {
  switch (mount.type()) {
    case MOUNT_TYPE_BIND: return "bind";
    case MOUNT_TYPE_TMPFS: return "tmpfs";
    case MOUNT_TYPE_NPIPE: return "npipe";
    case MOUNT_TYPE_CLUSTER: return "cluster";
    default: return "volume";
  }
}

void volume_options(json_writer& out, const VolumeOptions& options) {
  out.key("VolumeOptions");
  out.begin_object();
  if (options.no_copy())
    out.member("NoCopy", true);
  if (!options.labels().empty())
    string_object(out, "Labels", sorted(options.labels()));
  text_member(out, "Subpath", options.subpath());
  if (options.has_driver_config()) {
    out.key("DriverConfig");
    out.begin_object();
    text_member(out, "Name", options.driver_config().name());
    if (!options.driver_config().options().empty())
      string_object(out, "Options", sorted(options.driver_config().options()));
    out.end_object();
  }
  out.end_object();
}

void tmpfs_options(json_writer& out, const TmpfsOptions& options) {
  out.key("TmpfsOptions");
  out.begin_object();
  if (options.size_bytes() != 0)
    out.member("SizeBytes", options.size_bytes());
  if (options.mode() != 0)
    out.member("Mode", std::uint64_t{options.mode()});
  if (!options.options().empty()) {
    out.key("Options");
    out.begin_array();
    for (const auto& option : options.options()) {
      out.begin_array();
      for (const auto& part : option.items())
        out.string(part);
      out.end_array();
    }
    out.end_array();
  }
  out.end_object();
}

void one_mount(json_writer& out, const Mount& mount) {
  out.begin_object();
  out.member("Type", mount_type(mount));
  text_member(out, "Source", mount.source());
  out.member("Target", mount.target());
  if (mount.read_only())
    out.member("ReadOnly", true);
  text_member(out, "Consistency", mount.consistency());
  if (mount.has_bind_options()) {
    const auto& bind = mount.bind_options();
    out.key("BindOptions");
    out.begin_object();
    text_member(out, "Propagation", bind.propagation());
    if (bind.non_recursive())
      out.member("NonRecursive", true);
    if (bind.create_mountpoint())
      out.member("CreateMountpoint", true);
    if (bind.read_only_non_recursive())
      out.member("ReadOnlyNonRecursive", true);
    if (bind.read_only_force_recursive())
      out.member("ReadOnlyForceRecursive", true);
    out.end_object();
  }
  if (mount.has_volume_options())
    volume_options(out, mount.volume_options());
  if (mount.has_tmpfs_options())
    tmpfs_options(out, mount.tmpfs_options());
  out.end_object();
}

void mounts(json_writer& out, const TaskDescription& task, const std::string& files_directory) {
  const auto& spec = task.spec().container_spec();
  if (spec.mounts().empty() && task.secret_files().empty())
    return;
  out.key("Mounts");
  out.begin_array();
  for (const auto& mount : spec.mounts())
    one_mount(out, mount);
  for (int i = 0; i < task.secret_files_size(); ++i) {
    out.begin_object();
    out.member("Type", "bind");
    out.member("Source", files_directory + "/" + std::to_string(i));
    out.member("Target", task.secret_files(i).target());
    out.member("ReadOnly", true);
    out.end_object();
  }
  out.end_array();
}

std::vector<std::string> security_options(const Privileges& privileges) {
  std::vector<std::string> out;
  if (privileges.has_credential_spec()) {
    const auto& credential = privileges.credential_spec();
    if (!credential.file().empty())
      out.push_back("credentialspec=file://" + credential.file());
    else if (!credential.registry().empty())
      out.push_back("credentialspec=registry://" + credential.registry());
    else if (!credential.config().empty())
      out.push_back("credentialspec=config://" + credential.config());
  }
  if (privileges.has_selinux_context()) {
    const auto& context = privileges.selinux_context();
    if (context.disable())
      out.emplace_back("label=disable");
    auto label = [&](const char* kind, const std::string& value) {
      if (!value.empty())
        out.push_back(std::string{"label="} + kind + ":" + value);
    };
    label("user", context.user());
    label("role", context.role());
    label("type", context.type());
    label("level", context.level());
  }
  if (privileges.seccomp().mode() == "unconfined")
    out.emplace_back("seccomp=unconfined");
  else if (privileges.seccomp().mode() == "custom")
    out.push_back("seccomp=" + privileges.seccomp().profile());
  if (privileges.app_armor().mode() == "disabled")
    out.emplace_back("apparmor=unconfined");
  if (privileges.no_new_privileges())
    out.emplace_back("no-new-privileges=true");
  return out;
}

void resources(json_writer& out, const TaskSpec& spec) {
  const auto& container = spec.container_spec();
  const auto& limits = spec.resources().limits();
  if (limits.nano_cpus() > 0)
    out.member("NanoCpus", limits.nano_cpus());
  if (limits.memory_bytes() > 0)
    out.member("Memory", limits.memory_bytes());
  if (limits.pids() > 0)
    out.member("PidsLimit", limits.pids());
  if (spec.resources().has_swap_bytes()) {
    // The engine counts memory and swap together; -1 is without limit in both worlds.
    const auto swap = spec.resources().swap_bytes();
    std::int64_t both = -1;
    if (swap >= 0 && __builtin_add_overflow(limits.memory_bytes(), swap, &both))
      both = -1;
    out.member("MemorySwap", both);
  }
  if (spec.resources().has_memory_swappiness())
    out.member("MemorySwappiness", spec.resources().memory_swappiness());
  if (!container.ulimits().empty()) {
    out.key("Ulimits");
    out.begin_array();
    for (const auto& limit : container.ulimits()) {
      out.begin_object();
      out.member("Name", limit.name());
      out.member("Hard", limit.hard());
      out.member("Soft", limit.soft());
      out.end_object();
    }
    out.end_array();
  }
}

void extra_hosts(json_writer& out, const strings& hosts) {
  std::vector<std::string> entries;
  for (const auto& line : hosts) {
    std::vector<std::string_view> words;
    for (auto word : text::split(line, ' '))
      if (!text::trim(word).empty())
        words.push_back(text::trim(word));
    // "ip name alias…" becomes "name:ip"; aliases are lost, as in Swarm.
    if (words.size() > 1)
      entries.push_back(std::string{words[1]} + ":" + std::string{words[0]});
  }
  if (entries.empty())
    return;
  out.key("ExtraHosts");
  out.begin_array();
  for (const auto& entry : entries)
    out.string(entry);
  out.end_array();
}

std::string predefined_network(const TaskDescription& task) {
  for (const auto& network : task.networks())
    if (!network.predefined_name().empty())
      return network.predefined_name();
  for (const auto& network : task.spec().networks())
    if (network.target() == "host" || network.target() == "none" || network.target() == "bridge")
      return network.target();
  return {};
}

/// Names under which others on the network find the task: its own, the service's, those of the spec, and "tasks." before
/// either. Whoever shares a name is answered together.
std::vector<std::string> aliases_of(const TaskDescription& task, const TaskNetwork& on) {
  std::vector<std::string> out{task.task_name()};
  const auto add = [&out](const std::string& name) {
    if (!name.empty() && std::find(out.begin(), out.end(), name) == out.end())
      out.push_back(name);
  };
  add(task.service_name());
  for (const auto& alias : on.aliases())
    add(alias);
  const auto shared = out.size();
  for (std::size_t i = 1; i < shared; ++i)
    add("tasks." + out[i]);
  add(task.spec().container_spec().hostname());
  return out;
}

void endpoint(json_writer& out, const TaskDescription& task, const TaskNetwork& on) {
  out.begin_object();
  if (on.addresses_size() > 0) {
    out.key("IPAMConfig");
    out.begin_object();
    out.member("IPv4Address", on.addresses(0).substr(0, on.addresses(0).find('/')));
    out.end_object();
  }
  out.key("Aliases");
  out.begin_array();
  for (const auto& alias : aliases_of(task, on))
    out.string(alias);
  out.end_array();
  out.end_object();
}

void host_config(json_writer& out, const TaskDescription& task, const std::string& files_directory, const attachment* first) {
  const auto& spec = task.spec();
  const auto& container = spec.container_spec();
  resources(out, spec);
  string_array(out, "GroupAdd", container.groups());
  mounts(out, task, files_directory);
  if (container.read_only())
    out.member("ReadonlyRootfs", true);
  text_member(out, "Isolation", container.isolation());
  if (container.has_init())
    out.member("Init", container.init());
  if (!container.sysctls().empty())
    string_object(out, "Sysctls", sorted(container.sysctls()));
  string_array(out, "CapAdd", container.capability_add());
  string_array(out, "CapDrop", container.capability_drop());
  if (container.oom_score_adj() != 0)
    out.member("OomScoreAdj", container.oom_score_adj());
  string_array(out, "Dns", container.dns_config().nameservers());
  string_array(out, "DnsSearch", container.dns_config().search());
  string_array(out, "DnsOptions", container.dns_config().options());
  extra_hosts(out, container.hosts());
  if (const auto options = security_options(container.privileges()); !options.empty()) {
    out.key("SecurityOpt");
    out.begin_array();
    for (const auto& option : options)
      out.string(option);
    out.end_array();
  }
  if (spec.has_log_driver()) {
    out.key("LogConfig");
    out.begin_object();
    out.member("Type", spec.log_driver().name());
    string_object(out, "Config", sorted(spec.log_driver().options()));
    out.end_object();
  }
  if (const auto network = predefined_network(task); !network.empty())
    out.member("NetworkMode", network);
  else if (first != nullptr)
    out.member("NetworkMode", first->engine_network);
  if (const auto ports = host_ports(task); !ports.empty()) {
    out.key("PortBindings");
    out.begin_object();
    for (const auto& [key, published] : ports) {
      out.key(key);
      out.begin_array();
      for (const auto port : published) {
        out.begin_object();
        if (port != 0)
          out.member("HostPort", std::to_string(port));
        out.end_object();
      }
      out.end_array();
    }
    out.end_object();
  }
  // No RestartPolicy: restarting is the swarm's decision, a second attempt inside one task would be none of its own.
}

} // namespace

bool on_engine_network(const TaskDescription& task) { return !predefined_network(task).empty(); }

std::string connect_body(const TaskDescription& task, const std::string& container, const attachment& to) {
  std::string body;
  json_writer out{body};
  out.begin_object();
  out.member("Container", container);
  out.key("EndpointConfig");
  endpoint(out, task, *to.on);
  out.end_object();
  return body;
}

std::string create_body(const TaskDescription& task, const std::string& files_directory, const attachment* first) {
  const auto& spec = task.spec().container_spec();
  std::string body;
  json_writer out{body};
  out.begin_object();
  out.member("Image", image_reference(spec.image()));
  // A command replaces the image's entrypoint together with its command; arguments alone go to its entrypoint.
  string_array(out, "Entrypoint", spec.command());
  string_array(out, "Cmd", spec.args());
  text_member(out, "Hostname", spec.hostname());
  auto env = spec.env();
  for (auto& entry : driver::resource_env(task))
    *env.Add() = std::move(entry);
  string_array(out, "Env", env);
  text_member(out, "WorkingDir", spec.dir());
  text_member(out, "User", spec.user());
  text_member(out, "StopSignal", spec.stop_signal());
  if (spec.tty())
    out.member("Tty", true);
  if (spec.open_stdin())
    out.member("OpenStdin", true);
  string_object(out, "Labels", driver::labels_of(task));
  if (spec.has_healthcheck())
    health_check(out, spec.healthcheck());
  if (const auto ports = host_ports(task); !ports.empty()) {
    out.key("ExposedPorts");
    out.begin_object();
    for (const auto& [key, published] : ports) {
      out.key(key);
      out.begin_object();
      out.end_object();
    }
    out.end_object();
  }
  out.key("HostConfig");
  out.begin_object();
  host_config(out, task, files_directory, first);
  out.end_object();
  if (first != nullptr && !on_engine_network(task)) {
    out.key("NetworkingConfig");
    out.begin_object();
    out.key("EndpointsConfig");
    out.begin_object();
    out.key(first->engine_network);
    endpoint(out, task, *first->on);
    out.end_object();
    out.end_object();
  }
  out.end_object();
  return body;
}

image_name parse_image(const std::string& image) {
  image_name out;
  auto hex = [](std::string_view s) {
    return std::all_of(s.begin(), s.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  };
  if ((image.starts_with("sha256:") && hex(std::string_view{image}.substr(7))) || (image.size() == 64 && hex(image))) {
    out.is_id = true;
    return out;
  }
  auto name = image;
  if (const auto at = name.find('@'); at != std::string::npos) {
    out.has_digest = true;
    out.tag = name.substr(at + 1);
    name.resize(at);
  }
  const auto slash = name.rfind('/');
  const auto colon = name.find(':', slash == std::string::npos ? 0 : slash);
  if (colon != std::string::npos) {
    if (!out.has_digest)
      out.tag = name.substr(colon + 1);
    name.resize(colon);
  }
  if (out.tag.empty())
    out.tag = "latest";
  out.repository = name;
  const auto host = name.substr(0, name.find('/'));
  const auto names_host = name.find('/') != std::string::npos
                          && (host.find_first_of(".:") != std::string::npos || host == "localhost");
  out.registry = names_host ? host : "docker.io";
  return out;
}

std::string image_reference(const std::string& image) {
  const auto name = parse_image(image);
  if (name.is_id || name.has_digest)
    return image;
  return name.repository + ":" + name.tag;
}

std::string registry_auth(const TaskDescription& task) {
  const auto& auth = task.spec().container_spec().registry_auth();
  return auth == "e30=" || auth == "e30" ? std::string{} : auth; // {}: what the CLI sends without a login
}

} // namespace swarm::docker
