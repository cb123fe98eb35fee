// Which node which event goes to, and what must go along with a new assignment.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "messages/kept_part.hpp"
#include "messages/store.pb.h"

namespace swarm::dispatcher {

struct routed {
  /// Nodes that need a NODE actor from now on.
  std::set<std::string> fresh;
  /// What concerns one node only.
  std::map<std::string, EventBatch> parts;
  /// Goes to every NODE, if not empty: identities of services and credentials of templates that were changed.
  EventBatch to_all;
  /// Nodes that were removed; their tasks are told ORPHANED by SERVICE.
  std::set<std::string> gone;
};

/// A task event goes to its one node, never to all: that keeps the cost of an event independent of the number of nodes.
/// With each new assignment go its template, service, secrets, configs and networks, once per batch and node, and who the node
/// is if a secret's driver is to be asked; NODE keeps what it has no use for no longer than its tasks.
class routing_core {
public:
  [[nodiscard]] routed load(const StoreSnapshot& snapshot);
  /// `whole` owns the batch if parts of it may be kept as they are.
  [[nodiscard]] routed route(const EventBatch& batch, const shared_batch& whole = {});
  [[nodiscard]] std::size_t nodes() const { return nodes_.size(); }

private:
  using version_key = std::pair<std::string, std::uint64_t>;
  void learn(const EventBatch& batch, const shared_batch& whole, routed& out);
  void learn_services(const EventBatch& batch, const shared_batch& whole, routed& out);
  void add_task(const TaskEvent& event, routed& out, bool with_definition);
  void add_definition(const Task& task, EventBatch& to);
  [[nodiscard]] static Service identity_of(const Service& service);
  [[nodiscard]] static Node identity_of(const Node& node);

  std::map<std::string, Node> nodes_; ///< hostname and labels only
  template <class T>
  using catalogue = std::unordered_map<std::string, std::shared_ptr<const T>>; ///< by id
  std::map<version_key, std::shared_ptr<const TaskTemplate>> templates_;
  catalogue<Service> services_;
  catalogue<Secret> secrets_;
  catalogue<Config> configs_;
  catalogue<Network> networks_; ///< of swarm scope
  std::map<std::string, std::set<version_key>> attached_; ///< per node, in the batch at hand
};

} // namespace swarm::dispatcher
