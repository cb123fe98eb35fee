// Which message may be sent to which addressed actor of a peer, and by whom: default-deny, read from the schema.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <google/protobuf/message.h>

#include "messages/options.pb.h"
#include "messages/types.pb.h"

namespace swarm::links {

/// One row for everything that crosses hosts. What is not here is neither sent nor taken.
struct link_type {
  std::string_view to;     ///< the addressed actor of the peer
  std::string_view type;   ///< message of package swarm
  std::string_view reply;  ///< "" = a tell
  /// Only of tells. True: the next one makes up for it, or its sender repeats it. False: when it cannot be queued, the
  /// link is given up, so that both ends begin anew.
  bool loss_is_fine = false;
};
[[nodiscard]] std::span<const link_type> link_types();
/// Null: not carried.
[[nodiscard]] const link_type* find_link_type(std::string_view to, std::string_view type);

/// Of the schema; NONE when the type says nothing or is unknown.
[[nodiscard]] PeerRole allowed_role_of(const google::protobuf::Descriptor& type);
[[nodiscard]] PeerRole allowed_role_of(std::string_view type);

/// A peer as it counts now. `certificate` is ANYONE for one without a certificate. A manager that the replicated state
/// knows as a worker is a worker; a removed node is nobody at all (NONE); nobody is more than its certificate says.
[[nodiscard]] PeerRole effective_role(PeerRole certificate, std::optional<NodeRole> current, bool removed);

struct sender {
  PeerRole role = PEER_ROLE_NONE; ///< effective
  std::string_view node_id;       ///< of its certificate
};

enum class verdict : std::uint8_t {
  allowed,
  not_carried,   ///< no such row
  not_permitted, ///< this role may not send it
  not_own_node,  ///< it speaks for another node
};
[[nodiscard]] std::string_view to_string(verdict v);

/// What workers may send is about themselves: a node_id in it must be the sender's own. Only managers may pass on what
/// another node has asked of CA, and lines of its tasks to a reader.
[[nodiscard]] verdict may_send(const sender& from, std::string_view to, const google::protobuf::Message& message);
/// What a role may do at all, for types whose content does not matter.
[[nodiscard]] bool role_suffices(PeerRole have, PeerRole allowed);

/// How much it matters that a message is not held up by others.
enum class urgency : std::uint8_t { urgent, normal, bulk };
[[nodiscard]] urgency urgency_of(const google::protobuf::Message& message);

} // namespace swarm::links
