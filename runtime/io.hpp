// The threads that own every socket: one Asio context run by N threads, with timers and a bounded stop.
#pragma once

#include <functional>
#include <memory>

#include "runtime/time.hpp"

namespace boost::asio {
class io_context;
}

namespace swarm {

/// Cancels its timer when destroyed or cancel()led; a callback that already runs is not waited for.
/// Callable from any thread; outliving the io_threads is harmless.
class timer_handle {
public:
  timer_handle() = default;
  timer_handle(timer_handle&&) noexcept = default;
  timer_handle& operator=(timer_handle&& other) noexcept;
  ~timer_handle();
  void cancel();
  /// The timer goes off even though the handle is dropped.
  void release() { state_.reset(); }

private:
  friend class io_threads;
  struct state;
  explicit timer_handle(std::shared_ptr<state> s) : state_{std::move(s)} {}
  std::shared_ptr<state> state_;
};

/// Owns the I/O threads. What runs on them must not block: one slow callback delays every socket.
/// Order at the end: stop servers and clients first, then this.
class io_threads {
public:
  explicit io_threads(unsigned threads = 1);
  /// Stops and joins.
  ~io_threads();
  io_threads(const io_threads&) = delete;
  io_threads& operator=(const io_threads&) = delete;

  void start();
  /// No callback starts after this returns true; work that is still queued is dropped. False when a callback did not
  /// return within `grace` (the destructor then waits for it). Not to be called from an I/O thread.
  bool stop(duration grace = seconds{5});

  /// Runs fn on an I/O thread. Any thread.
  void post(std::function<void()> fn);
  /// Runs fn on an I/O thread once, after `delay`. Any thread.
  [[nodiscard]] timer_handle after(duration delay, std::function<void()> fn);
  [[nodiscard]] bool on_io_thread() const;

  /// For code in runtime/ that opens sockets.
  [[nodiscard]] boost::asio::io_context& context();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace swarm
