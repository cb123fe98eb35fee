// The table behind the diagram.
#include "actors/node/membership_core.hpp"

#include <algorithm>
#include <utility>

#include "runtime/check.hpp"

namespace swarm::node {

namespace {

constexpr const char* text_inactive =
  "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
constexpr const char* text_preparing =
  "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster.";
constexpr const char* text_worker =
  "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a"
  " manager node or promote the current node to a manager.";
constexpr const char* text_member =
  "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another one.";
constexpr const char* text_no_member = "This node is not part of a swarm";
constexpr const char* text_leave_locked =
  "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.";

using m = membership;

bool is_step(m from, m to) {
  if (to == m::leaving || (to == m::error && from != m::inactive))
    return from != m::inactive;
  static const std::vector<std::pair<m, m>> steps{
    {m::inactive, m::founding}, {m::inactive, m::joining},                                   // requests
    {m::inactive, m::worker}, {m::inactive, m::promoted}, {m::inactive, m::manager}, {m::inactive, m::locked}, // a start
    {m::inactive, m::error},
    {m::founding, m::manager}, {m::joining, m::worker}, {m::joining, m::promoted}, {m::joining, m::inactive},
    {m::worker, m::promoted}, {m::promoted, m::manager}, {m::promoted, m::worker},
    {m::manager, m::demoted}, {m::demoted, m::worker}, {m::demoted, m::promoted},
    {m::locked, m::manager}, {m::locked, m::worker}, {m::locked, m::promoted},
    {m::manager, m::founding},                                                               // --force-new-cluster
    {m::leaving, m::inactive},
  };
  return std::find(steps.begin(), steps.end(), std::pair{from, to}) != steps.end();
}

} // namespace

std::string to_string(membership at) {
  static const char* const names[] = {"inactive", "founding", "joining", "worker",  "promoted",
                                      "manager",  "demoted",  "locked",  "leaving", "error"};
  return names[static_cast<std::size_t>(at)];
}

void membership_core::become(membership next, std::string error) {
  SWARM_CHECK(next == at_ || is_step(at_, next), to_string(at_) + " to " + to_string(next));
  at_ = next;
  error_ = next == m::locked ? text_locked : std::move(error);
}

bool membership_core::has_identity() const {
  return at_ != m::inactive && at_ != m::founding && at_ != m::joining;
}

failure membership_core::may_init(bool force_new_cluster) const {
  if (at_ == m::inactive)
    return {};
  if (!force_new_cluster)
    return {errc::unavailable, text_member};
  return at_ == m::manager ? failure{} : may_manage();
}

failure membership_core::may_join() const { return at_ == m::inactive ? failure{} : failure{errc::unavailable, text_member}; }

failure membership_core::may_unlock() const {
  if (at_ == m::locked)
    return {};
  return at_ == m::manager ? failure{errc::conflict, "swarm is not locked"} : may_manage();
}

failure membership_core::may_leave(bool force) const {
  if (at_ == m::inactive)
    return {errc::unavailable, text_no_member};
  return at_ == m::locked && !force ? failure{errc::unavailable, text_leave_locked} : failure{};
}

failure membership_core::may_manage() const {
  switch (at_) {
    case m::manager: return {};
    case m::inactive: return {errc::unavailable, text_inactive};
    case m::worker: case m::demoted: return {errc::unavailable, text_worker};
    case m::locked: return {errc::unavailable, text_locked};
    case m::error: return {errc::unavailable, error_ == text_certificates_expired ? text_certificates_expired : text_preparing};
    default: return {errc::unavailable, text_preparing};
  }
}

LocalNodeState membership_core::local_state() const {
  switch (at_) {
    case m::inactive: return LOCAL_NODE_STATE_INACTIVE;
    case m::founding: case m::joining: return LOCAL_NODE_STATE_PENDING;
    case m::locked: return LOCAL_NODE_STATE_LOCKED;
    case m::error: return LOCAL_NODE_STATE_ERROR;
    default: return LOCAL_NODE_STATE_ACTIVE;
  }
}

} // namespace swarm::node
