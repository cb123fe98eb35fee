// The table of phases and requests, in Swarm's words.
#include "actors/node/membership_core.hpp"

#include <gtest/gtest.h>

namespace swarm::node {
namespace {

using m = membership;

/// The shortest way to each phase.
membership_core in(m phase) {
  membership_core out;
  switch (phase) {
    case m::inactive: return out;
    case m::demoted:
      out.become(m::manager);
      break;
    case m::leaving:
      out.become(m::worker);
      break;
    default: break;
  }
  out.become(phase, phase == m::error ? "broken" : "");
  return out;
}

struct row {
  m phase;
  errc init, force_init, join, unlock, leave, force_leave, manage;
  LocalNodeState state;
};

constexpr auto ok = errc::ok;
constexpr auto no = errc::unavailable;

TEST(membership_core, which_phase_allows_what) {
  const row table[] = {
    //             init force join unlock          leave force manage  /info
    {m::inactive, ok, ok, ok, no, no, no, no, LOCAL_NODE_STATE_INACTIVE},
    {m::founding, no, no, no, no, ok, ok, no, LOCAL_NODE_STATE_PENDING},
    {m::joining, no, no, no, no, ok, ok, no, LOCAL_NODE_STATE_PENDING},
    {m::worker, no, no, no, no, ok, ok, no, LOCAL_NODE_STATE_ACTIVE},
    {m::promoted, no, no, no, no, ok, ok, no, LOCAL_NODE_STATE_ACTIVE},
    {m::manager, no, ok, no, errc::conflict, ok, ok, ok, LOCAL_NODE_STATE_ACTIVE},
    {m::demoted, no, no, no, no, ok, ok, no, LOCAL_NODE_STATE_ACTIVE},
    {m::locked, no, no, no, ok, no, ok, no, LOCAL_NODE_STATE_LOCKED},
    {m::error, no, no, no, no, ok, ok, no, LOCAL_NODE_STATE_ERROR},
  };
  for (const auto& r : table) {
    SCOPED_TRACE(to_string(r.phase));
    const auto core = in(r.phase);
    EXPECT_EQ(core.may_init(false).code, r.init);
    EXPECT_EQ(core.may_init(true).code, r.force_init);
    EXPECT_EQ(core.may_join().code, r.join);
    EXPECT_EQ(core.may_unlock().code, r.unlock);
    EXPECT_EQ(core.may_leave(false).code, r.leave);
    EXPECT_EQ(core.may_leave(true).code, r.force_leave);
    EXPECT_EQ(core.may_manage().code, r.manage);
    EXPECT_EQ(core.local_state(), r.state);
  }
}

TEST(membership_core, refusals_are_in_swarms_words) {
  EXPECT_EQ(in(m::inactive).may_manage().message,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.");
  EXPECT_EQ(in(m::worker).may_manage().message,
            "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a "
            "manager node or promote the current node to a manager.");
  EXPECT_EQ(in(m::founding).may_manage().message,
            "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster.");
  EXPECT_EQ(in(m::locked).may_manage().message,
            "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to unlock it.");
  EXPECT_EQ(in(m::locked).error(), in(m::locked).may_manage().message);
  EXPECT_EQ(in(m::locked).may_leave(false).message,
            "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.");
  EXPECT_EQ(in(m::inactive).may_leave(false).message, "This node is not part of a swarm");
  EXPECT_EQ(in(m::worker).may_join().message, "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm "
                                              "and join another one.");
  EXPECT_EQ(in(m::manager).may_unlock().message, "swarm is not locked");
  membership_core expired;
  expired.become(m::error, text_certificates_expired);
  EXPECT_EQ(expired.may_manage().message, "Swarm certificates have expired. To replace them, leave the swarm and join again.");
}

TEST(membership_core, the_error_of_a_phase_ends_with_it) {
  auto core = in(m::error);
  EXPECT_EQ(core.error(), "broken");
  core.become(m::leaving);
  core.become(m::inactive);
  EXPECT_EQ(core.error(), "");
}

TEST(membership_core, a_node_can_leave_from_anywhere_but_nowhere) {
  for (const auto phase : {m::founding, m::joining, m::worker, m::promoted, m::manager, m::demoted, m::locked, m::error}) {
    auto core = in(phase);
    core.become(m::leaving);
    EXPECT_EQ(core.at(), m::leaving);
  }
  membership_core nowhere;
  EXPECT_DEATH(nowhere.become(m::leaving), "inactive to leaving");
  EXPECT_DEATH(in(m::worker).become(m::manager), "worker to manager") << "not without asking for a place in the Raft group";
}

} // namespace
} // namespace swarm::node
