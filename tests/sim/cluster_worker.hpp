// One worker of a simulated cluster: the agent's real cores, what an AGENT does around them, its journal and its engine.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "actors/agent/outbox_core.hpp"
#include "actors/agent/session_core.hpp"
#include "actors/agent/task_core.hpp"
#include "actors/agent/worker_core.hpp"
#include "tests/sim/sim_engine.hpp"

namespace swarm::sim {

/// The way to managers, by closures: what arrives there is the manager's business.
struct worker_uplink {
  std::function<void(unsigned worker, raft::raft_id to, RegisterNode, std::uint64_t attempt)> register_node;
  std::function<void(unsigned worker, raft::raft_id to, NodeHeartbeat)> beat;
  std::function<void(unsigned worker, raft::raft_id to, UpdateTaskStatus)> report;
};

class cluster_worker {
public:
  cluster_worker(cluster_env& env, unsigned number, std::string node_id, worker_uplink uplink);

  [[nodiscard]] const std::string& node_id() const { return node_id_; }
  [[nodiscard]] bool is_up() const { return static_cast<bool>(agent_); }
  [[nodiscard]] bool is_lost() const { return lost_; }
  [[nodiscard]] bool is_frozen() const;
  [[nodiscard]] bool in_session() const { return agent_ && agent_->session.in_session(); }
  [[nodiscard]] sim_engine& engine() { return engine_; }
  [[nodiscard]] const sim_engine& engine() const { return engine_; }
  [[nodiscard]] std::string dump() const;

  /// Runs it in the agent, unless that dies first; late when the host is frozen.
  void arrive(std::function<void(cluster_worker&)> what);

  // -- what arrives -------------------------------------------------------------------------------------------------------
  void link_changed(raft::raft_id manager, bool up);
  void hint(raft::raft_id leader, raft::term_number term);
  void registered(std::uint64_t attempt, const failure& outcome, const NodeRegistered& session);
  void assign(const Assignments& message);
  void accepted(const TaskStatusAccepted& message);
  void invalid(const std::string& session_id);

  // -- faults -------------------------------------------------------------------------------------------------------------
  void start();
  void crash_agent(bool journal_too);
  void power_off();
  void freeze(std::uint64_t until) { frozen_until_ = until; }
  void jump_clock(std::int64_t by_ns) { wall_offset_ += by_ns; }
  void lose();       ///< never comes back
  void heal();

private:
  struct task {
    std::unique_ptr<agent::task::core> core; ///< null: rejected before it had any
    std::shared_ptr<random_source> rng;
    TaskStatus status;
    bool has_description = false;
  };
  /// Everything that an AGENT forgets when it dies.
  struct incarnation {
    incarnation(agent::node_facts facts, const agent::session::options& opts, std::uint64_t seed, bool keeps_ends)
        : worker{std::move(facts)}, session{opts, seed}, outbox{keeps_ends} {}
    agent::worker::core worker;
    agent::session::core session;
    agent::outbox_core outbox;
    std::map<std::string, task> tasks;
    raft::raft_id leader = 0;
    raft::term_number leader_term = 0;
    raft::raft_id registered_with = 0; ///< the link that it registered over
    std::uint64_t attempt = 0;
    bool healthy = false;
    bool described = false;
    bool recovered = false;
    std::optional<instant> armed;
  };

  /// Void when the agent has died meanwhile, late when the host is frozen.
  void soon(std::uint64_t delay, std::function<void()> run);
  [[nodiscard]] timestamp time() const { return env_.time(wall_offset_); }
  void step(const agent::session::event& what);
  void perform(const agent::worker::effects& todo);
  void begin_task(const agent::worker::begin_task& what);
  void reject_task(const agent::worker::reject_task& what);
  void remove_leftover(const std::string& id, unsigned failures);
  void forget_task(const std::string& id);
  void gone(const std::string& id);
  void step_task(const std::string& id, const agent::task::event& what);
  void perform(const std::string& id, const agent::task::effects& todo);
  void ask(const std::string& id, const agent::task::ask& what);
  void keep_status(const UpdateTaskStatus& message);
  void flush();
  void arm();
  void set_health(bool healthy);
  void ask_fingerprint();
  void recover();
  void write_journal(std::string bytes, bool replace);
  void write_queued();
  void sync_journal();
  void rewrite_journal();

  cluster_env& env_;
  unsigned number_;
  std::string node_id_;
  worker_uplink uplink_;
  sim_engine engine_;
  std::unique_ptr<incarnation> agent_;
  std::uint64_t life_ = 0;
  std::uint64_t frozen_until_ = 0;
  std::int64_t wall_offset_ = 0;
  bool lost_ = false;
  std::string journal_;                                      ///< the file
  std::vector<std::pair<bool, std::string>> journal_queue_;  ///< on its way there: replaces it or not
  std::uint64_t last_sequence_ = 0;                          ///< of the Assignments that came last
  std::size_t synced_ = 0;                                   ///< bytes of the file that a power cut leaves
};

} // namespace swarm::sim
