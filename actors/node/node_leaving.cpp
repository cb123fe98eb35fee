// `swarm leave`, demotion, and the end of the process: what is stopped in which order, and what goes from the disk.
#include "actors/node/node_parts.hpp"
#include "runtime/log.hpp"

namespace swarm::node {

namespace {

constexpr std::chrono::seconds leave_deadline{45};
constexpr std::chrono::seconds count_deadline{5};
constexpr std::chrono::seconds hand_over_deadline{1};

void leave_now(self_ptr self) {
  auto& st = self->state;
  st.agents.stop_all();
  st.agent = agent_actor{};
  st.wipe_when_stopped = true;
  if (st.manager)
    stop_manager(self);
  else
    manager_ended(self);
}

// The others need not wait for an election when a leader goes with notice.
void hand_over(self_ptr self, std::function<void()> then) {
  auto& st = self->state;
  if (!st.leading || !st.manager || st.group.voters_size() < 2)
    return then();
  self->request(st.manager->raft(), hand_over_deadline, TransferLeadership{})
    .then([then](const LeadershipTransferred&) { then(); },
          [self, then](const caf::error& err) {
            log::info(self->label(), "leadership_not_handed_over", {{"reason", to_failure(err).message}});
            then();
          });
}

void begin_leaving(self_ptr self, const LeaveSwarm& request) {
  auto& st = self->state;
  if (st.membership.at() == membership::leaving)
    return;
  st.membership.become(membership::leaving);
  end_joining(self);
  hand_over(self, [self, request] {
    auto& s = self->state;
    s.leader.reset(); // nobody may start what is being stopped
    publish(self);
    if (!s.agent && !s.node_id.empty())
      start_agent(self); // a locked or broken node has tasks too
    if (!s.agent)
      return leave_now(self);
    self->request(s.agent, leave_deadline, request)
      .then([self](const MembershipChanged&) { leave_now(self); },
            [self](const caf::error& err) {
              log::warn(self->label(), "tasks_not_stopped_in_time", {{"reason", to_failure(err).message}});
              leave_now(self);
            });
  });
}

// A manager must say that it means it; what it is told depends on who would be left.
caf::result<MembershipChanged> warn_manager(self_ptr self) {
  auto promise = self->make_response_promise<MembershipChanged>();
  ReadObjects nodes;
  nodes.set_kind(OBJECT_KIND_NODE);
  self->request(self->state.control, count_deadline, nodes)
    .then(
      [promise](const ObjectsRead& read) mutable {
        unsigned managers = 0, reachable = 0;
        for (const auto& node : read.nodes()) {
          managers += node.has_manager_status() ? 1 : 0;
          reachable += node.manager_status().reachability() == REACHABILITY_REACHABLE ? 1 : 0;
        }
        promise.deliver(changed(errc::unavailable, leave_warning(managers, reachable, true)));
      },
      [promise](const caf::error&) mutable { promise.deliver(changed(errc::unavailable, leave_warning(0, 0, false))); });
  return promise;
}

} // namespace

caf::result<MembershipChanged> leave_swarm(self_ptr self, const LeaveSwarm& request) {
  auto& st = self->state;
  if (auto refused = st.membership.may_leave(request.force()); !refused.ok())
    return changed(refused);
  if (!request.force() && st.manager && st.control)
    return warn_manager(self);
  auto promise = self->make_response_promise<MembershipChanged>();
  st.leaving.push_back(promise);
  begin_leaving(self, request);
  return promise;
}

void forget_membership(self_ptr self) {
  auto& st = self->state;
  stop_links(self);
  if (st.membership.at() != membership::inactive) {
    st.membership.become(membership::leaving);
    st.membership.become(membership::inactive);
  }
  st.cluster_id.clear();
  st.node_id.clear();
  st.addresses.Clear();
  st.managers.Clear();
  st.identity.reset();
  st.certificate_pem.clear();
  st.ordered = false;
  end_joining(self);
  st.credentials = std::make_shared<link::credential_store>();
  st.keys = std::make_unique<key_guard>(st.disk->certificates(), st.disk->data_key());
}

// Its certificate is a worker's already, or will be: the Raft half goes, tasks run on.
void demote(self_ptr self) {
  auto& st = self->state;
  st.membership.become(membership::demoted);
  stop_manager(self);
}

void manager_ended(self_ptr self) {
  auto& st = self->state;
  st.manager.reset();
  if (st.stopping)
    return;
  if (st.force_new_cluster)
    return restart_alone(self);
  if (st.membership.at() == membership::demoted) {
    if (st.identity->own().role == NODE_ROLE_WORKER)
      enter_role(self);
    return; // else its certificate is renewed first: the key that opens the old one is in the folder
  }
  if (!st.wipe_when_stopped)
    return;
  st.wipe_when_stopped = false;
  const auto removed = st.disk->remove();
  forget_membership(self);
  for (auto& waiting : std::exchange(st.unlocking, {}))
    waiting.promise.deliver(MembershipChanged{});
  if (auto problem = std::exchange(st.init_problem, {}); !problem.ok())
    st.init_promise.deliver(changed(problem));
  if (st.join_waiting)
    std::exchange(st.join_waiting, std::nullopt)->promise.deliver(changed(errc::unavailable, "this node is leaving the swarm"));
  for (auto& promise : std::exchange(st.leaving, {}))
    promise.deliver(removed.ok() ? MembershipChanged{} : changed(removed));
  log::info(self->label(), "left_the_swarm");
}

// Ends everything but running tasks; the process ends when STORAGE has.
void stop_node(self_ptr self) {
  auto& st = self->state;
  if (std::exchange(st.stopping, true))
    return;
  hand_over(self, [self] {
    auto& s = self->state;
    s.agents.stop_all();
    s.drivers.stop_all();
    stop_manager(self);
    stop_links(self);
  });
}

} // namespace swarm::node
