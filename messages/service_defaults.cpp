// The daemon's conversions and swarmkit's defaults for a service.
#include "messages/service_defaults.hpp"

#include <cstdint>

namespace swarm {

namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t default_stop_grace_period = 10 * ns_per_s;
constexpr std::int64_t default_restart_delay = 5 * ns_per_s;
constexpr std::int64_t default_monitor = 5 * ns_per_s;

void normalise_mode(ServiceMode& mode) {
  const bool given = mode.has_replicated() || mode.has_global() || mode.has_replicated_job() || mode.has_global_job();
  if (!given || (mode.has_replicated() && !mode.replicated().has_replicas()))
    mode.mutable_replicated()->set_replicas(1);
  if (!mode.has_replicated_job())
    return;
  auto& job = *mode.mutable_replicated_job();
  if (!job.has_max_concurrent())
    job.set_max_concurrent(1);
  if (!job.has_total_completions())
    job.set_total_completions(job.max_concurrent());
}

void normalise_update(UpdateConfig& update) {
  if (update.failure_action() == FAILURE_ACTION_UNSPECIFIED)
    update.set_failure_action(FAILURE_ACTION_PAUSE);
  if (update.order() == UPDATE_ORDER_UNSPECIFIED)
    update.set_order(UPDATE_ORDER_STOP_FIRST);
}

void normalise_endpoint(EndpointSpec& endpoint) {
  if (endpoint.mode() == ENDPOINT_MODE_UNSPECIFIED)
    endpoint.set_mode(ENDPOINT_MODE_VIP);
  for (auto& port : *endpoint.mutable_ports()) {
    if (port.protocol() == PORT_PROTOCOL_UNSPECIFIED)
      port.set_protocol(PORT_PROTOCOL_TCP);
    if (port.publish_mode() == PUBLISH_MODE_UNSPECIFIED)
      port.set_publish_mode(PUBLISH_MODE_INGRESS);
  }
}

void normalise_restart(RestartPolicy& restart) {
  if (restart.condition() == RESTART_CONDITION_UNSPECIFIED)
    restart.set_condition(RESTART_CONDITION_ANY);
  if (!restart.has_max_attempts())
    restart.set_max_attempts(0);
}

void normalise_task(TaskSpec& task) {
  if (task.runtime().empty())
    task.set_runtime("container");
  task.mutable_placement();
  if (task.has_restart_policy())
    normalise_restart(*task.mutable_restart_policy());
  if (!task.has_container_spec())
    return;
  auto& container = *task.mutable_container_spec();
  if (container.isolation().empty())
    container.set_isolation("default");
  container.mutable_dns_config();
  for (auto& mount : *container.mutable_mounts())
    if (mount.type() == MOUNT_TYPE_UNSPECIFIED)
      mount.set_type(MOUNT_TYPE_BIND);
}

void update_defaults(bool given, UpdateConfig& update) {
  if (!given)
    update.set_parallelism(1);
  if (update.monitor() == 0)
    update.set_monitor(default_monitor);
  normalise_update(update);
}

} // namespace

void normalise_service(ServiceSpec& spec) {
  normalise_task(*spec.mutable_task_template());
  normalise_mode(*spec.mutable_mode());
  if (spec.has_update_config())
    normalise_update(*spec.mutable_update_config());
  if (spec.has_rollback_config())
    normalise_update(*spec.mutable_rollback_config());
  if (spec.has_endpoint_spec())
    normalise_endpoint(*spec.mutable_endpoint_spec());
}

void apply_service_defaults(ServiceSpec& spec) {
  auto& task = *spec.mutable_task_template();
  if (task.has_container_spec() && !task.container_spec().has_stop_grace_period())
    task.mutable_container_spec()->set_stop_grace_period(default_stop_grace_period);
  task.mutable_resources()->mutable_limits();
  task.mutable_resources()->mutable_reservations();
  if (!task.mutable_restart_policy()->has_delay())
    task.mutable_restart_policy()->set_delay(default_restart_delay);
  const bool has_update = spec.has_update_config(), has_rollback = spec.has_rollback_config();
  // Jobs may not have an update config: showing one would make the answer unusable as the next request.
  if (!spec.mode().has_replicated_job() && !spec.mode().has_global_job()) {
    update_defaults(has_update, *spec.mutable_update_config());
    update_defaults(has_rollback, *spec.mutable_rollback_config());
  }
  spec.mutable_endpoint_spec();
  normalise_service(spec);
}

} // namespace swarm
