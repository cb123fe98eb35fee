// Routing of events, and the queue of nodes to enforce constraints on.
#include "actors/orchestrator/orchestrator_core.hpp"

#include "actors/orchestrator/constraint_enforcer.hpp"

namespace swarm::orchestrator {

namespace {

constexpr std::size_t few_services = 64; // that look through a batch of each other's events
constexpr duration enforce_again_after = seconds{1};

bool has_common(const EventBatch& batch) {
  return batch.nodes_size() > 0 || batch.networks_size() > 0 || batch.clusters_size() > 0;
}

EventBatch common_of(const EventBatch& batch) {
  EventBatch out;
  out.set_log_index(batch.log_index());
  out.set_wall(batch.wall());
  *out.mutable_nodes() = batch.nodes();
  *out.mutable_networks() = batch.networks();
  *out.mutable_clusters() = batch.clusters();
  return out;
}

} // namespace

void orchestrator_core::learn(const EventBatch& batch) {
  log_index_ = batch.log_index();
  for (const auto& event : batch.nodes()) {
    const auto& node = event.node();
    if (event.kind() == CHANGE_KIND_REMOVED) {
      nodes_.erase(node.id());
      to_enforce_.erase(node.id());
      continue;
    }
    const auto [it, fresh] = nodes_.try_emplace(node.id());
    if (!fresh && constraint_enforcer::matters(it->second, node))
      to_enforce_.insert(node.id());
    it->second = node;
  }
  for (const auto& event : batch.networks())
    if (event.kind() == CHANGE_KIND_REMOVED)
      networks_.erase(event.network().id());
    else if (event.network().predefined())
      networks_[event.network().id()] = event.network();
  for (const auto& event : batch.clusters())
    if (event.kind() != CHANGE_KIND_REMOVED)
      cluster_ = event.cluster();
}

EventBatch orchestrator_core::base() const {
  EventBatch out;
  out.set_log_index(log_index_);
  for (const auto& [id, node] : nodes_)
    *out.add_nodes()->mutable_node() = node;
  for (const auto& [id, network] : networks_)
    *out.add_networks()->mutable_network() = network;
  if (cluster_)
    *out.add_clusters()->mutable_cluster() = *cluster_;
  return out;
}

routing orchestrator_core::load(timestamp now, const StoreSnapshot& snapshot) {
  routing out;
  log_index_ = snapshot.log_index();
  for (const auto& node : snapshot.nodes())
    nodes_[node.id()] = node;
  for (const auto& network : snapshot.networks())
    if (network.predefined())
      networks_[network.id()] = network;
  if (snapshot.has_cluster())
    cluster_ = snapshot.cluster();
  const auto part = [&](const std::string& id) -> EventBatch& { return out.parts[service_id{id}]; };
  std::map<std::pair<std::string, std::uint64_t>, const TaskSpec*> specs;
  for (const auto& t : snapshot.templates()) {
    *part(t.service_id()).add_templates()->mutable_template_() = t;
    specs[{t.service_id(), t.spec_version()}] = &t.spec();
  }
  for (const auto& service : snapshot.services())
    *part(service.id()).add_services()->mutable_service() = service;
  std::map<std::string, google::protobuf::RepeatedPtrField<Task>> by_node;
  for (const auto& task : snapshot.tasks()) {
    *part(task.service_id()).add_tasks()->mutable_task() = task;
    if (!task.node_id().empty() && task.status().state() <= TASK_STATE_RUNNING)
      *by_node[task.node_id()].Add() = task;
  }
  std::erase_if(out.parts, [](const auto& entry) { return !entry.first; });
  for (auto& [id, batch] : out.parts) {
    batch.set_log_index(snapshot.log_index());
    out.fresh.push_back(id);
    services_.insert(id);
  }
  for (const auto& [id, tasks] : by_node)
    if (const auto node = nodes_.find(id); node != nodes_.end())
      if (auto command = constraint_enforcer::enforce(now.wall, node->second, tasks, [&](const Task& task) {
            const auto it = specs.find({task.service_id(), task.spec_version()});
            return it == specs.end() ? nullptr : it->second;
          }))
        enforced_.emplace_back(id, std::move(*command));
  return out;
}

namespace {

// Gives each concerned service its own events behind the common ones.
void split(const EventBatch& batch, const std::set<service_id>& concerned, routing& out) {
  for (const auto& id : concerned) {
    auto& part = out.parts[id];
    part = out.common;
    part.set_log_index(batch.log_index());
    part.set_wall(batch.wall());
  }
  std::string last;
  EventBatch* to = nullptr;
  const auto part = [&](const std::string& id) {
    if (id != last) {
      last = id;
      const auto it = out.parts.find(service_id{id});
      to = it == out.parts.end() ? nullptr : &it->second;
    }
    return to;
  };
  for (const auto& event : batch.templates())
    if (auto* p = part(event.template_().service_id()))
      *p->add_templates() = event;
  for (const auto& event : batch.services())
    if (auto* p = part(event.service().id()))
      *p->add_services() = event;
  for (const auto& event : batch.tasks())
    if (auto* p = part(event.task().service_id()))
      *p->add_tasks() = event;
}

} // namespace

routing orchestrator_core::route(const EventBatch& batch) {
  routing out;
  learn(batch);
  std::set<service_id> concerned;
  std::string last; // batches are mostly long runs of one service
  const auto concern = [&](const std::string& id) {
    if (id == last)
      return;
    last = id;
    if (const service_id service{id}; service)
      concerned.insert(service);
  };
  for (const auto& event : batch.templates())
    concern(event.template_().service_id());
  for (const auto& event : batch.services())
    concern(event.service().id());
  for (const auto& event : batch.tasks())
    concern(event.task().service_id());
  std::erase_if(concerned, [&](const service_id& id) {
    if (services_.contains(id))
      return false;
    // What is removed for good needs no actor to say so.
    const auto text = id.str();
    for (const auto& event : batch.services())
      if (event.service().id() == text && event.kind() != CHANGE_KIND_REMOVED)
        return false;
    for (const auto& event : batch.tasks())
      if (event.task().service_id() == text && event.kind() != CHANGE_KIND_REMOVED)
        return false;
    return true;
  });
  for (const auto& id : concerned)
    if (services_.insert(id).second)
      out.fresh.push_back(id);
  const bool common = has_common(batch);
  if (concerned.empty()) {
    out.whole_to_all = common && batch.templates_size() + batch.services_size() + batch.tasks_size() == 0;
    if (common && !out.whole_to_all)
      out.common = common_of(batch);
    return out;
  }
  if (!common && (concerned.size() == 1 || (batch.tasks_size() == 0 && concerned.size() <= few_services))) {
    out.whole_to.assign(concerned.begin(), concerned.end());
    return out;
  }
  if (common)
    out.common = common_of(batch);
  split(batch, concerned, out);
  return out;
}
// -- the constraint enforcer ----------------------------------------------------------------------------------------------

enforcement orchestrator_core::next_enforcement(timestamp now) {
  enforcement out;
  if (!enforcing_.empty() || (enforced_.empty() && to_enforce_.empty()))
    return out;
  if (now.now < enforce_at_) {
    out.wake = enforce_at_;
    return out;
  }
  if (!enforced_.empty()) {
    enforcing_ = enforced_.front().first;
    out.propose = std::move(enforced_.front().second);
    enforced_.pop_front();
    return out;
  }
  enforcing_ = *to_enforce_.begin();
  to_enforce_.erase(to_enforce_.begin());
  out.read_node = enforcing_;
  return out;
}

enforcement orchestrator_core::enforced_read(timestamp now, const std::string& node, const failure& outcome,
                                             const ObjectsRead& read) {
  const auto it = nodes_.find(node);
  if (!outcome.ok())
    return proposed(now, outcome);
  if (it != nodes_.end()) {
    std::map<std::pair<std::string, std::uint64_t>, const TaskSpec*> specs;
    for (const auto& t : read.templates())
      specs[{t.service_id(), t.spec_version()}] = &t.spec();
    enforcement out;
    out.propose = constraint_enforcer::enforce(now.wall, it->second, read.tasks(), [&](const Task& task) {
      const auto spec = specs.find({task.service_id(), task.spec_version()});
      return spec == specs.end() ? nullptr : spec->second;
    });
    if (out.propose)
      return out;
  }
  return proposed(now, {});
}

enforcement orchestrator_core::proposed(timestamp now, const failure& outcome) {
  if (!outcome.ok() && nodes_.contains(enforcing_)) {
    to_enforce_.insert(enforcing_);
    enforce_at_ = now.now + enforce_again_after;
  }
  enforcing_.clear();
  return next_enforcement(now);
}

std::string orchestrator_core::dump() const {
  return "services=" + std::to_string(services_.size()) + " nodes=" + std::to_string(nodes_.size()) +
         " at=" + std::to_string(log_index_) + (enforcing_.empty() ? "" : " enforcing=" + enforcing_) + "\n";
}

} // namespace swarm::orchestrator
