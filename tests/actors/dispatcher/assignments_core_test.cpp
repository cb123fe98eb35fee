// What an agent is told, frame by frame.
#include "actors/dispatcher/assignments_core.hpp"

#include <gtest/gtest.h>

#include "actors/dispatcher/routing_core.hpp"
#include "runtime/random.hpp"
#include "tests/support/builders.hpp"

namespace swarm::dispatcher {
namespace {

using test::nth_id;

const std::string this_node = nth_id(1, 2);
std::string task_id_of(std::uint64_t n) { return nth_id(n, 4); }

class assignments_test : public testing::Test {
protected:
  assignments_core node{this_node};

  static void add_service(EventBatch& batch, const std::string& id, bool with_secret = false) {
    auto& t = *batch.add_templates()->mutable_template_();
    t.set_service_id(id);
    t.set_spec_version(1);
    t.mutable_spec()->mutable_container_spec()->set_image("busybox");
    auto& s = *batch.add_services()->mutable_service();
    s.set_id(id);
    s.mutable_spec()->set_name("name of " + id);
    if (!with_secret)
      return;
    t.mutable_spec()->mutable_container_spec()->add_secrets()->set_secret_id("secret1");
    t.mutable_spec()->mutable_container_spec()->add_configs()->set_config_id("config1");
    auto& secret = *batch.add_secrets()->mutable_secret();
    secret.set_id("secret1");
    secret.mutable_spec()->set_data("hidden");
    batch.add_configs()->mutable_config()->set_id("config1");
    t.mutable_spec()->add_networks()->set_target("network1");
    t.mutable_spec()->add_networks()->set_target("host"); // the engine's own: nothing to bring
    auto& network = *batch.add_networks()->mutable_network();
    network.set_id("network1");
    network.set_vni(4097);
  }
  static void add_task(EventBatch& batch, std::uint64_t n, const std::string& service, TaskState state,
                       TaskState desired = TASK_STATE_RUNNING, ChangeKind kind = CHANGE_KIND_UPDATED) {
    auto& event = *batch.add_tasks();
    event.set_kind(kind);
    auto& t = *event.mutable_task();
    t = test::task(task_id_of(n), n, state, desired);
    t.set_service_id(service);
    t.set_spec_version(1);
    t.set_node_id(this_node);
  }
  Assignments frame() {
    auto out = node.take_frame();
    node.check_invariants();
    EXPECT_TRUE(out);
    return out ? *out : Assignments{};
  }
  void expect_silence() { EXPECT_FALSE(node.take_frame()); }
};

TEST_F(assignments_test, a_session_begins_with_everything) {
  EventBatch batch;
  add_service(batch, "web", true);
  add_task(batch, 1, "web", TASK_STATE_ASSIGNED);
  add_task(batch, 2, "web", TASK_STATE_RUNNING);
  add_task(batch, 3, "web", TASK_STATE_PENDING); // not yet
  node.apply(batch);
  expect_silence();
  node.start_session("s1");
  const auto first = frame();
  EXPECT_TRUE(first.complete());
  EXPECT_EQ(first.session_id(), "s1");
  EXPECT_EQ(first.sequence(), 1U);
  ASSERT_EQ(first.tasks_size(), 2);
  EXPECT_EQ(first.tasks(0).observed_state(), TASK_STATE_ASSIGNED);
  EXPECT_EQ(first.tasks(1).observed_state(), TASK_STATE_RUNNING);
  ASSERT_EQ(first.templates_size(), 1);
  ASSERT_EQ(first.services_size(), 1);
  EXPECT_EQ(first.services(0).name(), "name of web");
  ASSERT_EQ(first.secrets_size(), 1);
  EXPECT_EQ(first.secrets(0).spec().data(), "hidden");
  ASSERT_EQ(first.configs_size(), 1);
  ASSERT_EQ(first.networks_size(), 1);
  EXPECT_EQ(first.networks(0).vni(), 4097u);
  expect_silence();
}

TEST_F(assignments_test, an_empty_node_is_told_so) {
  node.start_session("s1");
  EXPECT_TRUE(frame().complete());
  expect_silence();
}

TEST_F(assignments_test, then_come_differences_in_sequence) {
  EventBatch batch;
  add_service(batch, "web");
  add_task(batch, 1, "web", TASK_STATE_ASSIGNED);
  node.apply(batch);
  node.start_session("s1");
  (void) frame();
  batch.Clear();
  add_task(batch, 1, "web", TASK_STATE_RUNNING);
  node.apply(batch);
  expect_silence(); // the agent said so itself
  batch.Clear();
  add_task(batch, 2, "web", TASK_STATE_ASSIGNED);
  add_task(batch, 1, "web", TASK_STATE_RUNNING, TASK_STATE_SHUTDOWN);
  node.apply(batch);
  const auto second = frame();
  EXPECT_FALSE(second.complete());
  EXPECT_EQ(second.applies_to(), 1U);
  EXPECT_EQ(second.sequence(), 2U);
  ASSERT_EQ(second.tasks_size(), 2);
  EXPECT_EQ(second.tasks(0).desired_state(), TASK_STATE_SHUTDOWN);
  EXPECT_EQ(second.templates_size() + second.services_size(), 0) << "the agent has them";
  batch.Clear();
  add_task(batch, 1, "web", TASK_STATE_SHUTDOWN, TASK_STATE_SHUTDOWN, CHANGE_KIND_REMOVED);
  node.apply(batch);
  const auto third = frame();
  EXPECT_EQ(third.applies_to(), 2U);
  ASSERT_EQ(third.removed_task_ids_size(), 1);
  EXPECT_EQ(third.removed_task_ids(0), task_id_of(1));
}

TEST_F(assignments_test, what_gathers_between_two_frames_goes_into_one) {
  node.start_session("s1");
  (void) frame();
  for (std::uint64_t n = 1; n <= 100; ++n) {
    EventBatch batch;
    if (n == 1)
      add_service(batch, "web");
    add_task(batch, n, "web", TASK_STATE_ASSIGNED);
    node.apply(batch);
  }
  EXPECT_EQ(frame().tasks_size(), 100);
  expect_silence();
}

TEST_F(assignments_test, a_task_that_comes_and_goes_unsent_is_never_mentioned) {
  node.start_session("s1");
  (void) frame();
  EventBatch batch;
  add_service(batch, "web");
  add_task(batch, 1, "web", TASK_STATE_ASSIGNED);
  add_task(batch, 1, "web", TASK_STATE_ASSIGNED, TASK_STATE_REMOVE, CHANGE_KIND_REMOVED);
  node.apply(batch);
  expect_silence();
}

TEST_F(assignments_test, secrets_and_configs_are_withdrawn_with_the_last_living_task_that_uses_them) {
  EventBatch batch;
  add_service(batch, "web", true);
  add_task(batch, 1, "web", TASK_STATE_RUNNING);
  add_task(batch, 2, "web", TASK_STATE_RUNNING);
  node.apply(batch);
  node.start_session("s1");
  (void) frame();
  batch.Clear();
  add_task(batch, 1, "web", TASK_STATE_FAILED);
  node.apply(batch);
  expect_silence();
  batch.Clear();
  add_task(batch, 2, "web", TASK_STATE_FAILED);
  node.apply(batch);
  const auto gone = frame();
  EXPECT_EQ(gone.removed_secret_ids_size(), 1);
  EXPECT_EQ(gone.removed_config_ids_size(), 1);
  ASSERT_EQ(gone.removed_network_ids_size(), 1);
  EXPECT_EQ(gone.removed_network_ids(0), "network1");
  EXPECT_EQ(gone.tasks_size(), 0);
  batch.Clear();
  add_service(batch, "web", true);
  add_task(batch, 3, "web", TASK_STATE_ASSIGNED);
  node.apply(batch);
  EXPECT_EQ(frame().secrets_size(), 1) << "and come back with the next one";
}

TEST_F(assignments_test, a_new_session_knows_nothing) {
  EventBatch batch;
  add_service(batch, "web", true);
  add_task(batch, 1, "web", TASK_STATE_RUNNING);
  node.apply(batch);
  node.start_session("s1");
  (void) frame();
  batch.Clear();
  add_task(batch, 1, "web", TASK_STATE_RUNNING, TASK_STATE_RUNNING, CHANGE_KIND_REMOVED);
  add_task(batch, 2, "web", TASK_STATE_ASSIGNED);
  node.apply(batch);
  node.start_session("s2");
  const auto first = frame();
  EXPECT_TRUE(first.complete());
  EXPECT_EQ(first.sequence(), 1U);
  ASSERT_EQ(first.tasks_size(), 1);
  EXPECT_EQ(first.tasks(0).id(), task_id_of(2));
  EXPECT_EQ(first.templates_size(), 1);
  EXPECT_EQ(first.secrets_size(), 1);
  EXPECT_EQ(first.removed_task_ids_size(), 0);
}

TEST_F(assignments_test, a_service_that_is_renamed_or_relabelled_is_told_again) {
  EventBatch batch;
  add_service(batch, "web");
  add_task(batch, 1, "web", TASK_STATE_RUNNING);
  node.apply(batch);
  node.start_session("s1");
  (void) frame();
  batch.Clear();
  auto& s = *batch.add_services()->mutable_service();
  s.set_id("web");
  (*s.mutable_spec()->mutable_labels())["a"] = "b";
  batch.add_services()->mutable_service()->set_id("not here");
  node.apply(batch);
  const auto again = frame();
  ASSERT_EQ(again.services_size(), 1);
  EXPECT_EQ(again.services(0).labels().at("a"), "b");
  EXPECT_EQ(again.tasks_size(), 0);
}

// Whatever happens and however often the agent starts anew: what it has been told is the set.
TEST_F(assignments_test, an_agent_that_applies_every_frame_holds_the_set) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    random_source rng{seed};
    assignments_core core{this_node};
    std::map<std::string, Task> truth;
    std::map<std::string, TaskState> agent;
    std::set<std::string> secrets;
    std::set<std::string> templates;
    std::uint64_t sequence = 0;
    core.start_session("s");
    for (int i = 0; i < 300; ++i) {
      EventBatch batch;
      const auto n = rng.below(12);
      const auto service = n % 2 == 0 ? "plain" : "secretive";
      auto it = truth.find(task_id_of(n));
      if (it == truth.end()) {
        add_service(batch, service, n % 2 == 1);
        add_task(batch, n, service, TASK_STATE_ASSIGNED);
        truth[task_id_of(n)] = batch.tasks(0).task();
      } else if (rng.chance(30)) {
        batch.add_tasks()->set_kind(CHANGE_KIND_REMOVED);
        *batch.mutable_tasks(0)->mutable_task() = it->second;
        truth.erase(it);
      } else {
        auto& t = it->second;
        if (rng.chance(50))
          t.set_desired_state(TASK_STATE_SHUTDOWN);
        if (t.status().state() != TASK_STATE_FAILED) // states only rise in the store
          if (t.status().state() != TASK_STATE_FAILED) // states only rise
          t.mutable_status()->set_state(rng.chance(50) ? TASK_STATE_RUNNING : TASK_STATE_FAILED);
        *batch.add_tasks()->mutable_task() = t;
      }
      for (auto& [id, t] : truth)
        if (t.status().state() == TASK_STATE_FAILED)
          t.set_desired_state(TASK_STATE_SHUTDOWN);
      core.apply(batch);
      core.check_invariants();
      if (rng.chance(5)) {
        core.start_session("s");
        sequence = 0;
      }
      if (!rng.chance(40))
        continue;
      while (const auto f = core.take_frame()) {
        ASSERT_EQ(f->applies_to(), sequence);
        sequence = f->sequence();
        if (f->complete()) {
          agent.clear();
          secrets.clear();
          templates.clear();
        }
        for (const auto& t : f->templates())
          templates.insert(t.service_id());
        for (const auto& t : f->tasks()) {
          agent[t.id()] = t.desired_state();
          ASSERT_TRUE(templates.contains(t.service_id()));
        }
        for (const auto& id : f->removed_task_ids())
          ASSERT_EQ(agent.erase(id), 1U);
        for (const auto& s : f->secrets())
          secrets.insert(s.id());
        for (const auto& id : f->removed_secret_ids())
          ASSERT_EQ(secrets.erase(id), 1U);
      }
      bool uses_secret = false;
      for (const auto& [id, t] : truth)
        uses_secret = uses_secret || (t.service_id() == "secretive" && t.status().state() <= TASK_STATE_RUNNING);
      ASSERT_EQ(agent.size(), truth.size());
      ASSERT_EQ(secrets.contains("secret1"), uses_secret);
    }
  }
}

