// Which SERVICE hears what: whole batches where they concern one, parts where they concern several.
#include "actors/orchestrator/orchestrator_core.hpp"

#include <gtest/gtest.h>

#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using orchestrator::orchestrator_core;

struct orchestrator_core_test : testing::Test {
  orchestrator_core core;
  std::string a = test::nth_id(1), b = test::nth_id(2);

  static void add_service(EventBatch& batch, const std::string& id, ChangeKind kind = CHANGE_KIND_CREATED) {
    auto& event = *batch.add_services();
    event.set_kind(kind);
    event.mutable_service()->set_id(id);
    *event.mutable_service()->mutable_spec() = test::service_spec("s" + id.substr(20));
  }
  static void add_task(EventBatch& batch, const std::string& service, std::uint64_t n) {
    auto& task = *batch.add_tasks()->mutable_task();
    task.set_id(test::nth_id(n, 3));
    task.set_service_id(service);
  }
};

TEST_F(orchestrator_core_test, a_batch_of_one_service_goes_to_it_whole) {
  EventBatch batch;
  add_service(batch, a);
  add_task(batch, a, 1);
  const auto out = core.route(batch);
  EXPECT_EQ(out.fresh, std::vector<service_id>{service_id{a}});
  EXPECT_EQ(out.whole_to, std::vector<service_id>{service_id{a}});
  EXPECT_TRUE(out.parts.empty());
}

TEST_F(orchestrator_core_test, a_batch_of_a_few_services_without_tasks_goes_to_each_of_them_whole) {
  EventBatch batch;
  add_service(batch, b);
  add_service(batch, a);
  const auto out = core.route(batch);
  EXPECT_EQ(out.whole_to, (std::vector<service_id>{service_id{a}, service_id{b}}));
  EXPECT_EQ(out.fresh, out.whole_to);
  EXPECT_TRUE(out.parts.empty());
  EventBatch many;
  for (std::uint64_t i = 0; i < 65; ++i)
    add_service(many, test::nth_id(100 + i));
  EXPECT_EQ(core.route(many).parts.size(), 65U);
}

TEST_F(orchestrator_core_test, a_batch_of_two_services_is_split_and_no_event_is_lost) {
  EventBatch batch;
  batch.set_log_index(5);
  add_service(batch, a);
  add_service(batch, b);
  add_task(batch, a, 1);
  add_task(batch, b, 2);
  add_task(batch, a, 3);
  const auto out = core.route(batch);
  ASSERT_EQ(out.parts.size(), 2U);
  EXPECT_EQ(out.parts.at(service_id{a}).tasks_size(), 2);
  EXPECT_EQ(out.parts.at(service_id{b}).tasks_size(), 1);
  EXPECT_EQ(out.parts.at(service_id{b}).services_size(), 1);
  EXPECT_EQ(out.parts.at(service_id{a}).log_index(), 5U);
}

TEST_F(orchestrator_core_test, news_of_nodes_alone_go_to_everyone_as_they_are) {
  EventBatch batch;
  *batch.add_nodes()->mutable_node() = test::node(test::nth_id(7), "h");
  const auto out = core.route(batch);
  EXPECT_TRUE(out.whole_to_all);
  EXPECT_TRUE(out.parts.empty());
}

TEST_F(orchestrator_core_test, a_service_that_is_only_removed_gets_no_actor) {
  EventBatch batch;
  add_service(batch, a, CHANGE_KIND_REMOVED);
  EXPECT_TRUE(core.route(batch).fresh.empty());
}

} // namespace
} // namespace swarm
