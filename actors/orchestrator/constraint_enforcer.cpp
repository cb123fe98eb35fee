// Constraints and reservations of running tasks against their node.
#include "actors/orchestrator/constraint_enforcer.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "messages/constraints.hpp"

namespace swarm::orchestrator::constraint_enforcer {

namespace {

// What is left of a node while its tasks are gone through.
struct room {
  std::int64_t nano_cpus = 0;
  std::int64_t memory_bytes = 0;
  std::map<std::string, std::int64_t> discrete;
  std::multiset<std::pair<std::string, std::string>> named;

  explicit room(const Resources& r) : nano_cpus{r.nano_cpus()}, memory_bytes{r.memory_bytes()} {
    for (const auto& g : r.generic_resources())
      if (g.has_discrete_resource_spec())
        discrete[g.discrete_resource_spec().kind()] += g.discrete_resource_spec().value();
      else
        named.emplace(g.named_resource_spec().kind(), g.named_resource_spec().value());
  }

  bool take(const Resources& wanted, const Task& task) {
    if (wanted.nano_cpus() > nano_cpus || wanted.memory_bytes() > memory_bytes)
      return false;
    auto left = *this;
    left.nano_cpus -= wanted.nano_cpus();
    left.memory_bytes -= wanted.memory_bytes();
    for (const auto& g : task.assigned_generic_resources()) {
      if (g.has_discrete_resource_spec()) {
        auto& have = left.discrete[g.discrete_resource_spec().kind()];
        have -= g.discrete_resource_spec().value();
        if (have < 0)
          return false;
        continue;
      }
      const auto it = left.named.find({g.named_resource_spec().kind(), g.named_resource_spec().value()});
      if (it == left.named.end())
        return false;
      left.named.erase(it);
    }
    *this = std::move(left);
    return true;
  }
};

bool is_active(const Node& node) {
  return node.spec().availability() == NODE_AVAILABILITY_ACTIVE ||
         node.spec().availability() == NODE_AVAILABILITY_UNSPECIFIED;
}

} // namespace

bool matters(const Node& before, const Node& after) {
  using google::protobuf::util::MessageDifferencer;
  if (!is_active(after) || before.description().hostname().empty())
    return false;
  return !is_active(before) || before.certificate_role() != after.certificate_role() ||
         before.status().addr() != after.status().addr() || !MessageDifferencer::Equals(before.spec(), after.spec()) ||
         !MessageDifferencer::Equals(before.description(), after.description());
}

std::optional<Command> enforce(wall_ns wall, const Node& node, const google::protobuf::RepeatedPtrField<Task>& tasks,
                               const spec_lookup& spec_of) {
  if (!is_active(node))
    return std::nullopt;
  std::vector<const Task*> sorted;
  for (const auto& task : tasks)
    if (task.node_id() == node.id() && task.status().state() >= TASK_STATE_ASSIGNED &&
        task.status().state() <= TASK_STATE_RUNNING && task.desired_state() <= TASK_STATE_COMPLETE)
      sorted.push_back(&task);
  std::sort(sorted.begin(), sorted.end(), [](const Task* a, const Task* b) { return a->id() < b->id(); });
  room left{node.description().resources()};
  UpdateTasks rejected;
  for (const auto* task : sorted) {
    const auto* spec = spec_of(*task);
    if (spec == nullptr ||
        (matches(stored_constraints(spec->placement()), node) && left.take(spec->resources().reservations(), *task)))
      continue;
    auto& change = *rejected.add_changes();
    change.set_task_id(task->id());
    auto& status = *change.mutable_status();
    status = task->status();
    status.set_timestamp(wall);
    status.set_state(TASK_STATE_REJECTED);
    status.set_message("task rejected by constraint enforcer");
    status.set_err("assigned node no longer meets constraints");
  }
  if (rejected.changes_size() == 0)
    return std::nullopt;
  Command out;
  out.set_machine_version(1);
  out.set_proposed_at(wall);
  *out.add_actions()->mutable_update_tasks() = std::move(rejected);
  return out;
}

} // namespace swarm::orchestrator::constraint_enforcer
