// The tasks of one service as compact rows, grouped by slot.
#pragma once

#include <cstdint>
#include <boost/container/deque.hpp>
#include <map>
#include <vector>

#include "messages/objects.pb.h"
#include "runtime/ids.hpp"
#include "runtime/time.hpp"

namespace swarm::orchestrator {

/// What a task is one attempt of: the slot number (replicated), or the node (global).
using slot_key = id128;
inline slot_key numbered_slot(std::uint64_t number) { return {0, number}; }

using row_index = std::uint32_t;
inline constexpr row_index no_row = ~row_index{0};

struct task_row {
  task_id id;
  node_id node;
  std::uint64_t spec_version = 0;
  std::uint64_t job_iteration = 0;
  wall_ns created_at = 0;
  wall_ns status_at = 0; ///< when the observed state was reached, by the reporter's clock
  row_index older = no_row;
  std::uint32_t observed : 10 = 0;
  std::uint32_t desired : 10 = 0;
  std::uint32_t ran_well : 1 = 0; ///< ended after it had run for a while: its failure does not add to the back-off
  std::uint32_t removing : 1 = 0; ///< its removal is in a Command that is under way
  std::uint32_t confirmed : 1 = 0; ///< the store has told us of it
  std::uint32_t unwanted : 1 = 0;  ///< the store has told us that it is to stop

  /// Wanted up: neither replaced nor taken away by us.
  [[nodiscard]] bool runnable() const { return desired <= TASK_STATE_RUNNING; }
  [[nodiscard]] bool ended() const { return observed > TASK_STATE_RUNNING; }
};

struct slot_state {
  row_index newest = no_row;
  bool dirty = false;
  bool counted = false;  ///< holds one of the wanted replicas (jobs: is being worked on)
  bool complete = false; ///< jobs: done in this iteration
};

/// Rows keep their address until they are erased. No index by task id: whoever names a task also knows its slot.
class task_table {
public:
  /// Precondition: the id is not in the slot.
  task_row& insert(const slot_key& slot, const task_row& row);
  [[nodiscard]] task_row* find(const slot_key& slot, const task_id& id);
  /// False when there was no such task. A slot stays until drop_if_empty().
  bool erase(const slot_key& slot, const task_id& id);
  void drop_if_empty(const slot_key& slot);

  [[nodiscard]] std::map<slot_key, slot_state>& slots() { return slots_; }
  [[nodiscard]] const std::map<slot_key, slot_state>& slots() const { return slots_; }
  [[nodiscard]] slot_state* slot(const slot_key& key);
  /// Rows of a slot, newest first. Pointers stay valid while other rows come and go.
  [[nodiscard]] std::vector<task_row*> rows(const slot_state& slot);
  [[nodiscard]] task_row* newest(const slot_state& slot) { return slot.newest == no_row ? nullptr : &rows_[slot.newest]; }
  [[nodiscard]] task_row* older(const task_row& row) { return row.older == no_row ? nullptr : &rows_[row.older]; }
  [[nodiscard]] std::size_t size() const { return size_; }

private:
  std::map<slot_key, slot_state> slots_;
  boost::container::deque<task_row> rows_; // takes no memory while it is empty
  std::vector<row_index> free_;
  std::size_t size_ = 0;
};

} // namespace swarm::orchestrator
