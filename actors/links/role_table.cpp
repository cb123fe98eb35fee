// The rows, and the reading of (allowed_role).
#include "actors/links/role_table.hpp"

#include <algorithm>
#include <string>

#include "messages/raft.pb.h"

namespace swarm::links {

namespace {

constexpr link_type rows[] = {
    {"raft", "RaftMessage", "", true},
    {"dispatcher", "RegisterNode", "NodeRegistered"},
    {"dispatcher", "NodeHeartbeat", "", true},
    {"dispatcher", "UpdateNodeDescription", "", false},
    {"dispatcher", "UpdateTaskStatus", "", false},
    {"agent", "Assignments", "", false},
    {"agent", "TaskStatusAccepted", "", false},
    {"agent", "SessionInvalid", "", false},
    {"agent", "NodeOrders", "", false},
    {"agent", "ReadTaskLogs", "", false},
    {"agent", "LogCredit", "", false},
    {"agent", "CancelLogs", "", false},
    {"logs", "SubscribeLogs", "", false},
    {"logs", "LogCredit", "", false},
    {"logs", "CancelLogs", "", false},
    {"logs", "LogChunk", "", true},   // lines of a task, to LOGS that asked its agent
    {"reader", "LogChunk", "", true}, // lines of many, to the reader that asked LOGS
    {"control", "ControlRequest", "Written"},
    {"control", "ReadObjects", "ObjectsRead"},
    {"control", "ReadUnlockKey", "UnlockKey"},
    {"ca", "ReadRootCertificate", "RootCertificate"},
    {"ca", "IssueNodeCertificate", "NodeCertificateIssued"},
    {"ca", "RenewNodeCertificate", "NodeCertificateIssued"},
    {"members", "JoinRaft", "RaftJoined"},
    {"members", "LeaveRaft", "RaftLeft"},
    {"links", "LeaderHint", "", true},
};

// Followers pass on what their nodes ask the CA, and the leader passes on log lines of all nodes: checked where they came from.
bool passed_on_by_managers(std::string_view to) { return to == "ca" || to == "reader"; }

} // namespace

std::span<const link_type> link_types() { return rows; }

const link_type* find_link_type(std::string_view to, std::string_view type) {
  const auto* const found =
      std::find_if(std::begin(rows), std::end(rows), [&](const link_type& row) { return row.to == to && row.type == type; });
  return found == std::end(rows) ? nullptr : found;
}

PeerRole allowed_role_of(const google::protobuf::Descriptor& type) { return type.options().GetExtension(allowed_role); }

PeerRole allowed_role_of(std::string_view type) {
  const auto* const found =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName("swarm." + std::string{type});
  return found == nullptr ? PEER_ROLE_NONE : allowed_role_of(*found);
}

PeerRole effective_role(PeerRole certificate, std::optional<NodeRole> current, bool removed) {
  if (removed)
    return PEER_ROLE_NONE;
  return certificate == PEER_ROLE_MANAGER && current == NODE_ROLE_WORKER ? PEER_ROLE_WORKER : certificate;
}

bool role_suffices(PeerRole have, PeerRole allowed) {
  switch (allowed) {
    case PEER_ROLE_ANYONE: return have == PEER_ROLE_ANYONE || have == PEER_ROLE_WORKER || have == PEER_ROLE_MANAGER;
    case PEER_ROLE_WORKER: return have == PEER_ROLE_WORKER || have == PEER_ROLE_MANAGER;
    case PEER_ROLE_MANAGER: return have == PEER_ROLE_MANAGER;
    default: return false;
  }
}

std::string_view to_string(verdict v) {
  switch (v) {
    case verdict::allowed: return "allowed";
    case verdict::not_carried: return "not carried between nodes";
    case verdict::not_permitted: return "not permitted to this peer";
    case verdict::not_own_node: return "about another node";
  }
  return "";
}

verdict may_send(const sender& from, std::string_view to, const google::protobuf::Message& message) {
  const auto& type = *message.GetDescriptor();
  if (find_link_type(to, type.name()) == nullptr)
    return verdict::not_carried;
  const auto allowed = allowed_role_of(type);
  if (!role_suffices(from.role, allowed))
    return verdict::not_permitted;
  if (allowed != PEER_ROLE_WORKER || (from.role == PEER_ROLE_MANAGER && passed_on_by_managers(to)))
    return verdict::allowed;
  const auto* const field = type.FindFieldByName("node_id");
  if (field == nullptr || message.GetReflection()->GetString(message, field) == from.node_id)
    return verdict::allowed;
  return verdict::not_own_node;
}

urgency urgency_of(const google::protobuf::Message& message) {
  const auto& type = message.GetDescriptor()->name();
  if (const auto* const raft = dynamic_cast<const RaftMessage*>(&message)) {
    if (raft->has_install_snapshot())
      return urgency::bulk;
    return raft->has_append_entries() ? urgency::normal : urgency::urgent;
  }
  if (type == "NodeHeartbeat" || type == "LeaderHint")
    return urgency::urgent;
  return type == "LogChunk" ? urgency::bulk : urgency::normal;
}

} // namespace swarm::links
