// NODE's decisions: the set of assignments of one node, and what its agent has been told of it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/dispatcher/secret_fetches.hpp"
#include "messages/dispatcher.pb.h"
#include "messages/errors.hpp"
#include "messages/secrets.pb.h"
#include "messages/store.pb.h"
#include "runtime/ids.hpp"

namespace swarm::dispatcher {

/// A task is in the set from ASSIGNED until it is removed. In a session the agent first gets the whole set, then
/// differences; everything that gathers between two frames goes into one. A secret or config goes along with the first
/// living task that uses it and is withdrawn with the last.
///
/// The value of a secret that a driver keeps is fetched for tasks that have no container yet (secret_fetches.hpp). Nothing
/// waits for it here: the task is told at once, and its agent holds it until a later frame brings the value, or says why there
/// is none. So no frame is late for a driver's sake, and a task that is no longer wanted is known as that.
class assignments_core {
public:
  explicit assignments_core(std::string node_id) : node_id_{std::move(node_id)} {}

  /// Tasks of this node, and with every task that is ASSIGNED: its template, service, secrets, configs and networks.
  void apply(const EventBatch& batch);
  /// The agent knows nothing any more.
  void start_session(const std::string& session_id);
  /// The next frame, if there is anything to say and somebody to say it to.
  [[nodiscard]] std::optional<Assignments> take_frame();

  /// Values to be asked of drivers, once somebody is there to use them. Each wants one fetched() with its number.
  struct fetch {
    std::uint64_t number = 0;
    FetchSecret request;
  };
  [[nodiscard]] std::vector<fetch> take_fetches();
  void fetched(std::uint64_t number, const failure& problem, const SecretFetched& answer);

  [[nodiscard]] bool has_session() const { return !session_id_.empty(); }
  [[nodiscard]] std::size_t size() const { return tasks_.size(); }
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }
  [[nodiscard]] const secret_fetches& fetches() const { return fetches_; }
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

private:
  using version_key = std::pair<std::string, std::uint64_t>; ///< service, spec version
  struct version {
    std::optional<TaskTemplate> definition;
    std::size_t tasks = 0; ///< in the set
    std::size_t living = 0;
    bool sent = false;
    std::vector<std::string> driven; ///< secrets whose values a driver keeps
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
    bool needs = false;   ///< values of drivers
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
  void find_driven(version& v) const;
  void follow_need(const task_id& id, row& r, bool needs);
  [[nodiscard]] FetchSecret request_of(const secret_fetches::order& order) const;
  bool add_values(Assignments& frame);
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
  secret_fetches fetches_;
  std::map<std::string, std::uint64_t> told_values_; ///< in this session: the agent's id for it, the order that it answers
  Node self_;                                        ///< as drivers are told of it: hostname and labels
  bool dependencies_changed_ = false;
};

} // namespace swarm::dispatcher
