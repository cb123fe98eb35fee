// What STORE does with Commands: versions, templates, task rows, recovery.
#include "actors/store/apply.hpp"
#include "actors/store/store_core.hpp"

#include <gtest/gtest.h>

#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

const std::string web = nth_id(1);

struct fixture : testing::Test {
  store::core core;
  std::uint64_t index = 0;

  store::applied apply(Command c) {
    auto out = core.apply(++index, std::move(c));
    core.check_invariants();
    return out;
  }
  errc code(const store::applied& a) { return static_cast<errc>(a.result.code()); }
  Service service(const std::string& key) {
    ReadObjects request;
    request.set_kind(OBJECT_KIND_SERVICE);
    request.set_key(key);
    ObjectsRead out;
    EXPECT_TRUE(core.read(request, out).ok());
    return out.services_size() == 1 ? out.services(0) : Service{};
  }
  Task task_row(const std::string& id) {
    ReadObjects request;
    request.set_kind(OBJECT_KIND_TASK);
    request.set_key(id);
    ObjectsRead out;
    EXPECT_TRUE(core.read(request, out).ok()) << id;
    return out.tasks_size() == 1 ? out.tasks(0) : Task{};
  }
};

using store_core_test = fixture;

TEST_F(store_core_test, a_new_service_gets_its_log_index_as_version_and_a_template) {
  index = 6;
  const auto out = apply(create_service(web, service_spec("web", 3), 42));
  ASSERT_EQ(code(out), errc::ok);
  EXPECT_EQ(out.result.log_index(), 7u);
  const auto s = service("web");
  EXPECT_EQ(s.meta().version().index(), 7u);
  EXPECT_EQ(s.meta().created_at(), 42);
  EXPECT_EQ(s.spec_version(), 7u);
  EXPECT_FALSE(s.has_previous_spec());
  ASSERT_EQ(out.events.services_size(), 1);
  ASSERT_EQ(out.events.templates_size(), 1);
  EXPECT_EQ(out.events.templates(0).template_().spec_version(), 7u);
  EXPECT_EQ(out.events.wall(), 42);
  EXPECT_EQ(out.writes.size(), 1);
}

TEST_F(store_core_test, a_template_has_a_row_of_its_own_while_its_service_has_another_version_or_is_gone) {
  const auto template_rows = [](const store::applied& out) {
    std::string text;
    for (const auto& row : out.writes)
      if (row.table() == TableWrite::TABLE_TEMPLATE)
        text += (row.value().empty() ? " -" : " +") + std::to_string(static_cast<int>(row.key()[7]));
    return text;
  };
  EXPECT_EQ(template_rows(apply(create_service(web, service_spec("web", 1)))), "");
  EXPECT_EQ(template_rows(apply(create_tasks(web, 1, {task(nth_id(5), 1)}))), "");
  auto other = service_spec("web", 1);
  other.mutable_task_template()->mutable_container_spec()->set_image("other");
  EXPECT_EQ(template_rows(apply(update_service(web, 1, other))), " +1");
  auto third = other;
  third.mutable_task_template()->mutable_container_spec()->set_image("third");
  EXPECT_EQ(template_rows(apply(update_service(web, 3, third))), " +3") << "1 stays: a task is made of it";
  EXPECT_EQ(template_rows(apply(roll_back_service(web, 4))), " -3 +4");
  EXPECT_EQ(template_rows(apply(remove_service(web))), " -4") << "1 stays, 3 was none";
  EXPECT_EQ(template_rows(apply(remove_tasks({nth_id(5)}))), " -1");
}

TEST_F(store_core_test, scaling_and_labels_leave_the_spec_version_alone) {
  apply(create_service(web, service_spec("web", 1)));
  auto spec = service_spec("web", 5);
  (*spec.mutable_labels())["a"] = "b";
  spec.mutable_update_config()->set_parallelism(3);
  const auto out = apply(update_service(web, 1, spec));
  EXPECT_EQ(code(out), errc::ok);
  const auto s = service("web");
  EXPECT_EQ(s.meta().version().index(), 2u);
  EXPECT_EQ(s.spec_version(), 1u);
  EXPECT_EQ(s.previous_spec_version(), 1u);
  EXPECT_EQ(s.previous_spec().mode().replicated().replicas(), 1u);
  EXPECT_EQ(out.events.templates_size(), 0);
}

