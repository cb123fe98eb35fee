// Who is woken when, and that nobody is forgotten.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "actors/storage/commit_core.hpp"
#include "runtime/random.hpp"

namespace swarm::storage {
namespace {

const instant t0{seconds{100}};
const commit_core::options opts{milliseconds{50}, 1000, 600};

TEST(commit_core, the_first_append_asks_for_a_flush_and_those_behind_it_ride_along) {
  commit_core core{opts};
  EXPECT_EQ(core.queued(t0, true, 10), wake::soon);
  EXPECT_EQ(core.queued(t0, true, 10), wake::none);
  EXPECT_EQ(core.flush(t0), take::appends);
  core.taken(take::appends);
  EXPECT_EQ(core.queued(t0, true, 10), wake::soon);
}

TEST(commit_core, a_save_waits_although_appends_are_written_until_its_time_has_come) {
  commit_core core{opts};
  EXPECT_EQ(core.queued(t0, false, 10), wake::later);
  EXPECT_EQ(core.queued(t0, false, 10), wake::none);
  EXPECT_EQ(core.queued(t0, true, 10), wake::soon);
  EXPECT_EQ(core.flush(t0 + milliseconds{1}), take::appends);
  core.taken(take::appends);
  EXPECT_EQ(core.queued_bytes(), 20u);
  EXPECT_EQ(core.flush(t0 + milliseconds{50}), take::everything);
  core.taken(take::everything);
  EXPECT_EQ(core.queued_bytes(), 0u);
}

TEST(commit_core, the_next_append_takes_saves_along_when_they_are_many) {
  commit_core core{opts};
  EXPECT_EQ(core.queued(t0, false, opts.saves_bytes - 1), wake::later);
  EXPECT_EQ(core.queued(t0, true, 10), wake::soon);
  EXPECT_EQ(core.queued(t0, false, 1), wake::none);
  EXPECT_EQ(core.flush(t0), take::everything);
  core.taken(take::everything);
  EXPECT_EQ(core.flush(t0 + milliseconds{50}), take::nothing); // the delayed one arrives and finds nothing
}

TEST(commit_core, only_one_delayed_flush_is_under_way_however_many_saves_there_are) {
  commit_core core{opts};
  int delayed = 0;
  for (int i = 0; i < 100; ++i) {
    const auto now = t0 + milliseconds{i};
    delayed += core.queued(now, false, 1) == wake::later ? 1 : 0;
    EXPECT_NE(core.queued(now, true, 1), wake::later);
    core.taken(core.flush(now));
    core.check_invariants();
  }
  EXPECT_EQ(delayed, 2);
}

TEST(commit_core, a_queue_at_its_bound_is_written_at_once) {
  commit_core core{opts};
  EXPECT_EQ(core.queued(t0, false, 500), wake::later);
  EXPECT_EQ(core.queued(t0, true, 499), wake::soon);
  EXPECT_EQ(core.queued(t0, true, 1), wake::at_once);
  core.taken(take::everything);
  EXPECT_EQ(core.queued_bytes(), 0u);
  EXPECT_EQ(core.flush(t0), take::nothing);
}

TEST(commit_core, unfinished_compaction_is_work_for_the_next_flush) {
  commit_core core{opts};
  EXPECT_EQ(core.unfinished(t0), wake::later);
  EXPECT_EQ(core.unfinished(t0), wake::none);
  EXPECT_EQ(core.flush(t0 + milliseconds{50}), take::everything);
  core.taken(take::everything);
  EXPECT_EQ(core.flush(t0 + milliseconds{100}), take::nothing);
}

// Plays the shell: delivers every flush that was asked for, in order of time. Whatever is queued must be written.
TEST(commit_core, nothing_that_was_queued_is_ever_forgotten) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    random_source rng{seed};
    commit_core core{opts};
    auto now = t0;
    std::vector<instant> flushes;
    std::optional<instant> waiting_since; // the oldest save
    bool append_waits = false;
    const auto written = [&](take what) {
      core.taken(what);
      append_waits = append_waits && what == take::nothing;
      if (what == take::everything)
        waiting_since.reset();
    };
    const auto obey = [&](wake how) {
      if (how == wake::soon)
        flushes.push_back(now);
      else if (how == wake::later)
        flushes.push_back(now + core.idle_delay());
      else if (how == wake::at_once)
        written(take::everything);
    };
    for (int step = 0; step < 500; ++step) {
      if (!flushes.empty() && rng.chance(40)) {
        const auto next = std::min_element(flushes.begin(), flushes.end());
        now = std::max(now, *next);
        flushes.erase(next);
        const bool overdue = waiting_since && now >= *waiting_since + core.idle_delay();
        if (const auto what = core.flush(now); what != take::nothing) {
          ASSERT_TRUE(!overdue || what == take::everything) << "seed " << seed << " step " << step;
          written(what);
          if (rng.chance(20))
            obey(core.unfinished(now));
        }
      } else {
        now += milliseconds{rng.below(30)};
        const bool append = rng.chance(50);
        if (append)
          append_waits = true;
        else if (!waiting_since)
          waiting_since = now;
        obey(core.queued(now, append, rng.below(300)));
      }
      core.check_invariants();
      const auto next = std::min_element(flushes.begin(), flushes.end());
      ASSERT_TRUE(!append_waits || (next != flushes.end() && *next <= now)) << "seed " << seed << " step " << step;
      ASSERT_TRUE(!waiting_since || (next != flushes.end() && *next <= *waiting_since + core.idle_delay()))
          << "seed " << seed << " step " << step << ' ' << core.dump();
    }
  }
}

} // namespace
} // namespace swarm::storage
