// Links between workers and managers: ordered while they hold, slow, cut either way, lost with everything on them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "tests/sim/cluster_env.hpp"

namespace swarm::sim {

enum class direction : std::uint8_t { to_manager, to_worker };

/// What is sent on one link arrives in order or not at all; different links know nothing of each other's order. A cut
/// holds messages back, as TCP does, until it heals or one side gives the link up for its silence.
class cluster_links {
public:
  struct ends {
    std::function<bool(unsigned worker)> worker_up;
    std::function<bool(unsigned worker)> worker_frozen;
    std::function<void(unsigned worker, raft::raft_id manager, bool up)> changed; ///< tell both
  };

  cluster_links(cluster_env& env, unsigned workers, ends who) : env_{env}, workers_{workers}, ends_{std::move(who)} {}

  void tick();
  [[nodiscard]] bool up(unsigned worker, raft::raft_id manager) const;
  /// Never the same for two links.
  [[nodiscard]] std::uint64_t number(unsigned worker, raft::raft_id manager) const;
  void send(unsigned worker, raft::raft_id manager, direction way, std::function<void()> arrive);
  /// The process on one side is gone: the other one's kernel says so soon.
  void worker_gone(unsigned worker);
  void manager_gone(raft::raft_id manager);
  void cut(unsigned worker, raft::raft_id manager, direction way);
  void drop(unsigned worker, raft::raft_id manager) { down({worker, manager}); }
  void heal_cuts();
  [[nodiscard]] std::size_t cuts() const { return cuts_.size(); }

private:
  using pair = std::pair<unsigned, raft::raft_id>;
  struct state {
    bool up = false;
    std::uint64_t number = 0;
    std::uint64_t silent_since = 0; ///< cut or dead; 0 = fine
    std::uint64_t dial_at = 0;
    std::uint64_t last[2] = {0, 0}; ///< when the latest message of each direction arrives
    std::deque<std::function<void()>> held[2];
  };
  void deliver(pair who, direction way, std::uint64_t number, std::function<void()> arrive);
  void down(pair who);
  [[nodiscard]] bool is_cut(pair who, direction way) const { return cuts_.contains({who, way}); }

  cluster_env& env_;
  unsigned workers_;
  ends ends_;
  std::map<pair, state> links_;
  std::set<std::pair<pair, direction>> cuts_;
  std::uint64_t next_number_ = 1;
};

} // namespace swarm::sim
