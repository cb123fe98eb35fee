// Bookkeeping of one service for scenarios.
#include "tests/sim/scenario_watch.hpp"

namespace swarm::sim {

namespace {
// Containers that were stopped end so (sim_engine).
bool was_stopped(std::int64_t exit_code) { return exit_code == 143 || exit_code == 137; }
} // namespace

void scenario_watch::committed(std::uint64_t now_us, const EventBatch& events) {
  for (const auto& event : events.nodes())
    if (event.kind() == CHANGE_KIND_REMOVED)
      nodes_.erase(event.node().id());
    else
      nodes_[event.node().id()] = event.node();
  for (const auto& event : events.secrets())
    if (event.kind() == CHANGE_KIND_REMOVED)
      std::erase_if(secrets_, [&](const auto& item) { return item.second == event.secret().id(); });
    else
      secrets_[event.secret().spec().name()] = event.secret().id();
  for (const auto& event : events.templates())
    if (event.kind() != CHANGE_KIND_REMOVED)
      images_[event.template_().spec_version()] = event.template_().spec().container_spec().image();
  for (const auto& event : events.services()) {
    has_service_ = event.kind() != CHANGE_KIND_REMOVED;
    service_ = event.service();
  }
  for (const auto& event : events.tasks()) {
    const auto [it, fresh] = tasks_.try_emplace(event.task().id());
    auto& task = it->second;
    if (fresh) {
      order_.push_back(event.task().id());
      task.created_us = now_us;
      task.image = images_[event.task().spec_version()];
    }
    if (event.kind() == CHANGE_KIND_REMOVED)
      task.removed = true;
    else
      task.row = event.task();
  }
}

void scenario_watch::described(const TaskDescription& task) {
  auto& files = tasks_[task.task_id()].files;
  files.clear();
  for (const auto& file : task.secret_files())
    files += file.data();
}

std::string scenario_watch::secret(const std::string& name) const {
  const auto it = secrets_.find(name);
  return it == secrets_.end() ? "" : it->second;
}

void scenario_watch::container_started(std::uint64_t now_us, const std::string& task) {
  tasks_[task].started_us = now_us;
}

void scenario_watch::container_ended(std::uint64_t now_us, const std::string& task, std::int64_t exit_code) {
  tasks_[task].ended_us = now_us;
  tasks_[task].exit_code = exit_code;
}

const Node* scenario_watch::node(const std::string& id) const {
  const auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : &it->second;
}

scenario_watch::tasks scenario_watch::all() const {
  tasks out;
  for (const auto& id : order_)
    out.push_back(&tasks_.at(id));
  return out;
}

std::map<std::string, scenario_watch::tasks> scenario_watch::slots() const {
  const auto& mode = service_.spec().mode();
  const bool by_node = mode.has_global() || mode.has_global_job();
  std::map<std::string, tasks> out;
  for (const auto* task : all())
    out[by_node ? task->row.node_id() : std::to_string(task->row.slot())].push_back(task);
  return out;
}

const watched_task* scenario_watch::find(const std::string& task) const {
  const auto it = tasks_.find(task);
  return it == tasks_.end() ? nullptr : &it->second;
}

std::size_t scenario_watch::running() const {
  return count([](const watched_task& t) { return t.runs(); });
}

std::size_t scenario_watch::running(const std::string& image) const {
  return count([&](const watched_task& t) { return t.runs() && t.image == image; });
}

std::size_t scenario_watch::created(const std::string& image) const {
  return count([&](const watched_task& t) { return t.image == image; });
}

std::size_t scenario_watch::failed() const {
  return count([](const watched_task& t) { return t.ended_us != 0 && t.exit_code != 0 && !was_stopped(t.exit_code); });
}

std::size_t scenario_watch::completed() const {
  return count([](const watched_task& t) { return t.ended_us != 0 && t.exit_code == 0; });
}

std::string scenario_watch::render() const {
  std::string out = service_.spec().name() + ": " + UpdateState_Name(update_state()) + ' ' +
                    service_.update_status().message() + '\n';
  for (const auto& [slot, tasks] : slots()) {
    out += "slot " + slot + '\n';
    for (const auto* t : tasks)
      out += "  " + t->row.id() + ' ' + t->image + " created=" + std::to_string(t->created_us) +
             " started=" + std::to_string(t->started_us) + " ended=" + std::to_string(t->ended_us) +
             " code=" + std::to_string(t->exit_code) + ' ' + TaskState_Name(t->row.status().state()) + " wanted " +
             TaskState_Name(t->row.desired_state()) + (t->removed ? " removed" : "") + '\n';
  }
  return out;
}

} // namespace swarm::sim
