// SERVICE's decisions: keeps the tasks of one service as its spec, its nodes and their fates demand.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "actors/orchestrator/restart.hpp"
#include "actors/orchestrator/service_state.hpp"
#include "actors/orchestrator/update.hpp"
#include "messages/errors.hpp"
#include "messages/kept_part.hpp"

namespace swarm::orchestrator {

/// What the shell must do.
struct service_effects {
  std::optional<Command> propose;  ///< and tell proposed() how it ended
  std::optional<instant> wake;     ///< call tick() then
  bool finished = false;           ///< the service and all its tasks are gone
};

/// Level-triggered: events change what we know, then every slot that was touched is looked at, then the service as a
/// whole. Nothing depends on having seen an event, so a new leader goes on from the stored state alone.
///
/// At most one Command is under way; events that arrive meanwhile gather and are dealt with in the next one. What a
/// Command holds counts as done at once, and is taken back if it fails.
class service_core {
public:
  /// `intern` may return an equal node that others share; the index tells batches apart.
  using intern_function = std::function<node_ref(const Node&, std::uint64_t log_index)>;
  service_core(service_id id, std::uint64_t seed, intern_function intern = {});
  service_core(const service_core&) = delete;
  service_core& operator=(const service_core&) = delete;

  /// The first batch that names this service or its tasks must hold all of them; nodes come before or with it.
  /// `whole` owns the batch if parts of it may be kept as they are.
  [[nodiscard]] service_effects apply(timestamp now, const EventBatch& batch, const shared_batch& whole = {});
  [[nodiscard]] service_effects tick(timestamp now);
  [[nodiscard]] service_effects proposed(timestamp now, const failure& outcome);

  void check_invariants() const;
  [[nodiscard]] std::string dump() const;
  [[nodiscard]] std::string name() const; ///< of the service; its id when the service is gone

  struct counts {
    std::size_t tasks = 0, slots = 0, counted = 0, nodes = 0;
    bool proposing = false;
  };
  [[nodiscard]] counts count() const;

private:
  void apply_service(const ServiceEvent& event, const shared_batch& whole);
  void apply_template(const TemplateEvent& event, const shared_batch& whole);
  void apply_network(const NetworkEvent& event);
  void apply_node(const NodeEvent& event, std::uint64_t log_index);
  void apply_task(const TaskEvent& event);
  void apply_cluster(const ClusterEvent& event);
  [[nodiscard]] slot_key slot_of(const Task& task) const;
  void task_changed(const slot_key& slot, task_row& row, const Task& task);
  void load();
  void mark_tasks_of_lost_nodes();
  service_effects evaluate();
  void work();
  void check_slot(const slot_key& slot);
  void check_service();
  [[nodiscard]] bool is_surplus(const slot_key& slot) const;

  service_state state_;
  restart_supervisor restarts_;
  updater updater_;
  intern_function intern_;

  bool seen_ = false;          ///< we have been told of the service or of a task
  bool loaded_ = false;
  bool global_ = false;        ///< how slots are named; survives the removal of the service
  bool had_service_ = false;
  std::set<node_id> lost_;     ///< nodes whose tasks must be looked at
  std::set<node_id> to_check_; ///< nodes of a global service
  std::uint64_t job_cursor_ = 0;
  bool in_flight_ = false;
  instant retry_at_{};
  unsigned refusals_ = 0;
  instant orphaned_until_{};
};

} // namespace swarm::orchestrator
