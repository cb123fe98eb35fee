// What tasks cost in memory and time. The bounds are those of the plan for an optimised build; others only print.
#include <gtest/gtest.h>

#include <malloc.h>

#include <cstdio>
#include <ctime>

#include "actors/store/store_core.hpp"
#include "tests/support/builders.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(SWARM_THREAD_SANITIZER) || !defined(__OPTIMIZE__)
constexpr bool optimised = false;
#else
constexpr bool optimised = true;
#endif

namespace swarm {
namespace {

using namespace test;

/// Of this thread's CPU: other programs on the machine cost us little in it.
double cpu_ms() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}
double ms_since(double begin) { return cpu_ms() - begin; }

std::string random_id(std::uint64_t n) { // spread like real ones
  return id128{n * 0x9e3779b97f4a7c15ull, ~n * 0xbf58476d1ce4e5b9ull}.str();
}

struct loaded {
  store::core core;
  std::uint64_t index = 0;
  std::vector<std::string> nodes;
  double create_ms = 1e9, assign_ms = 1e9, run_ms = 1e9; // best of all batches of 10,000

  template <class Fill>
  void apply(Fill fill, double& best) {
    auto c = command(fill);
    const auto begin = cpu_ms();
    auto out = core.apply(++index, std::move(c));
    best = std::min(best, ms_since(begin));
    EXPECT_EQ(out.result.code(), 0u);
  }

  /// `total` running tasks of 100 services on 100 nodes, in commands of 10,000.
  void fill(std::uint64_t total) {
    constexpr std::uint64_t batch = 10'000;
    for (std::uint64_t i = 0; i < 100; ++i) {
      nodes.push_back(random_id(2'000'000 + i));
      EXPECT_EQ(core.apply(++index, put_node(node(nodes.back(), "h" + std::to_string(i)))).result.code(), 0u);
      const auto made = core.apply(++index, create_service(random_id(3'000'000 + i), service_spec("s" + std::to_string(i))));
      EXPECT_EQ(made.result.code(), 0u);
    }
    for (std::uint64_t from = 0; from < total; from += batch) {
      const auto service = (from / batch) % 100;
      apply(
        [&](StoreAction& a) {
          auto& create = *a.mutable_create_tasks();
          create.set_service_id(random_id(3'000'000 + service));
          create.set_spec_version(2 * service + 2);
          for (auto i = from; i < from + batch; ++i)
            *create.add_tasks() = task(random_id(i + 1), i - from + 1);
        },
        create_ms);
      apply(
        [&](StoreAction& a) {
          for (auto i = from; i < from + batch; ++i)
            *a.mutable_update_tasks()->add_changes() = assigned(random_id(i + 1), nodes[i % 100]);
        },
        assign_ms);
      apply(
        [&](StoreAction& a) {
          for (auto i = from; i < from + batch; ++i) {
            auto& change = *a.mutable_update_tasks()->add_changes() = observed(random_id(i + 1), TASK_STATE_RUNNING, "started");
            change.set_reporter_node_id(nodes[i % 100]);
            auto& container = *change.mutable_status()->mutable_container_status();
            container.set_container_id(std::string(64, 'c'));
            container.set_pid(static_cast<std::int64_t>(i));
          }
        },
        run_ms);
    }
  }
};

TEST(store_cost_test, a_hundred_thousand_running_tasks_fit_and_apply_in_time) {
  malloc_trim(0);
  const auto before = mallinfo2().uordblks;
  loaded all;
  all.fill(100'000);
  const auto heap = static_cast<double>(mallinfo2().uordblks - before) / 1e5;
  const auto counted = static_cast<double>(all.core.count().task_bytes) / 1e5;
  ASSERT_EQ(all.core.count().tasks, 100'000u);
  std::printf("100,000 running tasks with containers: %.0f B of heap each, %.0f B counted\n", heap, counted);
  std::printf("10,000 tasks in one command: create %.1f ms, assign %.1f ms, run %.1f ms\n", all.create_ms, all.assign_ms,
              all.run_ms);
  EXPECT_LT(counted, 300);
  if (optimised) {
    EXPECT_LT(heap, 350);
  }

  ReadObjects request;
  request.set_kind(OBJECT_KIND_TASK);
  auto& filter = *request.add_filters();
  filter.set_key("service");
  filter.add_values("s1");
  auto begin = cpu_ms();
  {
    ObjectsRead out;
    ASSERT_TRUE(all.core.read(request, out).ok());
    ASSERT_EQ(out.tasks_size(), 10'000);
    std::printf("listing 10,000 of 100,000 tasks: %.1f ms\n", ms_since(begin));
  }
  begin = cpu_ms();
  ASSERT_EQ(all.core.snapshot().tasks_size(), 100'000);
  std::printf("snapshot for a subscriber: %.1f ms\n", ms_since(begin));
  begin = cpu_ms();
  request.set_kind(OBJECT_KIND_SERVICE);
  request.clear_filters();
  request.set_with_service_status(true);
  ObjectsRead services;
  ASSERT_TRUE(all.core.read(request, services).ok());
  std::printf("100 services with their status over 100,000 tasks: %.1f ms\n", ms_since(begin));
  std::uint64_t running = 0;
  for (const auto& service : services.services())
    running += service.service_status().running_tasks();
  EXPECT_EQ(running, 100'000u);
}

TEST(store_cost_test, creating_services_one_by_one) {
  store::core core;
  constexpr int count = 20'000;
  std::vector<Command> commands;
  for (int i = 0; i < count; ++i) {
    auto spec = service_spec("service-" + std::to_string(i));
    (*spec.mutable_labels())["com.docker.stack.namespace"] = "bench";
    spec.mutable_endpoint_spec()->set_mode(ENDPOINT_MODE_VIP);
    commands.push_back(create_service(random_id(static_cast<std::uint64_t>(i) + 1), std::move(spec)));
  }
  auto begin = cpu_ms();
  for (int i = 0; i < count; ++i)
    ASSERT_EQ(core.apply(static_cast<std::uint64_t>(i) + 1, std::move(commands[static_cast<std::size_t>(i)])).result.code(), 0u);
  const auto each_us = ms_since(begin) * 1000 / count;
  std::printf("creating a service: %.1f us\n", each_us);
  if (optimised) {
    EXPECT_LT(each_us, 40) << "aim: 20 us on a quiet machine";
  }
  begin = cpu_ms();
  ObjectsRead out;
  ASSERT_TRUE(core.read({}, out).ok());
  std::printf("listing 20,000 services: %.1f ms\n", ms_since(begin));
}

} // namespace
} // namespace swarm
