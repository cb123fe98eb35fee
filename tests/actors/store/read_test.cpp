// Lookups, filters, joins and counts of reads (behaviour §2.3, §2.4, §4.4).
#include <gtest/gtest.h>

#include "actors/store/store_core.hpp"
#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

struct read_test : testing::Test {
  store::core core;
  std::uint64_t index = 0;
  const std::string web = nth_id(1), db = nth_id(2), job = nth_id(3);

  store::applied apply(Command c) { return core.apply(++index, std::move(c)); }

  read_test() {
    auto spec = service_spec("web", 2);
    (*spec.mutable_labels())["tier"] = "front";
    spec.mutable_task_template()->mutable_container_spec()->set_registry_auth("password");
    apply(create_service(web, spec)); // 1
    auto global = service_spec("db");
    global.mutable_mode()->Clear();
    global.mutable_mode()->mutable_global();
    apply(create_service(db, global)); // 2
    auto batch = service_spec("job");
    batch.mutable_mode()->Clear();
    batch.mutable_mode()->mutable_replicated_job()->set_max_concurrent(3);
    apply(create_service(job, batch)); // 3
    apply(put_node(node(nth_id(1, 3), "h1", NODE_ROLE_MANAGER)));
    apply(put_node(node(nth_id(2, 3), "twin")));
    apply(put_node(node(nth_id(3, 3), "twin")));
    apply(create_tasks(web, 1, {task(nth_id(1, 2), 1), task(nth_id(2, 2), 2)}));
    auto global_task = task(nth_id(3, 2), 0);
    global_task.set_node_id(nth_id(1, 3));
    apply(create_tasks(db, 2, {global_task}));
    auto done = task(nth_id(4, 2), 0, TASK_STATE_COMPLETE, TASK_STATE_COMPLETE);
    done.set_job_iteration(0);
    apply(create_tasks(job, 3, {done}));
    apply(update_task(assigned(nth_id(1, 2), nth_id(1, 3))));
    apply(update_task(observed(nth_id(1, 2), TASK_STATE_RUNNING)));
    apply(create_secret("s1", "alpha", "hush"));
    apply(create_secret("s2", "beta"));
  }

  ReadObjects request(ObjectKind kind, const std::string& key = {},
                      std::vector<std::pair<std::string, std::vector<std::string>>> filters = {}) {
    ReadObjects out;
    out.set_kind(kind);
    out.set_key(key);
    for (auto& [name, values] : filters) {
      auto& f = *out.add_filters();
      f.set_key(name);
      for (auto& v : values)
        f.add_values(v);
    }
    return out;
  }
  failure problem(const ReadObjects& r) {
    ObjectsRead out;
    return core.read(r, out);
  }
  ObjectsRead read(const ReadObjects& r) {
    ObjectsRead out;
    const auto bad = core.read(r, out);
    EXPECT_TRUE(bad.ok()) << bad.message;
    return out;
  }
  std::string services(std::vector<std::pair<std::string, std::vector<std::string>>> filters) {
    std::string out;
    const auto found = read(request(OBJECT_KIND_SERVICE, "", std::move(filters)));
    for (const auto& s : found.services())
      out += s.spec().name() + " ";
    return out;
  }
  int tasks(std::vector<std::pair<std::string, std::vector<std::string>>> filters) {
    return read(request(OBJECT_KIND_TASK, "", std::move(filters))).tasks_size();
  }
};

TEST_F(read_test, services_are_found_by_id_name_and_unique_prefix) {
  for (const auto& key : {web, std::string{"web"}, web.substr(0, 25)})
    EXPECT_EQ(read(request(OBJECT_KIND_SERVICE, key)).services(0).id(), web);
  EXPECT_EQ(problem(request(OBJECT_KIND_SERVICE, "nope")), (failure{errc::not_found, "service nope not found"}));
  const auto common = web.substr(0, 24);
  EXPECT_EQ(problem(request(OBJECT_KIND_SERVICE, common)),
            (failure{errc::invalid_argument, "service " + common + " is ambiguous (3 matches found)"}));
}

TEST_F(read_test, nodes_are_found_by_hostname_unless_two_have_it) {
  EXPECT_EQ(read(request(OBJECT_KIND_NODE, "h1")).nodes_size(), 1);
  EXPECT_EQ(problem(request(OBJECT_KIND_NODE, "twin")).message, "node twin is ambiguous (2 matches found)");
}

