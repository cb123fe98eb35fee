// Secrets that a driver keeps, in what an agent is told: tasks at once, values and refusals when they are there.
#include <gtest/gtest.h>

#include "actors/dispatcher/assignments_core.hpp"
#include "tests/support/builders.hpp"

namespace swarm::dispatcher {
namespace {

const std::string this_node = test::nth_id(1, 2);
std::string id_of(std::uint64_t n) { return test::nth_id(n, 4); }

class assignments_secrets : public testing::Test {
protected:
  assignments_core node{this_node};
  EventBatch batch;

  static void add_secret(EventBatch& to, const std::string& id, const std::string& driver) {
    auto& secret = *to.add_secrets()->mutable_secret();
    secret.set_id(id);
    secret.mutable_spec()->set_name("name_of_" + id);
    (*secret.mutable_spec()->mutable_labels())["team"] = "red";
    if (driver.empty())
      secret.mutable_spec()->set_data("kept");
    else
      secret.mutable_spec()->mutable_driver()->set_name(driver);
  }
  void add_service(const std::string& id, const std::vector<std::string>& secrets) {
    auto& t = *batch.add_templates()->mutable_template_();
    t.set_service_id(id);
    t.set_spec_version(1);
    auto& container = *t.mutable_spec()->mutable_container_spec();
    container.set_image("busybox:1");
    container.set_hostname("h-{{.Task.Slot}}");
    for (const auto& secret : secrets)
      container.add_secrets()->set_secret_id(secret);
    t.mutable_endpoint_spec()->set_mode(ENDPOINT_MODE_DNSRR);
    auto& s = *batch.add_services()->mutable_service();
    s.set_id(id);
    s.mutable_spec()->set_name("name of " + id);
    (*s.mutable_spec()->mutable_labels())["tier"] = "front";
    auto& self = *batch.add_nodes()->mutable_node();
    self = test::node(this_node, "host7");
    (*self.mutable_spec()->mutable_labels())["disk"] = "ssd";
  }
  void add_task(std::uint64_t n, const std::string& service, TaskState state = TASK_STATE_ASSIGNED,
                TaskState desired = TASK_STATE_RUNNING, ChangeKind kind = CHANGE_KIND_UPDATED) {
    auto& event = *batch.add_tasks();
    event.set_kind(kind);
    auto& t = *event.mutable_task();
    t = test::task(id_of(n), n, state, desired);
    t.set_service_id(service);
    t.set_spec_version(1);
    t.set_node_id(this_node);
  }
  void apply() {
    node.apply(batch);
    node.check_invariants();
    batch.Clear();
  }
  /// web with the secret s1 of the driver vault, and its tasks 1..n
  void begin(std::uint64_t tasks, const std::vector<std::string>& secrets = {"s1"},
             TaskState state = TASK_STATE_ASSIGNED) {
    for (const auto& id : secrets)
      add_secret(batch, id, "vault");
    add_service("web", secrets);
    for (std::uint64_t n = 1; n <= tasks; ++n)
      add_task(n, "web", state);
    apply();
  }
  void again(std::uint64_t n, TaskState state, TaskState desired = TASK_STATE_RUNNING) {
    add_task(n, "web", state, desired);
    apply();
  }
  /// A new task of the same version, with what comes along.
  void assign(std::uint64_t n) {
    add_secret(batch, "s1", "vault");
    add_service("web", {"s1"});
    add_task(n, "web");
    apply();
  }
  std::vector<assignments_core::fetch> fetches() { return node.take_fetches(); }
  assignments_core::fetch only_fetch() {
    auto all = fetches();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? assignments_core::fetch{} : all[0];
  }
  void answer(const assignments_core::fetch& what, const std::string& value, bool for_one = false) {
    SecretFetched fetched;
    fetched.set_value(value);
    fetched.set_do_not_reuse(for_one);
    node.fetched(what.number, {}, fetched);
    node.check_invariants();
  }
  Assignments frame() {
    auto out = node.take_frame();
    EXPECT_TRUE(out);
    return out ? *out : Assignments{};
  }
  void expect_silence() { EXPECT_FALSE(node.take_frame()); }
  static std::string values(const Assignments& f) {
    std::string out;
    for (const auto& secret : f.secrets())
      out += secret.id() + "=" + secret.spec().data() + " ";
    for (const auto& id : f.removed_secret_ids())
      out += "-" + id + " ";
    return out;
  }
};

TEST_F(assignments_secrets, the_task_is_told_at_once_and_its_value_when_it_is_there) {
  begin(1);
  EXPECT_TRUE(fetches().empty()) << "nobody to use it";
  node.start_session("s");
  const auto what = only_fetch();
  const auto first = frame();
  EXPECT_TRUE(first.complete());
  EXPECT_EQ(first.tasks_size(), 1);
  EXPECT_EQ(values(first), "") << "nor the secret without its value: the agent would take it for an empty one";
  expect_silence();
  answer(what, "v1");
  const auto second = frame();
  EXPECT_EQ(second.tasks_size(), 0);
  EXPECT_EQ(values(second), "s1=v1 ");
  EXPECT_EQ(second.secrets(0).spec().name(), "name_of_s1");
  expect_silence();
  EXPECT_EQ(node.dump().find("v1"), std::string::npos);
}

TEST_F(assignments_secrets, a_driver_is_told_all_that_swarm_tells) {
  begin(1);
  node.start_session("s");
  const auto r = only_fetch().request;
  EXPECT_EQ(r.driver(), "vault");
  EXPECT_EQ(r.secret_name(), "name_of_s1");
  EXPECT_EQ(r.secret_labels().at("team"), "red");
  EXPECT_EQ(r.service_id(), "web");
  EXPECT_EQ(r.service_name(), "name of web");
  EXPECT_EQ(r.service_labels().at("tier"), "front");
  EXPECT_EQ(r.service_hostname(), "h-{{.Task.Slot}}");
  EXPECT_EQ(r.endpoint_spec().mode(), ENDPOINT_MODE_DNSRR);
  EXPECT_EQ(r.task_id(), id_of(1));
  EXPECT_EQ(r.task_name(), "name of web.1." + id_of(1));
  EXPECT_EQ(r.task_image(), "busybox:1");
  EXPECT_EQ(r.node_id(), this_node);
  EXPECT_EQ(r.node_hostname(), "host7");
  EXPECT_EQ(r.node_labels().at("disk"), "ssd");
}

TEST_F(assignments_secrets, other_tasks_are_not_held_up) {
  begin(1);
  add_service("plain", {});
  add_task(2, "plain");
  apply();
  node.start_session("s");
  EXPECT_EQ(fetches().size(), 1U);
  EXPECT_EQ(frame().tasks_size(), 2);
  add_task(3, "plain");
  apply();
  EXPECT_EQ(frame().tasks_size(), 1);
}

TEST_F(assignments_secrets, a_failure_is_told_with_its_reason) {
  begin(2);
  node.start_session("s");
  const auto what = only_fetch();
  (void)frame();
  node.fetched(what.number, {errc::not_found, "plugin not found"}, {});
  auto told = frame();
  ASSERT_EQ(told.tasks_size(), 2);
  EXPECT_EQ(told.tasks(0).no_secret_because(), "secret name_of_s1: driver vault: plugin not found");
  EXPECT_EQ(told.tasks(1).no_secret_because(), told.tasks(0).no_secret_because());
  EXPECT_TRUE(fetches().empty()) << "the restart policy makes another task";
  node.start_session("s2");
  EXPECT_EQ(frame().tasks(0).no_secret_because(), "secret name_of_s1: driver vault: plugin not found");
  again(1, TASK_STATE_REJECTED);
  again(2, TASK_STATE_REJECTED);
  assign(3);
  EXPECT_EQ(only_fetch().request.task_id(), id_of(3));
  told = frame();
  EXPECT_EQ(told.tasks(0).no_secret_because(), "");
}

TEST_F(assignments_secrets, a_long_reason_is_cut_between_characters) {
  begin(1);
  node.start_session("s");
  std::string words;
  for (int i = 0; i < 400; ++i)
    words += "ä";
  node.fetched(only_fetch().number, {errc::unavailable, words}, {});
  const auto told = frame().tasks(0).no_secret_because();
  EXPECT_LE(told.size(), 500U);
  EXPECT_GE(told.size(), 498U);
  EXPECT_EQ(told.substr(told.size() - 2), "ä");
}

TEST_F(assignments_secrets, a_new_leader_fetches_for_those_without_a_container_only) {
  begin(1, {"s1"}, TASK_STATE_RUNNING);
  add_task(2, "web", TASK_STATE_STARTING);
  add_task(3, "web", TASK_STATE_PREPARING);
  add_task(4, "web", TASK_STATE_ASSIGNED, TASK_STATE_SHUTDOWN);
  add_task(5, "web", TASK_STATE_REJECTED);
  apply();
  node.start_session("s");
  const auto what = only_fetch();
  EXPECT_EQ(what.request.task_id(), id_of(3)) << "it may be at work on the node already";
  EXPECT_EQ(frame().tasks_size(), 5) << "what runs must be in the complete set";
  answer(what, "v");
  EXPECT_EQ(values(frame()), "s1=v ");
}

TEST_F(assignments_secrets, a_task_that_is_to_stop_while_its_value_is_fetched_is_told_so_without_waiting) {
  begin(1);
  node.start_session("s");
  const auto what = only_fetch();
  (void)frame();
  again(1, TASK_STATE_ASSIGNED, TASK_STATE_SHUTDOWN);
  const auto told = frame();
  ASSERT_EQ(told.tasks_size(), 1);
  EXPECT_EQ(told.tasks(0).desired_state(), TASK_STATE_SHUTDOWN);
  answer(what, "late");
  expect_silence();
}

TEST_F(assignments_secrets, a_task_that_is_removed_while_its_value_is_fetched_leaves_nothing) {
  begin(1);
  node.start_session("s");
  const auto what = only_fetch();
  (void)frame();
  add_task(1, "web", TASK_STATE_ASSIGNED, TASK_STATE_REMOVE, CHANGE_KIND_REMOVED);
  apply();
  EXPECT_EQ(frame().removed_task_ids_size(), 1);
  answer(what, "late");
  expect_silence();
  assign(2);
  const auto next = only_fetch();
  answer(what, "later still");
  EXPECT_EQ(values(frame()), "");
  answer(next, "fresh");
  EXPECT_EQ(values(frame()), "s1=fresh ");
}

TEST_F(assignments_secrets, a_task_that_went_before_the_session_is_not_asked_for) {
  begin(1);
  add_task(1, "web", TASK_STATE_ASSIGNED, TASK_STATE_REMOVE, CHANGE_KIND_REMOVED);
  apply();
  node.start_session("s");
  EXPECT_TRUE(fetches().empty());
}

TEST_F(assignments_secrets, a_new_session_brings_known_values_with_its_first_frame) {
  begin(1);
  node.start_session("s");
  answer(only_fetch(), "v1");
  EXPECT_EQ(values(frame()), "s1=v1 ");
  node.start_session("s2");
  EXPECT_TRUE(fetches().empty());
  const auto first = frame();
  EXPECT_TRUE(first.complete());
  EXPECT_EQ(values(first), "s1=v1 ");
}

TEST_F(assignments_secrets, an_answer_that_was_asked_for_in_an_earlier_session_serves_the_next) {
  begin(1);
  node.start_session("s");
  const auto what = only_fetch();
  (void)frame();
  node.start_session("s2");
  EXPECT_TRUE(fetches().empty()) << "it is on its way";
  EXPECT_EQ(values(frame()), "");
  answer(what, "v1");
  EXPECT_EQ(values(frame()), "s1=v1 ");
}

TEST_F(assignments_secrets, the_value_stays_the_same_while_a_task_lives_and_is_fetched_anew_after_the_last) {
  begin(1);
  node.start_session("s");
  answer(only_fetch(), "v1");
  (void)frame();
  again(1, TASK_STATE_RUNNING);
  assign(2);
  EXPECT_TRUE(fetches().empty());
  EXPECT_EQ(values(frame()), "") << "the agent has it";
  again(2, TASK_STATE_SHUTDOWN, TASK_STATE_SHUTDOWN);
  again(1, TASK_STATE_SHUTDOWN, TASK_STATE_SHUTDOWN);
  EXPECT_EQ(values(frame()), "-s1 ");
  assign(3);
  answer(only_fetch(), "v2");
  EXPECT_EQ(values(frame()), "s1=v2 ");
}

TEST_F(assignments_secrets, nobody_starts_with_the_value_of_before) {
  begin(1);
  node.start_session("s");
  answer(only_fetch(), "v1");
  (void)frame();
  // The last one ends and the next one is assigned before there was a frame.
  again(1, TASK_STATE_SHUTDOWN, TASK_STATE_SHUTDOWN);
  assign(2);
  const auto what = only_fetch();
  EXPECT_EQ(values(frame()), "-s1 ") << "in the very frame that brings the task";
  answer(what, "v2");
  EXPECT_EQ(values(frame()), "s1=v2 ");
}

TEST_F(assignments_secrets, a_value_that_was_replaced_between_two_frames_is_not_withdrawn) {
  begin(1);
  node.start_session("s");
  answer(only_fetch(), "v1");
  (void)frame();
  again(1, TASK_STATE_SHUTDOWN, TASK_STATE_SHUTDOWN);
  assign(2);
  answer(only_fetch(), "v2");
  EXPECT_EQ(values(frame()), "s1=v2 ");
}

TEST_F(assignments_secrets, a_value_for_one_task_has_its_own_id_and_goes_when_the_container_is_there) {
  begin(2);
  node.start_session("s");
  answer(only_fetch(), "for one", true);
  answer(only_fetch(), "for two", true);
  EXPECT_EQ(values(frame()), "s1." + id_of(1) + "=for one s1." + id_of(2) + "=for two ");
  again(1, TASK_STATE_READY);
  expect_silence();
  again(1, TASK_STATE_STARTING);
  EXPECT_EQ(values(frame()), "-s1." + id_of(1) + " ");
  again(1, TASK_STATE_RUNNING);
  expect_silence();
  add_task(2, "web", TASK_STATE_ASSIGNED, TASK_STATE_REMOVE, CHANGE_KIND_REMOVED);
  apply();
  EXPECT_EQ(values(frame()), "-s1." + id_of(2) + " ");
}

TEST_F(assignments_secrets, two_secrets_of_one_task_and_one_that_the_swarm_keeps) {
  add_secret(batch, "plain", "");
  add_secret(batch, "s1", "vault");
  add_secret(batch, "s2", "other");
  add_service("web", {"s1", "plain", "s2", "s1"}); // s1 twice
  add_task(1, "web");
  apply();
  node.start_session("s");
  const auto both = fetches();
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0].request.driver(), "vault");
  EXPECT_EQ(both[1].request.driver(), "other");
  EXPECT_EQ(values(frame()), "plain=kept ");
  answer(both[1], "v2");
  EXPECT_EQ(values(frame()), "s2=v2 ");
  node.fetched(both[0].number, {errc::unavailable, "sealed"}, {});
  EXPECT_EQ(frame().tasks(0).no_secret_because(), "secret name_of_s1: driver vault: sealed");
}

