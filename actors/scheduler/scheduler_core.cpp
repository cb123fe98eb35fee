// Events into tables, and proposals out of them.
#include "actors/scheduler/scheduler_core.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace swarm::scheduler {

namespace {

constexpr std::size_t command_changes_max = 10'000;
constexpr std::size_t command_bytes_max = 1'400'000;
constexpr std::size_t in_flight_max = 2; // one commits while the next is built
constexpr duration retry_first = milliseconds{100};
constexpr duration retry_max = seconds{5};

} // namespace

core::core() = default;

std::uint32_t core::hash_of(const std::string& explanation) {
  return explanation.empty() ? 0 : static_cast<std::uint32_t>(std::hash<std::string>{}(explanation));
}

// -- tables ---------------------------------------------------------------------------------------------------------------

node_index core::node_of(const std::string& id) {
  const auto [it, fresh] = node_by_id_.try_emplace(id, static_cast<node_index>(nodes_.size()));
  if (fresh)
    nodes_.emplace_back().node.set_id(id);
  return it->second;
}

group_index core::group_of(const std::string& service, std::uint64_t spec_version) {
  auto& known = services_[service];
  for (const auto& [version, index] : known.groups)
    if (version == spec_version)
      return index;
  if (known.groups.empty()) {
    known.index = free_services_.empty() ? next_service_++ : free_services_.back();
    if (!free_services_.empty())
      free_services_.pop_back();
  }
  auto index = static_cast<group_index>(groups_.size());
  if (free_groups_.empty()) {
    groups_.emplace_back();
  } else {
    index = free_groups_.back();
    free_groups_.pop_back();
    groups_[index] = group{};
  }
  auto& g = groups_[index];
  g.used = true;
  g.service_id = service;
  g.spec_version = spec_version;
  g.service = known.index;
  known.groups.emplace_back(spec_version, index);
  return index;
}

void core::drop_group_if_unused(group_index index) {
  auto& g = groups_[index];
  if (!g.used || g.tasks > 0 || !g.gone)
    return;
  g.used = false;
  const auto service = services_.find(g.service_id);
  std::erase_if(service->second.groups, [&](const auto& entry) { return entry.second == index; });
  if (service->second.groups.empty()) {
    free_services_.push_back(service->second.index);
    services_.erase(service);
  }
  for (auto& node : nodes_)
    std::erase_if(node.failures, [&](const auto& f) { return f.first == index; });
  to_place_.erase(index);
  to_tell_.erase(index);
  blocked_.erase(index);
  g = group{};
  free_groups_.push_back(index);
}

core::entry& core::enter(const task_id& id, const Task& task) {
  const auto [it, fresh] = tasks_.try_emplace(id);
  if (fresh) {
    it->second.group = group_of(task.service_id(), task.spec_version());
    ++groups_[it->second.group].tasks;
  }
  return it->second;
}

void core::leave(const task_id& id) {
  const auto it = tasks_.find(id);
  if (it == tasks_.end())
    return;
  stop_waiting(id, it->second);
  release(id, it->second);
  const auto index = it->second.group;
  tasks_.erase(it);
  --groups_[index].tasks;
  drop_group_if_unused(index);
}

void core::stop_waiting(const task_id& id, entry& e) {
  if (!e.preassigned)
    return; // lists of groups are cleaned when they are gone through
  if (const auto waiting = preassigned_.find(e.node); waiting != preassigned_.end())
    waiting->second.erase(id);
}

// What tasks hold stays held, whatever the node offers now.
void core::offer(node_entry& node, const Node& fresh) {
  const auto before = resources_of(node.node.description().resources());
  const auto after = resources_of(fresh.description().resources());
  node.free.nano_cpus += after.nano_cpus - before.nano_cpus;
  node.free.memory_bytes += after.memory_bytes - before.memory_bytes;
  for (const auto& [kind, count] : before.discrete)
    node.free.discrete[kind] -= count;
  for (const auto& [kind, count] : after.discrete)
    node.free.discrete[kind] += count;
  std::erase_if(node.free.named, [&](const auto& value) { return !after.named.contains(value); });
  for (const auto& value : after.named)
    if (!before.named.contains(value))
      node.free.named.insert(value);
  node.node = fresh;
  node.present = true;
}

void core::hold(const task_id& id, entry& e, node_index index,
                const google::protobuf::RepeatedPtrField<GenericResource>* stored) {
  auto& node = nodes_[index];
  const auto& g = groups_[e.group];
  e.at = phase::placed;
  e.node = index;
  ++node.holding;
  ++held_;
  if (e.wanted) {
    ++node.tasks;
    node.by_service.add(g.service);
  }
  for (const auto port : g.wanted.host_ports)
    node.host_ports.add(port);
  if (stored == nullptr) {
    google::protobuf::RepeatedPtrField<GenericResource> chosen;
    claim(g.wanted, node.free, chosen);
    if (!chosen.empty()) {
      e.generic = true;
      generic_[id] = std::move(chosen);
    }
    return;
  }
  node.free.nano_cpus -= g.wanted.nano_cpus;
  node.free.memory_bytes -= g.wanted.memory_bytes;
  for (const auto& value : *stored)
    if (value.has_discrete_resource_spec())
      node.free.discrete[value.discrete_resource_spec().kind()] -= value.discrete_resource_spec().value();
    else
      node.free.named.erase({value.named_resource_spec().kind(), value.named_resource_spec().value()});
  if (!stored->empty()) {
    e.generic = true;
    generic_[id] = *stored;
  }
}