TEST_F(read_test, tasks_are_found_by_id_full_name_and_prefix_but_not_by_slot) {
  const auto id = nth_id(1, 2);
  EXPECT_EQ(read(request(OBJECT_KIND_TASK, id)).tasks(0).slot(), 1u);
  EXPECT_EQ(read(request(OBJECT_KIND_TASK, "web.1." + id)).tasks_size(), 1);
  EXPECT_EQ(read(request(OBJECT_KIND_TASK, "db." + nth_id(1, 3) + "." + nth_id(3, 2))).tasks_size(), 1);
  EXPECT_EQ(problem(request(OBJECT_KIND_TASK, "web.1")).message, "task web.1 not found");
  EXPECT_EQ(problem(request(OBJECT_KIND_TASK, "web.2." + id)).code, errc::not_found);
  EXPECT_EQ(problem(request(OBJECT_KIND_TASK, id.substr(0, 20))).message,
            "task " + id.substr(0, 20) + " is ambiguous (4 matches found)");
  EXPECT_EQ(problem(request(OBJECT_KIND_TASK, "zzz")).code, errc::not_found);
  EXPECT_EQ(problem(request(OBJECT_KIND_TASK, std::string(400, 'a'))).code, errc::not_found);
  apply(create_tasks(web, 1, {task("f5lxx1zz5pnorynqglhzmsp33", 3)}));
  EXPECT_EQ(read(request(OBJECT_KIND_TASK, "f5lxx1zz5pnoryn")).tasks(0).slot(), 3u) << "the largest id there is";
}

TEST_F(read_test, services_are_filtered) {
  EXPECT_EQ(services({}), "web db job ");
  EXPECT_EQ(services({{"name", {"w", "j"}}}), "web job ");
  EXPECT_EQ(services({{"id", {db}}}), "db ");
  EXPECT_EQ(services({{"label", {"tier"}}}), "web ");
  EXPECT_EQ(services({{"label", {"tier=front"}}}), "web ");
  EXPECT_EQ(services({{"label", {"tier=back"}}}), "");
  EXPECT_EQ(services({{"label", {"tier", "other"}}}), "") << "labels must all be there";
  EXPECT_EQ(services({{"mode", {"global", "replicated-job"}}}), "db job ");
  EXPECT_EQ(services({{"mode", {"bad"}}}), "");
  EXPECT_EQ(services({{"runtime", {"plugin"}}}), "");
  EXPECT_EQ(services({{"name", {"w"}}, {"mode", {"global"}}}), "");
}

TEST_F(read_test, tasks_are_filtered) {
  EXPECT_EQ(tasks({}), 4);
  EXPECT_EQ(tasks({{"service", {"web"}}}), 2);
  EXPECT_EQ(tasks({{"service", {"web", "db"}}}), 3);
  EXPECT_EQ(tasks({{"node", {"h1"}}}), 2);
  EXPECT_EQ(tasks({{"node", {"h1"}}, {"service", {"db"}}}), 1);
  EXPECT_EQ(tasks({{"name", {"web.2"}}}), 1);
  EXPECT_EQ(tasks({{"id", {nth_id(1, 2)}}}), 1);
  EXPECT_EQ(tasks({{"label", {"tier=front"}}}), 2);
  EXPECT_EQ(tasks({{"desired-state", {"running"}}}), 3);
  EXPECT_EQ(tasks({{"desired-state", {"complete", "shutdown"}}}), 1);
  EXPECT_EQ(tasks({{"runtime", {"container"}}}), 4);
  EXPECT_EQ(problem(request(OBJECT_KIND_TASK, "", {{"service", {"nope"}}})).message, "service nope not found");
  EXPECT_EQ(problem(request(OBJECT_KIND_TASK, "", {{"node", {"nope"}}})).message, "node nope not found");
  EXPECT_EQ(problem(request(OBJECT_KIND_TASK, "", {{"desired-state", {"bogus"}}})),
            (failure{errc::internal, "Invalid desired-state filter: 'bogus'"}));
}

TEST_F(read_test, up_to_date_tasks_are_those_of_the_current_spec_and_iteration) {
  EXPECT_EQ(tasks({{"_up-to-date", {"true"}}}), 4);
  apply(update_service(web, 1, service_spec("web", 2, "other")));
  EXPECT_EQ(tasks({{"_up-to-date", {"true"}}, {"service", {"web"}}}), 0);
  EXPECT_EQ(tasks({{"_up-to-date", {"false"}}, {"service", {"web"}}}), 2);
  auto again = read(request(OBJECT_KIND_SERVICE, "job")).services(0).spec();
  apply(update_service(job, 3, again));
  EXPECT_EQ(tasks({{"_up-to-date", {"1"}}, {"service", {"job"}}}), 0);
}

