// What may stand on the managers of a simulated Raft group, and how it hears of what happens to them.
#pragma once

#include <cstdint>

#include "actors/raft/events.hpp"
#include "messages/errors.hpp"

namespace swarm::sim {

/// Called by raft_world in the middle of its work: an answer that steps a member again must go through after_on().
class raft_host {
public:
  virtual ~raft_host() = default;
  /// Its state is what was durable: everything up to `applied`.
  virtual void started(raft::raft_id id, raft::log_index applied) = 0;
  /// Whatever it held in memory is gone; nobody who waited will be answered.
  virtual void crashed(raft::raft_id id) = 0;
  virtual void role_changed(raft::raft_id id) = 0;
  /// STORE applies this entry now.
  virtual void applied(raft::raft_id id, const Entry& entry) = 0;
  /// STORE's state has become that of another member at `applied`.
  virtual void installed(raft::raft_id id, raft::log_index applied) = 0;
  /// Of raft_world::propose: the entry was applied just now, or why it was not (commit_unknown: nobody knows).
  virtual void write_done(raft::raft_id id, std::uint64_t tag, const failure& outcome) = 0;
  /// Of raft_world::read: the member's state may be read now, or why not.
  virtual void read_done(raft::raft_id id, std::uint64_t tag, const failure& outcome) = 0;
  /// Nothing is left to do before everything heals.
  [[nodiscard]] virtual bool done() { return false; }
  /// The faults are over.
  virtual void heal() = 0;
  [[nodiscard]] virtual bool converged() = 0;
  /// What it may take to converge beyond what Raft may take, in microseconds.
  [[nodiscard]] virtual std::uint64_t patience_us() const = 0;
  /// Why it has not: for the report.
  [[nodiscard]] virtual std::string unsettled() = 0;
};

} // namespace swarm::sim
