// SERVICE: the actor that keeps one service at its desired state. Decisions: service_core.hpp.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "actors/orchestrator/service_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::orchestrator {

/// One copy of each node for all SERVICE actors of a leader: a thousand services on a thousand nodes must not mean a
/// million nodes in memory. Thread-safe; holds values that nobody changes.
class node_pool {
public:
  [[nodiscard]] node_ref intern(const Node& node, std::uint64_t log_index);

private:
  struct entry {
    std::uint64_t log_index = 0;
    node_ref node;
  };
  std::mutex mutex_;
  std::map<std::string, entry> nodes_;
};

struct service_options {
  service_id id;
  std::uint64_t seed = 0;
  raft_actor raft;
  std::shared_ptr<node_pool> nodes;
  std::chrono::seconds raft_deadline{20};
};

struct service_actor_state {
  static inline const char* name = "service";
  service_options opts;
  std::unique_ptr<service_core> core;
  std::string label;
  std::optional<instant> armed;
  std::uint64_t proposals = 0;
  std::uint64_t refused = 0;
};

/// See the SERVICE table in messages/interfaces.hpp. Ends normally when its service and the last of its tasks are gone.
service_actor::behavior_type run_service(observed_ptr<service_actor, service_actor_state> self, service_options opts);

} // namespace swarm::orchestrator