TEST_F(store_core_test, image_endpoint_and_force_update_raise_the_spec_version) {
  apply(create_service(web, service_spec("web")));
  apply(update_service(web, 1, service_spec("web", 1, "nginx")));
  EXPECT_EQ(service("web").spec_version(), 2u);
  auto spec = service_spec("web", 1, "nginx");
  publish(spec, 80, 80);
  apply(update_service(web, 2, spec));
  EXPECT_EQ(service("web").spec_version(), 3u);
  spec.mutable_task_template()->set_force_update(1);
  apply(update_service(web, 3, spec));
  EXPECT_EQ(service("web").spec_version(), 4u);
}

TEST_F(store_core_test, a_new_password_alone_keeps_the_spec_version_but_reaches_the_template) {
  auto spec = service_spec("web");
  spec.mutable_task_template()->mutable_container_spec()->set_registry_auth("one");
  apply(create_service(web, spec));
  spec.mutable_task_template()->mutable_container_spec()->set_registry_auth("two");
  const auto out = apply(update_service(web, 1, spec));
  EXPECT_EQ(service("web").spec_version(), 1u);
  ASSERT_EQ(out.events.templates_size(), 1);
  EXPECT_EQ(out.events.templates(0).kind(), CHANGE_KIND_UPDATED);
  EXPECT_EQ(out.events.templates(0).template_().spec().container_spec().registry_auth(), "two");
  EXPECT_EQ(service("web").spec().task_template().container_spec().registry_auth(), "") << "never returned";
}

TEST_F(store_core_test, a_users_rollback_swaps_specs_and_a_second_one_rolls_forward) {
  apply(create_service(web, service_spec("web", 1, "a")));
  apply(update_service(web, 1, service_spec("web", 1, "b")));
  apply(roll_back_service(web, 2, 77));
  auto s = service("web");
  EXPECT_EQ(s.spec().task_template().container_spec().image(), "a");
  EXPECT_EQ(s.spec_version(), 1u);
  EXPECT_EQ(s.previous_spec_version(), 2u);
  EXPECT_EQ(s.update_status().state(), UPDATE_STATE_ROLLBACK_STARTED);
  EXPECT_EQ(s.update_status().message(), "manually requested rollback");
  EXPECT_EQ(s.update_status().started_at(), 77);
  apply(roll_back_service(web, 3));
  s = service("web");
  EXPECT_EQ(s.spec().task_template().container_spec().image(), "b");
  EXPECT_EQ(s.spec_version(), 2u);
  EXPECT_EQ(s.meta().version().index(), 4u);
}

TEST_F(store_core_test, a_job_that_is_rolled_back_runs_again) {
  auto spec = service_spec("web", 1, "a");
  spec.mutable_mode()->mutable_replicated_job();
  apply(create_service(web, spec));
  EXPECT_EQ(service("web").job_status().job_iteration().index(), 0u);
  spec.mutable_task_template()->mutable_container_spec()->set_image("b");
  apply(update_service(web, 1, spec));
  const auto before = service("web").job_status().job_iteration().index();
  apply(roll_back_service(web, 2, 77));
  EXPECT_GT(service("web").job_status().job_iteration().index(), before);
  EXPECT_EQ(service("web").job_status().last_execution(), 77);
}

TEST_F(store_core_test, an_automatic_rollback_clears_the_previous_spec_and_only_of_the_version_meant) {
  apply(create_service(web, service_spec("web", 1, "a")));
  apply(update_service(web, 1, service_spec("web", 1, "b")));
  const auto roll = [](std::uint64_t version) {
    return command([&](StoreAction& a) {
      auto& u = *a.mutable_update_service_state();
      u.set_service_id(web);
      u.set_roll_back(true);
      u.set_if_spec_version(version);
      u.mutable_update_status()->set_state(UPDATE_STATE_ROLLBACK_STARTED);
    });
  };
  EXPECT_EQ(code(apply(roll(1))), errc::out_of_sequence);
  EXPECT_EQ(code(apply(roll(2))), errc::ok);
  const auto s = service("web");
  EXPECT_EQ(s.spec_version(), 1u);
  EXPECT_FALSE(s.has_previous_spec());
  EXPECT_EQ(s.meta().version().index(), 4u);
  EXPECT_EQ(core.count().templates, 1u) << "nobody names version 2 any more";
  EXPECT_EQ(code(apply(roll(1))), errc::failed_precondition);
}

