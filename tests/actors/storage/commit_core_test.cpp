// Who is woken when, and that nobody is forgotten.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "actors/storage/commit_core.hpp"
#include "runtime/random.hpp"

namespace swarm::storage {
namespace {

const instant t0{seconds{100}};
const commit_core::options opts{milliseconds{50}, 1000};

TEST(commit_core, the_first_append_asks_for_a_flush_and_those_behind_it_ride_along) {
  commit_core core{opts};
  EXPECT_EQ(core.queued(t0, true, 10), wake::soon);
  EXPECT_EQ(core.queued(t0, true, 10), wake::none);
  EXPECT_EQ(core.queued(t0, false, 10), wake::none);
  EXPECT_TRUE(core.flush(t0));
  core.taken();
  EXPECT_EQ(core.queued(t0, true, 10), wake::soon);
}

TEST(commit_core, a_lone_save_waits_and_an_append_takes_it_along) {
  commit_core core{opts};
  EXPECT_EQ(core.queued(t0, false, 10), wake::later);
  EXPECT_EQ(core.queued(t0, false, 10), wake::none);
  EXPECT_EQ(core.queued(t0, true, 10), wake::soon);
  EXPECT_TRUE(core.flush(t0 + milliseconds{1}));
  core.taken();
  EXPECT_FALSE(core.flush(t0 + milliseconds{50})); // the delayed one arrives and finds nothing
}

TEST(commit_core, only_one_delayed_flush_is_under_way_however_many_saves_there_are) {
  commit_core core{opts};
  int delayed = 0;
  for (int i = 0; i < 100; ++i) {
    const auto now = t0 + milliseconds{i};
    delayed += core.queued(now, false, 1) == wake::later ? 1 : 0;
    EXPECT_NE(core.queued(now, true, 1), wake::later);
    EXPECT_TRUE(core.flush(now));
    core.taken();
    core.check_invariants();
  }
  EXPECT_EQ(delayed, 2);
}

TEST(commit_core, a_queue_at_its_bound_is_written_at_once) {
  commit_core core{opts};
  EXPECT_EQ(core.queued(t0, true, 999), wake::soon);
  EXPECT_EQ(core.queued(t0, true, 1), wake::at_once);
  core.taken();
  EXPECT_EQ(core.queued_bytes(), 0u);
  EXPECT_FALSE(core.flush(t0));
}

TEST(commit_core, unfinished_compaction_is_work_for_the_next_flush) {
  commit_core core{opts};
  EXPECT_EQ(core.unfinished(t0), wake::later);
  EXPECT_EQ(core.unfinished(t0), wake::none);
  EXPECT_TRUE(core.flush(t0 + milliseconds{50}));
  core.taken();
  EXPECT_FALSE(core.flush(t0 + milliseconds{100}));
}

// Plays the shell: delivers every flush that was asked for, in order of time. Whatever is queued must be written.
TEST(commit_core, nothing_that_was_queued_is_ever_forgotten) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    random_source rng{seed};
    commit_core core{opts};
    auto now = t0;
    std::vector<instant> flushes;
    std::size_t waiting = 0;
    const auto obey = [&](wake how) {
      if (how == wake::soon)
        flushes.push_back(now);
      else if (how == wake::later)
        flushes.push_back(now + core.idle_delay());
      else if (how == wake::at_once)
        core.taken(), waiting = 0;
    };
    for (int step = 0; step < 500; ++step) {
      if (!flushes.empty() && rng.chance(40)) {
        const auto next = std::min_element(flushes.begin(), flushes.end());
        now = std::max(now, *next);
        flushes.erase(next);
        if (core.flush(now)) {
          core.taken();
          waiting = 0;
          if (rng.chance(20))
            obey(core.unfinished(now));
        }
      } else {
        now += milliseconds{rng.below(30)};
        ++waiting;
        obey(core.queued(now, rng.chance(50), rng.below(300)));
      }
      core.check_invariants();
      ASSERT_TRUE(waiting == 0 || !flushes.empty()) << "seed " << seed << " step " << step << ' ' << core.dump();
    }
  }
}

} // namespace
} // namespace swarm::storage
