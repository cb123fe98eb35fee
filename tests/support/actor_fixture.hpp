// Actors under test on one thread, in virtual time: nothing happens until the test says so.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "messages/interfaces.hpp"
#include "runtime/time.hpp"

namespace swarm::test {

struct deterministic_config : caf::actor_system_config {
  deterministic_config() {
    set("scheduler.policy", caf::atom("testing"));
    add_message_types<caf::id_block::swarm_node>();
  }
};

/// Spawn through track(), so that every actor is stopped at the end. Detached actors and blocking receives start real
/// threads and do not belong here.
class actor_fixture : public testing::Test {
protected:
  deterministic_config cfg;
  caf::actor_system sys{cfg};
  caf::scheduler::test_coordinator& sched = dynamic_cast<caf::scheduler::test_coordinator&>(sys.scheduler());
  caf::scoped_actor self{sys};

  ~actor_fixture() override { stop_all(); }

  template <class Handle>
  Handle track(Handle handle) {
    tracked_.push_back(caf::actor_cast<caf::actor>(handle));
    return handle;
  }
  void stop_all() {
    for (auto& actor : tracked_)
      caf::anon_send_exit(actor, caf::exit_reason::kill);
    tracked_.clear();
    settle();
  }

  /// Delivers everything that is due now.
  void settle() { sched.run(); }
  /// The same in an order that the seed decides; messages between two actors keep theirs.
  void settle_shuffled(std::mt19937_64& rng) {
    while (sched.has_job()) {
      const auto i = static_cast<std::ptrdiff_t>(rng() % sched.jobs.size());
      std::rotate(sched.jobs.begin(), sched.jobs.begin() + i, sched.jobs.begin() + i + 1);
      sched.run_once();
    }
  }
  /// Lets virtual time pass in steps, so that what a timer causes happens before the next timer.
  void advance(duration by, duration step = milliseconds{10}) {
    settle();
    for (; by > duration::zero(); by -= step) {
      sched.advance_time(std::min(by, step));
      settle();
    }
  }

  template <class Reply>
  struct answer {
    std::optional<Reply> value;
    failure error; ///< not_found etc.; deadline_exceeded when nobody answered within `patience` of virtual time
  };
  /// Asks and runs everything until the answer is there.
  template <class Reply, class Handle, class... Parts>
  answer<Reply> ask_for(duration patience, const Handle& handle, Parts&&... parts) {
    answer<Reply> out;
    auto request = self->request(handle, caf::infinite, std::forward<Parts>(parts)...);
    settle();
    for (auto left = patience; !self->has_next_message() && left > duration::zero(); left -= milliseconds{10})
      advance(milliseconds{10});
    if (!self->has_next_message()) {
      out.error = {errc::deadline_exceeded, "no answer"};
      return out;
    }
    request.receive([&](Reply& reply) { out.value = std::move(reply); }, [&](caf::error& err) { out.error = to_failure(err); });
    return out;
  }
  template <class Reply, class Handle, class... Parts>
  answer<Reply> ask(const Handle& handle, Parts&&... parts) {
    return ask_for<Reply>(seconds{60}, handle, std::forward<Parts>(parts)...);
  }

private:
  std::vector<caf::actor> tracked_;
};

} // namespace swarm::test
