// What CONTROL must know of the cluster to turn names into ids and to build updates; kept current by STORE's events.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "actors/control/refusal.hpp"
#include "messages/link.pb.h"
#include "messages/store.pb.h"

namespace swarm::control {

/// Ids and names of one kind.
class directory {
public:
  void put(const std::string& id, const std::string& name);
  void remove(const std::string& id);
  [[nodiscard]] bool has_name(const std::string& name) const { return ids_of_.contains(name); }

  struct found {
    refusal problem; ///< not found or ambiguous, with Swarm's text
    std::string id;
  };
  /// Id, then exact name, then unique prefix of ids (behaviour §2.3).
  [[nodiscard]] found find(std::string_view key, std::string_view kind) const;

private:
  void forget_name(const std::string& id, const std::string& name);

  std::map<std::string, std::string, std::less<>> name_of_;
  std::unordered_multimap<std::string, std::string> ids_of_; // by name; hostnames need not be unique
};

struct service_facts {
  std::string registry_auth;
  std::string previous_registry_auth;
  bool has_previous = false;
  std::vector<std::string> network_targets;
};

struct network_facts {
  std::string name;
  bool ingress = false;
  bool predefined = false;
};

class view {
public:
  void reset(const StoreSnapshot& snapshot);
  void observe(const EventBatch& batch);

  directory services;
  directory nodes;
  directory secrets;
  directory configs;
  directory networks;
  std::unordered_map<std::string, service_facts> service_facts_of;
  std::map<std::string, network_facts, std::less<>> network_facts_of;
  std::optional<Cluster> cluster;

  /// Who is who, and who was removed, when that is another answer than the last one.
  [[nodiscard]] std::optional<PeerRoles> take_peers();

private:
  void put(const Node& node);
  void put(const Cluster& fresh);
  void put(const Service& service);
  void put(const Network& network);

  std::map<std::string, NodeRole> roles_;
  bool peers_changed_ = true;
};

} // namespace swarm::control
