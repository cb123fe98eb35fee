// Who waits, and since when.
#include "actors/allocator/allocator_core.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace swarm::allocator {

namespace {

constexpr std::uint32_t machine_version = 1;

} // namespace

bool is_behind(const Service& service) {
  if (!service.spec().has_endpoint_spec())
    return service.endpoint().has_spec();
  // No maps in it, so equal messages have equal bytes.
  return !service.endpoint().has_spec()
         || service.endpoint().spec().SerializeAsString() != service.spec().endpoint_spec().SerializeAsString();
}

void core::judge(instant now, const Service& service) {
  if (!is_behind(service)) {
    behind_.erase(service.id());
    return;
  }
  auto& entry = behind_[service.id()];
  entry.wanted = service.spec().endpoint_spec();
  entry.last = service.endpoint();
  if (entry.spec_version != service.spec_version())
    entry = {std::move(entry.wanted), std::move(entry.last), service.spec_version(), now + opts_.retry_min, opts_.retry_min};
}

void core::judge(instant now, const Task& task, bool removed) {
  if (removed || task.status().state() != TASK_STATE_NEW) {
    new_tasks_.erase(task.id());
    return;
  }
  if (!new_tasks_.insert(task.id()).second)
    return;
  tasks_due_ = now;
  tasks_pause_ = opts_.retry_min;
}

void core::reset(instant now, const StoreSnapshot& snapshot) {
  behind_.clear();
  new_tasks_.clear();
  in_flight_ = false;
  for (const auto& service : snapshot.services())
    judge(now, service);
  for (auto& [id, entry] : behind_)
    entry.due = now; // a new leader looks once at what the last one left
  for (const auto& task : snapshot.tasks())
    judge(now, task, false);
}

void core::observe(instant now, const EventBatch& batch) {
  bool freed = false;
  for (const auto& event : batch.services()) {
    if (event.kind() == CHANGE_KIND_REMOVED) {
      behind_.erase(event.service().id());
      freed = freed || event.service().endpoint().ports_size() > 0;
    } else {
      freed = freed || event.old().endpoint().SerializeAsString() != event.service().endpoint().SerializeAsString();
      judge(now, event.service());
    }
  }
  if (freed)
    for (auto& [id, entry] : behind_)
      entry.due = now;
  for (const auto& event : batch.tasks())
    judge(now, event.task(), event.kind() == CHANGE_KIND_REMOVED);
}

std::optional<Command> core::propose(instant now, wall_ns wall) {
  if (in_flight_)
    return std::nullopt;
  Command command;
  command.set_machine_version(machine_version);
  command.set_proposed_at(wall);
  propose_services(now, command);
  propose_tasks(now, wall, command);
  if (command.actions().empty())
    return std::nullopt;
  in_flight_ = true;
  return command;
}

void core::propose_services(instant now, Command& command) {
  for (auto& [id, entry] : behind_) {
    if (entry.due > now || static_cast<std::size_t>(command.actions_size()) == opts_.batch_max)
      continue;
    auto& update = *command.add_actions()->mutable_update_service_state();
    update.set_service_id(id);
    update.set_if_spec_version(entry.spec_version);
    // The old ports are wishes: the store keeps those that are still free.
    *update.mutable_endpoint() = entry.last;
    *update.mutable_endpoint()->mutable_spec() = entry.wanted;
    entry.pause = std::min(entry.pause * 2, opts_.retry_max);
    entry.due = now + entry.pause;
  }
}

void core::propose_tasks(instant now, wall_ns wall, Command& command) {
  if (new_tasks_.empty() || tasks_due_ > now)
    return;
  auto& update = *command.add_actions()->mutable_update_tasks();
  for (const auto& id : new_tasks_) {
    if (static_cast<std::size_t>(update.changes_size()) == opts_.tasks_max)
      break;
    auto& change = *update.add_changes();
    change.set_task_id(id);
    change.mutable_status()->set_timestamp(wall);
    change.mutable_status()->set_state(TASK_STATE_PENDING);
    change.mutable_status()->set_message("pending task scheduling");
  }
  // Success is seen in the events that precede the answer; what is left then either did not fit or was lost.
  if (static_cast<std::size_t>(update.changes_size()) < new_tasks_.size())
    return;
  tasks_due_ = now + tasks_pause_;
  tasks_pause_ = std::min(tasks_pause_ * 2, opts_.retry_max);
}

void core::settled() { in_flight_ = false; }

std::optional<instant> core::next_due() const {
  if (in_flight_)
    return std::nullopt;
  std::optional<instant> first;
  if (!new_tasks_.empty())
    first = tasks_due_;
  for (const auto& [id, entry] : behind_)
    if (!first || entry.due < *first)
      first = entry.due;
  return first;
}

void core::check_invariants() const {
  for (const auto& [id, entry] : behind_)
    SWARM_CHECK(!id.empty() && entry.pause >= opts_.retry_min && entry.pause <= opts_.retry_max);
}

std::string core::dump() const {
  std::string out = "behind=" + std::to_string(behind_.size()) + " new_tasks=" + std::to_string(new_tasks_.size())
                    + (in_flight_ ? " in flight" : "") + "\n";
  for (const auto& [id, entry] : behind_)
    out += id + " ports=" + std::to_string(entry.wanted.ports_size()) + " spec=" + std::to_string(entry.spec_version)
           + " pause_ms=" + std::to_string(std::chrono::duration_cast<milliseconds>(entry.pause).count()) + "\n";
  return out;
}

} // namespace swarm::allocator