TEST_F(store_core_test, system_writes_keep_the_version_that_users_echo) {
  apply(create_service(web, service_spec("web")));
  apply(put_node(node("n1", "h1")));
  apply(command([](StoreAction& a) {
    a.mutable_update_service_state()->set_service_id(web);
    a.mutable_update_service_state()->mutable_update_status()->set_state(UPDATE_STATE_UPDATING);
  }));
  EXPECT_EQ(service("web").update_status().state(), UPDATE_STATE_UPDATING);
  EXPECT_EQ(service("web").meta().version().index(), 1u);
  auto down = node("n1", "h1", NODE_ROLE_WORKER, NODE_STATE_DOWN);
  const auto out = apply(put_node(down));
  ASSERT_EQ(out.events.nodes_size(), 1);
  EXPECT_EQ(out.events.nodes(0).node().meta().version().index(), 2u);
  EXPECT_EQ(out.events.nodes(0).old().status().state(), NODE_STATE_READY);
  EXPECT_EQ(apply(put_node(down)).events.nodes_size(), 0) << "nothing has changed";
  EXPECT_EQ(code(apply(update_service(web, 1, service_spec("web", 2)))), errc::ok);
  EXPECT_FALSE(service("web").has_update_status()) << "a new spec starts without the old update's status";
}

TEST_F(store_core_test, a_system_write_for_another_spec_version_is_skipped) {
  apply(create_service(web, service_spec("web")));
  const auto out = apply(command([](StoreAction& a) {
    a.mutable_update_service_state()->set_service_id(web);
    a.mutable_update_service_state()->set_if_spec_version(9);
    a.mutable_update_service_state()->mutable_update_status()->set_state(UPDATE_STATE_COMPLETED);
  }));
  EXPECT_EQ(code(out), errc::ok);
  EXPECT_EQ(out.events.services_size(), 0);
}

TEST_F(store_core_test, any_update_of_a_job_starts_a_new_iteration) {
  auto spec = service_spec("job");
  spec.mutable_mode()->Clear();
  spec.mutable_mode()->mutable_replicated_job()->set_total_completions(2);
  apply(create_service(web, spec, 10));
  EXPECT_EQ(service("job").job_status().job_iteration().index(), 0u);
  EXPECT_EQ(service("job").job_status().last_execution(), 10);
  (*spec.mutable_labels())["x"] = "y";
  apply(update_service(web, 1, spec, 20));
  EXPECT_EQ(service("job").job_status().job_iteration().index(), 2u);
  EXPECT_EQ(service("job").job_status().last_execution(), 20);
  EXPECT_EQ(service("job").spec_version(), 1u);
}

TEST_F(store_core_test, a_removed_service_frees_its_name_at_once_while_its_tasks_keep_their_template) {
  apply(create_service(web, service_spec("web")));
  apply(create_tasks(web, 1, {task(nth_id(1, 2), 1)}));
  apply(remove_service(web));
  EXPECT_EQ(core.count().services, 0u);
  EXPECT_EQ(core.count().templates, 1u);
  EXPECT_EQ(code(apply(create_service(nth_id(2), service_spec("web")))), errc::ok);
  const auto out = apply(remove_tasks({nth_id(1, 2)}));
  EXPECT_EQ(out.events.templates(0).kind(), CHANGE_KIND_REMOVED);
  EXPECT_EQ(core.count().templates, 1u) << "that of the new service";
}

TEST_F(store_core_test, names_that_differ_in_capital_letters_only_are_one_but_are_looked_up_as_they_are_written) {
  apply(create_service(web, service_spec("Web")));
  const auto second = apply(create_service(nth_id(2), service_spec("wEB")));
  EXPECT_EQ(code(second), errc::already_exists);
  EXPECT_EQ(second.result.message(), "name conflicts with an existing object: service wEB already exists");
  ReadObjects request;
  request.set_kind(OBJECT_KIND_SERVICE);
  request.set_key("web");
  ObjectsRead out;
  EXPECT_EQ(core.read(request, out).code, errc::not_found);
  EXPECT_EQ(service("Web").id(), web);
  Command remove;
  remove.add_actions()->mutable_remove_service()->set_id(web);
  apply(remove);
  EXPECT_EQ(code(apply(create_service(nth_id(2), service_spec("wEB")))), errc::ok);
}

