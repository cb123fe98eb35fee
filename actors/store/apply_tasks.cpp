// Changes of tasks: they never refuse, they skip what is out of date.
#include <algorithm>

#include "actors/store/apply.hpp"

namespace swarm::store {

void applier::tell_task(ChangeKind kind, Task&& task) {
  if (kind == CHANGE_KIND_REMOVED)
    write(TableWrite::TABLE_TASK, row_key(task), nullptr);
  else
    write(TableWrite::TABLE_TASK, row_key(task), &task);
  auto& event = *out_.events.add_tasks();
  event.set_kind(kind);
  *event.mutable_task() = std::move(task);
}

void applier::create_tasks(CreateTasks& create) {
  const auto& service_id = create.service_id();
  if (!state_.services.find(service_id) || !state_.templates.contains({service_id, create.spec_version()}))
    return;
  out_.events.mutable_tasks()->Reserve(out_.events.tasks_size() + create.tasks_size());
  out_.writes.Reserve(out_.writes.size() + create.tasks_size());
  for (auto& task : *create.mutable_tasks()) {
    const auto id = id128::parse(task.id());
    if (!id || state_.tasks.find(id) != no_row)
      continue;
    created(*task.mutable_meta());
    task.set_service_id(service_id);
    task.set_spec_version(create.spec_version());
    if (task.status().timestamp() == 0)
      task.mutable_status()->set_timestamp(command_.proposed_at());
    state_.tasks.insert(task);
    tell_task(CHANGE_KIND_CREATED, std::move(task));
  }
}

bool applier::change_task(row_index row, const TaskChange& change, bool& status_changed) {
  auto& tasks = state_.tasks;
  if (!change.reporter_node_id().empty() && tasks.node_of(row) != change.reporter_node_id())
    return false;
  bool changed = false;
  if (!change.node_id().empty() && tasks.at(row).node == 0) {
    tasks.assign(row, change.node_id(), change.assigned_generic_resources());
    changed = true;
  }
  if (change.networks_size() > 0 && tasks.at(row).state == TASK_STATE_NEW)
    changed = tasks.set_networks(row, change.networks()) || changed;
  if (change.has_desired_state())
    changed = tasks.raise_desired(row, change.desired_state()) || changed;
  status_changed = change.has_status() && tasks.set_status(row, change.status());
  return changed || status_changed;
}

void applier::update_tasks(UpdateTasks& update) {
  out_.events.mutable_tasks()->Reserve(out_.events.tasks_size() + update.changes_size());
  out_.writes.Reserve(out_.writes.size() + update.changes_size());
  for (auto& change : *update.mutable_changes()) {
    const auto row = state_.tasks.find(id128::parse(change.task_id()));
    bool status_changed = false;
    if (row == no_row || !change_task(row, change, status_changed))
      continue;
    state_.tasks.touch(row, index_, command_.proposed_at());
    Task task;
    if (status_changed) { // the usual case: the row's status is what the change brought
      task.mutable_id()->swap(*change.mutable_task_id());
      task.mutable_status()->Swap(change.mutable_status());
      state_.tasks.complete_proto(row, task);
    } else {
      state_.tasks.to_proto(row, task);
    }
    tell_task(CHANGE_KIND_UPDATED, std::move(task));
  }
}

void applier::remove_tasks(const RemoveTasks& remove) {
  for (const auto& id : remove.task_ids()) {
    const auto row = state_.tasks.find(id128::parse(id));
    if (row == no_row)
      continue;
    Task task;
    state_.tasks.to_proto(row, task);
    const auto service = state_.services.find(task.service_id());
    touched_services_.try_emplace(task.service_id(), service ? service->spec_version() : 0);
    state_.tasks.erase(row);
    tell_task(CHANGE_KIND_REMOVED, std::move(task));
  }
}

/// A removed node never reports again, so its unfinished tasks would hold their resources for ever.
void applier::orphan_tasks_of(const std::string& node_id) {
  TaskStatus status;
  status.set_timestamp(command_.proposed_at());
  status.set_state(TASK_STATE_ORPHANED);
  status.set_message("Task belonged to a node that has been deleted");
  std::vector<std::pair<id128, row_index>> rows; // by id: the order of events must not depend on history
  for (auto row = state_.tasks.first_of_node(node_id); row != no_row; row = state_.tasks.at(row).node_next)
    if (state_.tasks.at(row).state < TASK_STATE_COMPLETE)
      rows.emplace_back(state_.tasks.at(row).id, row);
  std::sort(rows.begin(), rows.end());
  for (const auto& [id, row] : rows) {
    state_.tasks.set_status(row, status);
    state_.tasks.touch(row, index_, command_.proposed_at());
    Task task;
    state_.tasks.to_proto(row, task);
    tell_task(CHANGE_KIND_UPDATED, std::move(task));
  }
}

// Drops the templates that nobody names any more. A row have those that cannot be told from the service's own row.
void applier::settle_templates() {
  for (const auto& [id, version_before] : touched_services_) {
    const auto service = state_.services.find(id);
    const auto version_now = service ? service->spec_version() : 0;
    auto it = state_.templates.lower_bound({id, 0});
    while (it != state_.templates.end() && it->first.service_id == id) {
      const auto version = it->first.spec_version;
      const bool named = names_version(service.get(), version) || state_.tasks.count_of_version(id, version) > 0;
      const bool was_row = version != index_ && version != version_before;
      const bool is_row = named && version != version_now;
      if (was_row != is_row) {
        const auto row = template_of(*it->second);
        write(TableWrite::TABLE_TEMPLATE, row_key(row), is_row ? &row : nullptr);
      }
      if (named) {
        ++it;
        continue;
      }
      auto& event = *out_.events.add_templates();
      event.set_kind(CHANGE_KIND_REMOVED);
      event.mutable_template_()->set_service_id(id);
      event.mutable_template_()->set_spec_version(version);
      it = state_.templates.erase(it);
    }
  }
}

} // namespace swarm::store
