// NODE's decisions: the set of assignments of one node, and what its agent has been told of it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "messages/dispatcher.pb.h"
#include "messages/store.pb.h"
#include "runtime/ids.hpp"

namespace swarm::dispatcher {

/// A task is in the set from ASSIGNED until it is removed. In a session the agent first gets the whole set, then
/// differences; everything that gathers between two frames goes into one. A secret or config goes along with the first
/// living task that uses it and is withdrawn with the last.
class assignments_core {
public:
  explicit assignments_core(std::string node_id) : node_id_{std::move(node_id)} {}

  /// Tasks of this node, and with every task that is ASSIGNED: its template, service, secrets, configs and networks.
  void apply(const EventBatch& batch);
  /// The agent knows nothing any more.
  void start_session(const std::string& session_id);
  /// The next frame, if there is anything to say and somebody to say it to.
  [[nodiscard]] std::optional<Assignments> take_frame();

  [[nodiscard]] bool has_session() const { return !session_id_.empty(); }
  [[nodiscard]] std::size_t size() const { return tasks_.size(); }
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

private:
  using version_key = std::pair<std::string, std::uint64_t>; ///< service, spec version
  struct version {
    std::optional<TaskTemplate> definition;
    std::size_t tasks = 0; ///< in the set
    std::size_t living = 0;
    bool sent = false;
  };
  struct extra { ///< what most tasks do not have
    google::protobuf::RepeatedPtrField<TaskNetwork> networks;
    google::protobuf::RepeatedPtrField<GenericResource> generic_resources;
    std::optional<std::uint64_t> job_iteration;
  };
  struct row {
    std::map<version_key, version>::iterator of;
    std::unique_ptr<extra> more;
    std::uint64_t slot = 0;
    std::uint16_t observed = 0;
    std::uint16_t desired = 0;
    bool changed = false; ///< is in changed_
    bool sent = false;    ///< in this session
  };
  struct service {
    ServiceIdentity identity;
    bool global = false;
    bool sent = false;
  };
  template <class T>
  struct dependency {
    std::optional<T> value;
    std::size_t users = 0; ///< versions with living tasks
    bool sent = false;
  };

  void apply_task(const Task& task);
  void remove_task(const task_id& id);
  void set_living(version& v, bool more);
  template <class F>
  void each_dependency(const version& v, F f);
  void define(version& v, const TaskTemplate& definition);
  void drop_unused();
  void add_task(Assignments& frame, const task_id& id, row& r);
  void add_dependencies(Assignments& frame);

  std::string node_id_;
  std::string session_id_;
  std::uint64_t sequence_ = 0; ///< of the last frame; 0: none in this session
  std::map<task_id, row> tasks_;
  std::map<version_key, version> versions_;
  std::map<std::string, service> services_;
  std::map<std::string, dependency<Secret>> secrets_;
  std::map<std::string, dependency<Config>> configs_;
  std::map<std::string, dependency<Network>> networks_; ///< of swarm scope
  std::set<task_id> changed_;
  std::set<task_id> removed_;
  std::set<std::string> services_changed_;
  bool dependencies_changed_ = false;
};

} // namespace swarm::dispatcher
