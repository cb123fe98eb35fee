// RAFT: the actor around the Raft core. Serializes what is proposed, keeps who waits for what, moves bytes.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "actors/raft/append_pacer.hpp"
#include "actors/raft/raft_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"
#include "runtime/time.hpp"

namespace swarm::raft {

struct raft_actor_options {
  options core;
  duration tick = milliseconds{25};
  duration sleep_max = seconds{1};           ///< ticks that do nothing are made up for later, but not later than this
  std::size_t max_pending = 10'000;          ///< commands that wait for their result; more are refused
  append_pacer::options pace;                ///< what is proposed while STORAGE writes gathers into the next write
  duration storage_deadline = seconds{12};   ///< a little more than the core's own watch over the disk
  duration apply_deadline = seconds{60};
};

struct raft_state {
  static inline const char* name = "raft";

  struct waiting_command {
    caf::typed_response_promise<CommandResult> promise;
    term_number term = 0; ///< of the entry; 0 = not in the log yet
  };
  struct waiting_change {
    caf::typed_response_promise<MembershipCommitted> promise;
    term_number term = 0;
  };
  struct held_messages {
    std::uint64_t release_after = 0;
    std::vector<RaftMessage> messages;
  };

  raft_actor_options opts;
  std::optional<raft::core> core;
  storage_actor storage;
  store_actor store;
  leadership_listener listener; ///< may be null
  raft_peers peers;             ///< null on a single host
  Membership founding;          ///< in force until the first membership in the log is applied

  std::uint64_t last_tag = 0;
  std::vector<proposal> gathered;                            ///< not yet given to the core
  std::map<std::uint64_t, waiting_command> proposed;         ///< by tag: not yet in the log
  std::map<log_index, waiting_command> in_log;               ///< answered when STORE has applied the entry
  std::map<std::uint64_t, caf::typed_response_promise<ReadIndexReached>> reads;
  std::map<std::uint64_t, caf::typed_response_promise<LeadershipTransferred>> transfers;
  std::map<std::uint64_t, caf::typed_response_promise<MembershipCommitted>> changes; ///< by tag: not yet in the log
  std::map<log_index, waiting_change> changes_in_log;        ///< answered when the entry is applied
  std::deque<held_messages> held;
  std::uint64_t persisted_sequence = 0;
  append_pacer pacer;
  std::optional<instant> paced_until; ///< a tick is on its way for what was gathered
  term_number leading_term = 0; ///< 0 = not leading
  LeadershipChanged leadership; ///< as it was told, with the leader's node and address
  std::optional<LeadershipChanged> untold; ///< we lead, but STORE does not yet hold what was decided before
  instant ticked_to;            ///< the core has been told of the time until here
  instant wake_at;              ///< a tick is on its way
  bool pressure = false;
  bool ending = false;

  std::uint64_t commands = 0;
  std::uint64_t refused = 0;
  std::uint64_t unknown = 0;
  std::uint64_t appends = 0;
  std::uint64_t chunks_sent = 0;
  std::uint64_t chunks_stored = 0;
  std::uint64_t snapshots_installed = 0;
};

/// See the RAFT table in messages/interfaces.hpp. `disk` is what STORAGE found when it opened; a manager that joins a
/// group starts with an empty membership and waits for the leader. `peers` may be null on a single host.
/// Ends with errc::storage_failed when the disk fails or stalls, with failed_precondition when this manager was removed.
raft_actor::behavior_type raft_member(observed_ptr<raft_actor, raft_state> self, raft_actor_options opts,
                                      restored_state disk, storage_actor storage, store_actor store,
                                      leadership_listener listener, raft_peers peers);

} // namespace swarm::raft
