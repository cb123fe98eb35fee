// What the driver contract suite needs of a driver under test. To add a driver: implement it and instantiate the suite.
#pragma once

#include <caf/all.hpp>
#include <condition_variable>
#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <string>

#include "messages/interfaces.hpp"

namespace swarm::test {

class driver_under_test {
public:
  virtual ~driver_under_test() = default;
  virtual driver_actor handle() = 0;
  /// Makes the task do that, in the driver's own way; all other fields are filled already.
  virtual void run_for_ever(TaskDescription& task) = 0;
  virtual void exit_soon(TaskDescription& task, int code) = 0;
  virtual void print_lines(TaskDescription& task, int count) = 0; ///< "line 1 …\n" to "line <count> …\n", then runs on
  virtual void refuse_start(TaskDescription& task) = 0;
  /// Removes the task's container behind the driver's back.
  virtual void vanish(const std::string& task_id) = 0;
};

using driver_factory = std::unique_ptr<driver_under_test> (*)(caf::actor_system&);

/// Collects what a listener or log sink is told.
template <class T>
class inbox {
public:
  void put(T value) {
    std::lock_guard guard{mutex_};
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  /// The next one that fulfils the condition; earlier ones are dropped. Fails the test after 30 s.
  template <class F>
  T wait_for(F&& condition) {
    std::unique_lock lock{mutex_};
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    for (;;) {
      while (!values_.empty()) {
        auto value = std::move(values_.front());
        values_.pop_front();
        if (condition(value))
          return value;
      }
      if (changed_.wait_until(lock, end) == std::cv_status::timeout) {
        ADD_FAILURE() << "nothing came within 30 s";
        return {};
      }
    }
  }
  bool empty_for(std::chrono::milliseconds time) {
    std::unique_lock lock{mutex_};
    return !changed_.wait_for(lock, time, [&] { return !values_.empty(); });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
};

struct listener_inbox {
  inbox<TaskHandle> tasks;
  inbox<DriverHealth> health;
};

inline driver_listener::behavior_type listening(driver_listener::pointer, std::shared_ptr<listener_inbox> to) {
  return {
    [to](const TaskObserved& news) { to->tasks.put(news.handle()); },
    [to](const DriverHealth& news) { to->health.put(news); },
  };
}

inline log_sink::behavior_type sinking(log_sink::pointer, std::shared_ptr<inbox<LogChunk>> to) {
  return {[to](const LogChunk& chunk) { to->put(chunk); }};
}

/// Sends a request and waits: the answer, or the error as a failure.
template <class Result>
struct outcome_of {
  Result value;
  failure error;
};
template <class Result, class Request>
outcome_of<Result> ask(caf::scoped_actor& self, const driver_actor& driver, const Request& request) {
  outcome_of<Result> out;
  self->request(driver, std::chrono::seconds{60}, request)
    .receive([&](const Result& value) { out.value = value; }, [&](const caf::error& error) { out.error = to_failure(error); });
  return out;
}

/// A description of a busybox task of its own; what it runs is left to the driver under test.
TaskDescription describe_task(const std::string& cluster_id = "contractcluster0000000000");

} // namespace swarm::test
