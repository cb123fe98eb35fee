// The wiring of CONTROL: deadlines, errors, bounds, and the order of a read.
#include "actors/control/control_actor.hpp"

#include "tests/support/actor_fixture.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/fake_raft.hpp"

namespace swarm {
namespace {

using namespace test;

struct control_actor_test : actor_fixture {
  std::shared_ptr<fake_log> log = std::make_shared<fake_log>();
  std::shared_ptr<fake_state> state = std::make_shared<fake_state>();
  raft_actor raft = track(sys.spawn(fake_raft, log));
  store_actor store = track(sys.spawn(fake_store, state));
  control_actor control;

  void start(std::size_t waiting_max = 100, bool settled = true) {
    control::control_options opts;
    opts.waiting_max = waiting_max;
    control = track(sys.spawn(control::control_door, opts, raft, store, random_source{1}));
    if (settled)
      settle();
  }
  static ControlRequest create(const std::string& name) {
    ControlRequest request;
    *request.mutable_create_service()->mutable_spec() = service_spec(name);
    return request;
  }
  ~control_actor_test() override {
    stop_all();
    state->subscribers.clear();
  }
};

TEST_F(control_actor_test, a_write_is_answered_when_it_was_applied) {
  start();
  const auto out = ask<Written>(control, create("web"));
  ASSERT_TRUE(out.value);
  EXPECT_EQ(out.value->code(), 0u);
  EXPECT_EQ(out.value->log_index(), 1u);
  ASSERT_EQ(log->proposed.size(), 1u);
  EXPECT_EQ(log->proposed[0].actions(0).put_service().service().id(), out.value->id());
  EXPECT_GT(log->proposed[0].proposed_at(), 0);
}

TEST_F(control_actor_test, a_bad_request_is_refused_without_a_proposal) {
  start();
  const auto out = ask<Written>(control, create("not a name"));
  ASSERT_TRUE(out.value);
  EXPECT_EQ(static_cast<errc>(out.value->code()), errc::invalid_argument);
  EXPECT_TRUE(log->proposed.empty());
}

TEST_F(control_actor_test, what_the_store_refuses_reaches_the_user_as_an_answer) {
  start();
  log->apply = [](const Command&) {
    CommandResult r;
    r.set_code(static_cast<std::uint32_t>(errc::already_exists));
    r.set_message("taken");
    return r;
  };
  const auto out = ask<Written>(control, create("web"));
  EXPECT_EQ(static_cast<errc>(out.value->code()), errc::already_exists);
  EXPECT_EQ(out.value->message(), "taken");
  EXPECT_EQ(out.value->id(), "");
}

TEST_F(control_actor_test, errors_of_raft_pass_through) {
  start();
  log->answer = {errc::not_leader, "n2 leads"};
  EXPECT_EQ(ask<Written>(control, create("web")).error, log->answer);
  EXPECT_EQ(ask<ObjectsRead>(control, ReadObjects{}).error, log->answer);
}

TEST_F(control_actor_test, after_twenty_seconds_a_write_or_read_has_failed) {
  start();
  log->silent = true;
  const failure late{errc::deadline_exceeded, "context deadline exceeded"};
  EXPECT_EQ(ask_for<Written>(seconds{21}, control, create("web")).error, late);
  EXPECT_EQ(ask_for<ObjectsRead>(seconds{21}, control, ReadObjects{}).error, late);
}

TEST_F(control_actor_test, a_read_waits_for_its_read_index_first) {
  start();
  state->objects.set_log_index(9);
  EXPECT_EQ(ask<ObjectsRead>(control, ReadObjects{}).value->log_index(), 9u);
  log->silent = true;
  const auto reads = state->reads;
  EXPECT_FALSE(ask_for<ObjectsRead>(seconds{1}, control, ReadObjects{}).value);
  EXPECT_EQ(state->reads, reads);
}

TEST_F(control_actor_test, lookups_that_fail_keep_their_error) {
  start();
  state->answer = {errc::not_found, "service x not found"};
  EXPECT_EQ(ask<ObjectsRead>(control, ReadObjects{}).error, state->answer);
}

TEST_F(control_actor_test, requests_that_come_before_the_view_is_there_are_answered_when_it_is) {
  start(100, false);
  EXPECT_EQ(ask<Written>(control, create("web")).value->code(), 0u);
  EXPECT_TRUE(ask<ObjectsRead>(control, ReadObjects{}).value);
}

TEST_F(control_actor_test, a_store_that_does_not_answer_ends_the_wait) {
  state->silent = true;
  start(1);
  self->send(control, create("web"));
  settle();
  EXPECT_EQ(ask<Written>(control, create("b")).error.code, errc::resource_exhausted) << "the wait is bounded";
  advance(seconds{21}, seconds{1});
  EXPECT_EQ(ask<Written>(control, create("c")).error.code, errc::unavailable) << "control has ended";
}

TEST_F(control_actor_test, more_waiting_requests_than_the_bound_are_refused_at_once) {
  start(2);
  log->silent = true;
  self->send(control, create("a"));
  self->send(control, create("b"));
  settle();
  const auto out = ask<Written>(control, create("c"));
  EXPECT_EQ(out.error, (failure{errc::resource_exhausted, "too many requests are waiting (2); try again"}));
  advance(seconds{21}, seconds{1});
  log->silent = false;
  EXPECT_TRUE(ask<Written>(control, create("d")).value) << "the bound counts what is waiting, not what was";
}

TEST_F(control_actor_test, the_view_follows_the_events_of_the_store) {
  start();
  ControlRequest request;
  request.mutable_remove_service()->set_service_id("web");
  EXPECT_EQ(ask<Written>(control, request).value->message(), "service web not found");
  EventBatch batch;
  auto& service = *batch.add_services()->mutable_service();
  service.set_id(nth_id(1));
  service.mutable_spec()->set_name("web");
  state->tell(batch);
  settle();
  EXPECT_EQ(ask<Written>(control, request).value->id(), nth_id(1));
}

TEST_F(control_actor_test, the_status_counts_writes_and_refusals) {
  start();
  ask<Written>(control, create("web"));
  ask<Written>(control, create("not a name"));
  const auto status = ask<ActorStatus>(control, ReadStatus{});
  EXPECT_EQ(status.value->facts().at("writes"), "1");
  EXPECT_EQ(status.value->facts().at("refused"), "1");
  EXPECT_EQ(status.value->facts().at("waiting"), "0");
}

TEST_F(control_actor_test, the_unlock_key_is_read_as_swarm_prints_it_and_empty_when_nothing_is_locked) {
  start();
  EXPECT_EQ(ask<UnlockKey>(control, ReadUnlockKey{}).value->unlock_key(), "");
  state->objects.mutable_cluster()->set_unlock_key(std::string(32, '\0'));
  EXPECT_EQ(ask<UnlockKey>(control, ReadUnlockKey{}).value->unlock_key(), "SWMKEY-1-" + std::string(43, 'A'));
  log->answer = {errc::not_leader, "n2 leads"};
  EXPECT_EQ(ask<UnlockKey>(control, ReadUnlockKey{}).error, log->answer);
}

} // namespace
} // namespace swarm
