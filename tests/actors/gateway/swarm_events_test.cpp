// Events of swarm scope.
#include "actors/gateway/swarm_events.hpp"

#include <gtest/gtest.h>

namespace swarm::gateway {
namespace {

Service service(const std::string& image, std::uint64_t replicas) {
  Service s;
  s.set_id("id1");
  s.mutable_meta()->set_created_at(1'000'000'000);
  s.mutable_meta()->set_updated_at(2'000'000'001);
  s.mutable_spec()->set_name("web");
  s.mutable_spec()->mutable_task_template()->mutable_container_spec()->set_image(image);
  s.mutable_spec()->mutable_mode()->mutable_replicated()->set_replicas(replicas);
  return s;
}

TEST(swarm_events, an_update_names_what_changed) {
  EventBatch batch;
  auto& e = *batch.add_services();
  e.set_kind(CHANGE_KIND_UPDATED);
  *e.mutable_old() = service("a:1", 2);
  *e.mutable_service() = service("a:2", 3);
  const auto events = swarm_events(batch);
  ASSERT_EQ(events.size(), 1u);
  const auto& attributes = events[0].actor().attributes();
  EXPECT_EQ(events[0].action(), "update");
  EXPECT_EQ(events[0].time_nano(), 2'000'000'001);
  EXPECT_EQ(attributes.at("name"), "web");
  EXPECT_EQ(attributes.at("image.old"), "a:1");
  EXPECT_EQ(attributes.at("image.new"), "a:2");
  EXPECT_EQ(attributes.at("replicas.new"), "3");
  EXPECT_EQ(attributes.count("updatestate.new"), 0u);
}

TEST(swarm_events, an_update_status_that_is_cleared_is_not_told) {
  EventBatch batch;
  auto& e = *batch.add_services();
  e.set_kind(CHANGE_KIND_UPDATED);
  e.mutable_service()->mutable_spec()->set_name("web");
  e.mutable_old()->mutable_spec()->set_name("web");
  e.mutable_old()->mutable_update_status()->set_state(UPDATE_STATE_ROLLBACK_STARTED);
  const auto events = swarm_events(batch);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].actor().attributes().size(), 1u);
}

TEST(swarm_events, filters_combine_as_and_of_ors) {
  EventBatch batch;
  auto& e = *batch.add_services();
  e.set_kind(CHANGE_KIND_CREATED);
  *e.mutable_service() = service("a", 1);
  const auto event = swarm_events(batch).at(0);
  EXPECT_TRUE(passes(event, {}));
  EXPECT_TRUE(passes(event, {{"type", {"node", "service"}}, {"event", {"create"}}}));
  EXPECT_TRUE(passes(event, {{"service", {"web"}}}));
  EXPECT_TRUE(passes(event, {{"scope", {"swarm"}}}));
  EXPECT_FALSE(passes(event, {{"scope", {"local"}}}));
  EXPECT_FALSE(passes(event, {{"type", {"service"}}, {"event", {"remove"}}}));
  EXPECT_FALSE(passes(event, {{"container", {"web"}}}));
}

} // namespace
} // namespace swarm::gateway