void core::release(const task_id& id, entry& e) {
  if (e.at != phase::placed)
    return;
  auto& node = nodes_[e.node];
  const auto& g = groups_[e.group];
  set_wanted(e, false);
  --node.holding;
  --held_;
  for (const auto port : g.wanted.host_ports)
    node.host_ports.take(port);
  node.free.nano_cpus += g.wanted.nano_cpus;
  node.free.memory_bytes += g.wanted.memory_bytes;
  if (e.generic) {
    const auto offered = resources_of(node.node.description().resources());
    for (const auto& value : generic_[id])
      if (value.has_discrete_resource_spec())
        node.free.discrete[value.discrete_resource_spec().kind()] += value.discrete_resource_spec().value();
      else if (std::pair key{value.named_resource_spec().kind(), value.named_resource_spec().value()};
               offered.named.contains(key))
        node.free.named.insert(std::move(key));
    generic_.erase(id);
    e.generic = false;
  }
  e.at = phase::waiting;
  e.wanted = true;
  room_freed(e.node);
}

void core::set_wanted(entry& e, bool wanted) {
  if (e.wanted == wanted)
    return;
  e.wanted = wanted;
  if (e.at != phase::placed)
    return;
  auto& node = nodes_[e.node];
  const auto service = groups_[e.group].service;
  if (wanted) {
    ++node.tasks;
    node.by_service.add(service);
  } else {
    --node.tasks;
    node.by_service.take(service);
    room_freed(e.node);
  }
}

void core::room_freed(node_index node) {
  for (const auto index : blocked_)
    if (groups_[index].needs_room)
      to_place_.insert(index);
  if (preassigned_.contains(node))
    to_validate_.insert(node);
}

void core::node_changed(node_index node) {
  to_place_.insert(blocked_.begin(), blocked_.end());
  if (preassigned_.contains(node))
    to_validate_.insert(node);
}

// -- events ---------------------------------------------------------------------------------------------------------------

void core::apply_network(bool removed, const Network& network) {
  for (const auto& key : {network.id(), network.spec().name()})
    if (removed)
      networks_.erase(key);
    else
      networks_[key] = network.predefined() ? "" : network.spec().driver();
}

void core::apply_node(bool removed, const Node& node) {
  const auto index = node_of(node.id());
  auto& entry = nodes_[index];
  if (removed) {
    Node nothing;
    nothing.set_id(node.id());
    offer(entry, nothing);
    entry.present = false;
  } else {
    offer(entry, node);
  }
  node_changed(index);
}

void core::apply_template(const TaskTemplate& task) {
  const auto index = group_of(task.service_id(), task.spec_version());
  auto& g = groups_[index];
  g.gone = false;
  if (g.known)
    return; // a version never changes
  g.wanted = requirements_of(task);
  g.known = true;
  if (!g.pending.empty())
    to_place_.insert(index);
}

void core::remove_template(const TaskTemplate& task) {
  const auto index = group_of(task.service_id(), task.spec_version());
  groups_[index].gone = true;
  drop_group_if_unused(index);
}

void core::apply_task(bool removed, const Task& task) {
  const task_id id{task.id()};
  const auto state = task.status().state();
  if (removed || state > TASK_STATE_RUNNING)
    task_gone(id, task, removed);
  else if (state >= TASK_STATE_ASSIGNED)
    task_alive(id, task);
  else
    task_waits(id, task);
}

void core::task_alive(const task_id& id, const Task& task) {
  auto& e = enter(id, task);
  const auto node = node_of(task.node_id());
  if (e.at != phase::placed || e.node != node) {
    stop_waiting(id, e);
    release(id, e);
    e.wanted = true;
    hold(id, e, node, &task.assigned_generic_resources());
  }
  set_wanted(e, task.desired_state() <= TASK_STATE_COMPLETE);
}

// It never ran and must not any more: nobody but us will ever say that it has ended.
void core::end_unplaced(const task_id& id) {
  TaskChange change;
  change.set_task_id(id.str());
  auto& status = *change.mutable_status();
  status.set_timestamp(now_.wall);
  status.set_state(TASK_STATE_SHUTDOWN);
  status.set_message("shutdown");
  emit(change_kind::ended, id, std::move(change));
}

