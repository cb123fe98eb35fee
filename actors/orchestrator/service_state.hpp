// What SERVICE knows of its service, and the one Command it is putting together. The parts of the core (restart,
// update, modes, reaper) share it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/orchestrator/task_table.hpp"
#include "messages/constraints.hpp"
#include "messages/store.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::orchestrator {

/// Shared between all SERVICE actors of a leader: a node is kept once, not once per service.
using node_ref = std::shared_ptr<const Node>;

/// Most changed rows of one Command (1.4 MB at about 120 bytes each).
inline constexpr std::size_t command_rows_max = 10'000;
/// A node that is down for so long will not report its tasks any more: they become ORPHANED.
inline constexpr duration orphan_after = hours{24};

/// How a task's version compares with the service's.
enum class difference { none, placement, credentials, all };

/// Everything is changed at once in our own view and, in the same breath, written into the Command. If the Command is
/// refused or its fate unknown, abort() takes our view back, and the decision is made anew; the store only ever raises
/// states, so that repeating one is harmless.
class service_state {
public:
  service_state(service_id id, random_source rng) : id_{id}, id_text_{id.str()}, rng_{rng} {}

  // -- facts ------------------------------------------------------------------------------------------------------------
  std::shared_ptr<const Service> service; ///< as stored; none: removed, what is left must go
  std::map<std::uint64_t, std::shared_ptr<const TaskTemplate>> templates;
  std::map<node_id, node_ref> nodes;
  std::map<node_id, instant> orphan_at; ///< nodes that are down
  std::map<std::string, std::string> predefined_networks; ///< id and name → name
  std::int64_t history_limit = 5;
  task_table tasks;
  timestamp now;

  [[nodiscard]] const service_id& id() const { return id_; }
  [[nodiscard]] const std::string& id_text() const { return id_text_; }
  /// The service's, or the one of ours that is on its way into the store.
  [[nodiscard]] const UpdateStatus& update_status() const { return update_status_ ? *update_status_ : service->update_status(); }
  [[nodiscard]] bool has_update_status() const { return update_status_ || service->has_update_status(); }
  [[nodiscard]] bool is_job() const;
  [[nodiscard]] bool is_global() const; ///< one task per node: global and global-job
  [[nodiscard]] TaskState running_target() const { return is_job() ? TASK_STATE_COMPLETE : TASK_STATE_RUNNING; }
  [[nodiscard]] std::uint64_t iteration() const { return service->job_status().job_iteration().index(); }
  /// The spec a task was made of; the service's own when its version is not known any more.
  [[nodiscard]] const TaskSpec& spec_of(const task_row& row) const;
  [[nodiscard]] difference compare(const task_row& row);
  [[nodiscard]] const Node* node(const node_id& id) const;
  /// No task may stay there: unknown, down or drained.
  [[nodiscard]] bool is_invalid(const node_id& id) const;
  /// It goes on until its replacement is up: it runs, its node is drained, and updates start the new task first.
  [[nodiscard]] bool is_leaving(const task_row& row) const;
  /// Nothing there will ever stop by itself: unknown or down.
  [[nodiscard]] bool is_lost(const node_id& id) const;
  [[nodiscard]] bool meets_constraints(const Node& node);
  /// It will not run any more, or never will.
  [[nodiscard]] bool is_stopped(const task_row& row) const;
  /// The spec, or what a task is made of, has changed.
  void forget_comparisons();
  /// The store's value; an update status of ours that is under way stays on top of it.
  void replace_service(std::shared_ptr<const Service> stored);

  // -- what must be looked at ---------------------------------------------------------------------------------------------
  void mark(const slot_key& slot);
  void mark_all();
  [[nodiscard]] std::vector<slot_key> take_marked();
  [[nodiscard]] bool has_marked() const { return !marked_.empty(); }
  void wake_at(instant when, const slot_key& slot);
  /// Marks the slots whose time has come.
  void wake_due();
  [[nodiscard]] std::optional<instant> next_wake() const;
  [[nodiscard]] std::size_t counted() const { return counted_; }
  [[nodiscard]] std::size_t completed() const { return completed_; }
  void set_counted(slot_state& slot, bool counted, bool complete = false);
  void drop_if_empty(const slot_key& slot);

  // -- changes ------------------------------------------------------------------------------------------------------------
  [[nodiscard]] bool is_full() const { return rows_ >= command_rows_max; }
  /// `held` is for people: why it is wanted no further than READY.
  task_row& create(const slot_key& slot, const node_id& node, TaskState desired, const std::string& held = {});
  void set_desired(const slot_key& slot, task_row& row, TaskState desired);
  void set_observed(const slot_key& slot, task_row& row, TaskState state, const std::string& message,
                    const std::string& err);
  void remove(const slot_key& slot, task_row& row);
  void set_update_status(const UpdateStatus& status);
  /// spec := previous spec, if the service still is what we think it is.
  void roll_back(const UpdateStatus& status);

  [[nodiscard]] bool has_changes() const { return rows_ > 0; }
  /// Precondition: has_changes(). The next changes belong to the next Command; commit() or abort() must follow first.
  [[nodiscard]] Command take_command();
  void commit();
  void abort();

private:
  enum class change_kind { created, desired, observed, removing };
  struct change {
    change_kind kind;
    slot_key slot;
    task_id task;
    std::uint32_t before = 0;
    std::uint32_t after = 0;
  };
  task_id fresh_id();
  void record(change_kind kind, const slot_key& slot, const task_row& row, std::uint32_t before, std::uint32_t after);
  TaskChange& add_change(const task_row& row);
  void prepare_networks();

  service_id id_;
  std::string id_text_;
  random_source rng_;
  std::map<std::uint64_t, difference> differences_; ///< of each version from the current one
  std::optional<std::vector<constraint>> constraints_;
  std::optional<std::vector<TaskNetwork>> networks_; ///< of new tasks
  bool needs_addresses_ = false;

  std::vector<slot_key> marked_;
  std::size_t counted_ = 0;
  std::size_t completed_ = 0;
  std::set<std::pair<instant, slot_key>> wakes_;

  CreateTasks creations_;
  std::uint64_t batch_prefix_ = 0; ///< of the ids in a large Command
  UpdateTasks updates_;
  RemoveTasks removals_;
  std::optional<UpdateServiceState> service_update_;
  std::size_t rows_ = 0;
  std::vector<change> changes_;
  std::optional<UpdateStatus> update_status_; ///< ours
  std::optional<UpdateStatus> status_before_; ///< while ours is under way
};

} // namespace swarm::orchestrator
