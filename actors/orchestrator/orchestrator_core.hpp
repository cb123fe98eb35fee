// ORCHESTRATOR's decisions: which events concern which service, and which nodes need their tasks checked.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "messages/control.pb.h"
#include "messages/errors.hpp"
#include "messages/store.pb.h"
#include "runtime/ids.hpp"
#include "runtime/time.hpp"

namespace swarm::orchestrator {

/// How one batch goes to the SERVICE actors.
struct routing {
  std::vector<service_id> fresh; ///< to be spawned first; each gets base() before anything else
  /// Not empty: the batch goes to these as it is, and nothing to others. A service finds its own events in it: cheaper than
  /// copies while there are few.
  std::vector<service_id> whole_to;
  /// The batch goes to every service as it is.
  bool whole_to_all = false;
  /// Otherwise: to each of these its own part; to every other the common part, if it is not empty.
  std::map<service_id, EventBatch> parts;
  EventBatch common;
};

/// What the shell must do about constraints: read the tasks of the node from STORE, and pass them to enforced_read().
struct enforcement {
  std::optional<std::string> read_node;
  std::optional<Command> propose;
  std::optional<instant> wake;
};

class orchestrator_core {
public:
  /// Everything at the start: a part for each service, with all its tasks. Services that are gone but have tasks left
  /// are among them.
  [[nodiscard]] routing load(timestamp now, const StoreSnapshot& snapshot);
  [[nodiscard]] routing route(const EventBatch& batch);
  /// What every SERVICE must know first: nodes, predefined networks, the cluster.
  [[nodiscard]] EventBatch base() const;
  /// The SERVICE actor has ended.
  void retired(const service_id& service) { services_.erase(service); }
  [[nodiscard]] const std::set<service_id>& services() const { return services_; }

  // -- the constraint enforcer: one node at a time, at most one Command under way --------------------------------------
  [[nodiscard]] enforcement next_enforcement(timestamp now);
  /// `read` failed: the node is checked again after a pause.
  [[nodiscard]] enforcement enforced_read(timestamp now, const std::string& node, const failure& outcome,
                                          const ObjectsRead& read);
  [[nodiscard]] enforcement proposed(timestamp now, const failure& outcome);

  [[nodiscard]] std::string dump() const;

private:
  void learn(const EventBatch& batch);

  std::set<service_id> services_;
  std::map<std::string, Node> nodes_;
  std::map<std::string, Network> networks_; ///< predefined ones
  std::optional<Cluster> cluster_;
  std::uint64_t log_index_ = 0;

  std::set<std::string> to_enforce_;
  std::deque<std::pair<std::string, Command>> enforced_; ///< found at the start, to be proposed one by one
  std::string enforcing_;                                ///< "" = idle
  instant enforce_at_{};
};

} // namespace swarm::orchestrator