// -- routing --------------------------------------------------------------------------------------------------------------------

TEST(routing, gives_an_event_to_its_node_and_a_new_assignment_what_it_needs) {
  routing_core routes;
  StoreSnapshot snapshot;
  for (std::uint64_t n = 1; n <= 3; ++n)
    snapshot.add_nodes()->set_id(nth_id(n, 2));
  auto& t = *snapshot.add_templates();
  t.set_service_id("web");
  t.set_spec_version(1);
  t.mutable_spec()->mutable_container_spec()->add_secrets()->set_secret_id("secret1");
  snapshot.add_services()->set_id("web");
  snapshot.add_secrets()->set_id("secret1");
  snapshot.add_secrets()->set_id("other");
  EXPECT_EQ(routes.load(snapshot).fresh.size(), 3U);
  EventBatch batch;
  for (std::uint64_t n = 1; n <= 4; ++n) {
    auto& task = *batch.add_tasks()->mutable_task();
    task = test::task(task_id_of(n), n, n == 3 ? TASK_STATE_RUNNING : TASK_STATE_ASSIGNED);
    task.set_service_id("web");
    task.set_spec_version(1);
    if (n != 4)
      task.set_node_id(nth_id(n == 3 ? 2 : 1, 2));
  }
  const auto plan = routes.route(batch);
  ASSERT_EQ(plan.parts.size(), 2U);
  const auto& first = plan.parts.at(nth_id(1, 2));
  EXPECT_EQ(first.tasks_size(), 2);
  EXPECT_EQ(first.templates_size(), 1) << "once per batch";
  EXPECT_EQ(first.services_size(), 1);
  ASSERT_EQ(first.secrets_size(), 1) << "only what it uses";
  const auto& second = plan.parts.at(nth_id(2, 2));
  EXPECT_EQ(second.tasks_size(), 1);
  EXPECT_EQ(second.templates_size() + second.secrets_size(), 0) << "known since it was assigned";
}

