// Sessions of all nodes: who may register, who is alive, and what the store should say about each node.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "actors/dispatcher/heartbeat_core.hpp"
#include "messages/dispatcher.pb.h"
#include "messages/errors.hpp"
#include "messages/store.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::dispatcher {

/// Registrations of one node within registration_window beyond this are refused.
inline constexpr std::size_t registrations_max = 3;
inline constexpr duration registration_window = seconds{8};

/// Node states in the store, as far as DISPATCHER writes them:
///
///              1                    3
///   (any) ─────────► READY ◄──────────────► DISCONNECTED
///     ▲                │  2                      │ 2
///     └──── 1 ──── DOWN ◄────────────────────────┘
///
///   1 the agent registers   2 it falls silent ("heartbeat failure")
///   3 the agent is there, but its engine is not ("engine unavailable: …"): no new tasks, running ones are left alone;
///     and back. DISCONNECTED, because that is the one state of Swarm's in which exactly this happens.
///
/// Only such changes and changes of the description are replicated. At most one Command about nodes is under way; it
/// holds every node whose stored row differs from what we know.
class session_core {
public:
  explicit session_core(std::uint64_t seed) : rng_{seed} {}

  void load(timestamp now, const StoreSnapshot& snapshot);
  void apply(timestamp now, const EventBatch& batch);

  /// A new session; an older one of the node ends. A node that the store does not know is created (a worker, active),
  /// unless it was removed while we were looking.
  struct registration {
    failure refused;
    NodeRegistered reply;
  };
  [[nodiscard]] registration add(timestamp now, const RegisterNode& request);
  /// False: tell the agent to register again. The session is not current, or its agent keeps to a period that is not ours
  /// any more: it learns of the period when it registers, and has until its old deadline for that.
  [[nodiscard]] bool beat(timestamp now, const NodeHeartbeat& heartbeat);
  [[nodiscard]] bool describe(const UpdateNodeDescription& request);
  [[nodiscard]] bool is_current(const std::string& node, const std::string& session) const;
  [[nodiscard]] std::string session_of(const std::string& node) const; ///< "" = none

  /// The node's link broke off; when it counts as silent unless it comes back.
  std::optional<instant> link_lost(timestamp now, const std::string& node) { return heartbeats_.link_lost(now.now, node); }
  void link_back(const std::string& node) { heartbeats_.link_back(node); }

  /// Nodes whose session has just ended because they fell silent.
  std::vector<std::string> expire(timestamp now);

  /// Changes of nodes to be written, if any and if none are under way. Tell written() how it ended.
  [[nodiscard]] std::optional<Command> next_command(timestamp now);
  void written(timestamp now, const failure& outcome);
  /// When next_command() should be asked again after a failure.
  [[nodiscard]] std::optional<instant> retry_at() const { return retry_at_; }

  [[nodiscard]] std::size_t sessions() const;
  [[nodiscard]] std::string dump() const;

private:
  struct entry {
    Node stored;          ///< id, spec, description, status
    bool exists = false;  ///< in the store
    Node known;           ///< description and status as they should be
    bool has_known = false;
    std::string session;  ///< "" = none
    duration period{0};   ///< between heartbeats, as the agent was told
    std::deque<instant> registrations;
  };
  void mark(const std::string& id, entry& e);
  void set_health(entry& e, bool healthy, const std::string& message);
  void learn(timestamp now, const Node& node);

  random_source rng_;
  heartbeat_core heartbeats_;
  std::map<std::string, entry> nodes_;
  std::set<std::string> removed_;
  std::set<std::string> to_write_;
  std::map<std::string, Node> writing_; ///< what the Command under way says of each
  bool in_flight_ = false;
  unsigned refusals_ = 0;
  std::optional<instant> retry_at_;
};

} // namespace swarm::dispatcher
