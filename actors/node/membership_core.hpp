// What this host is to the swarm, and which requests that allows: the texts that users know from Swarm (behaviour §2.2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "messages/control.pb.h"
#include "messages/errors.hpp"

namespace swarm::node {

/// ```
///              init                         founded
///  INACTIVE ──────────► FOUNDING ───────────────────────► MANAGER ◄──┐
///   ▲  │ join                                               ▲  │ ▲   │ the Raft group has us
///   │  └──────► JOINING ──► certificate: worker ──► WORKER  │  │ │   │
///   │                   └─► certificate: manager ───────────┼──┼─┴─ PROMOTED ◄── renewed as manager ── WORKER
///   │                                                       │  └──── renewed as worker ──► DEMOTED ──► WORKER
///   │ left, or given up            unlock                   │                      (its Raft half ends)
///  LEAVING ◄── any       LOCKED ────────────────────────────┘      any ──► ERROR: can only be left
/// ```
enum class membership : std::uint8_t {
  inactive,
  founding, ///< `swarm init` waits for its first commit
  joining,  ///< asks for a certificate
  worker,
  promoted, ///< has a manager's certificate and asks to be taken into the Raft group
  manager,
  demoted,  ///< has a worker's certificate, and its Raft half is ending
  locked,
  leaving,
  error,
};

class membership_core {
public:
  [[nodiscard]] membership at() const { return at_; }
  /// Checks that the change is one of the diagram.
  void become(membership next, std::string error = {});
  [[nodiscard]] const std::string& error() const { return error_; }

  // Why a request is refused now; ok() = go on.
  [[nodiscard]] failure may_init(bool force_new_cluster) const;
  [[nodiscard]] failure may_join() const;
  [[nodiscard]] failure may_unlock() const;
  /// A manager without force is refused as well: see leave_warning().
  [[nodiscard]] failure may_leave(bool force) const;
  /// Anything about the cluster: services, nodes, tokens.
  [[nodiscard]] failure may_manage() const;

  [[nodiscard]] bool is_manager() const { return at_ == membership::manager; }
  [[nodiscard]] bool has_identity() const;
  /// As /info says it.
  [[nodiscard]] LocalNodeState local_state() const;

private:
  membership at_ = membership::inactive;
  std::string error_;
};

inline constexpr const char* text_certificates_expired =
  "Swarm certificates have expired. To replace them, leave the swarm and join again.";
inline constexpr const char* text_locked =
  "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to unlock it.";
inline constexpr const char* text_no_leader =
  "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the"
  " managers are online.";
inline constexpr const char* text_join_timeout =
  "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the \"docker"
  " info\" command to see the current swarm status of your node.";

[[nodiscard]] std::string to_string(membership at);

} // namespace swarm::node