TEST_F(store_core_test, a_command_is_applied_whole_or_not_at_all) {
  apply(create_service(web, service_spec("web")));
  apply(create_tasks(web, 1, {task(nth_id(1, 2), 1)}));
  const auto before = core.rows();
  auto mixed = create_service(nth_id(2), [] {
    auto spec = service_spec("other");
    publish(spec, 8080, 80);
    return spec;
  }());
  mixed.add_actions()->mutable_remove_service()->set_id(web);
  *mixed.add_actions() = remove_tasks({nth_id(1, 2)}).actions(0);
  *mixed.add_actions() = create_secret("sec", "s").actions(0);
  mixed.add_actions()->mutable_remove_config()->set_id("missing");
  const auto out = apply(mixed);
  EXPECT_EQ(code(out), errc::not_found);
  EXPECT_EQ(out.result.message(), "config missing not found");
  EXPECT_EQ(out.writes.size(), 0);
  EXPECT_FALSE(out.events.services_size() > 0 || out.events.tasks_size() > 0);
  const auto after = core.rows();
  ASSERT_EQ(before.size(), after.size());
  for (int i = 0; i < before.size(); ++i)
    EXPECT_EQ(before[i].SerializeAsString(), after[i].SerializeAsString());
}

TEST_F(store_core_test, an_empty_action_is_refused_and_not_fatal) {
  EXPECT_EQ(code(apply(command([](StoreAction&) {}))), errc::invalid_argument);
}

// -- tasks -----------------------------------------------------------------------------------------------------------------

struct task_test : fixture {
  const std::string one = nth_id(1, 2);
  task_test() {
    apply(create_service(web, service_spec("web", 2)));
    apply(put_node(node("n1", "h1")));
    apply(create_tasks(web, 1, {task(one, 1), task(nth_id(2, 2), 2)}));
  }
};

