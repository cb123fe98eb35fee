// Two or more ends of links on loopback, and a record of what happens to them.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "runtime/link/endpoint.hpp"
#include "tests/support/link_pki.hpp"

namespace swarm::link::test {

using swarm::test::link_pki;

inline Envelope tell(const std::string& to, const std::string& type, const std::string& payload = {}, std::uint64_t id = 0) {
  Envelope out;
  out.set_to(to);
  out.set_type(type);
  out.set_payload(payload);
  out.set_request_id(id);
  return out;
}

template <class F>
bool eventually(F holds, duration patience = seconds{10}) {
  for (const auto until = std::chrono::steady_clock::now() + patience; std::chrono::steady_clock::now() < until;) {
    if (holds())
      return true;
    std::this_thread::sleep_for(milliseconds{2});
  }
  return holds();
}

/// One end: an endpoint and everything it reported.
class end_point {
public:
  end_point(io_threads& io, std::shared_ptr<credential_store> who, limits lim = {}, bool receives = true)
    : credentials{who}, receives_{receives}, endpoint_{io, std::move(who), recording(), lim} {}
  ~end_point() {
    endpoint_.stop();
  }

  std::string listen() {
    std::string bound;
    const auto why = endpoint_.listen("127.0.0.1:0", &bound);
    EXPECT_TRUE(why.ok()) << why.message;
    return bound;
  }
  connection_ptr dial(const std::string& addr, const std::string& expect = {}, bool verify = true) {
    return endpoint_.dial({addr, expect, verify});
  }
  [[nodiscard]] endpoint& raw() { return endpoint_; }

  /// Waits until `done` holds, seen with the lock held.
  template <class F>
  bool wait(F done, duration patience = seconds{10}) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, patience, done);
  }
  bool wait_up(std::size_t n = 1) {
    return wait([&] { return ups.size() >= n; });
  }
  bool wait_down(std::size_t n = 1, duration patience = seconds{10}) {
    return wait([&] { return downs.size() >= n; }, patience);
  }
  bool wait_received(std::size_t n) {
    return wait([&] { return received.size() >= n; });
  }
  template <class F>
  auto locked(F f) {
    const std::lock_guard lock{mutex_};
    return f();
  }

  std::vector<connection_ptr> ups;
  std::vector<failure> downs;
  std::vector<Envelope> received;
  std::size_t batches = 0;
  std::shared_ptr<credential_store> credentials;

private:
  events recording() {
    events out;
    out.up = [this](const connection_ptr& c) {
      if (receives_)
        c->receive([this, weak = std::weak_ptr{c}](std::vector<Envelope>&& batch, std::size_t bytes) {
          {
            const std::lock_guard lock{mutex_};
            for (auto& e : batch)
              received.push_back(std::move(e));
            ++batches;
          }
          if (const auto still = weak.lock())
            still->consumed(bytes);
          changed_.notify_all();
        });
      const std::lock_guard lock{mutex_};
      ups.push_back(c);
      changed_.notify_all();
    };
    out.down = [this](const connection_ptr&, const failure& why) {
      const std::lock_guard lock{mutex_};
      downs.push_back(why);
      changed_.notify_all();
    };
    return out;
  }

  bool receives_;
  std::mutex mutex_;
  std::condition_variable changed_;
  endpoint endpoint_;
};

class link_fixture : public testing::Test {
protected:
  link_fixture() { io.start(); }
  io_threads io{1};
  link_pki pki;
};

} // namespace swarm::link::test
