// A cluster of Raft cores in virtual time: their disks, stores and network, the faults, and the clients.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/raft_checkers.hpp"
#include "tests/sim/raft_disk.hpp"
#include "tests/sim/raft_host.hpp"
#include "tests/sim/raft_knobs.hpp"

namespace swarm::sim {

enum class log_mode : std::uint8_t { none, short_rows, full };

/// One run of one seed. Everything that happens is drawn from one generator and ordered by (time, number), so the same
/// seed gives the same run, byte for byte.
class raft_world {
public:
  using sink = std::function<void(const std::string&)>;

  /// With a host there are no clients but the host's.
  raft_world(std::uint64_t seed, raft_knobs knobs, log_mode mode, sink out, raft_host* host = nullptr);

  /// Faults and clients, then healing and convergence. Throws violation.
  void run();

  // -- for the host -----------------------------------------------------------------------------------------------------
  [[nodiscard]] std::uint64_t now() const { return now_; } ///< microseconds
  [[nodiscard]] random_source& rng() { return rng_; }
  [[nodiscard]] bool healing() const { return healing_; }
  void after(std::uint64_t delay, std::function<void()> run);
  /// Like after(), but void when the member has died meanwhile, and late when it is frozen.
  void after_on(raft::raft_id id, std::uint64_t delay, std::function<void()> run);
  void trace(const char* what, std::uint64_t id, const std::function<std::string()>& text = {});
  [[nodiscard]] std::vector<raft::raft_id> managers() const; ///< that are not removed for good
  [[nodiscard]] const raft::core* core_of(raft::raft_id id) const; ///< null = down
  [[nodiscard]] bool is_frozen(raft::raft_id id) const;
  /// Between two managers, in this direction.
  [[nodiscard]] bool is_cut(raft::raft_id from, raft::raft_id to) const { return cuts_.contains({from, to}); }
  /// Answered by raft_host::write_done, unless the member dies.
  void propose(raft::raft_id id, std::uint64_t tag, std::string data);
  void read(raft::raft_id id, std::uint64_t tag);

  // -- faults that the host wants; not from within a step of a member ---------------------------------------------------
  void crash(raft::raft_id id);
  void start(raft::raft_id id);     ///< if it is down
  void hand_over(raft::raft_id id); ///< to the member that is furthest
  void cut_off(raft::raft_id id);   ///< from all others, until reconnect()
  void reconnect() { cuts_.clear(); }
  void freeze(raft::raft_id id, std::uint64_t for_us);

  struct counters {
    std::uint64_t events = 0, messages = 0, faults = 0, crashes = 0, proposed = 0, acknowledged = 0, reads = 0,
                  reads_served = 0, changes = 0, snapshots = 0, elections = 0, committed = 0, virtual_us = 0;
    void operator+=(const counters& other);
  };
  [[nodiscard]] counters totals() const;
  /// Changes with every event; equal runs have equal fingerprints.
  [[nodiscard]] std::uint64_t fingerprint() const { return fingerprint_; }
  /// The state of every member, for the report of a failure.
  [[nodiscard]] std::string dump() const;

private:
  struct held_messages {
    std::uint64_t release_after = 0;
    std::vector<RaftMessage> messages;
  };
  struct asked_write {
    std::uint64_t tag = 0;
    raft::term_number term = 0;
  };
  struct member {
    raft::raft_id id = 0;
    std::uint64_t life = 0;             ///< counts starts: events of an earlier life are void
    std::unique_ptr<raft::core> core;   ///< null = down
    bool retired = false;               ///< removed and told so: never starts again
    sim_disk disk;
    store_image store;
    std::uint64_t frozen_until = 0;
    std::uint64_t last_tick = 0;
    std::uint64_t tick_us = 0;
    std::deque<std::vector<raft::entry_ptr>> to_apply; ///< the first one is being applied
    std::uint64_t slow_disk_until = 0;
    std::uint64_t slow_apply_until = 0;
    bool disk_fails = false;            ///< the next sync does, and the member stops
    std::uint64_t no_start_before = 0;  ///< its disk is full until then
    std::uint64_t persisted_sequence = 0;
    std::deque<held_messages> held;
    std::map<raft::log_index, asked_write> waiting;
    std::map<std::uint64_t, raft::log_index> reads; ///< tag -> highest acknowledged index when it was asked
    std::map<std::uint64_t, store_image> snapshots; ///< open for reading
    std::uint64_t receiving = 0;                    ///< snapshot id
    std::uint64_t received_chunks = 0;
    bool received_ok = true;
  };
  struct event {
    std::uint64_t at = 0;
    std::uint64_t order = 0;
    std::function<void()> run;
  };

  // raft_world.cpp: the loop, and what a shell does around its core
  void begin();
  void after_on(member& who, std::uint64_t delay, std::function<void(member&)> run);
  void run_until(std::uint64_t end);
  void run_faults();
  void start(member& who);
  void crash(member& who);
  void tick(member& who);
  void step(member& who, raft::event what);
  /// False when the member died on the way.
  bool perform(member& who, raft::ready work);
  bool crash_point(member& who);
  bool release(member& who);
  void start_sync(member& who);
  void finish_sync(member& who);
  void start_apply(member& who);
  void finish_apply(member& who);
  void finish_outcome(member& who, const raft::outcome& what);
  void read_snapshot(member& who, const raft::snapshot_read& wanted);
  void store_chunk(member& who, const raft::snapshot_write& chunk);
  void send(member& from, const RaftMessage& message);
  void deliver(const std::shared_ptr<const RaftMessage>& message);
  member& add_member(raft::raft_id id);
  [[nodiscard]] member* find(raft::raft_id id);
  [[nodiscard]] raft_checkers::disks all_disks() const;
  void lose_waiting(member& who, raft::log_index above, raft::log_index up_to);
  void tell_write(const member& who, std::uint64_t tag, const failure& outcome);
  void print_row();

  // raft_nemesis.cpp: clients, faults, convergence
  void client();
  void nemesis();
  void inject(unsigned which);
  void change_members();
  void heal();
  void converge();
  [[nodiscard]] bool converged();
  /// How far the shortest log is behind the longest.
  [[nodiscard]] std::uint64_t missing_entries() const;
  [[nodiscard]] member* pick(bool up);
  [[nodiscard]] member* leader();
  void cut(raft::raft_id from, raft::raft_id to);
  void replay_old_messages();

  raft_knobs knobs_;
  random_source rng_;
  log_mode mode_;
  sink out_;
  raft_host* host_;
  raft_checkers checkers_;
  std::map<raft::raft_id, std::unique_ptr<member>> members_;
  std::set<std::pair<raft::raft_id, raft::raft_id>> cuts_; ///< directions that carry nothing
  std::vector<event> queue_;
  /// For replay, by kind, so that the rare kinds have their turn.
  std::map<int, std::deque<std::shared_ptr<const RaftMessage>>> old_messages_;
  std::uint64_t now_ = 0;
  std::uint64_t order_ = 0;
  std::uint64_t events_at_once_ = 0; ///< in this millisecond
  std::uint64_t next_tag_ = 1;
  raft::raft_id next_id_ = 1;
  bool healing_ = false;
  raft::log_index healed_write_ = 0;
  counters totals_;
  std::uint64_t fingerprint_ = 0;
};

} // namespace swarm::sim
