// One timeout for many requests: when it is set, and whom it finds late.
#include "runtime/request_deadlines.hpp"

#include <gtest/gtest.h>

#include <set>

namespace swarm::test {
namespace {

instant at(int s) { return instant{seconds{s}}; }

struct actor {
  std::set<std::uint64_t> open;
  request_deadlines deadlines;
  auto is_open() {
    return [this](std::uint64_t id) { return open.contains(id); };
  }
  std::optional<instant> ask(std::uint64_t id, instant due) {
    const auto when = deadlines.add(id, due, is_open());
    open.insert(id);
    return when;
  }
};

TEST(request_deadlines, one_timeout_serves_all_that_are_later) {
  actor a;
  EXPECT_EQ(a.ask(1, at(5)), at(5));
  EXPECT_EQ(a.ask(2, at(6)), std::nullopt);
  EXPECT_EQ(a.ask(3, at(5)), std::nullopt);
  EXPECT_EQ(a.ask(4, at(2)), at(2)) << "an earlier one moves it";
  a.open = {2};
  const auto look = a.deadlines.expired(at(2), a.is_open());
  EXPECT_TRUE(look.late.empty()) << "4 was answered";
  EXPECT_EQ(look.again, at(6)) << "1 and 3 were answered, too";
}

TEST(request_deadlines, late_ones_are_told_once_in_their_order) {
  actor a;
  (void)a.ask(1, at(2));
  (void)a.ask(2, at(1));
  (void)a.ask(3, at(9));
  auto look = a.deadlines.expired(at(2), a.is_open());
  EXPECT_EQ(look.late, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(look.again, at(9));
  look = a.deadlines.expired(at(9), a.is_open());
  EXPECT_EQ(look.late, (std::vector<std::uint64_t>{3}));
  EXPECT_EQ(look.again, std::nullopt);
  EXPECT_EQ(a.ask(4, at(20)), at(20)) << "armed anew";
}

TEST(request_deadlines, what_is_open_survives_any_number_of_answered_requests) {
  actor a;
  (void)a.ask(1, at(100));
  for (std::uint64_t id = 2; id < 10'000; ++id) {
    EXPECT_EQ(a.ask(id, at(100)), std::nullopt);
    a.open.erase(id);
  }
  EXPECT_EQ(a.deadlines.expired(at(100), a.is_open()).late, std::vector<std::uint64_t>{1});
}

} // namespace
} // namespace swarm::test
