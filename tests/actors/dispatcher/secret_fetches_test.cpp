// Who is asked for which value, whom it serves, and who is told that there is none.
#include "actors/dispatcher/secret_fetches.hpp"

#include <gtest/gtest.h>

#include "runtime/random.hpp"
#include "tests/support/builders.hpp"

namespace swarm::dispatcher {
namespace {

const task_id t1{test::nth_id(1)}, t2{test::nth_id(2)}, t3{test::nth_id(3)}, t9{test::nth_id(9)};

char number_of(const task_id& id) {
  for (std::uint64_t n = 1; n < 10; ++n)
    if (id == task_id{test::nth_id(n)})
      return static_cast<char>('0' + n);
  return '?';
}

struct secret_fetches_test : testing::Test {
  secret_fetches fetches;

  // "secret/number of the task" of each order; their numbers are kept in `numbers`.
  std::string orders() {
    std::string out;
    for (const auto& order : fetches.take_orders()) {
      out += (out.empty() ? "" : " ") + order.secret_id + "/" + number_of(order.task);
      numbers.push_back(order.number);
    }
    fetches.check_invariants();
    return out;
  }
  std::string answer(std::size_t nth, const std::string& value, bool for_one = false, const std::string& problem = "") {
    std::string out;
    for (const auto& id : fetches.answered(numbers.at(nth), {problem, value, for_one}))
      out += number_of(id);
    fetches.check_invariants();
    return out;
  }
  std::string fail(std::size_t nth, const std::string& problem) { return answer(nth, "", false, problem); }
  std::string values() {
    std::string out;
    fetches.each_value([&](const std::string& secret, const task_id* task, const secret_fetches::value& value) {
      out += secret + (task == nullptr ? "" : std::string{"."} + number_of(*task)) + "=" + value.bytes + " ";
    });
    return out;
  }
  std::vector<std::uint64_t> numbers;
};

TEST_F(secret_fetches_test, one_answer_serves_all_tasks_of_the_node) {
  fetches.need(t1, "web", {"pw"});
  fetches.need(t2, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/1");
  EXPECT_EQ(fetches.waiting(), 2U);
  EXPECT_EQ(answer(0, "v1"), "");
  fetches.need(t3, "web", {"pw"});
  fetches.need(t9, "other", {"pw"});
  EXPECT_EQ(orders(), "") << "as long as one lives, it is the value";
  EXPECT_EQ(values(), "pw=v1 ");
  EXPECT_EQ(fetches.waiting(), 0U);
}

TEST_F(secret_fetches_test, a_value_stays_when_all_have_their_containers_and_goes_with_the_last_living_task) {
  fetches.need(t1, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/1");
  (void)answer(0, "v1");
  fetches.release(t1);
  EXPECT_EQ(values(), "pw=v1 ");
  fetches.forget("pw");
  EXPECT_EQ(values(), "");
  fetches.need(t2, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/2");
  (void)answer(1, "v2");
  EXPECT_EQ(values(), "pw=v2 ");
}

TEST_F(secret_fetches_test, a_value_for_one_task_serves_that_one_and_each_other_gets_its_own_at_once) {
  for (const auto& t : {t1, t2, t3})
    fetches.need(t, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/1");
  EXPECT_EQ(answer(0, "v1", true), "");
  EXPECT_EQ(orders(), "pw/2 pw/3") << "both at the same time";
  (void)answer(2, "v3", true);
  (void)answer(1, "v2", true);
  EXPECT_EQ(values(), "pw.1=v1 pw.2=v2 pw.3=v3 ");
  fetches.release(t2);
  EXPECT_EQ(values(), "pw.1=v1 pw.3=v3 ") << "it has its container";
  fetches.need(t9, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/9");
}

TEST_F(secret_fetches_test, tasks_of_one_kind_fail_together_and_others_are_asked_for_separately) {
  fetches.need(t1, "web", {"pw"});
  fetches.need(t2, "web", {"pw"});
  fetches.need(t9, "other", {"pw"});
  EXPECT_EQ(orders(), "pw/9 pw/1");
  EXPECT_EQ(fail(1, "not for web"), "12");
  EXPECT_EQ(fetches.problem_of(t1), "not for web");
  EXPECT_EQ(fetches.problem_of(t9), "");
  EXPECT_EQ(answer(0, "v"), "");
  EXPECT_EQ(values(), "pw=v ");
  EXPECT_EQ(fetches.problem_of(t1), "not for web") << "told is told";
  EXPECT_EQ(fetches.failures(), 2U);
  EXPECT_EQ(orders(), "") << "nothing is asked twice";
  fetches.release(t1);
  EXPECT_EQ(fetches.problem_of(t1), "");
}

TEST_F(secret_fetches_test, where_each_has_a_question_of_its_own_one_failure_is_that_of_one_task) {
  for (const auto& t : {t1, t2, t3})
    fetches.need(t, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/1");
  (void)answer(0, "v1", true);
  EXPECT_EQ(orders(), "pw/2 pw/3");
  EXPECT_EQ(fail(1, "no"), "2");
  EXPECT_EQ(answer(2, "v3", true), "");
  EXPECT_EQ(values(), "pw.1=v1 pw.3=v3 ");
}

TEST_F(secret_fetches_test, an_answer_for_a_task_that_has_gone_serves_those_who_waited_with_it) {
  fetches.need(t1, "web", {"pw"});
  fetches.need(t2, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/1");
  fetches.release(t1);
  EXPECT_EQ(orders(), "");
  (void)answer(0, "v1");
  EXPECT_EQ(values(), "pw=v1 ");
}

TEST_F(secret_fetches_test, a_value_for_one_task_that_has_gone_is_nobodys) {
  fetches.need(t1, "web", {"pw"});
  fetches.need(t2, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/1");
  fetches.release(t1);
  (void)answer(0, "v1", true);
  EXPECT_EQ(values(), "");
  EXPECT_EQ(orders(), "pw/2");
}

TEST_F(secret_fetches_test, late_answers_change_nothing) {
  fetches.need(t1, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/1");
  fetches.release(t1);
  EXPECT_EQ(answer(0, "old"), "");
  EXPECT_EQ(values(), "") << "nobody waits for it";
  fetches.need(t2, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/2");
  fetches.release(t2);
  fetches.forget("pw");
  fetches.need(t3, "web", {"pw"});
  EXPECT_EQ(orders(), "pw/3");
  EXPECT_EQ(answer(1, "old"), "");
  EXPECT_EQ(values(), "") << "of before the secret was forgotten";
  EXPECT_EQ(fail(0, "answered twice"), "");
  (void)answer(2, "new");
  EXPECT_EQ(values(), "pw=new ");
}

TEST_F(secret_fetches_test, a_task_that_went_before_anybody_was_asked_is_not_asked_for) {
  fetches.need(t1, "web", {"pw"});
  fetches.release(t1);
  EXPECT_EQ(orders(), "");
}

TEST_F(secret_fetches_test, two_secrets_of_one_task_are_asked_for_together_and_one_failure_is_enough) {
  fetches.need(t1, "web", {"a", "b"});
  fetches.need(t2, "web", {"b"});
  EXPECT_EQ(orders(), "a/1 b/1");
  EXPECT_EQ(fail(0, "no a"), "1");
  EXPECT_EQ(fetches.problem_of(t1), "no a");
  EXPECT_EQ(fail(1, "no b"), "2");
  EXPECT_EQ(fetches.problem_of(t1), "no a") << "the first reason stays";
  EXPECT_EQ(fetches.problem_of(t2), "no b");
}

TEST_F(secret_fetches_test, own_values_of_a_task_that_fails_go) {
  fetches.need(t1, "web", {"a", "b"});
  EXPECT_EQ(orders(), "a/1 b/1");
  (void)answer(0, "va", true);
  EXPECT_EQ(fail(1, "no b"), "1");
  EXPECT_EQ(values(), "");
}

TEST_F(secret_fetches_test, a_driver_that_changes_its_mind_leaves_nobody_waiting) {
  for (const auto& t : {t1, t2})
    fetches.need(t, "web", {"pw"});
  fetches.need(t9, "other", {"pw"});
  EXPECT_EQ(orders(), "pw/9 pw/1");
  (void)answer(0, "for nine", true);
  EXPECT_EQ(orders(), "pw/2");
  (void)answer(1, "for all");
  EXPECT_EQ(values(), "pw=for all pw.9=for nine ");
  EXPECT_EQ(fetches.waiting(), 0U);
  (void)answer(2, "too late", true);
  EXPECT_EQ(values(), "pw=for all pw.9=for nine ");
}

TEST_F(secret_fetches_test, whatever_happens_nobody_waits_for_an_answer_that_nobody_was_asked_for) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    random_source rng{seed};
    secret_fetches core;
    std::vector<std::uint64_t> open;
    for (int step = 0; step < 200; ++step) {
      const task_id task{test::nth_id(1 + rng() % 8)};
      const std::string kind = rng() % 2 == 0 ? "web" : "other";
      switch (rng() % 5) {
      case 0: core.need(task, kind, {"a"}); break;
      case 1: core.need(task, kind, {"a", "b"}); break;
      case 2: core.release(task); break;
      case 3:
        if (!open.empty()) {
          const auto at = rng() % open.size();
          (void)core.answered(open[at], {rng() % 3 == 0 ? "no" : "", "value", rng() % 2 == 0});
          open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
        }
        break;
      default:
        for (const auto& order : core.take_orders())
          open.push_back(order.number);
      }
      core.check_invariants();
    }
    while (true) {
      for (const auto& order : core.take_orders())
        open.push_back(order.number);
      if (open.empty())
        break;
      (void)core.answered(open.back(), {"", "value", rng() % 2 == 0});
      open.pop_back();
    }
    EXPECT_EQ(core.waiting(), 0U) << "seed " << seed;
  }
}

} // namespace
} // namespace swarm::dispatcher
