// Keeping the view, and looking things up in it.
#include "actors/control/view.hpp"

#include "messages/identity_rules.hpp"

namespace swarm::control {

void directory::put(const std::string& id, const std::string& name) {
  const auto it = name_of_.find(id);
  if (it != name_of_.end()) {
    if (it->second == name)
      return;
    remove(id);
  }
  name_of_[id] = name;
  ids_of_[name].insert(id);
}

void directory::remove(const std::string& id) {
  const auto it = name_of_.find(id);
  if (it == name_of_.end())
    return;
  const auto ids = ids_of_.find(it->second);
  ids->second.erase(id);
  if (ids->second.empty())
    ids_of_.erase(ids);
  name_of_.erase(it);
}

bool directory::has_name(std::string_view name) const { return ids_of_.contains(name); }

directory::found directory::find(std::string_view key, std::string_view kind) const {
  const auto refuse = [&](const std::string& why) {
    return std::string{kind} + " " + std::string{key} + why;
  };
  const found none{plain_refusal(errc::not_found, refuse(" not found")), {}};
  const auto ambiguous = [&](std::size_t matches) {
    return found{plain_refusal(errc::invalid_argument,
                               refuse(" is ambiguous (" + std::to_string(matches) + " matches found)")),
                 {}};
  };
  if (key.empty())
    return none;
  if (const auto it = name_of_.find(key); it != name_of_.end())
    return {{}, it->first};
  if (const auto it = ids_of_.find(key); it != ids_of_.end())
    return it->second.size() == 1 ? found{{}, *it->second.begin()} : ambiguous(it->second.size());
  const auto first = name_of_.lower_bound(key);
  std::size_t matches = 0;
  for (auto it = first; it != name_of_.end() && it->first.starts_with(key); ++it)
    ++matches;
  return matches == 1 ? found{{}, first->first} : matches == 0 ? none : ambiguous(matches);
}

void view::put(const Service& service) {
  services.put(service.id(), service.spec().name());
  auto& facts = service_facts_of[service.id()];
  facts.registry_auth = service.spec().task_template().container_spec().registry_auth();
  facts.previous_registry_auth = service.previous_spec().task_template().container_spec().registry_auth();
  facts.has_previous = service.has_previous_spec();
  facts.network_targets.clear();
  for (const auto& network : service.spec().task_template().networks())
    facts.network_targets.push_back(network.target());
}

void view::put(const Network& network) {
  networks.put(network.id(), network.spec().name());
  network_facts_of[network.id()] = {network.spec().name(), network.spec().ingress(), network.predefined()};
}

void view::put(const Node& node) {
  nodes.put(node.id(), node.description().hostname());
  auto& role = roles_[node.id()];
  peers_changed_ = peers_changed_ || role != wanted_role(node);
  role = wanted_role(node);
}

void view::put(const Cluster& fresh) {
  peers_changed_ = peers_changed_ || !cluster || cluster->removed_nodes_size() != fresh.removed_nodes_size()
                   || (fresh.removed_nodes_size() > 0
                       && fresh.removed_nodes().rbegin()->node_id() != cluster->removed_nodes().rbegin()->node_id());
  cluster = fresh;
}

std::optional<PeerRoles> view::take_peers() {
  if (!peers_changed_)
    return std::nullopt;
  peers_changed_ = false;
  PeerRoles out;
  for (const auto& [id, role] : roles_)
    (*out.mutable_roles())[id] = role;
  if (cluster)
    for (const auto& removed : cluster->removed_nodes())
      out.add_removed(removed.node_id());
  return out;
}

void view::reset(const StoreSnapshot& snapshot) {
  *this = {};
  for (const auto& service : snapshot.services())
    put(service);
  for (const auto& node : snapshot.nodes())
    put(node);
  for (const auto& secret : snapshot.secrets())
    secrets.put(secret.id(), secret.spec().name());
  for (const auto& config : snapshot.configs())
    configs.put(config.id(), config.spec().name());
  for (const auto& network : snapshot.networks())
    put(network);
  if (snapshot.has_cluster())
    put(snapshot.cluster());
}

void view::observe(const EventBatch& batch) {
  for (const auto& event : batch.services()) {
    if (event.kind() == CHANGE_KIND_REMOVED) {
      services.remove(event.service().id());
      service_facts_of.erase(event.service().id());
    } else {
      put(event.service());
    }
  }
  for (const auto& event : batch.nodes()) {
    if (event.kind() == CHANGE_KIND_REMOVED) {
      nodes.remove(event.node().id());
      roles_.erase(event.node().id());
      peers_changed_ = true;
    } else {
      put(event.node());
    }
  }
  for (const auto& event : batch.secrets())
    event.kind() == CHANGE_KIND_REMOVED ? secrets.remove(event.secret().id())
                                        : secrets.put(event.secret().id(), event.secret().spec().name());
  for (const auto& event : batch.configs())
    event.kind() == CHANGE_KIND_REMOVED ? configs.remove(event.config().id())
                                        : configs.put(event.config().id(), event.config().spec().name());
  for (const auto& event : batch.networks()) {
    if (event.kind() == CHANGE_KIND_REMOVED) {
      networks.remove(event.network().id());
      network_facts_of.erase(event.network().id());
    } else {
      put(event.network());
    }
  }
  for (const auto& event : batch.clusters())
    put(event.cluster());
}

} // namespace swarm::control
