// Time, CPU and memory of a cluster that lives in this process.
#include "apps/swarm-bench/bench_simulated.hpp"

#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <thread>

#include "apps/swarm-bench/process_stats.hpp"

namespace swarm::bench {

namespace {

// What joining has started is over by then.
constexpr std::chrono::seconds settle{30};

double heap_in_use() {
  ::malloc_trim(0);
  const auto info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

} // namespace

row measure_simulated(const simulated_factory& make, const simulated_size& size, int round) {
  row out{"simulated", std::to_string(size.tasks) + " tasks on " + std::to_string(size.nodes) + " nodes", "ours", round, {}, {}};
  try {
    const auto cluster = make();
    const auto heap_before = heap_in_use();
    cluster->join(size.nodes);
    ::malloc_trim(0); // so that what joining needed for a moment is not taken for memory of tasks, or hides it
    const auto tasks = static_cast<double>(size.tasks);
    const auto rss = rss_mb(::getpid());
    const auto cpu = cpu_seconds(::getpid());
    const auto begin = std::chrono::steady_clock::now();
    cluster->run_all(size.tasks);
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    const auto used = cpu_seconds(::getpid()) - cpu;
    ::malloc_trim(0);
    const auto resident = rss_mb(::getpid()) - rss;
    cluster->end_agents();
    out.metrics = {{"seconds", wall.count()},
                   {"tasks_per_s", tasks / wall.count(), true},
                   {"cpu_us_per_task", used * 1e6 / tasks},
                   {"bytes_per_task", resident * 1024 * 1024 / tasks},
                   {"manager_bytes_per_task", (heap_in_use() - heap_before) / tasks}};
  } catch (const std::exception& error) {
    out.error = error.what();
  }
  return out;
}

row measure_heartbeats(const simulated_factory& make, std::size_t nodes, int seconds, int round) {
  row out{"heartbeats", std::to_string(nodes) + " nodes", "ours", round, {}, {}};
  try {
    const auto cluster = make();
    cluster->join(nodes);
    std::this_thread::sleep_for(settle);
    const auto busy = cluster->manager_busy_ns();
    const auto cpu = cpu_seconds(::getpid());
    const auto begin = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(std::chrono::seconds{seconds});
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    out.metrics = {{"manager_cpu_percent", static_cast<double>(cluster->manager_busy_ns() - busy) / wall.count() / 1e7},
                   {"program_cpu_percent", (cpu_seconds(::getpid()) - cpu) / wall.count() * 100}};
  } catch (const std::exception& error) {
    out.error = error.what();
  }
  return out;
}

} // namespace swarm::bench
