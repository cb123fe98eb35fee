// Random commands: two replicas agree, recovery gives the same state, indexes agree, states and versions only rise.
#include <gtest/gtest.h>

#include <map>

#include "actors/store/store_core.hpp"
#include "runtime/random.hpp"
#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

constexpr TaskState states[] = {TASK_STATE_NEW,     TASK_STATE_PENDING, TASK_STATE_ASSIGNED, TASK_STATE_PREPARING,
                                TASK_STATE_RUNNING, TASK_STATE_COMPLETE, TASK_STATE_FAILED,  TASK_STATE_ORPHANED};

/// A small world, so that the same names, ids and ports meet often.
class generator {
public:
  explicit generator(std::uint64_t seed) : rng_{seed} {}

  Command next(const store::core& core) {
    Command out;
    out.set_machine_version(1);
    out.set_proposed_at(++wall_);
    for (auto n = rng_.between(1, 4); n > 0; --n)
      fill(core, *out.add_actions());
    return out;
  }

private:
  std::string pick(std::uint64_t kind, std::uint64_t count) { return nth_id(rng_.between(1, count), kind); }
  std::uint64_t n(std::uint64_t count) { return rng_.below(count); }

  ServiceSpec spec(const std::string& id) {
    auto out = service_spec("s" + id.substr(24) + (rng_.chance(3) ? "x" : ""), n(5), n(2) == 0 ? "a" : "b");
    if (rng_.chance(10)) {
      out.mutable_mode()->Clear();
      out.mutable_mode()->mutable_global_job();
    }
    for (auto ports = n(3); ports > 0; --ports)
      publish(out, rng_.chance(50) ? 0 : static_cast<std::uint32_t>(30000 + n(3)), static_cast<std::uint32_t>(80 + n(2)),
              rng_.chance(30) ? PUBLISH_MODE_HOST : PUBLISH_MODE_INGRESS);
    if (rng_.chance(30))
      use_secret(out, pick(5, 3), "sec");
    if (rng_.chance(30))
      out.mutable_task_template()->add_networks()->set_target(pick(4, 3));
    return out;
  }

  std::uint64_t version_of(const store::core& core, const std::string& id) {
    ReadObjects request;
    request.set_key(id);
    ObjectsRead found;
    if (rng_.chance(5) || !core.read(request, found).ok())
      return n(50);
    return found.services(0).meta().version().index();
  }

  void fill(const store::core& core, StoreAction& a) {
    const auto service = pick(1, 6);
    switch (n(14)) {
      case 0:
      case 1: a = create_service(service, spec(service)).actions(0); break;
      case 2: a = update_service(service, version_of(core, service), spec(service)).actions(0); break;
      case 3: a = roll_back_service(service, version_of(core, service)).actions(0); break;
      case 4: rng_.chance(30) ? a.mutable_remove_service()->set_id(service) : a.mutable_remove_tasks()->add_task_ids(pick(2, 60)); break;
      case 5:
        a = create_secret(pick(5, 3), "sec").actions(0);
        if (rng_.chance(20))
          a.mutable_remove_secret()->set_id(pick(5, 3));
        break;
      case 6:
        a = create_network(pick(4, 3), "net" + std::to_string(n(3)), rng_.chance(20)).actions(0);
        if (rng_.chance(20))
          a.mutable_remove_network()->set_id(pick(4, 3));
        break;
      case 7: a = put_node(node(pick(3, 4), "h", NODE_ROLE_WORKER, rng_.chance(50) ? NODE_STATE_READY : NODE_STATE_DOWN)).actions(0); break;
      case 8:
        if (rng_.chance(30))
          a.mutable_remove_node()->set_id(pick(3, 4));
        else
          system_write(core, service, *a.mutable_update_service_state());
        break;
      case 9:
      case 10: create(core, service, *a.mutable_create_tasks()); break;
      default: change(*a.mutable_update_tasks()); break;
    }
  }

  void system_write(const store::core& core, const std::string& service, UpdateServiceState& u) {
    u.set_service_id(service);
    u.mutable_update_status()->set_state(static_cast<UpdateState>(n(4)));
    u.set_roll_back(rng_.chance(20));
    ReadObjects request;
    request.set_key(service);
    ObjectsRead found;
    if (rng_.chance(50) && core.read(request, found).ok())
      *u.mutable_endpoint()->mutable_spec() = found.services(0).spec().endpoint_spec();
  }

  void create(const store::core& core, const std::string& service, CreateTasks& c) {
    c.set_service_id(service);
    ReadObjects request;
    request.set_key(service);
    ObjectsRead found;
    c.set_spec_version(core.read(request, found).ok() && rng_.chance(90) ? found.services(0).spec_version() : n(9));
    for (auto tasks = n(5); tasks > 0; --tasks) {
      auto& t = *c.add_tasks() = task(pick(2, 60), n(9));
      if (rng_.chance(20))
        t.set_node_id(pick(3, 4));
      if (rng_.chance(20))
        t.set_job_iteration(n(3));
    }
  }