TEST_F(task_test, rows_take_service_version_and_times_from_the_command) {
  const auto row = task_row(one);
  EXPECT_EQ(row.service_id(), web);
  EXPECT_EQ(row.spec_version(), 1u);
  EXPECT_EQ(row.meta().version().index(), 3u);
  EXPECT_EQ(row.meta().created_at(), 1'000);
  EXPECT_EQ(row.status().timestamp(), 1'000);
  EXPECT_EQ(row.status().message(), "created");
  EXPECT_EQ(row.desired_state(), TASK_STATE_RUNNING);
}

TEST_F(task_test, tasks_of_a_gone_service_or_template_and_bad_or_taken_ids_are_skipped) {
  EXPECT_EQ(apply(create_tasks(nth_id(9), 1, {task(nth_id(5, 2), 1)})).events.tasks_size(), 0);
  EXPECT_EQ(apply(create_tasks(web, 99, {task(nth_id(5, 2), 1)})).events.tasks_size(), 0);
  const auto out = apply(create_tasks(web, 1, {task("not an id", 1), task(one, 1), task(nth_id(5, 2), 3)}));
  ASSERT_EQ(out.events.tasks_size(), 1);
  EXPECT_EQ(out.events.tasks(0).task().id(), nth_id(5, 2));
}

TEST_F(task_test, observed_and_desired_states_only_rise) {
  apply(update_task(observed(one, TASK_STATE_RUNNING, "started")));
  EXPECT_EQ(apply(update_task(observed(one, TASK_STATE_PREPARING, "preparing"))).events.tasks_size(), 0);
  EXPECT_EQ(task_row(one).status().state(), TASK_STATE_RUNNING);
  EXPECT_EQ(task_row(one).status().message(), "started");
  apply(update_task(desired(one, TASK_STATE_SHUTDOWN)));
  EXPECT_EQ(apply(update_task(desired(one, TASK_STATE_RUNNING))).events.tasks_size(), 0);
  EXPECT_EQ(task_row(one).desired_state(), TASK_STATE_SHUTDOWN);
}

TEST_F(task_test, the_same_status_twice_changes_nothing_but_a_new_message_in_the_same_state_does) {
  EXPECT_EQ(apply(update_task(observed(one, TASK_STATE_RUNNING, "started"))).events.tasks_size(), 1);
  EXPECT_EQ(apply(update_task(observed(one, TASK_STATE_RUNNING, "started"))).events.tasks_size(), 0);
  EXPECT_EQ(apply(update_task(observed(one, TASK_STATE_RUNNING, "healthy"))).events.tasks_size(), 1);
}

TEST_F(task_test, an_assignment_holds_for_ever) {
  apply(update_task(assigned(one, "n1")));
  EXPECT_EQ(task_row(one).node_id(), "n1");
  auto again = assigned(one, "n2");
  again.clear_status();
  EXPECT_EQ(apply(update_task(again)).events.tasks_size(), 0);
  EXPECT_EQ(task_row(one).node_id(), "n1");
}

TEST_F(task_test, a_status_from_a_node_that_does_not_have_the_task_is_dropped) {
  apply(update_task(assigned(one, "n1")));
  auto foreign = observed(one, TASK_STATE_RUNNING);
  foreign.set_reporter_node_id("n2");
  EXPECT_EQ(apply(update_task(foreign)).events.tasks_size(), 0);
  foreign.set_reporter_node_id("n1");
  EXPECT_EQ(apply(update_task(foreign)).events.tasks_size(), 1);
}

TEST_F(task_test, why_it_is_held_stays_until_it_may_run) {
  const auto held = nth_id(3, 2);
  auto waiting = task(held, 1);
  waiting.set_desired_state(TASK_STATE_READY);
  waiting.set_held("waiting");
  apply(create_tasks(web, 1, {waiting}));
  apply(update_task(assigned(held, "n1")));
  apply(update_task(observed(held, TASK_STATE_READY, "prepared")));
  EXPECT_EQ(task_row(held).held(), "waiting");
  EXPECT_EQ(task_row(held).status().err(), "");
  const auto out = apply(update_task(desired(held, TASK_STATE_RUNNING)));
  ASSERT_EQ(out.events.tasks_size(), 1);
  EXPECT_EQ(out.events.tasks(0).task().held(), "");
  EXPECT_EQ(task_row(held).held(), "");
}

TEST_F(task_test, unknown_and_malformed_task_ids_are_skipped) {
  EXPECT_EQ(apply(update_task(observed("x", TASK_STATE_RUNNING))).events.tasks_size(), 0);
  EXPECT_EQ(apply(update_task(observed(nth_id(77, 2), TASK_STATE_RUNNING))).events.tasks_size(), 0);
  EXPECT_EQ(apply(remove_tasks({"", nth_id(77, 2)})).events.tasks_size(), 0);
}

TEST_F(task_test, rare_fields_survive_status_changes_as_their_owner_says) {
  auto change = assigned(one, "n1");
  auto& gpu = *change.add_assigned_generic_resources()->mutable_named_resource_spec();
  gpu.set_kind("gpu");
  gpu.set_value("UUID1");
  apply(update_task(change));
  auto running = observed(one, TASK_STATE_RUNNING);
  running.mutable_status()->mutable_container_status()->set_container_id("c1");
  running.mutable_status()->mutable_container_status()->set_pid(12);
  running.mutable_status()->mutable_port_status()->add_ports()->set_published_port(80);
  apply(update_task(running));
  auto row = task_row(one);
  EXPECT_EQ(row.assigned_generic_resources(0).named_resource_spec().value(), "UUID1");
  EXPECT_EQ(row.status().container_status().pid(), 12);
  EXPECT_EQ(row.status().port_status().ports(0).published_port(), 80u);
  apply(update_task(observed(one, TASK_STATE_ORPHANED)));
  row = task_row(one);
  EXPECT_EQ(row.assigned_generic_resources_size(), 1);
  EXPECT_FALSE(row.status().has_container_status()) << "a status is replaced whole";
}

TEST_F(task_test, a_removed_node_leaves_its_unfinished_tasks_orphaned) {
  apply(update_task(assigned(one, "n1")));
  apply(update_task(assigned(nth_id(2, 2), "n1")));
  apply(update_task(observed(nth_id(2, 2), TASK_STATE_FAILED)));
  const auto out = apply(command([](StoreAction& a) {
    a.mutable_remove_node()->set_id("n1");
    a.mutable_remove_node()->set_force(true);
  }));
  ASSERT_EQ(out.events.tasks_size(), 1);
  EXPECT_EQ(out.events.tasks(0).task().status().state(), TASK_STATE_ORPHANED);
  EXPECT_EQ(out.events.tasks(0).task().status().message(), "Task belonged to a node that has been deleted");
  EXPECT_EQ(task_row(nth_id(2, 2)).status().state(), TASK_STATE_FAILED);
}

TEST_F(task_test, old_templates_live_as_long_as_tasks_of_their_version) {
  apply(update_service(web, 1, service_spec("web", 2, "b")));
  apply(update_service(web, 4, service_spec("web", 2, "c")));
  EXPECT_EQ(core.count().templates, 3u) << "current, previous, and that of the running tasks";
  apply(remove_tasks({one}));
  EXPECT_EQ(core.count().templates, 3u);
  const auto out = apply(remove_tasks({nth_id(2, 2)}));
  EXPECT_EQ(core.count().templates, 2u);
  EXPECT_EQ(out.events.templates(0).template_().spec_version(), 1u);
}

// -- ports -----------------------------------------------------------------------------------------------------------------

TEST_F(store_core_test, dynamic_ports_are_given_with_the_service_and_stay_across_updates) {
  auto spec = service_spec("web");
  publish(spec, 0, 80);
  publish(spec, 0, 81);
  apply(create_service(web, spec));
  auto s = service("web");
  EXPECT_EQ(s.endpoint().ports(0).published_port(), 30000u);
  EXPECT_EQ(s.endpoint().ports(1).published_port(), 30001u);
  EXPECT_EQ(s.spec().endpoint_spec().ports(0).published_port(), 0u);
  auto other = service_spec("other");
  publish(other, 0, 80);
  apply(create_service(nth_id(2), other));
  EXPECT_EQ(service("other").endpoint().ports(0).published_port(), 30002u);
  spec.mutable_endpoint_spec()->mutable_ports()->DeleteSubrange(0, 1);
  publish(spec, 0, 90);
  apply(update_service(web, 1, spec));
  s = service("web");
  EXPECT_EQ(s.endpoint().ports(0).target_port(), 81u);
  EXPECT_EQ(s.endpoint().ports(0).published_port(), 30001u);
  EXPECT_EQ(s.endpoint().ports(1).published_port(), 30000u) << "the lowest free one";
}

TEST_F(store_core_test, tcp_and_udp_ports_are_counted_apart) {
  auto spec = service_spec("web");
  publish(spec, 53, 53);
  apply(create_service(web, spec));
  auto other = service_spec("other");
  publish(other, 53, 53, PUBLISH_MODE_INGRESS, PORT_PROTOCOL_UDP);
  EXPECT_EQ(code(apply(create_service(nth_id(2), other))), errc::ok);
}

TEST_F(store_core_test, when_dynamic_ports_run_out_the_endpoint_waits_until_one_is_asked_for_again) {
  auto all = service_spec("all");
  for (std::uint32_t port = 30000; port <= 32767; ++port)
    publish(all, port, 80 + port);
  apply(create_service(web, all));
  auto late = service_spec("late");
  publish(late, 0, 80);
  ASSERT_EQ(code(apply(create_service(nth_id(2), late))), errc::ok);
  EXPECT_FALSE(service("late").has_endpoint());
  apply(remove_service(web));
  const auto out = apply(command([&](StoreAction& a) {
    a.mutable_update_service_state()->set_service_id(nth_id(2));
    *a.mutable_update_service_state()->mutable_endpoint()->mutable_spec() = late.endpoint_spec();
  }));
  EXPECT_EQ(out.events.services_size(), 1);
  EXPECT_EQ(service("late").endpoint().ports(0).published_port(), 30000u);
  EXPECT_EQ(service("late").meta().version().index(), 2u);
}

// -- recovery --------------------------------------------------------------------------------------------------------------

store::core reload(const store::core& from, const store::table_writes& rows) {
  store::core out;
  for (auto i = rows.size(); i-- > 0;) // any order will do
    EXPECT_TRUE(out.load(rows[i].table(), rows[i].key(), rows[i].value()).ok());
  EXPECT_TRUE(out.loaded(from.applied_index()).ok());
  out.check_invariants();
  return out;
}

TEST_F(task_test, the_rows_that_were_written_give_the_same_state_back) {
  auto spec = service_spec("ports");
  publish(spec, 0, 80);
  apply(create_service(nth_id(2), spec));
  apply(update_task(assigned(one, "n1")));
  const auto again = reload(core, core.rows());
  EXPECT_EQ(again.digest(), core.digest());
  EXPECT_EQ(again.snapshot().tasks_size(), 2);
  EXPECT_EQ(again.dump(), core.dump());
}

TEST(store_recovery_test, rows_lie_in_the_order_in_which_they_were_made) {
  Secret early, late;
  early.set_id("z");
  early.mutable_meta()->set_created_at(0x0100);
  late.set_id("a");
  late.mutable_meta()->set_created_at(0x01ff);
  EXPECT_EQ(store::row_key(early), std::string("\0\0\0\0\0\0\1\0z", 9));
  EXPECT_LT(store::row_key(early), store::row_key(late));
  TaskTemplate row;
  row.set_service_id("s");
  row.set_spec_version(7);
  EXPECT_EQ(store::row_key(row), std::string("\0\0\0\0\0\0\0\7s", 9));
}

TEST(store_recovery_test, rows_that_make_no_sense_are_refused) {
  const auto load = [](TableWrite::Table table, const std::string& key, const std::string& value) {
    store::core core;
    return core.load(table, key, value).code;
  };
  EXPECT_EQ(load(TableWrite::TABLE_SERVICE, "a", "\xff\xff"), errc::storage_failed);
  Service service;
  service.set_id("b");
  EXPECT_EQ(load(TableWrite::TABLE_SERVICE, "a", service.SerializeAsString()), errc::storage_failed);
  EXPECT_EQ(load(TableWrite::TABLE_TASK, "a", ""), errc::storage_failed);
  EXPECT_EQ(load(static_cast<TableWrite::Table>(99), "a", ""), errc::storage_failed);
  Task task = test::task(nth_id(1), 1);
  task.set_service_id("s");
  store::core core;
  EXPECT_FALSE(core.load(TableWrite::TABLE_TASK, task.id(), task.SerializeAsString()).ok()) << "under another key";
  EXPECT_TRUE(core.load(TableWrite::TABLE_TASK, store::row_key(task), task.SerializeAsString()).ok());
  EXPECT_FALSE(core.load(TableWrite::TABLE_TASK, store::row_key(task), task.SerializeAsString()).ok()) << "twice";
  EXPECT_EQ(core.loaded(1).code, errc::storage_failed) << "without its template";
}

TEST_F(store_core_test, a_removed_node_is_remembered_until_its_certificate_cannot_be_valid_any_more) {
  constexpr std::int64_t day = 86'400'000'000'000;
  Command make;
  make.set_proposed_at(1);
  auto& cluster = *make.add_actions()->mutable_put_cluster()->mutable_cluster();
  cluster.set_id(nth_id(9));
  cluster.mutable_spec()->mutable_ca_config()->set_node_cert_expiry(90 * day);
  for (const auto* id : {"n1", "n2"})
    make.add_actions()->mutable_put_node()->mutable_node()->set_id(id);
  ASSERT_EQ(code(apply(make)), errc::ok);
  const auto remove = [](const std::string& id, std::int64_t at) {
    Command c;
    c.set_proposed_at(at);
    c.add_actions()->mutable_remove_node()->set_id(id);
    return c;
  };
  const auto first = apply(remove("n1", 10 * day));
  ASSERT_EQ(code(first), errc::ok);
  ASSERT_EQ(first.events.clusters_size(), 1);
  const auto& known = first.events.clusters(0).cluster();
  ASSERT_EQ(known.removed_nodes_size(), 1);
  EXPECT_EQ(known.removed_nodes(0).node_id(), "n1");
  EXPECT_EQ(known.removed_nodes(0).until(), 107 * day);
  EXPECT_EQ(known.meta().version().index(), 1u) << "who updates the swarm meanwhile is not out of sequence";

  Command stale; // by a proposer that has not heard of the removal
  *stale.add_actions()->mutable_put_cluster()->mutable_cluster() = cluster;
  stale.mutable_actions(0)->mutable_put_cluster()->set_expected_version(1);
  EXPECT_EQ(apply(stale).events.clusters(0).cluster().removed_nodes_size(), 1);

  const auto second = apply(remove("n2", 200 * day));
  ASSERT_EQ(second.events.clusters(0).cluster().removed_nodes_size(), 1) << "the first has expired";
  EXPECT_EQ(second.events.clusters(0).cluster().removed_nodes(0).node_id(), "n2");
}

} // namespace
} // namespace swarm
