// Which event goes to which node, and what goes along with a new assignment.
#include "actors/dispatcher/routing_core.hpp"

#include <gtest/gtest.h>

#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using dispatcher::routed;

struct routing_test : testing::Test {
  dispatcher::routing_core core;
  std::string n1 = test::nth_id(1), n2 = test::nth_id(2), service = test::nth_id(9, 2);

  void SetUp() override {
    StoreSnapshot snapshot;
    *snapshot.add_nodes() = test::node(n1, "h1");
    *snapshot.add_nodes() = test::node(n2, "h2");
    auto& s = *snapshot.add_services();
    s.set_id(service);
    *s.mutable_spec() = test::service_spec("web");
    s.set_spec_version(7);
    auto& t = *snapshot.add_templates();
    t.set_service_id(service);
    t.set_spec_version(7);
    for (const auto* id : {"net", "host"}) {
      t.mutable_spec()->add_networks()->set_target(id);
      snapshot.add_networks()->set_id(id);
    }
    snapshot.mutable_networks(1)->set_predefined(true);
    snapshot.add_networks()->set_id("other");
    EXPECT_EQ(core.load(snapshot).fresh, (std::set<std::string>{n1, n2}));
  }
  EventBatch assigned(const std::string& node, std::uint64_t n) {
    EventBatch batch;
    auto& task = *batch.add_tasks()->mutable_task();
    task.set_id(test::nth_id(n, 3));
    task.set_service_id(service);
    task.set_spec_version(7);
    task.set_node_id(node);
    task.mutable_status()->set_state(TASK_STATE_ASSIGNED);
    return batch;
  }
};

TEST_F(routing_test, a_task_goes_to_its_node_alone_with_all_that_it_needs) {
  const auto out = core.route(assigned(n1, 1));
  ASSERT_EQ(out.parts.size(), 1U);
  const auto& part = out.parts.at(n1);
  EXPECT_EQ(part.tasks_size(), 1);
  EXPECT_EQ(part.templates_size(), 1);
  EXPECT_EQ(part.services_size(), 1);
  ASSERT_EQ(part.networks_size(), 1) << "not the engine's own";
  EXPECT_EQ(part.networks(0).network().id(), "net");
}

TEST_F(routing_test, who_the_node_is_goes_along_where_a_driver_is_to_be_asked) {
  EventBatch before;
  auto& node = *before.add_nodes()->mutable_node();
  node = test::node(n1, "renamed");
  (*node.mutable_spec()->mutable_labels())["disk"] = "ssd";
  auto& t = *before.add_templates()->mutable_template_();
  t.set_service_id(service);
  t.set_spec_version(8);
  for (const auto* id : {"kept", "driven"}) {
    t.mutable_spec()->mutable_container_spec()->add_secrets()->set_secret_id(id);
    before.add_secrets()->mutable_secret()->set_id(id);
  }
  before.mutable_secrets(1)->mutable_secret()->mutable_spec()->mutable_driver()->set_name("vault");
  (void) core.route(before);
  auto batch = assigned(n1, 1);
  batch.MergeFrom(assigned(n2, 2));
  for (auto& event : *batch.mutable_tasks())
    event.mutable_task()->set_spec_version(8);
  batch.MergeFrom(assigned(n2, 3));
  const auto out = core.route(batch);
  ASSERT_EQ(out.parts.at(n1).nodes_size(), 1);
  EXPECT_EQ(out.parts.at(n1).nodes(0).node().description().hostname(), "renamed");
  EXPECT_EQ(out.parts.at(n1).nodes(0).node().spec().labels().at("disk"), "ssd");
  EXPECT_FALSE(out.parts.at(n1).nodes(0).node().has_status());
  EXPECT_EQ(out.parts.at(n1).secrets_size(), 2);
  ASSERT_EQ(out.parts.at(n2).nodes_size(), 1);
  EXPECT_EQ(out.parts.at(n2).nodes(0).node().id(), n2);
  EXPECT_EQ(core.route(assigned(n1, 4)).parts.at(n1).nodes_size(), 0) << "no driver to ask";
}

TEST_F(routing_test, a_task_without_a_node_concerns_nobody) {
  EXPECT_TRUE(core.route(assigned("", 1)).parts.empty());
}

TEST_F(routing_test, two_tasks_of_one_service_bring_its_definition_once) {
  auto batch = assigned(n1, 1);
  batch.MergeFrom(assigned(n1, 2));
  const auto out = core.route(batch);
  EXPECT_EQ(out.parts.at(n1).tasks_size(), 2);
  EXPECT_EQ(out.parts.at(n1).templates_size(), 1);
}

TEST_F(routing_test, a_node_that_joins_is_fresh_and_one_that_is_removed_is_gone) {
  EventBatch batch;
  *batch.add_nodes()->mutable_node() = test::node(test::nth_id(3), "h3");
  auto& removed = *batch.add_nodes();
  removed.set_kind(CHANGE_KIND_REMOVED);
  *removed.mutable_node() = test::node(n2, "h2");
  const auto out = core.route(batch);
  EXPECT_EQ(out.fresh, std::set<std::string>{test::nth_id(3)});
  EXPECT_EQ(out.gone, std::set<std::string>{n2});
  EXPECT_EQ(core.nodes(), 2U);
}

} // namespace
} // namespace swarm
