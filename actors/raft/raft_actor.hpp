// RAFT: the actor around the Raft core. Keeps the order between disk, network and STORE that the core's batches ask for.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "actors/raft/raft_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::raft {

struct raft_actor_options {
  raft::options core;
  std::chrono::milliseconds tick{25};
  std::size_t pending_max = 10'000;              ///< proposals without an answer; more are refused as resource_exhausted
  std::chrono::seconds storage_deadline{60};     ///< the core's own watchdog acts long before
  std::chrono::seconds store_deadline{60};
};

struct raft_state {
  static inline const char* name = "raft";
  raft_actor_options opts;
  std::unique_ptr<raft::core> core;
  storage_actor storage;
  store_actor store;
  leadership_listener listener;
  raft_peers peers;

  struct waiting_proposal {
    std::string data;
    caf::typed_response_promise<CommandResult> promise;
  };
  std::vector<waiting_proposal> gathered;        ///< arrived since the last flush
  bool flush_due = false;
  std::uint64_t next_tag = 1;
  std::map<std::uint64_t, caf::typed_response_promise<CommandResult>> proposed;  ///< by tag: not in the log yet
  std::map<log_index, caf::typed_response_promise<CommandResult>> in_log;        ///< by index: not applied yet
  std::map<std::uint64_t, caf::typed_response_promise<ReadIndexReached>> reads;  ///< by tag
  std::multimap<log_index, caf::typed_response_promise<ReadIndexReached>> unapplied_reads;
  std::map<std::uint64_t, caf::typed_response_promise<LeadershipTransferred>> transfers;
  std::map<std::uint64_t, std::vector<RaftMessage>> after_persist;               ///< by the write they wait for
  std::uint64_t persisted_sequence = 0;
  std::chrono::nanoseconds last_tick{0};
  bool led = false;
};

using raft_member_actor = raft_actor::extend<caf::reacts_to<flush_atom>>;

/// See the RAFT table in messages/interfaces.hpp. `peers` may be invalid: a group of one. Ends with errc::storage_failed
/// when the disk has failed or stalled.
raft_member_actor::behavior_type raft_member(observed_ptr<raft_member_actor, raft_state> self, raft_actor_options opts,
                                             restored_state start, storage_actor storage, store_actor store,
                                             leadership_listener listener, raft_peers peers);

} // namespace swarm::raft
