// Sets, differences and dependencies of one node.
#include "actors/dispatcher/assignments_core.hpp"

#include <algorithm>
#include <type_traits>

#include "runtime/check.hpp"

namespace swarm::dispatcher {

namespace {

// Most tasks of one INCREMENTAL frame; a COMPLETE one must hold everything.
constexpr std::size_t frame_tasks_max = 10'000;

} // namespace

// -- dependencies -----------------------------------------------------------------------------------------------------------

template <class F>
void assignments_core::each_dependency(const version& v, F f) {
  if (!v.definition)
    return;
  const auto& container = v.definition->spec().container_spec();
  std::set<std::string> seen; // a spec may mount the same one twice
  for (const auto& ref : container.secrets())
    if (seen.insert(ref.secret_id()).second)
      f(secrets_[ref.secret_id()]);
  seen.clear();
  for (const auto& ref : container.configs())
    if (seen.insert(ref.config_id()).second)
      f(configs_[ref.config_id()]);
  if (const auto& id = container.privileges().credential_spec().config(); !id.empty() && seen.insert(id).second)
    f(configs_[id]);
  seen.clear();
  for (const auto& network : v.definition->spec().networks())
    if (seen.insert(network.target()).second)
      f(networks_[network.target()]);
}

void assignments_core::set_living(version& v, bool more) {
  const auto before = v.living;
  v.living = more ? v.living + 1 : v.living - 1;
  if ((before == 0) == (v.living == 0))
    return;
  each_dependency(v, [&](auto& d) {
    d.users = more ? d.users + 1 : d.users - 1;
    dependencies_changed_ = true;
    if constexpr (std::is_same_v<std::decay_t<decltype(d)>, dependency<Secret>>)
      if (d.users == 0 && d.value && d.value->spec().has_driver())
        fetches_.forget(d.value->id());
  });
}

void assignments_core::define(version& v, const TaskTemplate& definition) {
  if (v.definition) { // only the credentials of a version ever change; running tasks have no use for them
    if (v.definition->spec().container_spec().registry_auth() != definition.spec().container_spec().registry_auth()) {
      v.definition = definition;
      v.sent = false;
    }
    return;
  }
  v.definition = definition;
  find_driven(v);
  if (v.living > 0)
    each_dependency(v, [&](auto& d) {
      ++d.users;
      dependencies_changed_ = true;
    });
}

// The agent may keep a template longer; sending it once more does no harm.
void assignments_core::drop_unused() {
  for (auto it = versions_.begin(); it != versions_.end();) {
    if (it->second.tasks > 0) {
      ++it;
      continue;
    }
    const auto service = it->first.first;
    it = versions_.erase(it);
    const auto other = versions_.lower_bound({service, 0});
    if (other == versions_.end() || other->first.first != service)
      services_.erase(service);
  }
  std::erase_if(secrets_, [](const auto& entry) { return entry.second.users == 0 && !entry.second.sent; });
  std::erase_if(configs_, [](const auto& entry) { return entry.second.users == 0 && !entry.second.sent; });
  std::erase_if(networks_, [](const auto& entry) { return entry.second.users == 0 && !entry.second.sent; });
}

// -- events -------------------------------------------------------------------------------------------------------------------

void assignments_core::apply(const EventBatch& batch) {
  for (const auto& event : batch.nodes())
    if (event.node().id() == node_id_ && event.kind() != CHANGE_KIND_REMOVED)
      self_ = event.node();
  for (const auto& event : batch.secrets())
    if (event.kind() != CHANGE_KIND_REMOVED)
      secrets_[event.secret().id()].value = event.secret();
  for (const auto& event : batch.configs())
    if (event.kind() != CHANGE_KIND_REMOVED)
      configs_[event.config().id()].value = event.config();
  for (const auto& event : batch.networks())
    if (event.kind() != CHANGE_KIND_REMOVED)
      networks_[event.network().id()].value = event.network();
  for (const auto& event : batch.templates()) {
    const auto& t = event.template_();
    if (event.kind() != CHANGE_KIND_REMOVED) // goes with its last task
      define(versions_[{t.service_id(), t.spec_version()}], t);
  }
  for (const auto& event : batch.services()) {
    const auto& from = event.service();
    const auto known = services_.find(from.id());
    const bool wanted = std::any_of(batch.templates().begin(), batch.templates().end(),
                                    [&](const auto& t) { return t.template_().service_id() == from.id(); });
    if (event.kind() == CHANGE_KIND_REMOVED || (known == services_.end() && !wanted))
      continue;
    auto& to = services_[from.id()];
    to.identity.set_id(from.id());
    to.identity.set_name(from.spec().name());
    *to.identity.mutable_labels() = from.spec().labels();
    to.global = from.spec().mode().has_global() || from.spec().mode().has_global_job();
    services_changed_.insert(from.id());
  }
  for (const auto& event : batch.tasks())
    if (event.kind() == CHANGE_KIND_REMOVED)
      remove_task(task_id{event.task().id()});
    else
      apply_task(event.task());
  drop_unused();
}

void assignments_core::apply_task(const Task& task) {
  if (task.node_id() != node_id_ || task.status().state() < TASK_STATE_ASSIGNED)
    return;
  const auto [it, fresh] = tasks_.try_emplace(task_id{task.id()});
  auto& r = it->second;
  // States only rise; a row that says otherwise is older than what is known.
  const auto state = std::max(static_cast<TaskState>(r.observed), task.status().state());
  bool tell = fresh;
  if (fresh) {
    r.sent = removed_.erase(it->first) > 0; // it has come back before the agent was told that it went
    r.of = versions_.try_emplace({task.service_id(), task.spec_version()}).first;
    ++r.of->second.tasks;
    r.slot = task.slot();
  }
  // From STARTING on there is a container. An agent goes by the same rule (worker_core.cpp).
  follow_need(it->first, r, state < TASK_STATE_STARTING && task.desired_state() <= TASK_STATE_RUNNING);
  if (fresh && state <= TASK_STATE_RUNNING)
    set_living(r.of->second, true);
  else if (!fresh && r.observed <= TASK_STATE_RUNNING && state > TASK_STATE_RUNNING)
    set_living(r.of->second, false);
  if (task.networks_size() + task.assigned_generic_resources_size() > 0 || task.has_job_iteration()) {
    if (!r.more)
      r.more = std::make_unique<extra>();
    r.more->networks = task.networks();
    r.more->generic_resources = task.assigned_generic_resources();
    if (task.has_job_iteration())
      r.more->job_iteration = task.job_iteration();
  }
  tell = tell || r.desired != static_cast<std::uint16_t>(task.desired_state());
  r.observed = state;
  r.desired = static_cast<std::uint16_t>(task.desired_state());
  if (tell && !r.changed) {
    r.changed = true;
    changed_.insert(it->first);
  }
}

void assignments_core::remove_task(const task_id& id) {
  const auto it = tasks_.find(id);
  if (it == tasks_.end())
    return;
  auto& r = it->second;
  follow_need(id, r, false);
  if (r.observed <= TASK_STATE_RUNNING)
    set_living(r.of->second, false);
  --r.of->second.tasks;
  if (r.sent)
    removed_.insert(id);
  changed_.erase(id);
  tasks_.erase(it);
}

// -- frames -------------------------------------------------------------------------------------------------------------------

void assignments_core::start_session(const std::string& session_id) {
  session_id_ = session_id;
  sequence_ = 0;
  told_values_.clear();
  removed_.clear();
  changed_.clear();
  for (auto& [id, r] : tasks_)
    r.sent = r.changed = false;
  for (auto& [key, v] : versions_)
    v.sent = false;
  for (auto& [id, s] : services_)
    s.sent = false;
  for (auto& [id, d] : secrets_)
    d.sent = false;
  for (auto& [id, d] : configs_)
    d.sent = false;
  for (auto& [id, d] : networks_)
    d.sent = false;
  drop_unused();
}

void assignments_core::add_task(Assignments& frame, const task_id& id, row& r) {
  auto& v = r.of->second;
  const auto& [service_id, spec_version] = r.of->first;
  auto& task = *frame.add_tasks();
  task.set_id(id.str());
  task.set_service_id(service_id);
  task.set_spec_version(spec_version);
  task.set_slot(r.slot);
  task.set_desired_state(static_cast<TaskState>(r.desired));
  task.set_observed_state(static_cast<TaskState>(r.observed));
  if (r.needs)
    task.set_no_secret_because(fetches_.problem_of(id));
  if (r.more) {
    *task.mutable_networks() = r.more->networks;
    *task.mutable_generic_resources() = r.more->generic_resources;
    if (r.more->job_iteration)
      task.set_job_iteration(*r.more->job_iteration);
  }
  r.sent = true;
  r.changed = false;
  if (v.definition && !v.sent) {
    *frame.add_templates() = *v.definition;
    v.sent = true;
  }
  if (const auto service = services_.find(service_id); service != services_.end()) {
    task.set_global(service->second.global);
    if (!service->second.sent) {
      *frame.add_services() = service->second.identity;
      service->second.sent = true;
    }
  }
}

void assignments_core::add_dependencies(Assignments& frame) {
  for (auto& [id, d] : secrets_) {
    if (d.value && d.value->spec().has_driver())
      continue;
    if (d.users > 0 && !d.sent && d.value) {
      *frame.add_secrets() = *d.value;
      d.sent = true;
    } else if (d.users == 0 && d.sent) {
      frame.add_removed_secret_ids(id);
      d.sent = false;
    }
  }
  for (auto& [id, d] : configs_) {
    if (d.users > 0 && !d.sent && d.value) {
      *frame.add_configs() = *d.value;
      d.sent = true;
    } else if (d.users == 0 && d.sent) {
      frame.add_removed_config_ids(id);
      d.sent = false;
    }
  }
  for (auto& [id, d] : networks_) {
    if (d.users > 0 && !d.sent && d.value) {
      *frame.add_networks() = *d.value;
      d.sent = true;
    } else if (d.users == 0 && d.sent) {
      frame.add_removed_network_ids(id);
      d.sent = false;
    }
  }
  dependencies_changed_ = !add_values(frame);
  drop_unused();
}

std::optional<Assignments> assignments_core::take_frame() {
  if (!has_session())
    return std::nullopt;
  Assignments out;
  out.set_node_id(node_id_);
  out.set_session_id(session_id_);
  out.set_complete(sequence_ == 0);
  out.set_applies_to(sequence_);
  if (sequence_ == 0) {
    for (auto& [id, r] : tasks_)
      add_task(out, id, r);
    changed_.clear();
    removed_.clear();
  } else {
    for (std::size_t n = 0; n < frame_tasks_max && !changed_.empty(); ++n) {
      const auto id = *changed_.begin();
      changed_.erase(changed_.begin());
      add_task(out, id, tasks_.find(id)->second);
    }
    for (const auto& id : std::exchange(removed_, {}))
      out.add_removed_task_ids(id.str());
    for (const auto& id : services_changed_)
      if (const auto it = services_.find(id); it != services_.end() && it->second.sent &&
          std::none_of(out.services().begin(), out.services().end(), [&](const auto& s) { return s.id() == id; }))
        *out.add_services() = it->second.identity;
  }
  services_changed_.clear();
  if (dependencies_changed_ || sequence_ == 0)
    add_dependencies(out);
  const bool silent = out.tasks_size() + out.removed_task_ids_size() + out.services_size() + out.secrets_size() +
                        out.configs_size() + out.removed_secret_ids_size() + out.removed_config_ids_size() +
                        out.networks_size() + out.removed_network_ids_size() == 0;
  if (silent && sequence_ > 0)
    return std::nullopt;
  out.set_sequence(++sequence_);
  return out;
}

void assignments_core::check_invariants() const {
  std::map<version_key, std::pair<std::size_t, std::size_t>> counted;
  for (const auto& [id, r] : tasks_) {
    auto& [tasks, living] = counted[r.of->first];
    ++tasks;
    living += r.observed <= TASK_STATE_RUNNING ? 1 : 0;
  }
  for (const auto& [key, v] : versions_) {
    const auto it = counted.find(key);
    SWARM_CHECK(v.tasks == (it == counted.end() ? 0 : it->second.first));
    SWARM_CHECK(v.living == (it == counted.end() ? 0 : it->second.second));
  }
}

std::string assignments_core::dump() const {
  std::string out = "node=" + node_id_ + (has_session() ? " session sequence=" + std::to_string(sequence_) : " no session") +
                    " tasks=" + std::to_string(tasks_.size()) + " unsent=" + std::to_string(changed_.size()) +
                    " secrets=" + std::to_string(secrets_.size()) + " configs=" + std::to_string(configs_.size()) +
                    " values_awaited=" + std::to_string(fetches_.waiting()) + "\n";
  constexpr std::size_t shown_max = 1000;
  std::size_t shown = 0;
  for (const auto& [id, r] : tasks_) {
    if (++shown > shown_max)
      return out + "…\n";
    out += id.str() + " service=" + r.of->first.first + " observed=" + std::to_string(r.observed) +
           " desired=" + std::to_string(r.desired) + "\n";
  }
  return out;
}

} // namespace swarm::dispatcher
