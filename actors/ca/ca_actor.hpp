// CA: issues and renews the certificates of nodes, and ends root rotations. Decisions: ca_core.hpp.
#pragma once

#include <optional>

#include "actors/ca/ca_desk.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::ca {

struct ca_options {
  options core;
  std::chrono::seconds raft_deadline{10};
  std::chrono::seconds store_deadline{20};
  std::chrono::milliseconds retry{1000}; ///< of a Command that was not committed
};

struct ca_state {
  static inline const char* name = "ca";
  ca_options opts;
  raft_actor raft;
  store_actor store;
  std::optional<ca::core> core;
  std::uint64_t log_index = 0;
  bool loaded = false;
  std::uint64_t issued = 0;
  std::uint64_t renewed = 0;
  std::uint64_t refused = 0;
};

/// See the CA table in messages/interfaces.hpp. Requests before STORE has answered are unavailable. Ends with an error when
/// STORE does not answer.
ca_actor::behavior_type certificate_authority(observed_ptr<ca_actor, ca_state> self, ca_options opts, raft_actor raft,
                                              store_actor store, random_source rng);

} // namespace swarm::ca
