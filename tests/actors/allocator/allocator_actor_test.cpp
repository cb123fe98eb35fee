// The wiring of ALLOCATOR: no timer while nothing waits, one proposal at a time, and again after a failure.
#include "actors/allocator/allocator_actor.hpp"

#include "tests/support/actor_fixture.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/fake_raft.hpp"

namespace swarm {
namespace {

using namespace test;

struct allocator_actor_test : actor_fixture {
  std::shared_ptr<fake_log> log = std::make_shared<fake_log>();
  std::shared_ptr<fake_state> state = std::make_shared<fake_state>();
  raft_actor raft = track(sys.spawn(fake_raft, log));
  store_actor store = track(sys.spawn(fake_store, state));
  allocator_actor allocator;

  void start() {
    allocator = track(sys.spawn(allocator::port_allocator, allocator::allocator_options{}, raft, store));
    settle();
  }
  static Service waiting(std::uint64_t n) {
    Service out;
    out.set_id(nth_id(n));
    *out.mutable_spec() = service_spec("s");
    publish(*out.mutable_spec(), 0, 80);
    out.set_spec_version(1);
    return out;
  }
  void tell(ChangeKind kind, const Service& service) {
    EventBatch batch;
    batch.add_services()->set_kind(kind);
    *batch.mutable_services(0)->mutable_service() = service;
    state->tell(batch);
    settle();
  }
  ~allocator_actor_test() override {
    stop_all();
    state->subscribers.clear();
  }
};

TEST_F(allocator_actor_test, what_the_snapshot_left_is_proposed_at_once) {
  *state->snapshot.add_services() = waiting(1);
  start();
  ASSERT_EQ(log->proposed.size(), 1u);
  EXPECT_EQ(log->proposed[0].actions(0).update_service_state().service_id(), nth_id(1));
}

TEST_F(allocator_actor_test, an_idle_allocator_has_no_timer) {
  start();
  // The deadline of an answered request stays in the clock until it has passed; it wakes nobody.
  advance(std::chrono::seconds{60});
  EXPECT_EQ(sched.clock().schedule().size(), 0u);
  tell(CHANGE_KIND_CREATED, waiting(1));
  EXPECT_GE(sched.clock().schedule().size(), 1u);
}

TEST_F(allocator_actor_test, it_asks_again_with_growing_pauses_and_at_once_when_ports_are_freed) {
  start();
  tell(CHANGE_KIND_CREATED, waiting(1));
  advance(milliseconds{499});
  EXPECT_EQ(log->proposed.size(), 0u);
  advance(milliseconds{20});
  EXPECT_EQ(log->proposed.size(), 1u);
  advance(milliseconds{1020});
  EXPECT_EQ(log->proposed.size(), 2u);
  auto gone = waiting(2);
  gone.mutable_endpoint()->add_ports()->set_published_port(30000);
  tell(CHANGE_KIND_REMOVED, gone);
  EXPECT_EQ(log->proposed.size(), 3u);
}

TEST_F(allocator_actor_test, a_proposal_that_fails_is_repeated_later) {
  log->answer = {errc::unavailable, "no leader"};
  *state->snapshot.add_services() = waiting(1);
  start();
  EXPECT_EQ(log->proposed.size(), 1u);
  log->answer = {};
  advance(seconds{2});
  EXPECT_EQ(log->proposed.size(), 2u);
  const auto status = ask<ActorStatus>(allocator, ReadStatus{});
  EXPECT_EQ(status.value->facts().at("failed"), "1");
  EXPECT_EQ(status.value->facts().at("behind"), "1");
}

TEST_F(allocator_actor_test, without_a_subscription_it_ends) {
  state->answer = {errc::unavailable, "not yet"};
  start();
  EXPECT_EQ(ask_for<ActorStatus>(seconds{1}, allocator, ReadStatus{}).error.code, errc::unavailable);
}

} // namespace
} // namespace swarm
