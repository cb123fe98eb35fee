// All actors of a leader on real threads, over a store in memory, with agents that report RUNNING at once: how long it
// takes from the creation of a service to the last task RUNNING, and what a task costs in memory.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <thread>

#include "actors/dispatcher/dispatcher_sup.hpp"
#include "actors/orchestrator/orchestrator_sup.hpp"
#include "actors/scheduler/scheduler_actor.hpp"
#include "tests/support/builders.hpp"
#include "tests/support/committing_raft.hpp"

namespace swarm {
namespace {

using namespace test;

struct threads_config : caf::actor_system_config {
  threads_config() {
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", 2);
    set("scheduler.max-throughput", 300);
    add_message_types<caf::id_block::swarm_node>();
  }
};

struct agent_state {
  std::string node;
  std::string session;
  std::uint64_t sequence = 0;
};

agent_inbox::behavior_type quick_agent(agent_inbox::stateful_pointer<agent_state> self, std::string node,
                                       dispatcher_actor dispatcher) {
  self->state.node = std::move(node);
  RegisterNode request;
  request.set_node_id(self->state.node);
  request.mutable_description()->set_hostname(self->state.node);
  request.set_driver_healthy(true);
  self->request(dispatcher, std::chrono::seconds{60}, request, agent_inbox{self})
    .then([self](const NodeRegistered& answer) { self->state.session = answer.session_id(); });
  return {
    [self, dispatcher](const Assignments& frame) {
      UpdateTaskStatus report;
      report.set_node_id(self->state.node);
      report.set_session_id(frame.session_id());
      report.set_sequence(++self->state.sequence);
      for (const auto& task : frame.tasks()) {
        if (task.desired_state() != TASK_STATE_RUNNING || task.observed_state() >= TASK_STATE_RUNNING)
          continue;
        auto& update = *report.add_updates();
        update.set_task_id(task.id());
        update.mutable_status()->set_state(TASK_STATE_RUNNING);
        update.mutable_status()->set_message("started");
        update.mutable_status()->mutable_container_status()->set_container_id("c" + task.id());
      }
      if (report.updates_size() > 0)
        caf::anon_send(dispatcher, std::move(report));
    },
    [](const TaskStatusAccepted&) {},
    [](const SessionInvalid&) {},
    [](const NodeOrders&) {},
  };
}

store_subscriber::behavior_type counting(store_subscriber::pointer, std::atomic<std::size_t>* running) {
  return {[running](const EventBatch& batch) {
    std::size_t n = 0;
    for (const auto& event : batch.tasks())
      n += event.task().status().state() == TASK_STATE_RUNNING ? 1 : 0;
    running->fetch_add(n);
  }};
}

template <class Done>
bool wait_until(Done done, std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

void converge(std::size_t nodes, std::size_t tasks, std::chrono::seconds limit) {
  threads_config cfg;
  caf::actor_system sys{cfg};
  std::atomic<std::size_t> running{0};
  auto state = std::make_shared<committed_state>();
  state->keep_commands = false;
  state->commit(command([](StoreAction& a) { // on a busy machine nobody must be taken for dead: these agents never beat
    auto& cluster = *a.mutable_put_cluster()->mutable_cluster();
    cluster.set_id(nth_id(1, 9));
    cluster.mutable_spec()->mutable_dispatcher()->set_heartbeat_period(duration{hours{1}}.count());
  }));
  auto raft = sys.spawn(committing_raft, state);
  auto store = sys.spawn(committed_store, state);
  orchestrator::orchestrator_options orchestrating;
  orchestrating.raft = raft;
  orchestrating.store = store;
  orchestrating.seed = 1;
  auto orchestrator = orchestrator::spawn_orchestrator(sys, orchestrating);
  auto scheduler = sys.spawn(scheduler::run_scheduler, scheduler::scheduler_options{raft, store});
  dispatcher::dispatcher_options dispatching;
  dispatching.raft = raft;
  dispatching.store = store;
  auto dispatcher = dispatcher::spawn_dispatcher(sys, dispatching);
  auto counter = sys.spawn(counting, &running);
  std::vector<caf::actor> all;
  {
    caf::scoped_actor self{sys};
    self->request(store, std::chrono::seconds{10}, subscribe_atom_v, counter)
      .receive([](const StoreSnapshot&) {}, [](const caf::error&) { FAIL(); });
    ASSERT_TRUE(wait_until([&] { return state->subscribers.size() == 4; }, std::chrono::seconds{10}));
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    for (std::size_t n = 1; n <= nodes; ++n)
      all.push_back(caf::actor_cast<caf::actor>(sys.spawn(quick_agent, nth_id(n, 2), dispatcher)));
    const auto ready = [&] {
      ActorStatus status;
      self->request(dispatcher, std::chrono::seconds{10}, ReadStatus{})
        .receive([&](const ActorStatus& answer) { status = answer; }, [](const caf::error&) {});
      return status.facts().count("sessions") != 0 && status.facts().at("sessions") == std::to_string(nodes);
    };
    ASSERT_TRUE(wait_until(ready, limit));
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
    malloc_trim(0);
    const auto heap_before = mallinfo2().uordblks;
    const auto cpu_before = std::clock();
    const auto begin = std::chrono::steady_clock::now();
    self->send(raft, create_service(nth_id(1), service_spec("web", tasks)));
    EXPECT_TRUE(wait_until([&] { return running.load() >= tasks; }, limit)) << running.load() << " running";
    const auto wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const auto cpu = static_cast<double>(std::clock() - cpu_before) / CLOCKS_PER_SEC;
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
    malloc_trim(0);
    const auto heap = mallinfo2().uordblks - heap_before;
    std::cout << tasks << " tasks on " << nodes << " nodes: all RUNNING after " << wall << " s, processor time " << cpu
              << " s, " << cpu * 1e6 / static_cast<double>(tasks) << " us and "
              << static_cast<double>(heap) / static_cast<double>(tasks) << " bytes per task, the store's included; "
              << "the store alone: " << state->store.count().task_bytes / std::max<std::size_t>(1, tasks) << std::endl;
  }
  for (const auto& actor : {caf::actor_cast<caf::actor>(orchestrator), caf::actor_cast<caf::actor>(scheduler),
                            caf::actor_cast<caf::actor>(dispatcher), caf::actor_cast<caf::actor>(counter),
                            caf::actor_cast<caf::actor>(raft), caf::actor_cast<caf::actor>(store)})
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  for (const auto& actor : all)
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  all.clear();
  state->subscribers.clear();
}

TEST(leader, brings_a_thousand_tasks_up) { converge(20, 1'000, std::chrono::seconds{100}); }

// For measurements: SWARM_BENCH=1, on a quiet machine, in a release build.
TEST(leader, brings_ten_thousand_and_a_hundred_thousand_tasks_up) {
  if (std::getenv("SWARM_BENCH") == nullptr)
    GTEST_SKIP() << "set SWARM_BENCH=1";
  converge(100, 10'000, std::chrono::seconds{300});
  converge(1'000, 100'000, std::chrono::seconds{600});
}

} // namespace
} // namespace swarm