TEST_F(assignments_secrets, templating_of_a_secret_reaches_the_agent_with_its_value) {
  add_secret(batch, "s1", "vault");
  batch.mutable_secrets(0)->mutable_secret()->mutable_spec()->mutable_templating()->set_name("golang");
  add_service("web", {"s1"});
  add_task(1, "web");
  apply();
  node.start_session("s");
  answer(only_fetch(), "of {{.Service.Name}}");
  EXPECT_EQ(frame().secrets(0).spec().templating().name(), "golang");
}

TEST_F(assignments_secrets, values_that_do_not_fit_one_frame_come_with_the_next) {
  begin(30);
  node.start_session("s");
  (void)frame();
  const std::string big(500'000, 'x');
  for (auto open = fetches(); !open.empty(); open = fetches())
    for (const auto& what : open)
      answer(what, big, true);
  int frames = 0, sent = 0;
  while (const auto more = node.take_frame()) {
    ++frames;
    sent += more->secrets_size();
    EXPECT_LE(more->ByteSizeLong(), 5'000'000U);
    EXPECT_EQ(more->removed_secret_ids_size(), 0);
  }
  EXPECT_EQ(sent, 30);
  EXPECT_EQ(frames, 4);
}

} // namespace
} // namespace swarm::dispatcher