  void change(UpdateTasks& u) {
    for (auto changes = n(6); changes > 0; --changes) {
      auto& c = *u.add_changes();
      c.set_task_id(pick(2, 60));
      if (rng_.chance(60)) {
        c.mutable_status()->set_state(states[n(8)]);
        c.mutable_status()->set_message("m" + std::to_string(n(4)));
        if (rng_.chance(30))
          c.mutable_status()->mutable_container_status()->set_container_id("c" + std::to_string(n(3)));
      }
      if (rng_.chance(30))
        c.set_desired_state(states[n(8)]);
      if (rng_.chance(30))
        c.set_node_id(pick(3, 4));
      if (rng_.chance(20))
        c.set_reporter_node_id(pick(3, 4));
    }
  }

  random_source rng_;
  std::int64_t wall_ = 0;
};

/// The state tables as STORAGE would hold them.
using disk = std::map<std::pair<int, std::string>, std::string>;

void save(disk& d, const store::table_writes& writes) {
  for (const auto& w : writes)
    if (w.value().empty())
      d.erase({w.table(), w.key()});
    else
      d[{w.table(), w.key()}] = w.value();
}

store::core recover(const disk& d, std::uint64_t applied) {
  store::core out;
  for (const auto& [key, value] : d)
    EXPECT_TRUE(out.load(static_cast<TableWrite::Table>(key.first), key.second, value).ok());
  EXPECT_TRUE(out.loaded(applied).ok());
  return out;
}

/// Tasks and versions as a subscriber sees them, who checks that nothing goes back.
struct watcher {
  std::map<std::string, Task> tasks;
  std::map<std::string, std::uint64_t> versions;

  void watch(const EventBatch& batch) {
    for (const auto& event : batch.tasks()) {
      const auto& t = event.task();
      if (event.kind() == CHANGE_KIND_REMOVED) {
        EXPECT_EQ(tasks.erase(t.id()), 1u);
        continue;
      }
      const auto [it, fresh] = tasks.try_emplace(t.id(), t);
      EXPECT_EQ(fresh, event.kind() == CHANGE_KIND_CREATED);
      if (fresh)
        continue;
      EXPECT_GE(t.status().state(), it->second.status().state());
      EXPECT_GE(t.desired_state(), it->second.desired_state());
      EXPECT_GE(t.meta().version().index(), it->second.meta().version().index());
      EXPECT_TRUE(it->second.node_id().empty() || it->second.node_id() == t.node_id());
      EXPECT_EQ(t.spec_version(), it->second.spec_version());
      it->second = t;
    }
    for (const auto& event : batch.services()) {
      auto& known = versions[event.service().id()];
      EXPECT_GE(event.service().meta().version().index(), known);
      known = event.service().meta().version().index();
    }
  }
};

void run(std::uint64_t seed, int steps) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  generator commands{seed};
  store::core one;
  store::core other;
  disk written;
  watcher subscriber;
  int applied = 0;
  for (std::uint64_t index = 1; index <= static_cast<std::uint64_t>(steps); ++index) {
    const auto command = commands.next(one);
    const auto before = one.digest();
    const auto out = one.apply(index, command);
    const auto same = other.apply(index, command);
    ASSERT_EQ(out.result.SerializeAsString(), same.result.SerializeAsString());
    save(written, out.writes);
    subscriber.watch(out.events);
    one.check_invariants();
    if (out.result.code() != 0) {
      ASSERT_EQ(out.writes.size(), 0);
      EXPECT_NE(before, one.digest()) << "the digest holds the applied index";
    } else {
      ++applied;
    }
    if (index % 50 == 0) { // a crash: from here on the second replica is one that has recovered
      ASSERT_EQ(one.digest(), other.digest());
      other = recover(written, index);
      other.check_invariants();
      disk all;
      save(all, one.rows());
      ASSERT_EQ(written, all) << "what is left of earlier rows would come back";
      ASSERT_EQ(one.digest(), other.digest());
      ASSERT_EQ(one.dump(), other.dump());
    }
  }
  EXPECT_EQ(subscriber.tasks.size(), one.count().tasks);
  EXPECT_GT(applied, steps / 5) << "a generator whose commands are all refused tests nothing";
}

TEST(store_property_test, replicas_agree_recovery_is_exact_and_nothing_goes_back) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    run(seed, 300);
    if (HasFailure())
      return;
  }
}

} // namespace
} // namespace swarm
