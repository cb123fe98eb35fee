// STORE: the actor around the replicated state. Applies what RAFT commits and tells everyone who must know.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "actors/store/store_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::store {

/// A state on its way in from STORAGE.
struct reloading {
  std::unique_ptr<core> fresh;
  caf::typed_response_promise<EntriesApplied> promise;
  std::uint64_t snapshot_id = 0;
  std::uint64_t next_chunk = 0;
};

struct store_state {
  static inline const char* name = "store";
  std::shared_ptr<store::core> core;
  storage_actor storage;
  std::map<caf::actor_id, caf::actor> subscribers;
  std::uint64_t applied_entries = 0;
  std::uint64_t refused_commands = 0;
  std::uint64_t event_batches = 0;
  std::uint64_t reloads = 0;
  std::optional<reloading> reload;
  caf::message snapshot; ///< as the last subscriber got it, until the next change: a leader's children come all at once
};

/// See the STORE table in messages/interfaces.hpp. `recovered` holds what the state tables said (core::load for each row,
/// then core::loaded) and is this actor's from now on; supervisors that restart it recover anew.
///
/// Subscribers hear of an entry before its proposer does, so whoever acts on an acknowledged write finds every view at
/// least that new. The same EventBatch object goes to all of them.
store_actor::behavior_type store_keeper(observed_ptr<store_actor, store_state> self, std::shared_ptr<core> recovered,
                                        storage_actor storage);

} // namespace swarm::store
