// The rules for services, in the order in which Swarm applies them, so that of two mistakes the same one is named.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>
#include <set>

#include "actors/control/image_reference.hpp"
#include "actors/control/template_check.hpp"
#include "actors/control/validate.hpp"
#include "messages/constraints.hpp"
#include "runtime/text.hpp"

namespace swarm::control {

namespace {

constexpr std::int64_t nano_cpus_min = 1'000'000;
constexpr std::int64_t memory_bytes_min = 4 << 20;
constexpr std::int64_t health_duration_min = 1'000'000; // 1 ms
constexpr std::size_t name_chars_max = 63;
constexpr std::uint64_t tasks_max = 10'000'000; // of one service; Swarm takes any number and dies of it

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_job(const ServiceMode& mode) { return mode.has_replicated_job() || mode.has_global_job(); }

/// Numbers travel as unsigned but Swarm reads them as int64.
bool is_negative(std::uint64_t value) { return static_cast<std::int64_t>(value) < 0; }

// -- the parts of a task ---------------------------------------------------------------------------------------------------

refusal check_amounts(std::int64_t nano_cpus, std::int64_t memory_bytes) {
  if (nano_cpus != 0 && nano_cpus < nano_cpus_min) {
    char text[80];
    std::snprintf(text, sizeof text, "invalid cpu value %g: Must be at least %g", static_cast<double>(nano_cpus) / 1e9, 1e-3);
    return invalid(text);
  }
  if (memory_bytes != 0 && memory_bytes < memory_bytes_min)
    return invalid("invalid memory value " + std::to_string(memory_bytes) + ": Must be at least 4MiB");
  return {};
}

refusal check_resources(const ResourceRequirements& r) {
  if (auto bad = check_amounts(r.limits().nano_cpus(), r.limits().memory_bytes()); !bad.ok())
    return bad;
  if (auto bad = check_amounts(r.reservations().nano_cpus(), r.reservations().memory_bytes()); !bad.ok())
    return bad;
  if (r.has_swap_bytes() && r.swap_bytes() != 0 && r.limits().memory_bytes() == 0)
    return invalid("memory swap provided, but no memory-limit was set");
  return {};
}

refusal check_restart(const RestartPolicy& restart) {
  if (restart.delay() < 0)
    return invalid("TaskSpec: restart-delay cannot be negative");
  if (restart.window() < 0)
    return invalid("TaskSpec: restart-window cannot be negative");
  return {};
}

refusal check_placement(const Placement& placement) {
  std::vector<constraint> ignored;
  const auto parsed = parse_constraints(placement.constraints(), ignored);
  // A plain Go error in Swarm, hence "Unknown" and 500.
  return parsed.ok() ? refusal{} : refusal{errc::internal, parsed.message, false};
}

/// Both kinds of file references: complete, and no target twice.
class file_targets {
public:
  explicit file_targets(const char* kind) : kind_{kind} {}

