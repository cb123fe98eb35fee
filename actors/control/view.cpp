// Keeping the view, and looking things up in it.
#include "actors/control/view.hpp"

#include <algorithm>

#include "messages/identity_rules.hpp"

namespace swarm::control {

void directory::put(const std::string& id, const std::string& name) {
  const auto it = name_of_.lower_bound(id);
  if (it == name_of_.end() || it->first != id) {
    name_of_.emplace_hint(it, id, name);
  } else if (it->second != name) {
    forget_name(id, it->second);
    it->second = name;
  } else {
    return;
  }
  ids_of_.emplace(name, id);
}

void directory::remove(const std::string& id) {
  const auto it = name_of_.find(id);
  if (it == name_of_.end())
    return;
  forget_name(id, it->second);
  name_of_.erase(it);
}

void directory::forget_name(const std::string& id, const std::string& name) {
  const auto [first, last] = ids_of_.equal_range(name);
  ids_of_.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == id; }));
}

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
  const std::string name{key};
  if (const auto named = ids_of_.count(name); named > 1)
    return ambiguous(named);
  else if (named == 1)
    return {{}, ids_of_.find(name)->second};
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
