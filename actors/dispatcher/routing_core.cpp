// The leader's catalogue of what tasks are made of, and the split of batches by node.
#include "actors/dispatcher/routing_core.hpp"

#include <google/protobuf/util/message_differencer.h>

namespace swarm::dispatcher {

Service routing_core::identity_of(const Service& service) {
  Service out;
  out.set_id(service.id());
  out.mutable_spec()->set_name(service.spec().name());
  *out.mutable_spec()->mutable_labels() = service.spec().labels();
  *out.mutable_spec()->mutable_mode() = service.spec().mode();
  return out;
}

Node routing_core::identity_of(const Node& node) {
  Node out;
  out.set_id(node.id());
  out.mutable_description()->set_hostname(node.description().hostname());
  *out.mutable_spec()->mutable_labels() = node.spec().labels();
  return out;
}

void routing_core::add_definition(const Task& task, EventBatch& to) {
  const version_key key{task.service_id(), task.spec_version()};
  if (!attached_[task.node_id()].insert(key).second)
    return;
  const auto definition = templates_.find(key);
  if (definition == templates_.end())
    return;
  *to.add_templates()->mutable_template_() = *definition->second;
  if (const auto service = services_.find(task.service_id()); service != services_.end())
    *to.add_services()->mutable_service() = identity_of(*service->second);
  const auto& container = definition->second->spec().container_spec();
  bool driven = false;
  for (const auto& ref : container.secrets())
    if (const auto it = secrets_.find(ref.secret_id()); it != secrets_.end()) {
      *to.add_secrets()->mutable_secret() = *it->second;
      driven = driven || it->second->spec().has_driver();
    }
  if (driven && to.nodes_size() == 0)
    *to.add_nodes()->mutable_node() = nodes_.at(task.node_id());
  const auto add_config = [&](const std::string& id) {
    if (const auto it = configs_.find(id); it != configs_.end())
      *to.add_configs()->mutable_config() = *it->second;
  };
  for (const auto& ref : container.configs())
    add_config(ref.config_id());
  add_config(container.privileges().credential_spec().config());
  for (const auto& attachment : definition->second->spec().networks())
    if (const auto it = networks_.find(attachment.target()); it != networks_.end())
      *to.add_networks()->mutable_network() = *it->second;
}

void routing_core::add_task(const TaskEvent& event, routed& out, bool with_definition) {
  const auto& task = event.task();
  if (task.node_id().empty() || (event.kind() != CHANGE_KIND_REMOVED && task.status().state() < TASK_STATE_ASSIGNED))
    return;
  if (!nodes_.contains(task.node_id()))
    return;
  auto& to = out.parts[task.node_id()];
  *to.add_tasks() = event;
  if (with_definition && event.kind() != CHANGE_KIND_REMOVED)
    add_definition(task, to);
}

routed routing_core::load(const StoreSnapshot& snapshot) {
  routed out;
  for (const auto& node : snapshot.nodes())
    if (nodes_.insert_or_assign(node.id(), identity_of(node)).second)
      out.fresh.insert(node.id());
  for (const auto& t : snapshot.templates())
    templates_[{t.service_id(), t.spec_version()}] = kept_part({}, t);
  for (const auto& service : snapshot.services())
    services_[service.id()] = kept_part({}, service);
  for (const auto& secret : snapshot.secrets())
    secrets_[secret.id()] = kept_part({}, secret);
  for (const auto& config : snapshot.configs())
    configs_[config.id()] = kept_part({}, config);
  for (const auto& network : snapshot.networks())
    if (!network.predefined())
      networks_[network.id()] = kept_part({}, network);
  TaskEvent event;
  for (const auto& task : snapshot.tasks()) {
    *event.mutable_task() = task;
    add_task(event, out, true);
  }
  for (auto& [node, part] : out.parts)
    part.set_log_index(snapshot.log_index());
  attached_.clear();
  return out;
}

void routing_core::learn_services(const EventBatch& batch, const shared_batch& whole, routed& out) {
  for (const auto& event : batch.templates())
    if (event.kind() != CHANGE_KIND_REMOVED) {
      const auto& task = event.template_();
      templates_[{task.service_id(), task.spec_version()}] = kept_part(whole, task);
      if (event.kind() == CHANGE_KIND_UPDATED) // new credentials
        *out.to_all.add_templates() = event;
    }
  for (const auto& event : batch.services()) {
    const auto& service = event.service();
    if (event.kind() == CHANGE_KIND_REMOVED) {
      services_.erase(service.id());
      continue;
    }
    auto& known = services_[service.id()];
    if (known)
      if (auto identity = identity_of(service);
          !google::protobuf::util::MessageDifferencer::Equals(identity_of(*known), identity))
        out.to_all.add_services()->mutable_service()->Swap(&identity);
    known = kept_part(whole, service);
  }
}

void routing_core::learn(const EventBatch& batch, const shared_batch& whole, routed& out) {
  for (const auto& event : batch.nodes())
    if (event.kind() == CHANGE_KIND_REMOVED) {
      nodes_.erase(event.node().id());
      out.gone.insert(event.node().id());
    } else if (nodes_.insert_or_assign(event.node().id(), identity_of(event.node())).second) {
      out.fresh.insert(event.node().id());
    }
  learn_services(batch, whole, out);
  for (const auto& event : batch.secrets())
    if (event.kind() == CHANGE_KIND_REMOVED)
      secrets_.erase(event.secret().id());
    else
      secrets_[event.secret().id()] = kept_part(whole, event.secret());
  for (const auto& event : batch.configs())
    if (event.kind() == CHANGE_KIND_REMOVED)
      configs_.erase(event.config().id());
    else
      configs_[event.config().id()] = kept_part(whole, event.config());
  for (const auto& event : batch.networks())
    if (event.kind() == CHANGE_KIND_REMOVED)
      networks_.erase(event.network().id());
    else if (!event.network().predefined())
      networks_[event.network().id()] = kept_part(whole, event.network());
}

routed routing_core::route(const EventBatch& batch, const shared_batch& whole) {
  routed out;
  learn(batch, whole, out);
  for (const auto& event : batch.tasks())
    add_task(event, out, event.task().status().state() == TASK_STATE_ASSIGNED);
  for (const auto& event : batch.templates())
    if (event.kind() == CHANGE_KIND_REMOVED)
      templates_.erase({event.template_().service_id(), event.template_().spec_version()});
  for (auto& [node, part] : out.parts)
    part.set_log_index(batch.log_index());
  out.to_all.set_log_index(batch.log_index());
  attached_.clear();
  return out;
}

} // namespace swarm::dispatcher
