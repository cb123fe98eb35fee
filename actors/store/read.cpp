// Lookups by id, name and prefix, and lists of each kind.
#include "actors/store/read.hpp"

#include <algorithm>
#include <set>

#include "actors/store/filters.hpp"
#include "runtime/text.hpp"

namespace swarm::store {

namespace {

failure not_found(std::string_view kind, std::string_view key) {
  return {errc::not_found, std::string{kind} + " " + std::string{key} + " not found"};
}
failure ambiguous(std::string_view kind, std::string_view key, std::size_t matches) {
  return {errc::invalid_argument,
          std::string{kind} + " " + std::string{key} + " is ambiguous (" + std::to_string(matches) + " matches found)"};
}

/// Id, then exact name, then unique prefix of ids.
template <class T, class Name>
failure find_one(const object_table<T>& table, std::string_view key, std::string_view kind, Name name,
                 std::shared_ptr<const T>& out) {
  if ((out = table.find(key)) || key.empty())
    return out ? failure{} : not_found(kind, key);
  std::size_t matches = 0;
  for (const auto& [id, object] : table.all())
    if (name(*object) == key) {
      out = object;
      ++matches;
    }
  if (matches == 0)
    for (auto it = table.all().lower_bound(key); it != table.all().end() && it->first.starts_with(key); ++it) {
      out = it->second;
      ++matches;
    }
  if (matches > 1)
    return ambiguous(kind, key, matches);
  return matches == 1 ? failure{} : not_found(kind, key);
}

const std::string& hostname(const Node& node) { return node.description().hostname(); }

template <class T>
failure find_named(const named_table<T>& table, std::string_view key, std::string_view kind, std::shared_ptr<const T>& out) {
  if ((out = table.find(key)) || (out = table.find_by_name(key)))
    return {};
  return find_one(table, key, kind, [](const T&) { return std::string_view{}; }, out);
}

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

std::string_view runtime_of(const TaskSpec& spec) {
  return spec.runtime().empty() ? std::string_view{"container"} : std::string_view{spec.runtime()};
}

bool runtime_matches(const filter_set& filters, const TaskSpec& spec) {
  return filters.values("runtime") == nullptr ? runtime_of(spec) == "container" : filters.exact("runtime", runtime_of(spec));
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

// -- tasks -----------------------------------------------------------------------------------------------------------------

/// Gives each template and service name that the tasks need once.
class task_joiner {
public:
  task_joiner(const tables& state, ObjectsRead& out) : state_{state}, out_{out} {}

  void add(row_index row) {
    auto& task = *out_.add_tasks();
    state_.tasks.to_proto(row, task);
    const auto& service_id = state_.tasks.service_of(row);
    const template_key key{service_id, state_.tasks.at(row).spec_version};
    if (last_ == key || !templates_.insert(key).second)
      return;
    last_ = key;
    if (const auto it = state_.templates.find(key); it != state_.templates.end()) {
      auto& copy = *out_.add_templates();
      copy = *it->second;
      if (copy.spec().has_container_spec())
        copy.mutable_spec()->mutable_container_spec()->clear_registry_auth();
    }
    const auto service = state_.services.find(service_id);
    if (!service || !services_.insert(service_id).second)
      return;
    auto& name = *out_.add_service_names();
    name.set_service_id(service_id);
    name.set_name(service->spec().name());
    name.set_global(service->spec().mode().has_global() || service->spec().mode().has_global_job());
  }

private:
  const tables& state_;
  ObjectsRead& out_;
  template_key last_;
  std::set<template_key> templates_;
  std::set<std::string> services_;
};

failure find_task(const tables& state, std::string_view key, row_index& out) {
  if ((out = state.tasks.find(id128::parse(key))) != no_row)
    return {};
  if (const auto dot = key.rfind('.'); dot != std::string_view::npos) {
    out = state.tasks.find(id128::parse(key.substr(dot + 1)));
    return out != no_row && full_name(state, out) == key ? failure{} : not_found("task", key);
  }
  // Ids are 25 digits of base 36, so a prefix is a range of values; above 2^128 the range is open.
  const auto low = id128::parse(std::string{key} + std::string(key.size() < 25 ? 25 - key.size() : 0, '0'));
  auto high = id128::parse(std::string{key} + std::string(key.size() < 25 ? 25 - key.size() : 0, 'z'));
  if (!high)
    high = {~std::uint64_t{0}, ~std::uint64_t{0}};
  std::size_t matches = 0;
  const bool is_prefix = low || key.find_first_not_of('0') == std::string_view::npos;
  for (row_index row = 0; is_prefix && !key.empty() && key.size() < 25 && row < state.tasks.limit(); ++row) {
    const auto& id = state.tasks.at(row).id;
    if (id && low <= id && id <= high) {
      out = row;
      ++matches;
    }
  }
  if (matches > 1)
    return ambiguous("task", key, matches);
  return matches == 1 ? failure{} : not_found("task", key);
}

/// The ids that filter values name, each found as in a URL.
template <class T, class Find>
failure resolve(const filter_set& filters, std::string_view key, Find find, std::set<std::string, std::less<>>& out) {
  if (const auto* values = filters.values(key))
    for (const auto& value : *values) {
      std::shared_ptr<const T> found;
      if (auto bad = find(value, found); !bad.ok())
        return bad;
      out.insert(found->id());
    }
  return {};
}

struct task_filter {
  std::set<std::string, std::less<>> services, nodes;
  std::set<std::uint16_t> desired;
};

failure prepare(const tables& state, const filter_set& filters, task_filter& out) {
  const auto find_service = [&](const std::string& key, std::shared_ptr<const Service>& found) {
    return find_named(state.services, key, "service", found);
  };
  const auto find_node = [&](const std::string& key, std::shared_ptr<const Node>& found) {
    return find_one(state.nodes, key, "node", hostname, found);
  };
  if (auto bad = resolve<Service>(filters, "service", find_service, out.services); !bad.ok())
    return bad;
  if (auto bad = resolve<Node>(filters, "node", find_node, out.nodes); !bad.ok())
    return bad;
  if (const auto* states = filters.values("desired-state"))
    for (const auto& name : *states) {
      auto upper = "TASK_STATE_" + name;
      std::transform(upper.begin(), upper.end(), upper.begin(),
                     [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
      TaskState value{};
      if (name.empty() || !TaskState_Parse(upper, &value))
        return {errc::internal, "Invalid desired-state filter: '" + name + "'"};
      out.desired.insert(static_cast<std::uint16_t>(value));
    }
  return {};
}

bool task_matches(const tables& state, const filter_set& filters, const task_filter& prepared, row_index row) {
  const auto& task = state.tasks.at(row);
  const auto& service_id = state.tasks.service_of(row);
  if (!prepared.services.empty() && !prepared.services.contains(service_id))
    return false;
  if (!prepared.nodes.empty() && !prepared.nodes.contains(state.tasks.node_of(row)))
    return false;
  if (!prepared.desired.empty() && !prepared.desired.contains(task.desired_state))
    return false;
  if (filters.values("id") != nullptr && !filters.prefix("id", task.id.str()))
    return false;
  if (filters.values("name") != nullptr && !filters.prefix("name", full_name(state, row)))
    return false;
  const bool up_to_date = filters.flag("_up-to-date");
  if (!up_to_date && filters.values("label") == nullptr && filters.values("runtime") == nullptr)
    return true;
  const auto service = state.services.find(service_id);
  if (up_to_date) {
    if (!service || service->spec_version() != task.spec_version)
      return false;
    if (service->has_job_status()) {
      Task full;
      state.tasks.to_proto(row, full);
      if (full.job_iteration() != service->job_status().job_iteration().index())
        return false;
    }
  }
  if (filters.values("label") != nullptr && !(service && filters.labels("label", service->spec().labels())))
    return false;
  const auto it = state.templates.find({service_id, task.spec_version});
  return filters.values("runtime") == nullptr
         || (it != state.templates.end() && filters.exact("runtime", runtime_of(it->second->spec())));
}

failure read_tasks(const tables& state, const ReadObjects& request, ObjectsRead& out) {
  task_joiner joiner{state, out};
  if (!request.key().empty()) {
    row_index row = no_row;
    if (auto bad = find_task(state, request.key(), row); !bad.ok())
      return bad;
    joiner.add(row);
    return {};
  }
  const filter_set filters{request};
  task_filter prepared;
  if (auto bad = prepare(state, filters, prepared); !bad.ok())
    return bad;
  const auto visit = [&](row_index row) {
    if (task_matches(state, filters, prepared, row))
      joiner.add(row);
  };
  if (!prepared.services.empty()) {
    for (const auto& id : prepared.services)
      for (auto row = state.tasks.first_of_service(id); row != no_row; row = state.tasks.at(row).service_next)
        visit(row);
  } else if (!prepared.nodes.empty()) {
    for (const auto& id : prepared.nodes)
      for (auto row = state.tasks.first_of_node(id); row != no_row; row = state.tasks.at(row).node_next)
        visit(row);
  } else {
    for (row_index row = 0; row < state.tasks.limit(); ++row)
      if (state.tasks.at(row).id)
        visit(row);
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

std::string full_name(const tables& state, row_index row) {
  const auto& task = state.tasks.at(row);
  const auto service = state.services.find(state.tasks.service_of(row));
  auto name = service ? service->spec().name() : state.tasks.service_of(row);
  name += '.';
  name += task.slot != 0 ? std::to_string(task.slot) : state.tasks.node_of(row);
  name += '.';
  return name += task.id.str();
}

ServiceStatus service_status(const tables& state, const Service& service) {
  ServiceStatus out;
  const auto& mode = service.spec().mode();
  std::uint64_t desired = mode.replicated().has_replicas() ? mode.replicated().replicas() : 1;
  if (mode.has_replicated_job())
    desired = mode.replicated_job().has_max_concurrent() ? mode.replicated_job().max_concurrent() : 1;
  else if (mode.has_global() || mode.has_global_job())
    desired = 0;
  const bool job = mode.has_replicated_job() || mode.has_global_job();
  std::uint64_t running = 0;
  std::uint64_t completed = 0;
  Task full;
  for (auto row = state.tasks.first_of_service(service.id()); row != no_row; row = state.tasks.at(row).service_next) {
    const auto& task = state.tasks.at(row);
    if (job) {
      full.Clear();
      state.tasks.to_proto(row, full);
      if (full.job_iteration() != service.job_status().job_iteration().index())
        continue;
    }
    running += task.state == TASK_STATE_RUNNING ? 1 : 0;
    completed += task.state == TASK_STATE_COMPLETE ? 1 : 0;
    if (mode.has_global())
      desired += task.desired_state == TASK_STATE_RUNNING ? 1 : 0;
    else if (mode.has_global_job())
      desired += task.desired_state == TASK_STATE_COMPLETE && task.state != TASK_STATE_COMPLETE ? 1 : 0;
  }
  out.set_running_tasks(running);
  out.set_desired_tasks(desired);
  out.set_completed_tasks(completed);
  return out;
}

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
