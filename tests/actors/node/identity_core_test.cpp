// Renewal: by age, by order, with back-off.
#include "actors/node/identity_core.hpp"

#include <gtest/gtest.h>

namespace swarm::node {
namespace {

struct identity_core_test : testing::Test {
  identity_core core{1};
  instant now{seconds{10}};
  wall_ns wall = 1000;

  void SetUp() override { core.use({NODE_ROLE_WORKER, "root\n", true, 5000}); }
  bool due() { return core.begin_renewal({now, wall}); }
  std::optional<std::string> order(NodeRole role, const std::string& roots = "root\n") {
    NodeOrders orders;
    orders.set_role(role);
    orders.set_root_pem(roots);
    return core.orders({now, wall}, orders);
  }
};

TEST_F(identity_core_test, a_certificate_is_renewed_when_its_time_has_come_and_once_at_a_time) {
  EXPECT_FALSE(due());
  wall = 5000;
  EXPECT_TRUE(due());
  EXPECT_FALSE(due());
  core.use({NODE_ROLE_WORKER, "root\n", true, 9000});
  core.renewed();
  EXPECT_FALSE(due());
}

TEST_F(identity_core_test, another_role_is_asked_for_at_once) {
  EXPECT_EQ(order(NODE_ROLE_WORKER), std::nullopt);
  EXPECT_FALSE(due());
  EXPECT_EQ(order(NODE_ROLE_MANAGER), std::nullopt);
  EXPECT_TRUE(due());
}

TEST_F(identity_core_test, new_roots_are_trusted_first_and_then_renewed_under) {
  EXPECT_EQ(order(NODE_ROLE_WORKER, "root\nnext\n"), "root\nnext\n");
  EXPECT_FALSE(due()) << "before the new root is in use";
  core.use({NODE_ROLE_WORKER, "root\nnext\n", false, 5000});
  EXPECT_TRUE(due());
  core.use({NODE_ROLE_WORKER, "root\nnext\n", true, 9000});
  core.renewed();
  EXPECT_FALSE(due());
  EXPECT_EQ(order(NODE_ROLE_WORKER, "next\n"), "next\n") << "and the old one goes";
}

TEST_F(identity_core_test, orders_without_a_role_or_root_change_nothing) {
  EXPECT_EQ(order(NODE_ROLE_UNSPECIFIED, ""), std::nullopt);
  EXPECT_FALSE(due());
}

TEST_F(identity_core_test, a_failed_renewal_waits_longer_each_time_but_new_orders_do_not) {
  wall = 5000;
  duration last{};
  for (int i = 0; i < 14; ++i) {
    ASSERT_TRUE(due());
    core.failed({now, wall});
    const auto failed_at = now;
    while (!due())
      now += milliseconds{100};
    core.failed({failed_at, wall}); // as if it had not been asked
    last = now - failed_at;
    now += minutes{10};
  }
  EXPECT_GE(last, minutes{2});
  EXPECT_LE(last, minutes{5} + seconds{1});
  ASSERT_TRUE(due());
  core.failed({now, wall});
  EXPECT_FALSE(due());
  order(NODE_ROLE_MANAGER);
  EXPECT_TRUE(due());
}

} // namespace
} // namespace swarm::node
