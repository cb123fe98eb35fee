// Orders: who hears what, and when it has changed.
#include "actors/dispatcher/orders_core.hpp"

#include <gtest/gtest.h>

namespace swarm::dispatcher {
namespace {

using ids = std::vector<std::string>;

Node node(const std::string& id, NodeRole role, const std::string& addr = {}) {
  Node out;
  out.set_id(id);
  out.mutable_spec()->set_role(role);
  out.set_certificate_role(role);
  if (!addr.empty())
    out.mutable_manager_status()->set_addr(addr);
  return out;
}

EventBatch event(const Node& n, ChangeKind kind = CHANGE_KIND_UPDATED) {
  EventBatch out;
  out.add_nodes()->set_kind(kind);
  *out.mutable_nodes(0)->mutable_node() = n;
  return out;
}

EventBatch event(const Cluster& c) {
  EventBatch out;
  *out.add_clusters()->mutable_cluster() = c;
  return out;
}

struct orders_core_test : testing::Test {
  orders_core core;
  StoreSnapshot snapshot;
  void SetUp() override {
    snapshot.mutable_cluster()->mutable_root_ca()->set_certificate_pem("old\n");
    *snapshot.add_nodes() = node("m1", NODE_ROLE_MANAGER, "10.0.0.1:2377");
    *snapshot.add_nodes() = node("w1", NODE_ROLE_WORKER);
    core.load(snapshot);
  }
};

TEST_F(orders_core_test, a_node_hears_its_role_the_managers_and_the_root) {
  const auto orders = core.orders_of("w1", "s");
  EXPECT_EQ(orders.session_id(), "s");
  EXPECT_EQ(orders.role(), NODE_ROLE_WORKER);
  ASSERT_EQ(orders.managers_size(), 1);
  EXPECT_EQ(orders.managers(0).addr(), "10.0.0.1:2377");
  EXPECT_EQ(orders.root_pem(), "old\n");
  EXPECT_EQ(core.orders_of("m1", "s").role(), NODE_ROLE_MANAGER);
}

TEST_F(orders_core_test, a_promotion_concerns_one_node_and_a_new_manager_all) {
  EXPECT_EQ(core.apply(event(node("w1", NODE_ROLE_MANAGER))), ids{"w1"});
  EXPECT_EQ(core.apply(event(node("w1", NODE_ROLE_MANAGER))), ids{});
  EXPECT_EQ(core.apply(event(node("w1", NODE_ROLE_MANAGER, "10.0.0.2:2377"))), (ids{"m1", "w1"}));
  EXPECT_EQ(core.orders_of("m1", "s").managers_size(), 2);
}

TEST_F(orders_core_test, a_demoted_manager_stays_one_until_it_has_left_the_raft_group) {
  auto demoted = node("m1", NODE_ROLE_WORKER, "10.0.0.1:2377");
  demoted.set_certificate_role(NODE_ROLE_MANAGER);
  EXPECT_EQ(core.apply(event(demoted)), ids{});
  EXPECT_EQ(core.orders_of("m1", "s").role(), NODE_ROLE_MANAGER);
  EXPECT_EQ(core.apply(event(node("m1", NODE_ROLE_WORKER))), (ids{"m1", "w1"}));
  EXPECT_EQ(core.orders_of("m1", "s").role(), NODE_ROLE_WORKER);
}

TEST_F(orders_core_test, while_the_root_is_replaced_both_are_trusted_and_all_hear_of_it) {
  auto cluster = snapshot.cluster();
  EXPECT_EQ(core.apply(event(cluster)), ids{}) << "other changes of the cluster are no news";
  cluster.mutable_root_ca()->mutable_rotation()->set_certificate_pem("new\n");
  EXPECT_EQ(core.apply(event(cluster)), (ids{"m1", "w1"}));
  EXPECT_EQ(core.orders_of("w1", "s").root_pem(), "old\nnew\n");
}

TEST_F(orders_core_test, a_removed_node_is_forgotten) {
  EXPECT_EQ(core.apply(event(node("w1", NODE_ROLE_WORKER), CHANGE_KIND_REMOVED)), ids{});
  EXPECT_EQ(core.orders_of("w1", "s").role(), NODE_ROLE_UNSPECIFIED);
  EXPECT_EQ(core.apply(event(node("m1", NODE_ROLE_MANAGER), CHANGE_KIND_REMOVED)), ids{});
}

} // namespace
} // namespace swarm::dispatcher