TEST(routing, tells_everyone_of_changed_identities_and_credentials_only) {
  routing_core routes;
  EventBatch batch;
  batch.add_services()->mutable_service()->set_id("web");
  EXPECT_EQ(routes.route(batch).to_all.services_size(), 0);
  batch.mutable_services(0)->set_kind(CHANGE_KIND_UPDATED);
  batch.mutable_services(0)->mutable_service()->mutable_update_status()->set_message("x");
  EXPECT_EQ(routes.route(batch).to_all.services_size(), 0);
  (*batch.mutable_services(0)->mutable_service()->mutable_spec()->mutable_labels())["a"] = "b";
  EXPECT_EQ(routes.route(batch).to_all.services_size(), 1);
  batch.Clear();
  batch.add_templates()->set_kind(CHANGE_KIND_UPDATED);
  EXPECT_EQ(routes.route(batch).to_all.templates_size(), 1);
}

TEST(routing, forgets_removed_nodes) {
  routing_core routes;
  EventBatch batch;
  batch.add_nodes()->mutable_node()->set_id(nth_id(1, 2));
  EXPECT_EQ(routes.route(batch).fresh.size(), 1U);
  EXPECT_EQ(routes.route(batch).fresh.size(), 0U);
  batch.mutable_nodes(0)->set_kind(CHANGE_KIND_REMOVED);
  auto& task = *batch.add_tasks()->mutable_task();
  task = test::task(task_id_of(1), 1, TASK_STATE_ORPHANED);
  task.set_node_id(nth_id(1, 2));
  const auto plan = routes.route(batch);
  EXPECT_EQ(plan.gone.size(), 1U);
  EXPECT_TRUE(plan.parts.empty());
  EXPECT_EQ(routes.nodes(), 0U);
}

} // namespace
} // namespace swarm::dispatcher
