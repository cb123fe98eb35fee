// The I/O threads: posting, timers, bounded stop.
#include "runtime/io.hpp"

#include <atomic>
#include <future>
#include <thread>

#include <gtest/gtest.h>

namespace swarm {
namespace {

constexpr auto patience = std::chrono::seconds{20};

TEST(io_threads, runs_what_is_posted_on_its_own_threads) {
  io_threads io{2};
  io.start();
  std::promise<bool> ran;
  io.post([&] { ran.set_value(io.on_io_thread()); });
  auto result = ran.get_future();
  ASSERT_EQ(result.wait_for(patience), std::future_status::ready);
  EXPECT_TRUE(result.get());
  EXPECT_FALSE(io.on_io_thread());
}

TEST(io_threads, timers_go_off_in_order_and_cancelled_ones_never) {
  io_threads io;
  io.start();
  std::promise<int> first, second;
  std::atomic<bool> wrong{false};
  auto never = io.after(milliseconds{5}, [&] { wrong = true; });
  never.cancel();
  { auto dropped = io.after(milliseconds{5}, [&] { wrong = true; }); }
  std::atomic<int> n{0};
  auto b = io.after(milliseconds{20}, [&] { second.set_value(++n); });
  auto a = io.after(milliseconds{10}, [&] { first.set_value(++n); });
  EXPECT_EQ(first.get_future().get(), 1);
  EXPECT_EQ(second.get_future().get(), 2);
  EXPECT_FALSE(wrong);
}

TEST(io_threads, a_released_timer_goes_off_without_its_handle) {
  io_threads io;
  io.start();
  std::promise<void> rang;
  io.after(milliseconds{1}, [&] { rang.set_value(); }).release();
  EXPECT_EQ(rang.get_future().wait_for(patience), std::future_status::ready);
}

TEST(io_threads, a_timer_handle_may_outlive_its_threads) {
  timer_handle kept;
  {
    io_threads io;
    io.start();
    kept = io.after(hours{1}, [] {});
  }
  kept.cancel();
}

TEST(io_threads, stop_is_bounded_even_when_a_callback_blocks) {
  io_threads io;
  io.start();
  std::promise<void> entered, leave;
  io.post([&] {
    entered.set_value();
    leave.get_future().wait();
  });
  entered.get_future().wait();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(io.stop(milliseconds{20}));
  EXPECT_LT(std::chrono::steady_clock::now() - start, patience);
  leave.set_value();
  EXPECT_TRUE(io.stop(seconds{20}));
}

TEST(io_threads, stop_without_start_is_fine) {
  io_threads io;
  EXPECT_TRUE(io.stop());
}

} // namespace
} // namespace swarm
