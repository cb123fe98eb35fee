// SCHEDULER's decisions: which node a pending task goes to, or why there is none.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/scheduler/filters.hpp"
#include "actors/scheduler/node_table.hpp"
#include "messages/errors.hpp"
#include "messages/store.pb.h"
#include "runtime/ids.hpp"
#include "runtime/time.hpp"

namespace swarm::scheduler {

struct proposal {
  std::uint64_t ticket = 0;
  Command command;
};

/// What the shell must do.
struct effects {
  std::vector<proposal> proposals; ///< tell proposed() how each ended
  std::optional<instant> wake;     ///< call tick() then
};

/// Tasks of one service and spec version are identical: they form a group, are placed in one go, and share one
/// explanation. A group that did not fit is tried again when something changed that could help it: a node, or, if it was
/// for lack of room, the end of any task.
///
/// Placements count at once and are taken back if their Command fails. Only living tasks are remembered.
class core {
public:
  core();
  core(const core&) = delete;
  core& operator=(const core&) = delete;

  [[nodiscard]] effects load(timestamp now, const StoreSnapshot& snapshot);
  [[nodiscard]] effects apply(timestamp now, const EventBatch& batch);
  [[nodiscard]] effects tick(timestamp now);
  [[nodiscard]] effects proposed(timestamp now, std::uint64_t ticket, const failure& outcome);

  /// Counters of nodes and groups agree with each other.
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

  struct counts {
    std::size_t tasks = 0, waiting = 0, nodes = 0, groups = 0, in_flight = 0;
    std::uint64_t placed = 0; ///< since the start
  };
  [[nodiscard]] counts count() const;

private:
  enum class phase : std::uint8_t {
    waiting, ///< for a place, or for its preassigned node
    placed,  ///< by us or by the store: holds reservations
    ending,  ///< never ran and must not: SHUTDOWN is proposed
  };
  struct entry {
    group_index group = 0;
    node_index node = no_node;
    std::uint32_t told = 0; ///< hash of the explanation it carries
    phase at = phase::waiting;
    bool preassigned = false;
    bool wanted = true; ///< counts as one of its node's tasks
    bool generic = false; ///< has values in generic_
  };
  struct group {
    std::string service_id;
    std::uint64_t spec_version = 0;
    service_index service = 0;
    bool used = false;
    bool known = false; ///< its template has come
    bool gone = false;  ///< its template was removed
    requirements wanted;
    std::vector<task_id> pending; ///< may name tasks that no longer wait
    std::size_t tasks = 0;
    bool blocked = false;
    bool needs_room = false; ///< blocked by what other tasks hold
    std::string text;        ///< the explanation
    instant next_text_at{};
  };
  struct service_entry {
    service_index index = 0;
    std::vector<std::pair<std::uint64_t, group_index>> groups; ///< by spec version
  };
  enum class change_kind : std::uint8_t { placed, told, ended };
  struct change {
    change_kind kind;
    task_id task;
  };
  struct batch {
    UpdateTasks update;
    std::size_t bytes = 0;
    std::vector<change> changes;
  };
  static std::uint32_t hash_of(const std::string& explanation);

  // events
  void apply_network(bool removed, const Network& network);
  void apply_node(bool removed, const Node& node);
  void apply_template(const TaskTemplate& task);
  void remove_template(const TaskTemplate& task);
  void apply_task(bool removed, const Task& task);
  void task_alive(const task_id& id, const Task& task);
  void task_waits(const task_id& id, const Task& task);
  void task_gone(const task_id& id, const Task& task, bool removed);
  // tables
  node_index node_of(const std::string& id);
  group_index group_of(const std::string& service, std::uint64_t spec_version);
  void drop_group_if_unused(group_index index);
  entry& enter(const task_id& id, const Task& task);
  void leave(const task_id& id);
  void stop_waiting(const task_id& id, entry& e);
  void end_unplaced(const task_id& id);
  void offer(node_entry& node, const Node& fresh);
  void hold(const task_id& id, entry& e, node_index node,
            const google::protobuf::RepeatedPtrField<GenericResource>* stored);
  void release(const task_id& id, entry& e);
  void set_wanted(entry& e, bool wanted);
  void room_freed(node_index node);
  void node_changed(node_index node);
  // decisions
  effects evaluate();
  void validate_preassigned();
  void place_group(group_index index);
  void assign(const task_id& id, entry& e, node_index node);
  void explain_to(group_index index, const refusals& why);
  void tell(group_index index);
  void tell_one(const task_id& id, entry& e, const std::string& err);
  void emit(change_kind kind, const task_id& id, TaskChange&& change);

  timestamp now_;
  boost::unordered_flat_map<task_id, entry, id_hash> tasks_;
  std::map<task_id, google::protobuf::RepeatedPtrField<GenericResource>> generic_;
  std::deque<group> groups_;
  std::vector<group_index> free_groups_;
  std::unordered_map<std::string, service_entry> services_; ///< those with groups
  std::vector<service_index> free_services_;
  service_index next_service_ = 0;
  std::deque<node_entry> nodes_;
  std::map<std::string, node_index> node_by_id_;
  network_drivers networks_;

  std::set<group_index> to_place_;
  std::set<group_index> to_tell_;
  std::set<group_index> blocked_;
  std::map<node_index, std::set<task_id>> preassigned_; ///< those that wait
  std::set<node_index> to_validate_;

  std::deque<batch> outbox_;
  std::map<std::uint64_t, std::vector<change>> in_flight_;
  std::uint64_t next_ticket_ = 1;
  std::uint64_t placed_ = 0;
  std::size_t held_ = 0; ///< tasks that are placed
  instant retry_at_{};
  unsigned refusals_ = 0;
};

} // namespace swarm::scheduler