void core::task_waits(const task_id& id, const Task& task) {
  if (task.desired_state() > TASK_STATE_COMPLETE) {
    auto& e = enter(id, task);
    if (e.at == phase::ending)
      return;
    stop_waiting(id, e);
    release(id, e);
    e.at = phase::ending;
    end_unplaced(id);
    return;
  }
  if (task.status().state() < TASK_STATE_PENDING || tasks_.contains(id))
    return; // its networks are not ready; or it waits already, or our placement is under way
  auto& e = enter(id, task);
  e.told = hash_of(task.status().err());
  if (!task.node_id().empty()) {
    e.preassigned = true;
    e.node = node_of(task.node_id());
    preassigned_[e.node].insert(id);
    to_validate_.insert(e.node);
    return;
  }
  groups_[e.group].pending.push_back(id);
  to_place_.insert(e.group);
}

void core::task_gone(const task_id& id, const Task& task, bool removed) {
  const auto it = tasks_.find(id);
  if (it == tasks_.end())
    return;
  const auto& e = it->second;
  const auto state = task.status().state();
  // Preassigned ones do not count: we do not choose where those run.
  if (!removed && e.at == phase::placed && !e.preassigned &&
      (state == TASK_STATE_FAILED || state == TASK_STATE_REJECTED))
    nodes_[e.node].add_failure(e.group, now_.now);
  leave(id);
}

effects core::load(timestamp now, const StoreSnapshot& snapshot) {
  now_ = now;
  for (const auto& network : snapshot.networks())
    apply_network(false, network);
  for (const auto& node : snapshot.nodes())
    apply_node(false, node);
  for (const auto& task : snapshot.templates())
    apply_template(task);
  for (const auto& task : snapshot.tasks())
    apply_task(false, task);
  return evaluate();
}

effects core::apply(timestamp now, const EventBatch& batch) {
  now_ = now;
  for (const auto& event : batch.networks())
    apply_network(event.kind() == CHANGE_KIND_REMOVED, event.network());
  for (const auto& event : batch.nodes())
    apply_node(event.kind() == CHANGE_KIND_REMOVED, event.node());
  for (const auto& event : batch.templates())
    if (event.kind() != CHANGE_KIND_REMOVED)
      apply_template(event.template_());
  for (const auto& event : batch.tasks())
    apply_task(event.kind() == CHANGE_KIND_REMOVED, event.task());
  for (const auto& event : batch.templates())
    if (event.kind() == CHANGE_KIND_REMOVED)
      remove_template(event.template_());
  return evaluate();
}

effects core::tick(timestamp now) {
  now_ = now;
  return evaluate();
}

effects core::proposed(timestamp now, std::uint64_t ticket, const failure& outcome) {
  now_ = now;
  const auto it = in_flight_.find(ticket);
  SWARM_CHECK(it != in_flight_.end());
  const auto changes = std::move(it->second);
  in_flight_.erase(it);
  if (outcome.ok()) {
    refusals_ = 0;
    return evaluate();
  }
  for (const auto& change : changes) {
    const auto task = tasks_.find(change.task);
    if (task == tasks_.end())
      continue;
    auto& e = task->second;
    if (change.kind == change_kind::told) {
      e.told = 0;
      to_tell_.insert(e.group);
    } else if (change.kind == change_kind::ended) {
      end_unplaced(change.task);
    } else if (e.at == phase::placed) {
      release(change.task, e);
      if (e.preassigned) {
        preassigned_[e.node].insert(change.task);
        to_validate_.insert(e.node);
      } else {
        e.node = no_node;
        groups_[e.group].pending.push_back(change.task);
        to_place_.insert(e.group);
      }
    }
  }
  auto pause = retry_first;
  for (unsigned i = 0; i < refusals_ && pause < retry_max; ++i)
    pause *= 2;
  ++refusals_;
  retry_at_ = now.now + std::min(pause, retry_max);
  return evaluate();
}

// -- proposals --------------------------------------------------------------------------------------------------------------

void core::emit(change_kind kind, const task_id& id, TaskChange&& change) {
  const auto bytes = change.ByteSizeLong() + 4;
  if (outbox_.empty() || outbox_.back().changes.size() >= command_changes_max ||
      outbox_.back().bytes + bytes > command_bytes_max)
    outbox_.emplace_back();
  auto& to = outbox_.back();
  to.bytes += bytes;
  to.changes.push_back({kind, id});
  *to.update.add_changes() = std::move(change);
}

effects core::evaluate() {
  effects out;
  if (now_.now < retry_at_) {
    out.wake = retry_at_;
    return out;
  }
  validate_preassigned();
  for (const auto index : std::exchange(to_place_, {}))
    place_group(index);
  for (const auto index : std::exchange(to_tell_, {}))
    tell(index);
  while (!outbox_.empty() && in_flight_.size() < in_flight_max) {
    auto& next = outbox_.front();
    proposal p;
    p.ticket = next_ticket_++;
    p.command.set_machine_version(1);
    p.command.set_proposed_at(now_.wall);
    p.command.add_actions()->mutable_update_tasks()->Swap(&next.update);
    in_flight_[p.ticket] = std::move(next.changes);
    outbox_.pop_front();
    out.proposals.push_back(std::move(p));
  }
  for (const auto index : to_tell_)
    if (!out.wake || groups_[index].next_text_at < *out.wake)
      out.wake = groups_[index].next_text_at;
  return out;
}

} // namespace swarm::scheduler
