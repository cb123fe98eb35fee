// What a node is to run, see the header.
#include "actors/agent/worker_core.hpp"

#include <set>

#include "runtime/check.hpp"

namespace swarm::agent::worker {

void core::restore(const Assignments& complete, std::map<std::string, TaskStatus> statuses) {
  keep_parts(complete);
  for (const auto& task : complete.tasks())
    tasks_[task.id()].task = task;
  statuses_ = std::move(statuses);
  assignments_known_ = true;
}

effects core::recovered(const RecoveredTasks& found) {
  effects out;
  recovered_ = true;
  for (const auto& handle : found.tasks())
    if (const auto it = tasks_.find(handle.task_id()); it != tasks_.end() && !it->second.begun)
      found_[handle.task_id()] = handle;
    else if (it == tasks_.end() && assignments_known_)
      out.push_back(remove_leftover{handle.task_id()});
    else if (it == tasks_.end())
      found_[handle.task_id()] = handle; // whether it is wanted, a manager will say
  begin_what_can(out);
  return out;
}

effects core::apply(const Assignments& message, const std::string& session_id, const std::map<std::string, TaskState>& states) {
  effects out;
  if (message.session_id() != session_id)
    return out; // of an older session: its sender has been replaced
  if (!message.complete() && (!synced_ || message.applies_to() != sequence_)) {
    synced_ = false;
    out.push_back(register_again{}); // one was lost or overtaken: only a complete set helps
    return out;
  }
  if (message.complete()) { // and what is not in it is nobody's any more, or not valid any more
    secrets_.clear();
    configs_.clear();
  }
  keep_parts(message);
  if (message.complete()) {
    std::set<std::string> wanted;
    for (const auto& task : message.tasks())
      wanted.insert(task.id());
    for (auto it = tasks_.begin(); it != tasks_.end();) {
      const auto here = it++;
      if (!wanted.contains(here->first))
        forget(here, out);
    }
    synced_ = true;
    assignments_known_ = true;
    for (const auto& task : message.tasks())
      if (const auto it = states.find(task.id()); it != states.end() && it->second > task.observed_state())
        out.push_back(repeat_status{task.id()});
  }
  sequence_ = message.sequence();
  for (const auto& task : message.tasks())
    add(task, out);
  for (const auto& id : message.removed_task_ids())
    if (const auto it = tasks_.find(id); it != tasks_.end())
      forget(it, out);
  for (const auto& id : message.removed_secret_ids())
    secrets_.erase(id);
  for (const auto& id : message.removed_config_ids())
    configs_.erase(id);
  for (const auto& id : message.removed_network_ids())
    networks_.erase(id);
  begin_what_can(out);
  if (recovered_ && message.complete()) {
    for (const auto& [id, handle] : found_)
      if (!tasks_.contains(id))
        out.push_back(remove_leftover{id});
    std::erase_if(found_, [&](const auto& item) { return !tasks_.contains(item.first); });
  }
  if (message.complete() || message.removed_task_ids_size() > 0)
    drop_unused_parts();
  return out;
}

void core::keep_parts(const Assignments& message) {
  for (const auto& t : message.templates())
    templates_[{t.service_id(), t.spec_version()}] = t;
  for (const auto& s : message.services())
    services_[s.id()] = s;
  for (const auto& s : message.secrets())
    secrets_[s.id()] = s;
  for (const auto& c : message.configs())
    configs_[c.id()] = c;
  for (const auto& n : message.networks())
    networks_[n.id()] = n;
}

void core::add(const AssignedTask& task, effects& out) {
  auto [it, fresh] = tasks_.try_emplace(task.id());
  auto& r = it->second;
  const auto before = r.task.desired_state();
  const auto begun = r.begun;
  r.task = task;
  if (!fresh && task.desired_state() < before)
    r.task.set_desired_state(before); // only ever rises
  if (begun && r.task.desired_state() != before)
    out.push_back(set_desired{task.id(), r.task.desired_state()});
}

void core::begin_what_can(effects& out) {
  if (!recovered_ || !assignments_known_)
    return;
  for (auto& [id, r] : tasks_)
    if (!r.begun)
      r.begun = begin(r, out);
}

bool core::begin(row& r, effects& out) {
  const auto& id = r.task.id();
  task::beginning from;
  from.state = r.task.observed_state();
  if (const auto it = statuses_.find(id); it != statuses_.end()) {
    from.status = it->second;
    from.state = std::max(from.state, it->second.state());
  }
  const auto found = found_.find(id);
  if (found != found_.end())
    from.handle = found->second;
  if (from.state > TASK_STATE_REJECTED) { // the manager has given it up, e.g. ORPHANED: nobody will ask how it goes on
    if (found != found_.end())
      out.push_back(remove_leftover{id}); // and once more when it is forgotten, unless it is seen to be gone
    return true;
  }
  auto what = std::make_shared<TaskDescription>();
  const auto error = description(id, *what);
  const auto needs_it = from.handle.phase() == TaskHandle::PHASE_ABSENT && from.state < TASK_STATE_STARTING
                           && r.task.desired_state() < TASK_STATE_SHUTDOWN;
  if (!error.ok()) {
    what.reset();
    if (needs_it && error.code == errc::unavailable)
      return false;
    if (needs_it) {
      out.push_back(reject_task{id, error.message});
      return true;
    }
  }
  statuses_.erase(id);
  if (found != found_.end())
    found_.erase(found);
  // What was recorded here and perhaps never told: nothing that follows may tell it.
  const bool untold = from.status.state() > r.task.observed_state();
  out.push_back(begin_task{id, r.task.desired_state(), std::move(from), std::move(what)});
  if (untold)
    out.push_back(repeat_status{id});
  return true;
}

void core::forget(std::map<std::string, row>::iterator it, effects& out) {
  const auto id = it->first;
  const auto begun = it->second.begun;
  tasks_.erase(it);
  statuses_.erase(id);
  if (begun)
    out.push_back(forget_task{id});
  if (found_.erase(id) > 0)
    out.push_back(remove_leftover{id});
}

void core::seen(const TaskHandle& handle) {
  const auto it = found_.find(handle.task_id());
  if (it == found_.end())
    return;
  if (handle.phase() == TaskHandle::PHASE_ABSENT)
    found_.erase(it);
  else
    it->second = handle;
}

effects core::stray(const std::string& task_id) {
  if (tasks_.contains(task_id) || !assignments_known_ || !recovered_)
    return {};
  return {remove_leftover{task_id}};
}

void core::forgotten(const std::string& task_id) {
  found_.erase(task_id);
}

effects core::forget_all() {
  effects out;
  while (!tasks_.empty())
    forget(tasks_.begin(), out);
  for (const auto& [id, handle] : found_)
    out.push_back(remove_leftover{id});
  found_.clear();
  secrets_.clear();
  configs_.clear();
  networks_.clear();
  drop_unused_parts();
  return out;
}

void core::drop_unused_parts() {
  std::set<template_key> templates;
  std::set<std::string> services;
  std::set<std::string> networks;
  for (const auto& [id, r] : tasks_) {
    templates.insert({r.task.service_id(), r.task.spec_version()});
    services.insert(r.task.service_id());
    for (const auto& network : r.task.networks())
      networks.insert(network.network_id());
  }
  std::erase_if(templates_, [&](const auto& item) { return !templates.contains(item.first); });
  std::erase_if(services_, [&](const auto& item) { return !services.contains(item.first); });
  std::erase_if(networks_, [&](const auto& item) { return !networks.contains(item.first); });
}

failure core::description(const std::string& task_id, TaskDescription& out) const {
  const auto it = tasks_.find(task_id);
  if (it == tasks_.end())
    return {errc::not_found, "task " + task_id + " is not assigned to this node"};
  const auto& task = it->second.task;
  const auto what = templates_.find({task.service_id(), task.spec_version()});
  const auto service = services_.find(task.service_id());
  if (what == templates_.end() || service == services_.end())
    return {errc::unavailable, "the specification has not arrived on this node"};
  const payloads data{
    [this, &task_id](const std::string& id) -> const SecretSpec* {
      auto found = secrets_.find(id + "." + task_id); // for this task alone
      if (found == secrets_.end())
        found = secrets_.find(id);
      return found == secrets_.end() ? nullptr : &found->second.spec();
    },
    [this](const std::string& id) -> const ConfigSpec* {
      const auto found = configs_.find(id);
      return found == configs_.end() ? nullptr : &found->second.spec();
    },
    [this](const std::string& id) -> const Network* {
      const auto found = networks_.find(id);
      return found == networks_.end() ? nullptr : &found->second;
    }};
  const auto error = describe(task, what->second, service->second, node_, data, out);
  if (error.code == errc::unavailable && !task.no_secret_because().empty())
    return {errc::failed_precondition, task.no_secret_because()}; // it will not come
  return error;
}

const AssignedTask* core::assignment(const std::string& task_id) const {
  const auto it = tasks_.find(task_id);
  return it == tasks_.end() ? nullptr : &it->second.task;
}

Assignments core::snapshot() const {
  Assignments out;
  out.set_complete(true);
  for (const auto& [id, r] : tasks_)
    *out.add_tasks() = r.task;
  for (const auto& [key, t] : templates_)
    *out.add_templates() = t;
  for (const auto& [id, s] : services_)
    *out.add_services() = s;
  for (const auto& [id, n] : networks_)
    *out.add_networks() = n;
  return without_secrets(out);
}

Assignments without_secrets(const Assignments& message) {
  auto out = message;
  out.clear_secrets();
  out.clear_configs();
  for (auto& t : *out.mutable_templates())
    t.mutable_spec()->mutable_container_spec()->clear_registry_auth();
  return out;
}

void core::check_invariants() const {
  for (const auto& [id, r] : tasks_) {
    SWARM_CHECK(id == r.task.id(), id);
    SWARM_CHECK(!r.begun || recovered_, id);
  }
}

std::string core::dump() const {
  std::string out = "tasks=" + std::to_string(tasks_.size()) + " templates=" + std::to_string(templates_.size())
                    + " services=" + std::to_string(services_.size()) + " secrets=" + std::to_string(secrets_.size())
                    + " configs=" + std::to_string(configs_.size()) + " sequence=" + std::to_string(sequence_)
                    + (recovered_ ? "" : " not-recovered") + (assignments_known_ ? "" : " waits-for-manager");
  for (const auto& [id, r] : tasks_)
    if (!r.begun)
      out += "\nwaits " + id;
  return out;
}

} // namespace swarm::agent::worker
