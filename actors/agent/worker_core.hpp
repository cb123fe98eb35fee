// What a node is to run: folds Assignments into a set of tasks with everything they need, and says what changes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "actors/agent/task_core.hpp"
#include "actors/agent/task_description.hpp"
#include "messages/dispatcher.pb.h"
#include "messages/driver.pb.h"
#include "messages/errors.hpp"

namespace swarm::agent::worker {

// -- what the shell must do, in this order ----------------------------------------------------------------------------
struct begin_task {
  std::string task_id;
  TaskState desired = TASK_STATE_RUNNING;
  task::beginning from;
  std::shared_ptr<const TaskDescription> what; ///< empty when it has run already and parts of it are not here
};
struct reject_task { std::string task_id; std::string why; };  ///< it cannot even be described
struct set_desired { std::string task_id; TaskState state = TASK_STATE_RUNNING; };
struct forget_task { std::string task_id; };
struct remove_leftover { std::string task_id; };               ///< a container of ours that nobody wants
struct repeat_status { std::string task_id; };                 ///< the manager knows less than we do
struct register_again {};
using effect = std::variant<begin_task, reject_task, set_desired, forget_task, remove_leftover, repeat_status, register_again>;
using effects = std::vector<effect>;

/// Holds assignments by task id. Nothing begins before recovered(): what runs already must be known first. Without
/// restore(), because this node's own records are lost, nothing is removed either until a manager has said what is
/// wanted (W09).
/// A task whose secrets or configs are not here waits for them: they are never on disk, so after a restart they come
/// with the first contact. One whose secret has no value, as the manager says, is rejected with the manager's words.
class core {
public:
  explicit core(node_facts node) : node_{std::move(node)} {}

  /// From the journal, before anything else.
  void restore(const Assignments& complete, std::map<std::string, TaskStatus> statuses);
  /// What the driver found. Tasks begin now.
  [[nodiscard]] effects recovered(const RecoveredTasks& found);
  /// `states` of tasks that live here, to see what the manager does not know.
  [[nodiscard]] effects apply(const Assignments& message, const std::string& session_id,
                              const std::map<std::string, TaskState>& states);
  /// A session begins: its first Assignments must be complete.
  void session_begins() { synced_ = false; }
  /// By the driver, unasked, of a task that does not live here (yet): it will begin from this, not from what was recovered.
  void seen(const TaskHandle& handle);
  /// Something was seen of a task that is not assigned.
  [[nodiscard]] effects stray(const std::string& task_id);
  /// Its last trace is gone.
  void forgotten(const std::string& task_id);
  /// The cluster is left: everything assigned is to be forgotten.
  [[nodiscard]] effects forget_all();

  [[nodiscard]] bool knows(const std::string& task_id) const { return tasks_.contains(task_id); }
  [[nodiscard]] std::size_t size() const { return tasks_.size(); }
  [[nodiscard]] failure description(const std::string& task_id, TaskDescription& out) const;
  [[nodiscard]] const AssignedTask* assignment(const std::string& task_id) const;
  [[nodiscard]] const node_facts& node() const { return node_; }
  void set_node(node_facts node) { node_ = std::move(node); }
  /// All that is held, for the journal: without secrets, configs and registry passwords.
  [[nodiscard]] Assignments snapshot() const;
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

private:
  using template_key = std::pair<std::string, std::uint64_t>;
  struct row {
    AssignedTask task;
    bool begun = false;
  };
  void keep_parts(const Assignments& message);
  void add(const AssignedTask& task, effects& out);
  void begin_what_can(effects& out);
  bool begin(row& r, effects& out);
  void forget(std::map<std::string, row>::iterator it, effects& out);
  void drop_unused_parts();

  node_facts node_;
  std::map<std::string, row> tasks_;
  std::map<template_key, TaskTemplate> templates_;
  std::map<std::string, ServiceIdentity> services_;
  std::map<std::string, Secret> secrets_;
  std::map<std::string, Config> configs_;
  std::map<std::string, Network> networks_;
  std::map<std::string, TaskStatus> statuses_;    // from the journal, until their tasks begin
  std::map<std::string, TaskHandle> found_;       // by the driver, until they are assigned or removed
  bool recovered_ = false;
  bool assignments_known_ = false;                // from the journal or a manager
  bool synced_ = false;
  std::uint64_t sequence_ = 0;
};

/// A message without what must not be on disk.
[[nodiscard]] Assignments without_secrets(const Assignments& message);

} // namespace swarm::agent::worker
