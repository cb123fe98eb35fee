// AGENT: this host's worker. Keeps what it was told to run running, with or without a manager.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "actors/agent/inline_tasks.hpp"
#include "actors/agent/outbox_core.hpp"
#include "actors/agent/session_core.hpp"
#include "actors/agent/worker_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::agent {

/// What is needed to make one TASK actor; agent_sup says how.
struct task_start {
  std::string task_id;
  TaskState desired = TASK_STATE_RUNNING;
  task::beginning from;
  std::shared_ptr<const TaskDescription> what;
  bool driver_healthy = true;
  std::uint64_t seed = 1;
};
using task_spawner = std::function<task_actor(task_start, const driver_actor&, const agent_actor&)>;

using append_atom = caf::atom_constant<caf::atom("append")>;
using replace_atom = caf::atom_constant<caf::atom("replace")>;
using sync_atom = caf::atom_constant<caf::atom("sync")>;
/// What AGENT needs of a JOURNAL (journal_actor.hpp).
using journal_writer = caf::typed_actor<
  caf::reacts_to<append_atom, std::string>,
  caf::reacts_to<replace_atom, std::string>,
  caf::replies_to<sync_atom>::with<bool>>;
/// The JOURNAL as AGENT uses it: what it held at the start, and where additions go.
struct journal_port {
  std::string content;
  journal_writer writer;                         ///< without it AGENT ends: it would keep nothing and say nothing
};

struct agent_options {
  std::string node_id;
  std::string cluster_id;
  std::string addr;                              ///< told to the manager
  std::string name;                              ///< of this host, told instead of the driver's; "" = the driver's
  NodeDescription description;                   ///< until the driver's own is known; for inline tasks the only one
  session::options session;
  task::options retries;
  duration register_deadline = seconds{5};
  duration fingerprint_period = seconds{20};
  duration driver_deadline = seconds{60};        ///< recovery and fingerprint
  duration driver_retry = seconds{1};
  duration journal_deadline = seconds{30};       ///< for being on disk; then it is asked again
  duration leave_deadline = seconds{40};         ///< less than who asked waits
  std::uint64_t seed = 1;
  std::optional<journal_port> journal;           ///< none: nothing outlives this actor (simulated nodes)
  task_spawner spawn_task;
  std::optional<inline_driver> inline_tasks;     ///< set: tasks are rows of this agent, without TASK and DRIVER
};

struct agent_state {
  static inline const char* name = "agent";
  agent_options opts;
  driver_actor driver;
  dispatcher_actor dispatcher;
  node_listener listener;
  NodeOrders orders; // the latest, of whatever session
  std::unique_ptr<worker::core> worker;
  std::unique_ptr<session::core> session;
  outbox_core outbox;
  std::unique_ptr<swarm::agent::inline_tasks> rows;
  struct living {
    task_actor actor;                            // invalid for one that was rejected before it had any
    TaskStatus status;
  };
  std::map<std::string, living> tasks;           // those that are no rows
  std::map<caf::actor_addr, std::string> by_address;
  struct leftover {
    std::optional<instant> due;                  // none: the driver has been asked
    unsigned failures = 0;
  };
  std::map<std::string, leftover> leftovers;     // containers that nobody wants, until they are gone
  NodeDescription description;
  DriverHealth health;
  bool recovered = false;
  instant fingerprint_at{};
  bool fingerprinting = false;
  std::optional<instant> armed;
  std::size_t journal_bytes = 0;                 // appended since the last whole file
  std::size_t journal_whole = 0;
  std::optional<caf::typed_response_promise<MembershipChanged>> leaving;
  instant leave_by{};
  std::uint64_t next_seed = 1;
};

/// See the AGENT table in messages/interfaces.hpp.
agent_actor::behavior_type node_agent(observed_ptr<agent_actor, agent_state> self, agent_options opts, driver_actor driver);

} // namespace swarm::agent
