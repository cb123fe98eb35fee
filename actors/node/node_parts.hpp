// Between the source files of NODE ROOT: each part of its work, by the file that has it.
#pragma once

#include "actors/node/node_root_actor.hpp"

namespace swarm::node {

using self_ptr = observed_ptr<node_root_interface, node_root_state>;

[[nodiscard]] MembershipChanged changed(errc code, std::string message);
[[nodiscard]] inline MembershipChanged changed(const failure& f) { return changed(f.code, f.message); }
[[nodiscard]] timestamp time_of(self_ptr self);
/// What waits is looked after in this time at the latest.
void tick_within(self_ptr self, duration time);

// -- node_children.cpp: what runs, and who is told of whom
void start_driver(self_ptr self);
void start_agent(self_ptr self);
/// Throws storage::open_error.
void start_manager(self_ptr self, std::uint64_t raft_id, bool force_new_cluster = false);
void stop_manager(self_ptr self);
void start_links(self_ptr self);
void stop_links(self_ptr self);
/// The managers to keep links to; an empty list changes nothing.
void connect_managers(self_ptr self, const std::vector<ManagerAddress>& managers);
/// A link is what its certificate was when it was made: with another role this node needs new ones.
void dial_again(self_ptr self);
/// What others may address here, and whom the agent talks to, after any of these has changed.
void publish(self_ptr self);
void take_leadership(self_ptr self, const LeadershipChanged& change);
void take_hint(self_ptr self, const LeaderHint& hint);
void take_down(self_ptr self, const caf::down_msg& down);
void read_group(self_ptr self);
void listen_again(self_ptr self);
void give_up(self_ptr self, const std::string& why);
void give_up_hope(self_ptr self, const std::string& why); ///< the membership: phase ERROR

// -- node_founding.cpp: swarm init
[[nodiscard]] caf::result<MembershipChanged> init_swarm(self_ptr self, const InitSwarm& request);
void founded_leads(self_ptr self);
void undo_founding(self_ptr self);
void restart_alone(self_ptr self);

// -- node_joining.cpp: swarm join, and becoming a manager
[[nodiscard]] caf::result<MembershipChanged> join_swarm(self_ptr self, const JoinSwarm& request);
void joining_tick(self_ptr self);
void end_joining(self_ptr self);
void ask_for_raft(self_ptr self);
void answer_join(self_ptr self);

// -- node_identity.cpp: the certificate, and what is on disk of it
void resume_membership(self_ptr self);
[[nodiscard]] caf::result<MembershipChanged> unlock_swarm(self_ptr self, const UnlockSwarm& request);
void answer_unlocking(self_ptr self);
void follow_cluster(self_ptr self);
void take_orders(self_ptr self, const NodeOrders& orders);
void renew_when_due(self_ptr self);
/// From now on this certificate is used and told; its key and roots are on disk. False: the membership is lost.
bool use_identity(self_ptr self);
void enter_role(self_ptr self);

// -- node_leaving.cpp: swarm leave, demotion, the end of the process
[[nodiscard]] caf::result<MembershipChanged> leave_swarm(self_ptr self, const LeaveSwarm& request);
void demote(self_ptr self);
void manager_ended(self_ptr self);
void forget_membership(self_ptr self);
void stop_node(self_ptr self);

} // namespace swarm::node
