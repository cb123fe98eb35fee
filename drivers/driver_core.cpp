// Shared helpers of all drivers, see the header.
#include "drivers/driver_core.hpp"

#include <algorithm>

namespace swarm::driver {

std::map<std::string, std::string> labels_of(const TaskDescription& task) {
  const auto& from_spec = task.spec().container_spec().labels();
  std::map<std::string, std::string> out{from_spec.begin(), from_spec.end()};
  auto set = [&](std::string_view key, const std::string& value) { out.insert_or_assign(std::string{key}, value); };
  set(label_task, "");
  set(label_task_id, task.task_id());
  set(label_task_name, task.task_name());
  set(label_node_id, task.node_id());
  set(label_service_id, task.service_id());
  set(label_service_name, task.service_name());
  set(label_cluster_id, task.cluster_id());
  std::string networks;
  for (const auto& network : task.network_definitions())
    networks += (networks.empty() ? "" : ",") + network.id();
  if (!networks.empty())
    set(label_networks, networks);
  return out;
}

std::vector<std::string> resource_env(const TaskDescription& task) {
  std::map<std::string, std::string> values;
  auto add = [&](const std::string& kind, const std::string& value) {
    auto name = kind;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    auto& text = values[name];
    if (!text.empty())
      text += ',';
    text += value;
  };
  for (const auto& resource : task.generic_resources()) {
    if (resource.has_named_resource_spec())
      add(resource.named_resource_spec().kind(), resource.named_resource_spec().value());
    else if (resource.has_discrete_resource_spec())
      add(resource.discrete_resource_spec().kind(), std::to_string(resource.discrete_resource_spec().value()));
  }
  std::vector<std::string> out;
  for (const auto& [kind, text] : values)
    out.push_back("DOCKER_RESOURCE_" + kind + "=" + text);
  return out;
}

std::string mount_error(const TaskSpec& spec) {
  auto absolute = [](const std::string& path) { return path.starts_with('/'); };
  for (const auto& mount : spec.container_spec().mounts()) {
    if (!absolute(mount.target()) && mount.type() != MOUNT_TYPE_NPIPE)
      return "invalid mount target, must be an absolute path: " + mount.target();
    switch (mount.type()) {
      case MOUNT_TYPE_BIND:
        if (!absolute(mount.source()))
          return "invalid bind mount source, must be an absolute path: " + mount.source();
        break;
      case MOUNT_TYPE_UNSPECIFIED:
      case MOUNT_TYPE_VOLUME:
        if (absolute(mount.source()))
          return "invalid volume mount source, must not be an absolute path: " + mount.source();
        break;
      case MOUNT_TYPE_TMPFS:
        if (!mount.source().empty())
          return "invalid tmpfs source, source must be empty";
        break;
      case MOUNT_TYPE_NPIPE:
        if (mount.source().empty())
          return "invalid npipe source, source must not be empty";
        break;
      default:
        return "mounts of type cluster are not supported by this node";
    }
  }
  return {};
}

duration backoff::next(random_source& rng) {
  // Beyond 2^20 steps of any `first` the bound holds anyway; the cap keeps the shift defined.
  const auto factor = std::int64_t{1} << std::min<std::uint32_t>(step_, 20);
  const auto whole = opts_.first > opts_.max / factor ? opts_.max : opts_.first * factor;
  if (step_ < 1'000'000)
    ++step_;
  const auto half = whole / 2;
  return half + duration{static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>((whole - half).count()) + 1))};
}

found_decision decide_found(std::string_view found_cluster_id, std::string_view our_cluster_id, bool assigned,
                            bool assignments_known) {
  if (found_cluster_id.empty() || found_cluster_id != our_cluster_id)
    return found_decision::leave_alone;
  if (assigned)
    return found_decision::adopt;
  return assignments_known ? found_decision::remove : found_decision::leave_alone;
}

void merge_handle(TaskHandle& known, const TaskHandle& news) {
  const auto same = known.container().container_id() == news.container().container_id();
  if (known.phase() == TaskHandle::PHASE_ABSENT || news.phase() == TaskHandle::PHASE_ABSENT || !same) {
    known = news;
    return;
  }
  if (news.phase() < known.phase())
    return;
  auto merged = news;
  if (merged.container().pid() == 0 && merged.phase() == TaskHandle::PHASE_RUNNING)
    merged.mutable_container()->set_pid(known.container().pid());
  if (merged.ports().empty())
    *merged.mutable_ports() = known.ports();
  if (merged.started_at() == 0)
    merged.set_started_at(known.started_at());
  merged.set_oom_killed(merged.oom_killed() || known.oom_killed());
  if (known.phase() == TaskHandle::PHASE_EXITED) {
    // Of two reports of the same end the first one was read closest to it; an inspect may fill in what an event lacks.
    merged.mutable_container()->set_exit_code(known.container().exit_code());
    if (known.finished_at() != 0)
      merged.set_finished_at(known.finished_at());
    if (merged.error().empty())
      merged.set_error(known.error());
  }
  known = merged;
}

} // namespace swarm::driver
