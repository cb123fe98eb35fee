// Restart strategies and intensity.
#include "runtime/supervisor_core.hpp"

#include <gtest/gtest.h>

namespace swarm {
namespace {

instant at(int s) { return instant{seconds{s}}; }
using numbers = std::vector<std::size_t>;

supervisor_core make(restart_strategy strategy, restart_kind kind = restart_kind::permanent) {
  return {{strategy, 3, seconds{30}}, {restart_kind::permanent, kind, restart_kind::permanent}};
}

TEST(supervisor_core, one_for_one_restarts_only_the_child_that_ended) {
  auto core = make(restart_strategy::one_for_one);
  EXPECT_EQ(core.child_ended(at(0), 1, false), (supervisor_decision{{}, {1}, false}));
}

TEST(supervisor_core, rest_for_one_restarts_those_that_depend_on_it_last_started_first_stopped) {
  auto core = make(restart_strategy::rest_for_one);
  EXPECT_EQ(core.child_ended(at(0), 0, false), (supervisor_decision{{2, 1}, {0, 1, 2}, false}));
  EXPECT_EQ(core.child_ended(at(1), 2, false), (supervisor_decision{{}, {2}, false}));
}

TEST(supervisor_core, one_for_all_restarts_everything) {
  auto core = make(restart_strategy::one_for_all);
  EXPECT_EQ(core.child_ended(at(0), 1, false), (supervisor_decision{{2, 0}, {0, 1, 2}, false}));
}

TEST(supervisor_core, a_temporary_child_stays_away_and_a_transient_one_after_a_normal_end) {
  auto temporary = make(restart_strategy::one_for_one, restart_kind::temporary);
  EXPECT_EQ(temporary.child_ended(at(0), 1, false), supervisor_decision{});
  auto transient = make(restart_strategy::one_for_one, restart_kind::transient);
  EXPECT_EQ(transient.child_ended(at(0), 1, true), supervisor_decision{});
  EXPECT_EQ(transient.child_ended(at(0), 1, false).start, numbers{1});
}

TEST(supervisor_core, too_many_restarts_in_the_period_end_it) {
  auto core = make(restart_strategy::one_for_one);
  for (int s = 0; s < 3; ++s)
    EXPECT_FALSE(core.child_ended(at(s), 0, false).give_up);
  EXPECT_TRUE(core.child_ended(at(29), 0, false).give_up);
}

TEST(supervisor_core, restarts_longer_ago_than_the_period_are_forgiven) {
  auto core = make(restart_strategy::one_for_one);
  for (int s : {0, 1, 2, 30, 31, 32, 60})
    EXPECT_FALSE(core.child_ended(at(s), 0, false).give_up) << s;
}

} // namespace
} // namespace swarm
