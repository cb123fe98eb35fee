// What runs only while this node leads: its children are restarted in order, each with fresh handles of those before.
#pragma once

#include <functional>

#include "messages/interfaces.hpp"
#include "runtime/supervisor.hpp"

namespace swarm::node {

struct leader_handles {
  ca_actor ca;
  dispatcher_actor dispatcher;
  members_actor members;
  logs_actor logs;
};

class leader_part {
public:
  /// What the children need from the node. `self` supervises: it passes down messages to child_down.
  struct context {
    caf::actor_system& system;
    raft_actor raft;
    store_actor store;
    std::string cluster_id;
    std::string node_id;
    agent_actor agent;   ///< of this host, for logs
    std::function<log_source(const std::string& node_id)> logs_of; ///< of other nodes; empty on a host alone
    std::function<secret_provider_actor(caf::actor_system&)> spawn_secret_provider = {}; ///< empty: no plugins here
  };

  template <class Self>
  leader_part(Self* self, context ctx) : ctx_{std::move(ctx)} {
    group_ = child_group::make(self, {restart_strategy::rest_for_one}, specs());
    group_.start_all();
  }
  ~leader_part() { group_.stop_all(); }
  leader_part(const leader_part&) = delete;
  leader_part& operator=(const leader_part&) = delete;

  [[nodiscard]] const leader_handles& handles() const { return handles_; }
  /// The dispatcher may be a new one after `handled`.
  child_group::outcome child_down(const caf::down_msg& down) { return group_.child_down(down); }

private:
  std::vector<child_spec> specs();
  context ctx_;
  leader_handles handles_;
  secret_provider_actor secrets_;
  child_group group_;
};

} // namespace swarm::node
