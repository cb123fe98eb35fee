// Deadlines of requests as actors see them, in virtual time.
#include "runtime/observed.hpp"

#include <deque>

#include "tests/support/actor_fixture.hpp"

namespace swarm::test {
namespace {

using worker_actor = caf::typed_actor<caf::replies_to<ReadStatus>::with<ActorStatus>, caf::reacts_to<tick_atom>>;
using promise = caf::typed_response_promise<ActorStatus>;

struct worker_state {
  static inline const char* name = "worker";
  std::deque<promise> waiting;
};
/// Answers one request per tick.
worker_actor::behavior_type run_worker(observed_ptr<worker_actor, worker_state> self) {
  return {
    [self](const ReadStatus&) -> caf::result<ActorStatus> {
      self->state.waiting.push_back(self->make_response_promise<ActorStatus>());
      return self->state.waiting.back();
    },
    [self](tick_atom) {
      self->state.waiting.front().deliver(ActorStatus{});
      self->state.waiting.pop_front();
    },
  };
}

struct asker_state {
  static inline const char* name = "asker";
};

class requests : public actor_fixture {
protected:
  /// Asks once for each deadline and writes down how it ends.
  caf::actor ask_all(std::vector<int> deadlines) {
    return track(sys.spawn([this, deadlines](observed_session<asker_state>* asker) -> caf::behavior {
      for (const int s : deadlines)
        asker->request(worker, seconds{s}, ReadStatus{})
          .then([this, s](const ActorStatus&) { seen.push_back(std::to_string(s) + " answered"); },
                [this, s](const caf::error& err) {
                  seen.push_back(std::to_string(s) + " " + std::string{to_string(to_failure(err).code)});
                });
      return {[](tick_atom) {}};
    }));
  }
  void answer() {
    caf::anon_send(worker, tick_atom_v);
    settle();
  }

  std::vector<std::string> seen;
  worker_actor worker = track(sys.spawn(run_worker));
};
using lines = std::vector<std::string>;

TEST_F(requests, end_at_their_own_deadlines) {
  ask_all({5, 2, 9});
  advance(milliseconds{1990});
  EXPECT_EQ(seen, lines{});
  advance(milliseconds{10});
  EXPECT_EQ(seen, (lines{"2 deadline_exceeded"}));
  advance(milliseconds{2990});
  EXPECT_EQ(seen.size(), 1u);
  advance(milliseconds{10});
  EXPECT_EQ(seen, (lines{"2 deadline_exceeded", "5 deadline_exceeded"}));
  advance(seconds{20});
  EXPECT_EQ(seen, (lines{"2 deadline_exceeded", "5 deadline_exceeded", "9 deadline_exceeded"}));
}

TEST_F(requests, that_are_answered_have_no_other_end) {
  ask_all({2, 5});
  advance(seconds{1});
  answer();
  advance(seconds{3});
  answer();
  advance(seconds{20});
  EXPECT_EQ(seen, (lines{"2 answered", "5 answered"}));
}

TEST_F(requests, an_answer_that_comes_too_late_is_dropped) {
  ask_all({2});
  advance(seconds{3});
  answer();
  advance(seconds{3});
  EXPECT_EQ(seen, lines{"2 deadline_exceeded"});
}

TEST_F(requests, do_not_keep_an_actor_that_has_ended) {
  auto asker = ask_all({60});
  settle();
  const auto memory = caf::actor_cast<caf::weak_actor_ptr>(asker);
  caf::anon_send_exit(asker, caf::exit_reason::kill);
  asker = nullptr;
  stop_all();
  EXPECT_EQ(memory.lock(), nullptr);
}

} // namespace
} // namespace swarm::test
