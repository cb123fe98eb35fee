// Lookups by id, name and prefix, and lists of each kind.
#include "actors/store/read.hpp"

#include <algorithm>

#include "actors/store/lookup.hpp"

namespace swarm::store {

namespace {

void copy_without_credentials(const Service& service, Service& out) {
  out = service;
  for (auto* spec : {out.mutable_spec(), out.has_previous_spec() ? out.mutable_previous_spec() : nullptr})
    if (spec != nullptr && spec->task_template().has_container_spec())
      spec->mutable_task_template()->mutable_container_spec()->clear_registry_auth();
}

void copy_without_data(const Secret& secret, Secret& out) {
  out.set_id(secret.id());
  *out.mutable_meta() = secret.meta();
  auto& spec = *out.mutable_spec();
  spec.set_name(secret.spec().name());
  *spec.mutable_labels() = secret.spec().labels();
  if (secret.spec().has_driver())
    *spec.mutable_driver() = secret.spec().driver();
  if (secret.spec().has_templating())
    *spec.mutable_templating() = secret.spec().templating();
}

std::string_view mode_name(const ServiceSpec& spec) {
  const auto& mode = spec.mode();
  return mode.has_global()           ? "global"
         : mode.has_replicated_job() ? "replicated-job"
         : mode.has_global_job()     ? "global-job"
                                     : "replicated";
}

// -- services --------------------------------------------------------------------------------------------------------------

failure read_services(const tables& state, const ReadObjects& request, ObjectsRead& out) {
  const auto add = [&](const Service& service) {
    auto& copy = *out.add_services();
    copy_without_credentials(service, copy);
    if (request.with_service_status())
      *copy.mutable_service_status() = service_status(state, service);
  };
  if (!request.key().empty()) {
    std::shared_ptr<const Service> found;
    if (auto bad = find_named(state.services, request.key(), "service", found); !bad.ok())
      return bad;
    add(*found);
    return {};
  }
  const filter_set filters{request};
  for (const auto& [id, service] : state.services.all()) {
    const auto& spec = service->spec();
    if (filters.prefix("id", id) && filters.prefix("name", spec.name()) && filters.labels("label", spec.labels())
        && filters.exact("mode", mode_name(spec)) && runtime_matches(filters, spec.task_template()))
      add(*service);
  }
  return {};
}

// -- the rest --------------------------------------------------------------------------------------------------------------

failure read_nodes(const tables& state, const ReadObjects& request, ObjectsRead& out) {
  if (!request.key().empty()) {
    std::shared_ptr<const Node> found;
    if (auto bad = find_one(state.nodes, request.key(), "node", hostname, found); !bad.ok())
      return bad;
    *out.add_nodes() = *found;
    return {};
  }
  const filter_set filters{request};
  if (const auto* roles = filters.values("role"))
    for (const auto& role : *roles)
      if (role != "manager" && role != "worker")
        return {errc::internal, "Invalid role filter: '" + role + "'"};
  for (const auto& [id, node] : state.nodes.all())
    if (filters.prefix("id", id) && filters.prefix("name", hostname(*node))
        && filters.labels("label", node->description().engine().labels())
        && filters.labels("node.label", node->spec().labels())
        && filters.exact("role", node->spec().role() == NODE_ROLE_MANAGER ? "manager" : "worker")
        && filters.exact("membership", "accepted"))
      *out.add_nodes() = *node;
  return {};
}

template <class T, class Add>
failure read_files(const named_table<T>& table, const ReadObjects& request, std::string_view kind, Add add) {
  if (!request.key().empty()) {
    std::shared_ptr<const T> found;
    if (auto bad = find_named(table, request.key(), kind, found); !bad.ok())
      return bad;
    add(*found);
    return {};
  }
  const filter_set filters{request};
  for (const auto& [id, object] : table.all())
    if (filters.prefix("id", id) && filters.prefix("name", object->spec().name())
        && filters.exact("names", object->spec().name()) && filters.labels("label", object->spec().labels()))
      add(*object);
  return {};
}

failure read_networks(const tables& state, const ReadObjects& request, ObjectsRead& out) {
  if (!request.key().empty()) {
    std::shared_ptr<const Network> found;
    if (auto bad = find_named(state.networks, request.key(), "network", found); !bad.ok())
      return bad;
    *out.add_networks() = *found;
    return {};
  }
  const filter_set filters{request};
  const auto dangling = [&](const std::string& id) {
    return std::none_of(state.services.all().begin(), state.services.all().end(), [&](const auto& entry) {
      const auto& used = entry.second->spec().task_template().networks();
      return std::any_of(used.begin(), used.end(), [&](const auto& n) { return n.target() == id; });
    });
  };
  for (const auto& [id, network] : state.networks.all())
    if (!network->predefined() && filters.part("id", id) && filters.part("name", network->spec().name())
        && filters.exact("driver", network->spec().driver()) && filters.labels("label", network->spec().labels())
        && filters.exact("scope", "swarm") && filters.exact("type", "custom")
        && (filters.values("dangling") == nullptr || filters.flag("dangling") == dangling(id)))
      *out.add_networks() = *network;
  return {};
}

} // namespace

failure read_objects(const tables& state, const ReadObjects& request, ObjectsRead& out) {
  out.set_log_index(state.applied_index);
  switch (request.kind()) {
    case OBJECT_KIND_SERVICE: return read_services(state, request, out);
    case OBJECT_KIND_TASK: return read_tasks(state, request, out);
    case OBJECT_KIND_NODE: return read_nodes(state, request, out);
    case OBJECT_KIND_SECRET:
      return read_files(state.secrets, request, "secret", [&](const Secret& s) { copy_without_data(s, *out.add_secrets()); });
    case OBJECT_KIND_CONFIG:
      return read_files(state.configs, request, "config", [&](const Config& c) { *out.add_configs() = c; });
    case OBJECT_KIND_NETWORK: return read_networks(state, request, out);
    case OBJECT_KIND_CLUSTER:
      if (!state.cluster)
        return {errc::not_found, "this node holds no cluster"};
      *out.mutable_cluster() = *state.cluster;
      return {};
    default: return {errc::invalid_argument, "unknown kind of object"};
  }
}

} // namespace swarm::store
