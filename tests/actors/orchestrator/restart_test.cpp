// Delays of the restart supervisor.
#include "actors/orchestrator/restart.hpp"

#include <gtest/gtest.h>

namespace swarm::orchestrator {
namespace {

TEST(restart_delay, starts_as_configured_and_doubles_up_to_five_minutes) {
  EXPECT_EQ(restart_delay(seconds{5}, 0), seconds{5});
  EXPECT_EQ(restart_delay(seconds{5}, 1), seconds{5});
  EXPECT_EQ(restart_delay(seconds{5}, 2), seconds{10});
  EXPECT_EQ(restart_delay(seconds{5}, 6), seconds{160});
  EXPECT_EQ(restart_delay(seconds{5}, 7), minutes{5});
  EXPECT_EQ(restart_delay(seconds{5}, 1'000'000), minutes{5});
}

TEST(restart_delay, of_nothing_still_backs_off) {
  EXPECT_EQ(restart_delay(duration{0}, 1), duration{0});
  EXPECT_EQ(restart_delay(duration{0}, 2), milliseconds{200});
  EXPECT_EQ(restart_delay(duration{0}, 100), minutes{5});
}

TEST(restart_delay, beyond_the_limit_stays_what_was_asked_for) {
  EXPECT_EQ(restart_delay(minutes{20}, 1), minutes{20});
  EXPECT_EQ(restart_delay(minutes{20}, 9), minutes{20});
}

} // namespace
} // namespace swarm::orchestrator
