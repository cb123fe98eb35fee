// What happens on other threads: waited for, and written down.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace swarm::test {

/// Whether it becomes true within some seconds of real time.
template <class F>
bool eventually(F holds, std::chrono::seconds patience = std::chrono::seconds{15}) {
  for (const auto until = std::chrono::steady_clock::now() + patience; std::chrono::steady_clock::now() < until;) {
    if (holds())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return holds();
}

/// What actors under test have said, readable from the test's thread.
template <class T>
class record {
public:
  void add(T what) {
    const std::lock_guard lock{mutex_};
    all_.push_back(std::move(what));
  }
  [[nodiscard]] std::vector<T> all() const {
    const std::lock_guard lock{mutex_};
    return all_;
  }
  [[nodiscard]] std::size_t size() const { return all().size(); }
  bool wait(std::size_t n) const {
    return eventually([&] { return size() >= n; });
  }

private:
  mutable std::mutex mutex_;
  std::vector<T> all_;
};
template <class T>
using record_ptr = std::shared_ptr<record<T>>;

} // namespace swarm::test
