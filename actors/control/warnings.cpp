// The table of fields without effect; a line leaves it when its feature comes.
#include "actors/control/warnings.hpp"

#include <algorithm>
#include <charconv>

#include "messages/constraints.hpp"
#include "messages/service_labels.hpp"
#include "runtime/text.hpp"

namespace swarm::control {

namespace {

const ContainerSpec& container_of(const ServiceSpec& s) { return s.task_template().container_spec(); }

template <class Test>
bool any_mount(const ServiceSpec& s, Test test) {
  const auto& mounts = container_of(s).mounts();
  return std::any_of(mounts.begin(), mounts.end(), test);
}

struct row {
  const char* field;
  bool (*used)(const ServiceSpec&);
  const char* consequence;
};

// clang-format off
const row table[] = {
  {"EndpointSpec.Ports[PublishMode=ingress]",
   [](const ServiceSpec& s) {
     const auto& ports = s.endpoint_spec().ports();
     return std::any_of(ports.begin(), ports.end(), [](const auto& p) { return p.publish_mode() != PUBLISH_MODE_HOST; });
   },
   "the port is reserved, but there is no routing mesh yet; publish with mode=host to reach it"},
  {"TaskTemplate.Networks[DriverOpts]",
   [](const ServiceSpec& s) {
     const auto& networks = s.task_template().networks();
     return std::any_of(networks.begin(), networks.end(), [](const auto& n) { return !n.driver_opts().empty(); });
   },
   "options of a single attachment are not passed to the engine"},
  {"TaskTemplate.PluginSpec",
   [](const ServiceSpec& s) { return s.task_template().has_plugin_spec(); },
   "plugins are not installed; the tasks will be rejected"},
  {"ContainerSpec.Privileges.CredentialSpec",
   [](const ServiceSpec& s) { return container_of(s).privileges().has_credential_spec(); },
   "credential specs are for Windows and are not passed on"},
  {"ContainerSpec.Configs[Runtime]",
   [](const ServiceSpec& s) {
     const auto& configs = container_of(s).configs();
     return std::any_of(configs.begin(), configs.end(), [](const auto& c) { return c.has_runtime(); });
   },
   "only credential specs, which are for Windows, use a config for the runtime, as in Docker Swarm"},
  {"ContainerSpec.Mounts[Type=cluster]",
   [](const ServiceSpec& s) { return any_mount(s, [](const Mount& m) { return m.type() == MOUNT_TYPE_CLUSTER; }); },
   "there are no cluster volumes; the tasks will be rejected"},
  {"ContainerSpec.Mounts.BindOptions.CreateMountpoint",
   [](const ServiceSpec& s) { return any_mount(s, [](const Mount& m) { return m.bind_options().create_mountpoint(); }); },
   "a missing source directory is not created, as in Docker Swarm"},
  {"ContainerSpec.Mounts.BindOptions.ReadOnlyNonRecursive",
   [](const ServiceSpec& s) { return any_mount(s, [](const Mount& m) { return m.bind_options().read_only_non_recursive(); }); },
   "it is not passed to the engine, as in Docker Swarm"},
  {"ContainerSpec.Mounts.BindOptions.ReadOnlyForceRecursive",
   [](const ServiceSpec& s) { return any_mount(s, [](const Mount& m) { return m.bind_options().read_only_force_recursive(); }); },
   "it is not passed to the engine, as in Docker Swarm"},
};
// clang-format on

/// Swarm takes these, and the task fails later with the same words.
std::string mount_problem(const Mount& m) {
  const auto absolute = [](const std::string& path) { return path.starts_with('/') || path.starts_with("{{"); };
  if (!absolute(m.target()))
    return "invalid mount target, must be an absolute path: " + m.target();
  if ((m.type() == MOUNT_TYPE_BIND || m.type() == MOUNT_TYPE_UNSPECIFIED) && !absolute(m.source()))
    return "invalid bind mount source, must be an absolute path: " + m.source();
  if (m.type() == MOUNT_TYPE_VOLUME && m.source().starts_with('/'))
    return "invalid volume mount source, must not be an absolute path: " + m.source();
  if (m.type() == MOUNT_TYPE_TMPFS && !m.source().empty())
    return "invalid tmpfs source, source must be empty";
  if (m.type() == MOUNT_TYPE_NPIPE)
    return "named pipes exist on Windows only: " + m.target();
  return {};
}

/// "" or a number: the same as what the node takes.
bool is_owner(const std::string& id) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  return id.empty() || (error == std::errc{} && end == id.data() + id.size());
}

template <class References>
void owner_problems(const char* kind, const References& references, std::vector<std::string>& out) {
  for (const auto& r : references)
    for (const auto& id : {r.file().uid(), r.file().gid()})
      if (!is_owner(id))
        out.push_back(std::string{"tasks will be rejected: the owner of "} + kind + " " + r.file().name() + ", " + text::quoted(id)
                      + ", is not a number");
}

} // namespace

std::vector<std::string> unsupported_fields(const ServiceSpec& spec) {
  std::vector<std::string> out;
  for (const auto& entry : table)
    if (entry.used(spec))
      out.push_back(std::string{entry.field} + " is stored but has no effect yet: " + entry.consequence);
  return out;
}

std::vector<std::string> service_warnings(const ServiceSpec& spec) {
  auto out = unsupported_fields(spec);
  for (const auto& c : stored_constraints(spec.task_template().placement()))
    if (!is_known_key(c))
      out.push_back("constraint key '" + c.key + "' is not known: no node will ever match, tasks will stay pending");
  if (const auto label = spec.labels().find(update_deadline_label); label != spec.labels().end() && !update_deadline(spec))
    out.push_back(std::string{"label "} + update_deadline_label + ": " + text::quoted(label->second)
                  + " is no duration such as 90s: updates wait without a limit");
  for (const auto& mount : container_of(spec).mounts())
    if (auto problem = mount_problem(mount); !problem.empty())
      out.push_back("tasks will be rejected: " + problem);
  owner_problems("secret", container_of(spec).secrets(), out);
  owner_problems("config", container_of(spec).configs(), out);
  return out;
}

} // namespace swarm::control
