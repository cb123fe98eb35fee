// SERVICE together with the other leader cores over the real store, under random events: what must always hold, and
// that everything comes to rest as the spec wants it.
#include "actors/orchestrator/service_core.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <iostream>
#include <set>

#include "tests/support/leader_cluster.hpp"

namespace swarm::test {
namespace {

using fate = leader_cluster::fate;

std::string node_id_of(std::uint64_t n) { return nth_id(n, 2); }
std::string service_id_of(std::uint64_t n) { return nth_id(n, 3); }

bool is_running(const Task& t) { return t.status().state() == TASK_STATE_RUNNING; }
bool is_wanted(const Task& t) { return t.desired_state() <= TASK_STATE_RUNNING; }

// Tasks per slot of one service, as the store has them.
std::map<std::uint64_t, std::vector<Task>> slots_of(const leader_cluster& cluster, const std::string& service) {
  std::map<std::uint64_t, std::vector<Task>> out;
  for (auto& t : cluster.tasks(service))
    out[t.slot()].push_back(std::move(t));
  return out;
}

std::size_t running_slots(const leader_cluster& cluster, const std::string& service) {
  std::size_t n = 0;
  for (const auto& [slot, tasks] : slots_of(cluster, service))
    n += std::any_of(tasks.begin(), tasks.end(), [](const Task& t) { return is_running(t) && is_wanted(t); }) ? 1 : 0;
  return n;
}

// Desired is observed: exactly the wanted tasks run, each slot has one, nothing else lives.
testing::AssertionResult is_at_rest(const leader_cluster& cluster, const std::string& id) {
  const auto service = cluster.service(id);
  const auto replicas = service.spec().mode().replicated().replicas();
  std::uint64_t wanted = 0;
  for (const auto& [slot, tasks] : slots_of(cluster, id)) {
    std::size_t up = 0;
    for (const auto& t : tasks) {
      if (is_wanted(t) && is_running(t) && t.spec_version() == service.spec_version())
        ++up;
      else if (t.status().state() <= TASK_STATE_RUNNING)
        return testing::AssertionFailure() << "slot " << slot << ": " << cluster.describe(t);
    }
    if (up > 1)
      return testing::AssertionFailure() << "slot " << slot << " has " << up << " running tasks";
    wanted += up;
  }
  if (wanted != replicas)
    return testing::AssertionFailure() << wanted << " slots run, " << replicas << " are wanted";
  return testing::AssertionSuccess();
}

std::uint64_t first_seed() {
  const auto* text = std::getenv("SWARM_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}
std::uint64_t seed_count(std::uint64_t usual) { return std::getenv("SWARM_SEED") != nullptr ? 1 : usual; }

// -- the world of one seed --------------------------------------------------------------------------------------------------

class world {
public:
  struct options {
    bool faults = false;        // nodes and tasks fail, leaders change
    bool lost_answers = false;  // proposals are refused, or their answers lost
    bool start_first = false;
    std::uint64_t parallelism = 1;
    std::uint64_t replicas = 6;
  };

  world(std::uint64_t seed, options opts) : opts_{opts}, cluster{seed} {
    cluster.keep_log = false;
    for (std::uint64_t n = 1; n <= 4; ++n)
      cluster.add_node(node_id_of(n), "n" + std::to_string(n));
    cluster.answer_first = [this] { return cluster.rng.chance(50); };
    auto spec = service_spec("web", opts_.replicas);
    auto& update = *spec.mutable_update_config();
    update.set_parallelism(opts_.parallelism);
    update.set_monitor(duration{seconds{1}}.count());
    update.set_failure_action(FAILURE_ACTION_CONTINUE);
    update.set_order(opts_.start_first ? UPDATE_ORDER_START_FIRST : UPDATE_ORDER_STOP_FIRST);
    spec.mutable_task_template()->mutable_restart_policy()->set_delay(duration{milliseconds{500}}.count());
    cluster.write(create_service(service, spec));
    EXPECT_TRUE(cluster.settle());
    if (opts_.lost_answers)
      cluster.decide = [this] {
        const auto roll = cluster.rng.below(100);
        return roll < 15 ? fate::refuse : roll < 25 ? fate::lose_answer : fate::commit;
      };
  }

  void step() {
    switch (cluster.rng.below(opts_.faults ? 14 : 8)) {
      case 0:
      case 1:
      case 2:
        cluster.commit_one();
        break;
      case 3:
      case 4:
        cluster.step_agents();
        break;
      case 5:
        cluster.advance(milliseconds{cluster.rng.between(10, 400)});
        break;
      case 6:
        if (cluster.rng.chance(10))
          update();
        break;
      case 7:
        cluster.settle(static_cast<int>(cluster.rng.below(20)));
        break;
      default:
        break_something();
    }
  }

  // Everything heals; given time, the service must come to rest.
  void heal() {
    cluster.decide = [] { return fate::commit; };
    cluster.outcome = [](const AssignedTask&) { return TASK_STATE_RUNNING; };
    for (std::uint64_t n = 1; n <= 4; ++n)
      set_node(n, NODE_STATE_READY, NODE_AVAILABILITY_ACTIVE);
    for (int i = 0; i < 400; ++i) {
      cluster.advance(seconds{i < 300 ? 1 : 10});
      ASSERT_TRUE(cluster.settle());
    }
  }

  options opts_;
  leader_cluster cluster;
  std::string service = service_id_of(1);

private:
  void update() {
    auto now = cluster.service(service);
    auto spec = now.spec();
    if (opts_.faults && cluster.rng.chance(40))
      spec.mutable_mode()->mutable_replicated()->set_replicas(cluster.rng.below(9));
    else
      spec.mutable_task_template()->set_force_update(spec.task_template().force_update() + 1);
    cluster.write(update_service(service, now.meta().version().index(), spec));
  }
  void set_node(std::uint64_t n, NodeState state, NodeAvailability availability) {
    cluster.change_node(node_id_of(n), [&](Node& node) {
      node.mutable_status()->set_state(state);
      node.mutable_spec()->set_availability(availability);
    });
    state == NODE_STATE_DOWN ? cluster.silence(node_id_of(n)) : cluster.wake(node_id_of(n));
  }
  void break_something() {
    if (!cluster.rng.chance(15))
      return;
    const auto n = cluster.rng.between(1, 4);
    switch (cluster.rng.below(5)) {
      case 0:
        set_node(n, NODE_STATE_DOWN, NODE_AVAILABILITY_ACTIVE);
        break;
      case 1:
        set_node(n, NODE_STATE_READY, cluster.rng.chance(50) ? NODE_AVAILABILITY_DRAIN : NODE_AVAILABILITY_ACTIVE);
        break;
      case 2:
        set_node(n, NODE_STATE_READY, NODE_AVAILABILITY_ACTIVE);
        break;
      case 3:
        cluster.lead();
        break;
      default: {
        auto tasks = cluster.tasks(service);
        std::erase_if(tasks, [](const Task& t) { return !is_running(t); });
        if (!tasks.empty())
          cluster.report(tasks[cluster.rng.below(tasks.size())].id(), TASK_STATE_FAILED);
      }
    }
  }
};

// -- properties ---------------------------------------------------------------------------------------------------------------

// Of one slot, two tasks run at once only if the policy says start-first, and then no more than two.
TEST(service_properties, no_slot_runs_more_tasks_than_the_policy_allows) {
  for (auto seed = first_seed(); seed < first_seed() + seed_count(16); ++seed) {
    SCOPED_TRACE("SWARM_SEED=" + std::to_string(seed));
    const bool start_first = seed % 2 == 0;
    world w{seed, {.start_first = start_first, .parallelism = seed % 3}};
    for (int i = 0; i < 400; ++i) {
      w.step();
      for (const auto& [slot, tasks] : slots_of(w.cluster, w.service)) {
        const auto running = std::count_if(tasks.begin(), tasks.end(), is_running);
        ASSERT_LE(running, start_first ? 2 : 1) << "slot " << slot << " step " << i;
      }
    }
    w.heal();
    ASSERT_TRUE(is_at_rest(w.cluster, w.service));
    ASSERT_NE(w.cluster.service(w.service).update_status().state(), UPDATE_STATE_UPDATING);
  }
}

TEST(service_properties, an_update_never_takes_down_more_slots_than_its_parallelism) {
  for (auto seed = first_seed(); seed < first_seed() + seed_count(16); ++seed) {
    SCOPED_TRACE("SWARM_SEED=" + std::to_string(seed));
    const auto parallelism = 1 + seed % 3;
    world w{seed, {.start_first = false, .parallelism = parallelism, .replicas = 7}};
    for (int i = 0; i < 400; ++i) {
      w.step();
      ASSERT_GE(running_slots(w.cluster, w.service) + parallelism, 7U) << "step " << i;
    }
  }
}

TEST(service_properties, start_first_never_takes_a_slot_down) {
  for (auto seed = first_seed(); seed < first_seed() + seed_count(12); ++seed) {
    SCOPED_TRACE("SWARM_SEED=" + std::to_string(seed));
    world w{seed, {.start_first = true, .parallelism = 2}};
    for (int i = 0; i < 400; ++i) {
      w.step();
      ASSERT_EQ(running_slots(w.cluster, w.service), 6U) << "step " << i;
    }
  }
}

TEST(service_properties, whatever_happens_desired_is_observed_in_the_end) {
  for (auto seed = first_seed(); seed < first_seed() + seed_count(40); ++seed) {
    SCOPED_TRACE("SWARM_SEED=" + std::to_string(seed));
    world w{seed, {.faults = true, .lost_answers = seed % 2 == 0, .start_first = seed % 4 < 2, .parallelism = seed % 3}};
    for (int i = 0; i < 500; ++i) {
      w.step();
      if (i % 50 == 0)
        w.cluster.check_invariants();
    }
    w.heal();
    ASSERT_TRUE(is_at_rest(w.cluster, w.service));
    w.cluster.check_invariants();
    // And a service that is gone leaves nothing.
    w.cluster.write(remove_service(w.service));
    ASSERT_TRUE(w.cluster.settle());
    w.cluster.advance(seconds{120});
    ASSERT_TRUE(w.cluster.settle());
    ASSERT_TRUE(w.cluster.tasks(w.service).empty());
    ASSERT_EQ(w.cluster.service_actors(), 0U);
  }
}

// -- size and speed -----------------------------------------------------------------------------------------------------------

TEST(service_core, ten_thousand_replicas_take_a_handful_of_commands) {
  leader_cluster cluster;
  cluster.keep_log = false;
  for (std::uint64_t n = 1; n <= 100; ++n)
    cluster.add_node(node_id_of(n), "n" + std::to_string(n));
  const auto begin = std::clock(); // processor time: the machine is shared
  cluster.write(create_service(service_id_of(1), service_spec("web", 10'000)));
  ASSERT_TRUE(cluster.settle());
  const auto took = std::clock() - begin;
  EXPECT_EQ(running_slots(cluster, service_id_of(1)), 10'000U);
  EXPECT_LE(cluster.commands, 4U);
  std::cout << "10,000 replicas on 100 nodes, all cores and agents in one thread: "
            << took * 1000 / CLOCKS_PER_SEC << " ms, " << cluster.commands
            << " proposals\n";
}

TEST(service_core, a_command_holds_at_most_ten_thousand_rows) {
  orchestrator::service_core core{service_id{service_id_of(1)}, 1};
  EventBatch batch;
  auto& service = *batch.add_services()->mutable_service();
  service.set_id(service_id_of(1));
  *service.mutable_spec() = service_spec("web", 25'000);
  timestamp now{instant{seconds{1}}, 1};
  auto effects = core.apply(now, batch);
  std::vector<int> sizes;
  while (effects.propose) {
    sizes.push_back(effects.propose->actions(0).create_tasks().tasks_size());
    EXPECT_LT(effects.propose->ByteSizeLong(), 1'400'000U);
    effects = core.proposed(now, {});
  }
  EXPECT_EQ(sizes, (std::vector<int>{10'000, 10'000, 5'000}));
}

TEST(service_core, tasks_of_a_large_command_are_neighbours_and_those_of_a_small_one_are_not) {
  const auto beginnings = [](std::uint64_t replicas) {
    orchestrator::service_core core{service_id{service_id_of(1)}, 1};
    EventBatch batch;
    auto& service = *batch.add_services()->mutable_service();
    service.set_id(service_id_of(1));
    *service.mutable_spec() = service_spec("web", replicas);
    const auto effects = core.apply({instant{seconds{1}}, 1}, batch);
    std::set<std::uint64_t> high, ids;
    for (const auto& task : effects.propose->actions(0).create_tasks().tasks()) {
      high.insert(task_id{task.id()}.hi >> 48);
      ids.insert(task_id{task.id()}.hi);
    }
    EXPECT_EQ(ids.size(), replicas) << "what people see of an id tells tasks apart";
    return high.size();
  };
  EXPECT_GT(beginnings(200), 190u);
  EXPECT_LE(beginnings(5'000), 257u);
}

TEST(service_core, nothing_is_proposed_twice_while_the_first_is_under_way) {
  orchestrator::service_core core{service_id{service_id_of(1)}, 1};
  EventBatch batch;
  auto& service = *batch.add_services()->mutable_service();
  service.set_id(service_id_of(1));
  *service.mutable_spec() = service_spec("web", 3);
  timestamp now{instant{seconds{1}}, 1};
  EXPECT_TRUE(core.apply(now, batch).propose);
  EXPECT_FALSE(core.apply(now, batch).propose);
  EXPECT_FALSE(core.tick(now).propose);
  const auto refused = core.proposed(now, {errc::not_leader, "somebody else leads"});
  EXPECT_FALSE(refused.propose) << "not at once";
  ASSERT_TRUE(refused.wake);
  now.now = *refused.wake;
  EXPECT_TRUE(core.tick(now).propose) << "the decision is made anew";
}

// Simulator, cluster seed 450: the task of an update was lost before it started, and the next one did not wait.
TEST(service_core, what_follows_a_lost_replacement_still_waits_for_the_first_one_to_stop) {
  leader_cluster cluster;
  cluster.add_node(node_id_of(1), "n1");
  const auto service = service_id_of(1);
  cluster.write(create_service(service, service_spec("web", 1)));
  ASSERT_TRUE(cluster.settle());
  cluster.silence(node_id_of(1)); // its task takes its time to stop
  cluster.change_node(node_id_of(1), [](Node& n) { n.mutable_spec()->set_availability(NODE_AVAILABILITY_PAUSE); });
  cluster.add_node(node_id_of(2), "n2");
  const auto before = cluster.service(service);
  auto spec = before.spec();
  spec.mutable_task_template()->set_force_update(1);
  cluster.write(update_service(service, before.meta().version().index(), spec));
  cluster.commit_all();
  cluster.add_node(node_id_of(3), "n3");
  cluster.change_node(node_id_of(2), [](Node& n) { n.mutable_status()->set_state(NODE_STATE_DOWN); });
  cluster.commit_all();
  unsigned waiting = 0;
  for (const auto& task : cluster.tasks(service)) {
    EXPECT_NE(task.desired_state(), TASK_STATE_RUNNING) << cluster.describe(task);
    waiting += task.desired_state() == TASK_STATE_READY ? 1 : 0;
  }
  EXPECT_EQ(waiting, 1u);
}

// Simulator, cluster seed 30772: SCHEDULER placed what an update was taking away, and both ran.
TEST(service_core, a_replacement_waits_until_it_is_certain_that_the_first_one_was_not_placed) {
  orchestrator::service_core core{service_id{service_id_of(1)}, 1};
  timestamp now{instant{seconds{1}}, 1};
  store::core store;
  std::uint64_t index = 0;
  const auto feed = [&](const Command& command) { return core.apply(now, store.apply(++index, command).events); };
  auto effects = feed(create_service(service_id_of(1), service_spec("web", 1)));
  ASSERT_TRUE(effects.propose);
  const auto created = store.apply(++index, *effects.propose);
  (void)core.proposed(now, {});
  (void)core.apply(now, created.events);
  const auto first = created.events.tasks(0).task().id();
  auto spec = service_spec("web", 1);
  spec.mutable_task_template()->set_force_update(1);
  effects = feed(update_service(service_id_of(1), 1, spec));
  ASSERT_TRUE(effects.propose);
  // It was placed before that Command, and we have not heard of it.
  const auto placed = store.apply(++index, update_task(assigned(first, node_id_of(1))));
  (void)store.apply(++index, *effects.propose);
  const auto state = store.snapshot();
  ASSERT_EQ(state.tasks_size(), 2);
  for (const auto& task : state.tasks())
    EXPECT_EQ(task.desired_state(), task.id() == first ? TASK_STATE_SHUTDOWN : TASK_STATE_READY);
}

// Simulator, cluster seed 1051: the end of the monitor period was past, and its actor ticked without a pause.
TEST(service_core, a_removed_service_is_not_woken_for_the_update_that_went_with_it) {
  leader_cluster cluster;
  cluster.add_node(node_id_of(1), "n1");
  const auto service = service_id_of(1);
  cluster.write(create_service(service, service_spec("web", 1)));
  ASSERT_TRUE(cluster.settle());
  const auto before = cluster.service(service);
  auto spec = before.spec();
  spec.mutable_task_template()->set_force_update(1);
  cluster.write(update_service(service, before.meta().version().index(), spec));
  ASSERT_TRUE(cluster.settle());
  cluster.silence(node_id_of(1)); // its task does not stop, so the actor stays
  cluster.write(remove_service(service));
  cluster.commit_all();
  cluster.now.now += seconds{30};
  const auto effects = cluster.deciding(service).tick(cluster.now);
  EXPECT_FALSE(effects.finished);
  EXPECT_TRUE(!effects.wake || *effects.wake > cluster.now.now);
}

TEST(service_core, tasks_on_networks_of_their_own_wait_for_addresses) {
  orchestrator::service_core core{service_id{service_id_of(1)}, 1};
  EventBatch batch;
  auto& host = *batch.add_networks()->mutable_network();
  host.set_id("hostid");
  host.mutable_spec()->set_name("host");
  host.set_predefined(true);
  auto& service = *batch.add_services()->mutable_service();
  service.set_id(service_id_of(1));
  *service.mutable_spec() = service_spec("web", 1);
  service.mutable_spec()->mutable_task_template()->add_networks()->set_target("hostid");
  timestamp now{instant{seconds{1}}, 1};
  auto effects = core.apply(now, batch);
  ASSERT_TRUE(effects.propose);
  const auto& ready = effects.propose->actions(0).create_tasks().tasks(0);
  EXPECT_EQ(ready.status().state(), TASK_STATE_PENDING);
  EXPECT_EQ(ready.status().message(), "pending task scheduling");
  ASSERT_EQ(ready.networks_size(), 1);
  EXPECT_EQ(ready.networks(0).predefined_name(), "host");
  (void) core.proposed(now, {});
  service.mutable_spec()->mutable_task_template()->add_networks()->set_target("overlayid");
  service.mutable_spec()->mutable_mode()->mutable_replicated()->set_replicas(2);
  effects = core.apply(now, batch);
  ASSERT_TRUE(effects.propose);
  EXPECT_EQ(effects.propose->actions(0).create_tasks().tasks(0).status().state(), TASK_STATE_NEW);
}

} // namespace
} // namespace swarm::test