TEST_F(read_test, tasks_come_with_their_templates_and_service_names_once_each) {
  const auto out = read(request(OBJECT_KIND_TASK));
  EXPECT_EQ(out.templates_size(), 3);
  ASSERT_EQ(out.service_names_size(), 3);
  EXPECT_EQ(out.log_index(), index);
  for (const auto& name : out.service_names())
    EXPECT_EQ(name.global(), name.name() == "db");
  for (const auto& row : out.templates())
    EXPECT_EQ(row.spec().container_spec().registry_auth(), "");
  apply(remove_service(web));
  EXPECT_EQ(read(request(OBJECT_KIND_TASK)).service_names_size(), 2);
}

TEST_F(read_test, service_status_counts_as_swarm_does) {
  auto r = request(OBJECT_KIND_SERVICE);
  r.set_with_service_status(true);
  const auto out = read(r);
  const auto text = [](const Service& s) {
    return s.spec().name() + " " + std::to_string(s.service_status().running_tasks()) + "/"
           + std::to_string(s.service_status().desired_tasks()) + "/" + std::to_string(s.service_status().completed_tasks());
  };
  EXPECT_EQ(text(out.services(0)), "web 1/2/0");
  EXPECT_EQ(text(out.services(1)), "db 0/1/0");
  EXPECT_EQ(text(out.services(2)), "job 0/3/1");
}

TEST_F(read_test, nodes_are_filtered) {
  const auto count = [&](const char* key, const char* value) {
    return read(request(OBJECT_KIND_NODE, "", {{key, {value}}})).nodes_size();
  };
  EXPECT_EQ(count("role", "manager"), 1);
  EXPECT_EQ(count("role", "worker"), 2);
  EXPECT_EQ(count("name", "tw"), 2);
  EXPECT_EQ(count("membership", "accepted"), 3);
  EXPECT_EQ(count("membership", "pending"), 0);
  EXPECT_EQ(problem(request(OBJECT_KIND_NODE, "", {{"role", {"x"}}})), (failure{errc::internal, "Invalid role filter: 'x'"}));
}

TEST_F(read_test, secrets_come_without_data_and_configs_with) {
  const auto out = read(request(OBJECT_KIND_SECRET, "", {{"name", {"al"}}}));
  ASSERT_EQ(out.secrets_size(), 1);
  EXPECT_EQ(out.secrets(0).spec().name(), "alpha");
  EXPECT_EQ(out.secrets(0).spec().data(), "");
  EXPECT_EQ(read(request(OBJECT_KIND_SECRET, "", {{"names", {"alpha", "bet"}}})).secrets_size(), 1);
  apply(create_config("c1", "conf", "text"));
  EXPECT_EQ(read(request(OBJECT_KIND_CONFIG, "conf")).configs(0).spec().data(), "text");
  EXPECT_EQ(problem(request(OBJECT_KIND_SECRET, "gamma")).message, "secret gamma not found");
}

TEST_F(read_test, networks_are_filtered_and_predefined_ones_hidden) {
  apply(create_network("n1", "back"));
  auto hidden = create_network("n2", "host");
  hidden.mutable_actions(0)->mutable_put_network()->mutable_network()->set_predefined(true);
  apply(hidden);
  EXPECT_EQ(read(request(OBJECT_KIND_NETWORK)).networks_size(), 1);
  EXPECT_EQ(read(request(OBJECT_KIND_NETWORK, "host")).networks_size(), 1);
  EXPECT_EQ(read(request(OBJECT_KIND_NETWORK, "", {{"driver", {"overlay"}}, {"scope", {"swarm"}}})).networks_size(), 1);
  EXPECT_EQ(read(request(OBJECT_KIND_NETWORK, "", {{"type", {"builtin"}}})).networks_size(), 0);
  EXPECT_EQ(read(request(OBJECT_KIND_NETWORK, "", {{"dangling", {"true"}}})).networks_size(), 1);
  EXPECT_EQ(read(request(OBJECT_KIND_NETWORK, "", {{"dangling", {"false"}}})).networks_size(), 0);
}

TEST_F(read_test, the_cluster_is_an_error_before_there_is_one) {
  EXPECT_EQ(problem(request(OBJECT_KIND_CLUSTER)).code, errc::not_found);
  apply(command([](StoreAction& a) { a.mutable_put_cluster()->mutable_cluster()->set_id("c"); }));
  EXPECT_EQ(read(request(OBJECT_KIND_CLUSTER)).cluster().id(), "c");
}

TEST_F(read_test, an_unknown_kind_is_refused) {
  EXPECT_EQ(problem(request(static_cast<ObjectKind>(77))).code, errc::invalid_argument);
}

} // namespace
} // namespace swarm
