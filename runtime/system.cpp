// Scheduler settings and shutdown.
#include "runtime/system.hpp"

#include <algorithm>
#include <thread>

#include "messages/type_ids.hpp"
#include "runtime/observed.hpp"

namespace swarm {

namespace {
// A hot actor delays its neighbours by at most this many messages.
constexpr std::size_t messages_per_turn = 300;
constexpr std::chrono::milliseconds poll_interval{5};
} // namespace

system_config::system_config(unsigned threads) {
  const auto cores = threads != 0 ? threads : std::max(2u, std::thread::hardware_concurrency());
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-throughput", messages_per_turn);
  set("scheduler.max-threads", static_cast<std::size_t>(cores));
}

std::vector<std::string> end_all_actors(caf::actor_system& system, std::chrono::milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    const auto alive = actor_registry::list(system);
    if (alive.empty())
      return {};
    if (std::chrono::steady_clock::now() >= until) {
      std::vector<std::string> labels;
      for (const auto& entry : alive)
        labels.push_back(entry.status.label());
      return labels;
    }
    for (const auto& entry : alive)
      if (auto actor = caf::actor_cast<caf::actor>(entry.address))
        caf::anon_send_exit(actor, caf::exit_reason::kill);
    std::this_thread::sleep_for(poll_interval);
  }
}

} // namespace swarm
