// One host's driver and container engine: containers that are slow, refuse, end by themselves; an engine that restarts.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "messages/driver.pb.h"
#include "messages/errors.hpp"
#include "tests/sim/cluster_env.hpp"

namespace swarm::sim {

/// Keeps the driver's contract (messages/driver.proto): every call may be repeated, and finds what an earlier one did.
/// Outlives the agent; what an agent has asked for goes on without it.
class sim_engine {
public:
  using reply = std::function<void(const failure&, const TaskHandle&)>;
  struct listener {
    std::function<void(const TaskHandle&)> observed;
    std::function<void(bool healthy)> health;
  };

  sim_engine(cluster_env& env, std::string node_id) : env_{env}, node_id_{std::move(node_id)} {}

  void listen(listener who) { listener_ = std::move(who); }
  void prepare(const std::string& task, const reply& answer);
  void start(const std::string& task, const reply& answer);
  void stop(const std::string& task, const reply& answer);
  void remove(const std::string& task, const reply& answer);
  void inspect(const std::string& task, const reply& answer);
  void recover(const std::function<void(const failure&, const RecoveredTasks&)>& answer);
  void fingerprint(const std::function<void(const NodeFingerprint&)>& answer);

  // -- faults -------------------------------------------------------------------------------------------------------------
  void power_off();                  ///< containers end; what was asked is lost
  void wipe() { containers_.clear(); }
  void restart(bool keep_containers); ///< away for a moment
  void hang(std::uint64_t until) { hung_until_ = until; }
  void heal();

  [[nodiscard]] bool runs(const std::string& task) const;
  [[nodiscard]] bool has_started(const std::string& task) const { return started_.contains(task); }
  [[nodiscard]] std::vector<std::string> running() const;
  [[nodiscard]] std::vector<std::string> all() const;

private:
  struct container {
    TaskHandle::Phase phase = TaskHandle::PHASE_CREATED;
    std::int64_t exit_code = 0;
    std::uint64_t number = 0; ///< never used twice
  };
  /// Does it after a while, and answers, unless the engine is away, refuses, or the answer gets lost.
  void call(const char* what, const std::string& task, const reply& answer, std::function<failure()> work);
  [[nodiscard]] TaskHandle handle(const std::string& task) const;
  void end(const std::string& task, std::int64_t exit_code, bool by_itself);
  /// By itself, if it is still the same container.
  void end_later(const std::string& task, std::uint64_t number, std::uint64_t delay, std::function<std::int64_t()> exit_code);
  void tell(const std::string& task);

  cluster_env& env_;
  std::string node_id_;
  std::map<std::string, container> containers_;
  std::set<std::string> started_;                ///< ever
  std::map<std::string, unsigned> since_boot_;   ///< how often; a power cut may make the agent forget that it has
  std::map<std::string, std::uint64_t> busy_until_;
  listener listener_;
  std::uint64_t next_number_ = 1;
  std::uint64_t life_ = 0;       ///< counts power cuts and restarts
  bool away_ = false;
  std::uint64_t hung_until_ = 0;
};

} // namespace swarm::sim
