// Reads of tasks: found by id, full name or prefix, filtered, joined with their templates.
#include <algorithm>
#include <set>

#include "actors/store/lookup.hpp"
#include "actors/store/read.hpp"

namespace swarm::store {

namespace {

/// Gives each template, service name and network that the tasks need once.
class task_joiner {
public:
  task_joiner(const tables& state, ObjectsRead& out) : state_{state}, out_{out} {}

  void add(row_index row) {
    auto& task = *out_.add_tasks();
    state_.tasks.to_proto(row, task);
    for (const auto& attached : task.networks())
      if (const auto network = state_.networks.find(attached.network_id()); network && networks_.insert(network->id()).second)
        *out_.add_networks() = *network;
    const auto& service_id = state_.tasks.service_of(row);
    const template_key key{service_id, state_.tasks.at(row).spec_version};
    if (last_ == key || !templates_.insert(key).second)
      return;
    last_ = key;
    if (const auto it = state_.templates.find(key); it != state_.templates.end()) {
      auto& copy = *out_.add_templates();
      copy = template_of(*it->second);
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
  std::set<std::string> networks_;
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

// What decides whether the updater would replace a task: not the version's number but what it says. A task of an older
// version that says the same is left alone, so it counts as current; so does one that differs in placement or
// credentials only (where the node no longer fits, the enforcer acts).
std::string what_it_says(const Service& service) {
  auto copy = template_of(service);
  copy.clear_spec_version();
  copy.mutable_spec()->clear_placement();
  copy.mutable_spec()->mutable_container_spec()->clear_registry_auth();
  return stable_bytes(copy);
}

bool is_current(const tables& state, const Service& service, std::uint64_t spec_version) {
  if (service.spec_version() == spec_version)
    return true;
  const auto current = state.templates.find(template_key{service.id(), service.spec_version()});
  const auto own = state.templates.find(template_key{service.id(), spec_version});
  return current != state.templates.end() && own != state.templates.end()
         && what_it_says(*current->second) == what_it_says(*own->second);
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
    if (!service || !is_current(state, *service, task.spec_version))
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
         || (it != state.templates.end() && filters.exact("runtime", runtime_of(it->second->spec().task_template())));
}

} // namespace

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

} // namespace swarm::store