  refusal add(const std::string& id, const std::string& name, const FileTarget* file) {
    if (id.empty() || name.empty())
      return invalid("malformed " + kind_ + " reference");
    if (file == nullptr)
      return {};
    if (file->name().empty())
      return invalid("malformed file " + kind_ + " reference, invalid target file name provided");
    const auto [it, fresh] = seen_.emplace(file->name(), name);
    if (!fresh)
      return invalid(kind_ + " references '" + it->second + "' and '" + name + "' have a conflicting target: '"
                     + file->name() + "'");
    return {};
  }

private:
  std::string kind_;
  std::map<std::string, std::string> seen_; // target to name
};

refusal check_files(const ContainerSpec& container) {
  file_targets secrets{"secret"};
  for (const auto& reference : container.secrets()) {
    if (!reference.secret_id().empty() && !reference.secret_name().empty() && !reference.has_file())
      return invalid("malformed secret reference, no target provided");
    if (auto bad = secrets.add(reference.secret_id(), reference.secret_name(), &reference.file()); !bad.ok())
      return bad;
  }
  file_targets configs{"config"};
  for (const auto& reference : container.configs())
    if (auto bad = configs.add(reference.config_id(), reference.config_name(),
                               reference.has_file() ? &reference.file() : nullptr);
        !bad.ok())
      return bad;
  return {};
}

/// A credential spec that is a config: given to the runtime, not as a file.
refusal check_credential_config(const ContainerSpec& container) {
  const auto& wanted = container.privileges().credential_spec().config();
  const auto given = std::any_of(container.configs().begin(), container.configs().end(),
                                 [&](const auto& reference) { return reference.has_runtime() && reference.config_id() == wanted; });
  if (wanted.empty() || given)
    return {};
  return invalid("CredentialSpec references config '" + wanted + "', but that config isn't in config references with RuntimeTarget");
}

refusal check_health(const HealthConfig& health) {
  const std::pair<const char*, std::int64_t> durations[] = {{"Interval", health.interval()},
                                                            {"Timeout", health.timeout()},
                                                            {"StartPeriod", health.start_period()},
                                                            {"StartInterval", health.start_interval()}};
  for (const auto& [name, value] : durations)
    if (value != 0 && value < health_duration_min)
      return invalid(std::string{"ContainerSpec: "} + name + " in HealthConfig cannot be less than 1ms");
  if (health.retries() < 0 || health.retries() > std::numeric_limits<std::int32_t>::max()) // cut to 32 bits in Swarm
    return invalid("ContainerSpec: Retries in HealthConfig cannot be negative");
  return {};
}

refusal check_container(const ContainerSpec& container) {
  if (const auto bad = check_templates(container))
    return invalid(*bad);
  if (container.image().empty())
    return invalid("ContainerSpec: image reference must be provided");
  if (!is_image_reference(container.image()))
    return invalid("ContainerSpec: " + text::quoted(container.image()) + " is not a valid repository/tag");
  std::set<std::string> targets;
  for (const auto& mount : container.mounts())
    if (!targets.insert(mount.target()).second)
      return invalid("ContainerSpec: duplicate mount point: " + mount.target());
  return check_health(container.healthcheck());
}

refusal check_task(const TaskSpec& task) {
  if (auto bad = check_resources(task.resources()); !bad.ok())
    return bad;
  if (auto bad = check_restart(task.restart_policy()); !bad.ok())
    return bad;
  if (auto bad = check_placement(task.placement()); !bad.ok())
    return bad;
  if (auto bad = check_files(task.container_spec()); !bad.ok())
    return bad;
  if (auto bad = check_credential_config(task.container_spec()); !bad.ok())
    return bad;
  return task.has_container_spec() ? check_container(task.container_spec()) : refusal{};
}

// -- the parts of a service ------------------------------------------------------------------------------------------------

refusal check_mode(const ServiceMode& mode) {
  if (is_negative(mode.replicated().replicas()))
    return invalid("Number of replicas must be non-negative");
  if (is_negative(mode.replicated_job().max_concurrent()))
    return invalid("Maximum concurrent jobs must not be negative");
  if (is_negative(mode.replicated_job().total_completions()))
    return invalid("Total completed jobs must not be negative");
  const std::pair<const char*, std::uint64_t> counts[] = {{"Number of replicas", mode.replicated().replicas()},
                                                          {"Maximum concurrent jobs", mode.replicated_job().max_concurrent()},
                                                          {"Total completed jobs", mode.replicated_job().total_completions()}};
  for (const auto& [what, count] : counts)
    if (count > tasks_max)
      return invalid(std::string{what} + " must be at most " + std::to_string(tasks_max));
  return {};
}

refusal check_update(const UpdateConfig& update) {
  if (update.delay() < 0)
    return invalid("TaskSpec: update-delay cannot be negative");
  if (update.monitor() < 0)
    return invalid("TaskSpec: update-monitor cannot be negative");
  if (!(update.max_failure_ratio() >= 0 && update.max_failure_ratio() <= 1)) // written so that NaN fails
    return invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1");
  return {};
}

refusal check_endpoint(const EndpointSpec& endpoint) {
  for (const auto& port : endpoint.ports())
    if (endpoint.mode() == ENDPOINT_MODE_DNSRR && port.publish_mode() != PUBLISH_MODE_HOST)
      return invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode");
  std::set<std::pair<std::uint32_t, int>> published;
  for (const auto& port : endpoint.ports()) {
    // Swarm accepts these and then never allocates them.
    for (const auto number : {port.published_port(), port.target_port()})
      if (number > 65535)
        return invalid("EndpointSpec: port " + std::to_string(number) + " is out of range (1-65535)");
    if (port.published_port() != 0 && !published.emplace(port.published_port(), port.protocol()).second)
      return invalid("EndpointSpec: duplicate published ports provided");
  }
  return {};
}

bool is_propagation(const std::string& given) {
  constexpr std::string_view known[] = {"private", "rprivate", "shared", "rshared", "slave", "rslave"};
  return std::find(std::begin(known), std::end(known), text::to_lower(given)) != std::end(known);
}

refusal check_credential_source(const CredentialSpec& spec) {
  const auto refuse = [](const char* why) { return plain_refusal(errc::invalid_argument, std::string{"invalid CredentialSpec: "} + why); };
  const bool config = !spec.config().empty(), file = !spec.file().empty(), registry = !spec.registry().empty();
  if (!config && !file && !registry)
    return refuse("must either provide \"file\", \"registry\", or \"config\" for credential spec");
  if (config && file)
    return refuse("cannot specify both \"config\" and \"file\" credential specs");
  if (config && registry)
    return refuse("cannot specify both \"config\" and \"registry\" credential specs");
  if (file && registry)
    return refuse("cannot specify both \"file\" and \"registry\" credential specs");
  return {};
}

refusal check_modes_given(const ServiceMode& mode) {
  const int given = int{mode.has_replicated()} + int{mode.has_global()} + int{mode.has_replicated_job()} + int{mode.has_global_job()};
  return given > 1 ? plain_refusal(errc::invalid_argument, "must specify only one service mode") : refusal{};
}

} // namespace

refusal check_dns_name(const std::string& name) {
  const bool valid = !name.empty() && is_alnum(name.front()) && is_alnum(name.back())
                     && std::all_of(name.begin(), name.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
  if (!valid)
    return invalid("name must be valid as a DNS name component");
  if (name.size() > name_chars_max)
    return invalid("name must be 63 characters or fewer");
  return {};
}

refusal check_service_conversion(const ServiceSpec& spec) {
  const auto& task = spec.task_template();
  if (task.runtime() != "" && task.runtime() != "container" && task.runtime() != "plugin")
    return plain_refusal(errc::invalid_argument, "unsupported runtime");
  const bool plugin = task.runtime() == "plugin";
  if (plugin ? !task.has_plugin_spec() || task.has_container_spec() : !task.has_container_spec())
    return plain_refusal(errc::invalid_argument, "mismatched Runtime and *Spec fields");
  if (plugin && spec.mode().has_replicated())
    return plain_refusal(errc::invalid_argument, "plugins must not use replicated mode");
  if (const auto& privileges = task.container_spec().privileges(); privileges.has_credential_spec())
    if (auto bad = check_credential_source(privileges.credential_spec()); !bad.ok())
      return bad;
  for (const auto& mount : task.container_spec().mounts())
    if (const auto& propagation = mount.bind_options().propagation(); !propagation.empty() && !is_propagation(propagation))
      return plain_refusal(errc::invalid_argument, "invalid MountPropagation: " + text::quoted(propagation));
  for (const auto& config : task.container_spec().configs()) {
    if (!config.has_file() && !config.has_runtime())
      return plain_refusal(errc::invalid_argument, "invalid Config: either File or Runtime should be set");
    if (config.has_file() && config.has_runtime())
      return plain_refusal(errc::invalid_argument, "invalid Config: cannot specify both File and Runtime");
  }
  return check_modes_given(spec.mode());
}

refusal check_service(const ServiceSpec& spec) {
  if (auto bad = check_dns_name(spec.name()); !bad.ok())
    return bad;
  if (auto bad = check_task(spec.task_template()); !bad.ok())
    return bad;
  if (auto bad = check_mode(spec.mode()); !bad.ok())
    return bad;
  if (is_job(spec.mode()) && spec.has_update_config())
    return invalid("Jobs may not have an update config");
  for (const auto* update : {&spec.update_config(), &spec.rollback_config()})
    if (auto bad = check_update(*update); !bad.ok())
      return bad;
  return check_endpoint(spec.endpoint_spec());
}

} // namespace swarm::control
