// The I/O threads: one Asio context, its threads, timers that may be cancelled from anywhere.
#include "runtime/io.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace swarm {

namespace asio = boost::asio;

namespace {

// What timer handles need of the context; outlives it.
struct gate {
  std::mutex mutex;
  asio::io_context* context = nullptr; // null once the context is being destroyed
};

} // namespace

struct timer_handle::state {
  std::shared_ptr<gate> guard;
  std::atomic<bool> cancelled{false};
  std::weak_ptr<asio::steady_timer> timer; // owned by its pending wait
};

timer_handle& timer_handle::operator=(timer_handle&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

timer_handle::~timer_handle() {
  cancel();
}

void timer_handle::cancel() {
  const auto s = std::move(state_);
  state_.reset();
  if (!s || s->cancelled.exchange(true))
    return;
  const std::lock_guard lock{s->guard->mutex};
  if (s->guard->context)
    asio::post(*s->guard->context, [s] {
      if (const auto timer = s->timer.lock())
        timer->cancel();
    });
}

struct io_threads::impl {
  explicit impl(unsigned n) : count{n == 0 ? 1 : n} { guard->context = &context; }

  unsigned count;
  std::shared_ptr<gate> guard = std::make_shared<gate>();
  asio::io_context context;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable ended;
  unsigned running = 0;
};

io_threads::io_threads(unsigned threads) : impl_{std::make_unique<impl>(threads)} {}

io_threads::~io_threads() {
  stop(seconds{0});
  for (auto& t : impl_->threads)
    if (t.joinable())
      t.join();
  const std::lock_guard lock{impl_->guard->mutex};
  impl_->guard->context = nullptr;
}

void io_threads::start() {
  if (!impl_->threads.empty())
    return;
  impl_->work.emplace(impl_->context.get_executor());
  impl_->running = impl_->count;
  for (unsigned i = 0; i < impl_->count; ++i)
    impl_->threads.emplace_back([p = impl_.get()] {
      p->context.run();
      const std::lock_guard lock{p->mutex};
      --p->running;
      p->ended.notify_all();
    });
}

bool io_threads::stop(duration grace) {
  impl_->work.reset();
  impl_->context.stop();
  std::unique_lock lock{impl_->mutex};
  if (!impl_->ended.wait_for(lock, grace, [&] { return impl_->running == 0; }))
    return false;
  lock.unlock();
  for (auto& t : impl_->threads)
    if (t.joinable())
      t.join();
  return true;
}

void io_threads::post(std::function<void()> fn) {
  asio::post(impl_->context, std::move(fn));
}

timer_handle io_threads::after(duration delay, std::function<void()> fn) {
  const auto timer = std::make_shared<asio::steady_timer>(impl_->context);
  auto s = std::make_shared<timer_handle::state>();
  s->guard = impl_->guard;
  s->timer = timer;
  // Armed on an I/O thread, as the cancellation is, so that two threads never touch the timer at once.
  asio::post(impl_->context, [timer, s, delay, fn = std::move(fn), start = std::chrono::steady_clock::now()]() mutable {
    timer->expires_at(start + delay);
    timer->async_wait([timer, s, fn = std::move(fn)](const boost::system::error_code& error) {
      if (!error && !s->cancelled.exchange(true))
        fn();
    });
  });
  return timer_handle{std::move(s)};
}

bool io_threads::on_io_thread() const {
  return impl_->context.get_executor().running_in_this_thread();
}

asio::io_context& io_threads::context() {
  return impl_->context;
}

} // namespace swarm
