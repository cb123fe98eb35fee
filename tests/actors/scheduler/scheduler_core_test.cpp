// Placement: who goes where, why not, and what happens when a proposal fails.
#include "actors/scheduler/scheduler_core.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <functional>
#include <iostream>

#include "tests/support/builders.hpp"

namespace swarm::scheduler {
namespace {

using test::nth_id;

std::string node_id_of(std::uint64_t n) { return nth_id(n, 2); }
std::string service_id_of(std::uint64_t n) { return nth_id(n, 3); }
std::string task_id_of(std::uint64_t n) { return nth_id(n, 4); }

class scheduler_test : public testing::Test {
protected:
  timestamp now{instant{seconds{100}}, 1'000};
  core placing;
  EventBatch batch;
  std::uint64_t next_task = 1;
  std::map<std::string, TaskChange> last; // of each task
  std::map<std::string, Task> rows;
  std::size_t proposals = 0;

  Node& add_node(std::uint64_t n, const std::function<void(Node&)>& change = [](Node&) {}) {
    auto& node = *batch.add_nodes()->mutable_node();
    node = test::node(node_id_of(n), "n" + std::to_string(n));
    change(node);
    return node;
  }
  TaskTemplate& add_template(std::uint64_t service, std::uint64_t version = 1,
                             const std::function<void(TaskTemplate&)>& change = [](TaskTemplate&) {}) {
    auto& t = *batch.add_templates()->mutable_template_();
    t.set_service_id(service_id_of(service));
    t.set_spec_version(version);
    change(t);
    return t;
  }
  std::string add_task(std::uint64_t service, std::uint64_t node = 0, std::uint64_t version = 1) {
    Task t = test::task(task_id_of(next_task), next_task);
    ++next_task;
    t.set_service_id(service_id_of(service));
    t.set_spec_version(version);
    if (node != 0)
      t.set_node_id(node_id_of(node));
    rows[t.id()] = t;
    *batch.add_tasks()->mutable_task() = t;
    return t.id();
  }
  void add_tasks(std::uint64_t service, std::size_t count, std::uint64_t version = 1) {
    for (std::size_t i = 0; i < count; ++i)
      (void) add_task(service, 0, version);
  }
  void change_task(const std::string& id, TaskState state, TaskState desired = TASK_STATE_RUNNING) {
    auto& t = rows[id];
    t.mutable_status()->set_state(state);
    t.set_desired_state(desired);
    auto& event = *batch.add_tasks();
    event.set_kind(CHANGE_KIND_UPDATED);
    *event.mutable_task() = t;
  }
  // Everything that was added, and every answer; returns what was proposed on the way.
  std::vector<TaskChange> run(const failure& outcome = {}) {
    std::vector<TaskChange> out;
    auto what = placing.apply(now, std::exchange(batch, {}));
    while (!what.proposals.empty()) {
      effects next;
      for (auto& p : what.proposals) {
        ++proposals;
        EXPECT_LT(p.command.ByteSizeLong(), 1'500'000U);
        for (const auto& change : p.command.actions(0).update_tasks().changes())
          out.push_back(change);
        auto more = placing.proposed(now, p.ticket, outcome);
        std::move(more.proposals.begin(), more.proposals.end(), std::back_inserter(next.proposals));
      }
      what = std::move(next);
    }
    if (outcome.ok())
      for (const auto& change : out)
        commit(change);
    placing.check_invariants();
    return out;
  }
  void commit(const TaskChange& change) {
    last[change.task_id()] = change;
    auto& t = rows[change.task_id()];
    if (!change.node_id().empty())
      t.set_node_id(change.node_id());
    *t.mutable_status() = change.status();
    *t.mutable_assigned_generic_resources() = change.assigned_generic_resources();
    auto& event = *batch.add_tasks();
    event.set_kind(CHANGE_KIND_UPDATED);
    *event.mutable_task() = t;
  }
  std::uint64_t node_of(const std::string& task) const {
    const auto& id = rows.at(task).node_id();
    return id.empty() ? 0 : id128::parse(id).lo;
  }
  std::map<std::uint64_t, std::size_t> per_node() const {
    std::map<std::uint64_t, std::size_t> out;
    for (const auto& [id, t] : rows)
      if (!t.node_id().empty() && t.status().state() <= TASK_STATE_RUNNING)
        ++out[id128::parse(t.node_id()).lo];
    return out;
  }
  std::string err_of(const std::string& task) const { return rows.at(task).status().err(); }
};

// -- choice -------------------------------------------------------------------------------------------------------------------

TEST_F(scheduler_test, spreads_a_group_evenly) {
  for (std::uint64_t n = 1; n <= 3; ++n)
    add_node(n);
  add_template(1);
  add_tasks(1, 9);
  run();
  EXPECT_EQ(per_node(), (std::map<std::uint64_t, std::size_t>{{1, 3}, {2, 3}, {3, 3}}));
  EXPECT_EQ(proposals, 1U) << "one Command for the group";
  EXPECT_EQ(last.begin()->second.status().message(), "scheduler assigned task to node");
}

TEST_F(scheduler_test, prefers_nodes_with_fewest_tasks_of_the_service_then_fewest_of_all) {
  for (std::uint64_t n = 1; n <= 3; ++n)
    add_node(n, [&](Node& node) {
      if (n != 1)
        node.mutable_spec()->set_availability(NODE_AVAILABILITY_PAUSE);
    });
  add_template(1);
  add_template(2);
  add_tasks(1, 2); // both on node 1
  run();
  batch.Clear();
  add_node(2);
  add_node(3);
  const auto of_two = add_task(2);
  run();
  EXPECT_EQ(node_of(of_two), 2U) << "nodes 2 and 3 are empty";
  const auto next = add_task(2);
  run();
  EXPECT_EQ(node_of(next), 3U);
  const auto third = add_task(2);
  run();
  EXPECT_EQ(node_of(third), 1U) << "more tasks in all, but none of this service";
}

TEST_F(scheduler_test, avoids_a_node_on_which_the_spec_keeps_failing) {
  add_node(1);
  add_node(2);
  add_template(1);
  for (int i = 0; i < 5; ++i) {
    const auto id = add_task(1);
    run();
    const auto where = node_of(id);
    change_task(id, TASK_STATE_FAILED);
    run();
    EXPECT_EQ(where, 1U) << "equal nodes are taken in their order";
  }
  const auto sixth = add_task(1);
  run();
  EXPECT_EQ(node_of(sixth), 2U);
  // Another spec has nothing to do with it, and after five minutes all is forgotten.
  add_template(1, 2);
  const auto other = add_task(1, 0, 2);
  run();
  EXPECT_EQ(node_of(other), 1U);
  change_task(other, TASK_STATE_COMPLETE);
  change_task(sixth, TASK_STATE_COMPLETE);
  run();
  now.now += minutes{6};
  const auto later = add_task(1);
  run();
  EXPECT_EQ(node_of(later), 1U);
}

TEST_F(scheduler_test, spread_preferences_divide_tasks_between_buckets_first) {
  const auto zone = [&](std::uint64_t n, const std::string& zone, const std::string& rack) {
    add_node(n, [&](Node& node) {
      (*node.mutable_spec()->mutable_labels())["zone"] = zone;
      (*node.mutable_spec()->mutable_labels())["rack"] = rack;
    });
  };
  zone(1, "east", "a");
  zone(2, "east", "a");
  zone(3, "east", "b");
  zone(4, "west", "a");
  add_node(5); // no label: a bucket of its own
  add_template(1, 1, [](TaskTemplate& t) {
    for (const auto* key : {"node.labels.zone", "node.labels.rack"})
      t.mutable_spec()->mutable_placement()->add_preferences()->mutable_spread()->set_spread_descriptor(key);
  });
  add_tasks(1, 12);
  run();
  EXPECT_EQ(per_node(), (std::map<std::uint64_t, std::size_t>{{1, 1}, {2, 1}, {3, 2}, {4, 4}, {5, 4}}));
}

TEST_F(scheduler_test, a_full_bucket_leaves_its_share_to_the_others) {
  for (std::uint64_t n = 1; n <= 2; ++n)
    add_node(n, [&](Node& node) {
      (*node.mutable_spec()->mutable_labels())["zone"] = n == 1 ? "east" : "west";
      node.mutable_description()->mutable_resources()->set_memory_bytes(n == 1 ? 10 : 100);
    });
  add_template(1, 1, [](TaskTemplate& t) {
    t.mutable_spec()->mutable_placement()->add_preferences()->mutable_spread()->set_spread_descriptor("node.labels.zone");
    t.mutable_spec()->mutable_resources()->mutable_reservations()->set_memory_bytes(5);
  });
  add_tasks(1, 10);
  run();
  EXPECT_EQ(per_node(), (std::map<std::uint64_t, std::size_t>{{1, 2}, {2, 8}}));
}

// -- filters and explanations ---------------------------------------------------------------------------------------------------

TEST_F(scheduler_test, says_why_nothing_fits_most_frequent_reason_first) {
  add_node(1, [](Node& n) { n.mutable_status()->set_state(NODE_STATE_DOWN); });
  add_node(2);
  add_node(3);
  add_template(1, 1, [](TaskTemplate& t) {
    t.mutable_spec()->mutable_resources()->mutable_reservations()->set_memory_bytes(5);
  });
  const auto id = add_task(1);
  run();
  EXPECT_EQ(err_of(id), "no suitable node (insufficient resources on 2 nodes; 1 node not available for new tasks)");
  EXPECT_EQ(rows[id].status().state(), TASK_STATE_PENDING);
  EXPECT_EQ(rows[id].status().message(), "pending task scheduling");
}

TEST_F(scheduler_test, every_filter_has_its_text) {
  const auto text = [&](const std::function<void(TaskTemplate&)>& change) {
    static std::uint64_t service = 100;
    add_template(++service, 1, change);
    const auto id = add_task(service);
    run();
    return err_of(id);
  };
  const auto host_port = [](TaskTemplate& t) {
    auto& port = *t.mutable_endpoint_spec()->add_ports();
    port.set_publish_mode(PUBLISH_MODE_HOST);
    port.set_published_port(80);
  };
  add_node(1);
  EXPECT_EQ(text([](TaskTemplate& t) { t.mutable_spec()->mutable_placement()->add_constraints("node.labels.x==y"); }),
            "no suitable node (scheduling constraints not satisfied on 1 node)");
  EXPECT_EQ(text([](TaskTemplate& t) { t.mutable_spec()->mutable_placement()->add_platforms()->set_os("windows"); }),
            "no suitable node (unsupported platform on 1 node)");
  EXPECT_EQ(text([](TaskTemplate& t) {
              auto& m = *t.mutable_spec()->mutable_container_spec()->add_mounts();
              m.set_type(MOUNT_TYPE_VOLUME);
              m.mutable_volume_options()->mutable_driver_config()->set_name("rexray");
            }),
            "no suitable node (missing plugin on 1 node)");
  EXPECT_EQ(text([](TaskTemplate& t) {
              auto& g = *t.mutable_spec()->mutable_resources()->mutable_reservations()->add_generic_resources();
              g.mutable_discrete_resource_spec()->set_kind("gpu");
              g.mutable_discrete_resource_spec()->set_value(1);
            }),
            "no suitable node (insufficient resources on 1 node)");
  EXPECT_EQ(text(host_port), "") << "the first one fits";
  EXPECT_EQ(text(host_port), "no suitable node (host-mode port already in use on 1 node)");
  const auto one_each = [](TaskTemplate& t) { t.mutable_spec()->mutable_placement()->set_max_replicas(1); };
  add_template(50, 1, one_each);
  add_tasks(50, 2);
  const auto ids = run();
  EXPECT_EQ(ids.back().status().err(), "no suitable node (max replicas per node limit exceed)");
}

TEST_F(scheduler_test, without_any_node_there_is_no_reason_to_give) {
  add_template(1);
  const auto id = add_task(1);
  run();
  EXPECT_EQ(err_of(id), "no suitable node");
}

TEST_F(scheduler_test, platforms_are_compared_by_either_name) {
  add_node(1, [](Node& n) {
    n.mutable_description()->mutable_platform()->set_os("linux");
    n.mutable_description()->mutable_platform()->set_architecture("x86_64");
  });
  add_template(1, 1, [](TaskTemplate& t) {
    auto& p = *t.mutable_spec()->mutable_placement()->add_platforms();
    p.set_os("linux");
    p.set_architecture("amd64");
  });
  const auto id = add_task(1);
  run();
  EXPECT_EQ(node_of(id), 1U);
}

TEST_F(scheduler_test, plugins_are_found_with_their_tag_and_kinds_that_a_node_does_not_report_are_not_asked_for) {
  add_node(1, [](Node& n) {
    auto& p = *n.mutable_description()->mutable_engine()->add_plugins();
    p.set_type("Volume");
    p.set_name("vieux/sshfs:latest");
  });
  add_template(1, 1, [](TaskTemplate& t) {
    auto& m = *t.mutable_spec()->mutable_container_spec()->add_mounts();
    m.set_type(MOUNT_TYPE_VOLUME);
    m.mutable_volume_options()->mutable_driver_config()->set_name("vieux/sshfs");
    t.mutable_spec()->mutable_log_driver()->set_name("gelf");
  });
  const auto id = add_task(1);
  run();
  EXPECT_EQ(node_of(id), 1U);
}

TEST_F(scheduler_test, an_explanation_is_written_again_only_when_it_changes) {
  add_node(1);
  add_template(1, 1, [](TaskTemplate& t) { t.mutable_spec()->mutable_placement()->add_constraints("node.labels.x==y"); });
  add_tasks(1, 3);
  EXPECT_EQ(run().size(), 3U);
  EXPECT_EQ(run().size(), 0U) << "our own events";
  now.now += seconds{2};
  add_node(1);
  EXPECT_EQ(run().size(), 0U) << "the same text";
  add_node(2);
  EXPECT_EQ(run().size(), 3U);
  EXPECT_EQ(err_of(task_id_of(1)), "no suitable node (scheduling constraints not satisfied on 2 nodes)");
  add_node(3);
  EXPECT_EQ(run().size(), 0U) << "not twice within a second";
  now.now += seconds{1};
  auto what = placing.tick(now);
  ASSERT_EQ(what.proposals.size(), 1U);
  EXPECT_EQ(what.proposals[0].command.actions(0).update_tasks().changes_size(), 3);
}

TEST_F(scheduler_test, waiting_tasks_are_placed_when_something_helps) {
  add_node(1, [](Node& n) { n.mutable_description()->mutable_resources()->set_nano_cpus(2); });
  add_template(1, 1, [](TaskTemplate& t) {
    t.mutable_spec()->mutable_resources()->mutable_reservations()->set_nano_cpus(1);
  });
  add_tasks(1, 4);
  run();
  EXPECT_EQ(per_node()[1], 2U);
  std::string running;
  for (const auto& [id, t] : rows)
    if (!t.node_id().empty())
      running = id;
  change_task(running, TASK_STATE_RUNNING, TASK_STATE_SHUTDOWN);
  run();
  EXPECT_EQ(per_node()[1], 2U) << "its resources are its own until it has stopped";
  change_task(running, TASK_STATE_SHUTDOWN, TASK_STATE_SHUTDOWN);
  run();
  EXPECT_EQ(per_node()[1], 2U);
  add_node(1, [](Node& n) { n.mutable_description()->mutable_resources()->set_nano_cpus(3); });
  run();
  EXPECT_EQ(per_node()[1], 3U);
}

// -- preassigned ------------------------------------------------------------------------------------------------------------------

TEST_F(scheduler_test, a_preassigned_task_is_confirmed_or_told_why_not) {
  add_node(1);
  add_node(2, [](Node& n) { n.mutable_spec()->set_availability(NODE_AVAILABILITY_PAUSE); });
  add_template(1);
  const auto good = add_task(1, 1);
  const auto bad = add_task(1, 2);
  run();
  EXPECT_EQ(rows[good].status().state(), TASK_STATE_ASSIGNED);
  EXPECT_EQ(rows[good].status().message(), "scheduler confirmed task can run on preassigned node");
  EXPECT_EQ(err_of(bad), "1 node not available for new tasks");
  add_node(2);
  run();
  EXPECT_EQ(rows[bad].status().state(), TASK_STATE_ASSIGNED);
}

TEST_F(scheduler_test, preassigned_tasks_take_their_room_before_others) {
  add_node(1, [](Node& n) { n.mutable_description()->mutable_resources()->set_memory_bytes(10); });
  for (std::uint64_t s = 1; s <= 2; ++s)
    add_template(s, 1, [](TaskTemplate& t) {
      t.mutable_spec()->mutable_resources()->mutable_reservations()->set_memory_bytes(10);
    });
  const auto floating = add_task(1);
  const auto fixed = add_task(2, 1);
  run();
  EXPECT_EQ(rows[fixed].status().state(), TASK_STATE_ASSIGNED);
  EXPECT_EQ(err_of(floating), "no suitable node (insufficient resources on 1 node)");
}

// -- generic resources ----------------------------------------------------------------------------------------------------------------

TEST_F(scheduler_test, generic_resources_are_chosen_stored_and_given_back) {
  add_node(1, [](Node& n) {
    auto& r = *n.mutable_description()->mutable_resources();
    for (const auto* value : {"uuid-b", "uuid-a"}) {
      auto& g = *r.add_generic_resources()->mutable_named_resource_spec();
      g.set_kind("gpu");
      g.set_value(value);
    }
    auto& ssd = *r.add_generic_resources()->mutable_discrete_resource_spec();
    ssd.set_kind("ssd");
    ssd.set_value(3);
  });
  add_template(1, 1, [](TaskTemplate& t) {
    auto& r = *t.mutable_spec()->mutable_resources()->mutable_reservations();
    for (const auto& [kind, count] : std::map<std::string, int>{{"gpu", 1}, {"ssd", 1}}) {
      auto& g = *r.add_generic_resources()->mutable_discrete_resource_spec();
      g.set_kind(kind);
      g.set_value(count);
    }
  });
  add_tasks(1, 3);
  run();
  const auto& first = rows[task_id_of(1)].assigned_generic_resources();
  ASSERT_EQ(first.size(), 2);
  EXPECT_EQ(first[0].named_resource_spec().value(), "uuid-a");
  EXPECT_EQ(first[1].discrete_resource_spec().value(), 1);
  EXPECT_EQ(rows[task_id_of(2)].assigned_generic_resources(0).named_resource_spec().value(), "uuid-b");
  EXPECT_EQ(err_of(task_id_of(3)), "no suitable node (insufficient resources on 1 node)");
  change_task(task_id_of(2), TASK_STATE_COMPLETE);
  run();
  EXPECT_EQ(rows[task_id_of(3)].assigned_generic_resources(0).named_resource_spec().value(), "uuid-b");
}

// -- failures and leaders ---------------------------------------------------------------------------------------------------------------

TEST_F(scheduler_test, a_failed_proposal_is_taken_back_and_made_again) {
  add_node(1);
  add_template(1);
  const auto id = add_task(1);
  const auto lost = run({errc::not_leader, "gone"});
  EXPECT_EQ(lost.size(), 1U);
  EXPECT_EQ(placing.count().waiting, 1U);
  const auto early = placing.tick(now);
  EXPECT_TRUE(early.proposals.empty());
  ASSERT_TRUE(early.wake);
  now.now = *early.wake;
  EXPECT_EQ(run().size(), 1U);
  EXPECT_EQ(node_of(id), 1U);
}

TEST_F(scheduler_test, nothing_is_proposed_twice) {
  add_node(1);
  add_template(1);
  const auto id = add_task(1);
  const auto first = placing.apply(now, std::exchange(batch, {}));
  ASSERT_EQ(first.proposals.size(), 1U);
  change_task(id, TASK_STATE_PENDING);
  EXPECT_TRUE(placing.apply(now, std::exchange(batch, {})).proposals.empty());
}

TEST_F(scheduler_test, a_task_that_must_not_run_any_more_is_ended_before_it_began) {
  add_template(1);
  const auto id = add_task(1);
  run();
  change_task(id, TASK_STATE_PENDING, TASK_STATE_SHUTDOWN);
  run();
  EXPECT_EQ(rows[id].status().state(), TASK_STATE_SHUTDOWN);
  batch.Clear();
  change_task(id, TASK_STATE_SHUTDOWN, TASK_STATE_SHUTDOWN);
  run();
  EXPECT_EQ(placing.count().tasks, 0U);
}

TEST_F(scheduler_test, a_new_leader_counts_what_is_already_placed) {
  StoreSnapshot snapshot;
  for (std::uint64_t n = 1; n <= 2; ++n) {
    *snapshot.add_nodes() = test::node(node_id_of(n), "n");
    snapshot.mutable_nodes(static_cast<int>(n - 1))->mutable_description()->mutable_resources()->set_memory_bytes(20);
  }
  auto& t = *snapshot.add_templates();
  t.set_service_id(service_id_of(1));
  t.set_spec_version(1);
  t.mutable_spec()->mutable_resources()->mutable_reservations()->set_memory_bytes(10);
  for (std::uint64_t n = 1; n <= 5; ++n) {
    auto& task = *snapshot.add_tasks();
    task = test::task(task_id_of(n), n, n <= 3 ? TASK_STATE_RUNNING : TASK_STATE_PENDING);
    task.set_service_id(service_id_of(1));
    task.set_spec_version(1);
    if (n <= 3)
      task.set_node_id(node_id_of(n == 3 ? 2 : 1));
  }
  const auto what = placing.load(now, snapshot);
  placing.check_invariants();
  ASSERT_EQ(what.proposals.size(), 1U);
  const auto& changes = what.proposals[0].command.actions(0).update_tasks();
  ASSERT_EQ(changes.changes_size(), 2);
  EXPECT_EQ(changes.changes(0).node_id(), node_id_of(2));
  EXPECT_EQ(changes.changes(1).status().err(), "no suitable node (insufficient resources on 2 nodes)");
}

TEST_F(scheduler_test, forgets_services_and_tasks_that_are_gone) {
  add_node(1);
  for (int round = 0; round < 50; ++round) {
    add_template(static_cast<std::uint64_t>(round) + 1);
    const auto id = add_task(static_cast<std::uint64_t>(round) + 1);
    run();
    auto& gone = *batch.add_tasks();
    gone.set_kind(CHANGE_KIND_REMOVED);
    *gone.mutable_task() = rows[id];
    auto& t = *batch.add_templates();
    t.set_kind(CHANGE_KIND_REMOVED);
    t.mutable_template_()->set_service_id(service_id_of(static_cast<std::uint64_t>(round) + 1));
    t.mutable_template_()->set_spec_version(1);
    run();
  }
  EXPECT_EQ(placing.count().tasks, 0U);
  EXPECT_EQ(placing.count().groups, 0U);
}

// -- speed -----------------------------------------------------------------------------------------------------------------------------

TEST_F(scheduler_test, a_hundred_thousand_tasks_on_a_thousand_nodes) {
  for (std::uint64_t n = 1; n <= 1000; ++n)
    add_node(n, [&](Node& node) {
      (*node.mutable_spec()->mutable_labels())["zone"] = std::to_string(n % 10);
      node.mutable_description()->mutable_resources()->set_memory_bytes(std::int64_t{1} << 40);
    });
  add_template(1, 1, [](TaskTemplate& t) {
    t.mutable_spec()->mutable_placement()->add_constraints("node.role==worker");
    t.mutable_spec()->mutable_placement()->add_preferences()->mutable_spread()->set_spread_descriptor("node.labels.zone");
    t.mutable_spec()->mutable_resources()->mutable_reservations()->set_memory_bytes(1 << 20);
  });
  add_tasks(1, 100'000);
  auto events = std::exchange(batch, {});
  const auto begin = std::clock(); // processor time: the machine is shared
  auto what = placing.apply(now, events);
  std::size_t placed = 0;
  while (!what.proposals.empty()) {
    effects next;
    for (auto& p : what.proposals) {
      placed += static_cast<std::size_t>(p.command.actions(0).update_tasks().changes_size());
      auto more = placing.proposed(now, p.ticket, {});
      std::move(more.proposals.begin(), more.proposals.end(), std::back_inserter(next.proposals));
    }
    what = std::move(next);
  }
  const auto took = std::clock() - begin;
  EXPECT_EQ(placed, 100'000U);
  placing.check_invariants();
  const auto us = static_cast<double>(took) * 1e6 / CLOCKS_PER_SEC;
  std::cout << "100,000 tasks on 1,000 nodes, spread and constraint: " << us / 1000 << " ms, " << us / 100'000
            << " us per placement\n";
}

} // namespace
} // namespace swarm::scheduler
