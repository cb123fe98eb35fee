// What must hold in a simulated cluster, seen from above managers, workers, engines and clients.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "messages/dispatcher.pb.h"
#include "messages/store.pb.h"
#include "tests/sim/cluster_history.hpp"
#include "tests/sim/raft_checkers.hpp"
#include "tests/support/linearizability.hpp"

namespace swarm::sim {

class sim_engine;

class cluster_checkers {
public:
  explicit cluster_checkers(const cluster_history& history) : history_{history} {}

  std::function<const sim_engine*(const std::string& node)> engine_of;
  std::function<std::uint64_t()> now_us;
  /// Wall clocks jump in this run: a new leader cannot know how long a task has waited.
  bool clocks_jump = false;

  /// States of tasks only rise, a task never changes its node and never comes back; what agents report is so.
  void committed(std::uint64_t index, const EventBatch& events);
  /// A container runs where its task was assigned, at most once, not after its end was told, and beside no other of its
  /// slot. `times` since the host has booted.
  void container_started(const std::string& node, const std::string& task, unsigned times);
  void container_ended(const std::string& node, const std::string& task, bool by_itself);
  /// Somebody begins to lead: of a delay whose cause the reaper has removed meanwhile it cannot know.
  void leader_began() { leader_began_us_ = now_us(); }
  /// An agent holds what the frames of its session up to this one said.
  void told(const std::string& session, std::uint64_t sequence, std::set<std::string> tasks);
  void holds(const std::string& session, const Assignments& frame, const Assignments& held) const;
  /// A client was told that this is done, at this index of the log.
  void acknowledged(std::uint64_t index, const Command& command) const;
  /// A manager's state after `index`, where it is known what it must be.
  void state_of(std::uint64_t manager, std::uint64_t index, const std::function<std::uint64_t()>& digest) const;
  /// The clients' histories are linearizable, each key by itself.
  void check_clients(const test::linearizability::history& clients) const;

  [[nodiscard]] std::uint64_t containers() const { return containers_; }

private:
  using slot_key = std::tuple<std::string, std::uint64_t, std::string>; ///< service, slot, node of global ones
  struct known_task {
    Task row;
    bool removed = false;
    std::uint64_t created_us = 0;
    std::uint64_t created_index = 0;
    std::uint64_t stop_wanted_us = 0; ///< 0 = it is wanted
    std::uint64_t stop_wanted_index = 0;
  };
  struct death {
    std::string task;
    std::uint64_t at_us = 0;
  };
  void node_event(std::uint64_t index, const NodeEvent& event);
  void task_event(std::uint64_t index, const TaskEvent& event);
  void check_report(const Task& task) const;
  [[nodiscard]] bool is_given_up(const known_task& task) const;
  void check_slot(const std::string& task, const known_task& starting) const;
  void check_delay(const std::string& task, const known_task& starting) const;
  [[nodiscard]] static slot_key slot_of(const Task& task);

  const cluster_history& history_;
  std::map<std::string, known_task> tasks_;
  std::map<slot_key, std::set<std::string>> running_;
  std::map<slot_key, death> deaths_;
  std::map<std::string, std::uint64_t> last_down_; ///< index at which the node was last not ready, or gone
  std::map<std::string, std::uint64_t> last_changed_; ///< index at which the service's row changed
  std::set<std::string> start_first_;              ///< services that once had this order of updates
  std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> delay_us_;
  std::map<std::pair<std::string, std::uint64_t>, std::set<std::string>> told_;
  std::uint64_t leader_began_us_ = 0;
  std::uint64_t containers_ = 0;
};

} // namespace swarm::sim
