// Every refusal that depends on the state (behaviour §1.11), with its code and text; and that nothing changes then.
#include <gtest/gtest.h>

#include <functional>

#include "actors/store/store_core.hpp"
#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

const std::string web = nth_id(1);
const std::string sec = nth_id(1, 5);
const std::string conf = nth_id(1, 6);
const std::string net = nth_id(1, 4);

ServiceSpec with_port(const std::string& name, PublishMode mode) {
  auto spec = service_spec(name);
  publish(spec, 8080, 80, mode);
  return spec;
}

struct world {
  store::core core;
  std::uint64_t index = 0;
  store::applied apply(Command c) { return core.apply(++index, std::move(c)); }

  world() {
    apply(create_secret(sec, "ok1"));                               // 1
    apply(create_config(conf, "conf1"));                            // 2
    apply(create_network(net, "back"));                             // 3
    apply(create_network(nth_id(2, 4), "ingress", true));           // 4
    auto spec = with_port("web", PUBLISH_MODE_INGRESS);
    use_secret(spec, sec, "ok1");
    use_config(spec, conf, "conf1");
    spec.mutable_task_template()->add_networks()->set_target(net);
    apply(create_service(web, spec));                               // 5
    auto host = service_spec("hosty");
    publish(host, 9090, 90, PUBLISH_MODE_HOST);
    use_secret(host, sec, "ok1");
    apply(create_service(nth_id(2), host));                         // 6
    auto manager = node("m1", "h1", NODE_ROLE_MANAGER);
    manager.mutable_manager_status()->set_reachability(REACHABILITY_REACHABLE);
    apply(put_node(manager));                                       // 7
    apply(put_node(node("w1", "h2")));                              // 8
    Cluster cluster;
    cluster.set_id("c");
    apply(command([&](StoreAction& a) { *a.mutable_put_cluster()->mutable_cluster() = cluster; })); // 9
  }
};

struct row {
  const char* what;
  std::function<Command()> make;
  errc code;
  std::string text;
};

Command set_spec(const char* id, std::uint64_t version, NodeRole role) {
  return command([&](StoreAction& a) {
    a.mutable_put_node()->set_expected_version(version);
    *a.mutable_put_node()->mutable_node() = node(id, "", role);
  });
}

Command change_secret(std::uint64_t version, const char* name, const char* data) {
  auto out = create_secret(sec, name, data);
  out.mutable_actions(0)->mutable_put_secret()->set_expected_version(version);
  return out;
}

const std::vector<row> rows{
  {"name taken", [] { return create_service(nth_id(9), service_spec("web")); }, errc::already_exists,
   "name conflicts with an existing object: service web already exists"},
  {"id taken", [] { return create_service(web, service_spec("x")); }, errc::already_exists,
   "service " + web + " already exists"},
  {"no id", [] { return create_service("", service_spec("x")); }, errc::invalid_argument, "a service needs an id"},
  {"ingress on ingress", [] { return create_service(nth_id(9), with_port("x", PUBLISH_MODE_INGRESS)); },
   errc::invalid_argument, "port '8080' is already in use by service 'web' (" + web + ") as an ingress port"},
  {"host on ingress", [] { return create_service(nth_id(9), with_port("x", PUBLISH_MODE_HOST)); }, errc::invalid_argument,
   "port '8080' is already in use by service 'web' (" + web + ") as an ingress port"},
  {"ingress on host",
   [] {
     auto spec = service_spec("x");
     publish(spec, 9090, 1);
     return create_service(nth_id(9), spec);
   },
   errc::invalid_argument, "port '9090' is already in use by service 'hosty' (" + nth_id(2) + ") as a host-published port"},
  {"missing secret",
   [] {
     auto spec = service_spec("x");
     use_secret(spec, "nope", "n");
     return create_service(nth_id(9), spec);
   },
   errc::invalid_argument, "secret not found: n"},
  {"secret under another name",
   [] {
     auto spec = service_spec("x");
     use_secret(spec, sec, "other");
     return create_service(nth_id(9), spec);
   },
   errc::invalid_argument, "secret not found: other"},
  {"missing configs",
   [] {
     auto spec = service_spec("x");
     use_config(spec, "nope", "a");
     use_config(spec, "nope", "b");
     return create_service(nth_id(9), spec);
   },
   errc::invalid_argument, "configs not found: a, b"},
  {"missing network",
   [] {
     auto spec = service_spec("x");
     spec.mutable_task_template()->add_networks()->set_target("nope");
     return create_service(nth_id(9), spec);
   },
   errc::not_found, "network nope not found"},
  {"stale version", [] { return update_service(web, 4, service_spec("web")); }, errc::out_of_sequence,
   "update out of sequence"},
  {"unknown service", [] { return update_service("x", 4, service_spec("web")); }, errc::not_found, "service x not found"},
  {"rename", [] { return update_service(web, 5, service_spec("web2")); }, errc::unimplemented,
   "renaming services is not supported"},
  {"mode",
   [] {
     auto spec = service_spec("web");
     spec.mutable_mode()->Clear();
     spec.mutable_mode()->mutable_global();
     return update_service(web, 5, spec);
   },
   errc::unimplemented, "service mode change is not allowed"},
  {"rollback without previous", [] { return roll_back_service(web, 5); }, errc::failed_precondition,
   "service " + web + " does not have a previous spec"},
  {"remove unknown service", [] { return remove_service("x"); }, errc::not_found, "service x not found"},
  {"secret name taken", [] { return create_secret("other", "ok1"); }, errc::already_exists, "secret ok1 already exists"},
  {"secret name taken, in capitals", [] { return create_secret("other", "OK1"); }, errc::already_exists, "secret OK1 already exists"},
  {"config name taken", [] { return create_config("other", "conf1"); }, errc::already_exists, "config conf1 already exists"},
  {"config name taken, in capitals", [] { return create_config("other", "Conf1"); }, errc::already_exists,
   "config Conf1 already exists"},
  {"secret data", [] { return change_secret(1, "ok1", "new"); }, errc::invalid_argument,
   "only updates to Labels are allowed"},
  {"secret name", [] { return change_secret(1, "ok2", ""); }, errc::invalid_argument, "only updates to Labels are allowed"},
  {"secret version", [] { return change_secret(2, "ok1", ""); }, errc::out_of_sequence, "update out of sequence"},
  {"secret in use by two", [] { return command([](StoreAction& a) { a.mutable_remove_secret()->set_id(sec); }); },
   errc::invalid_argument, "secret 'ok1' is in use by the following services: hosty, web"},
  {"config in use by one", [] { return command([](StoreAction& a) { a.mutable_remove_config()->set_id(conf); }); },
   errc::invalid_argument, "config 'conf1' is in use by the following service: web"},
  {"unknown secret", [] { return command([](StoreAction& a) { a.mutable_remove_secret()->set_id("x"); }); },
   errc::not_found, "secret x not found"},
  {"network name taken", [] { return create_network("other", "back"); }, errc::conflict,
   "network with name back already exists"},
  {"network name taken, in capitals", [] { return create_network("other", "Back"); }, errc::conflict,
   "network with name Back already exists"},
  {"second ingress", [] { return create_network("other", "in2", true); }, errc::already_exists,
   "ingress network (" + nth_id(2, 4) + ") is already present"},
  {"network in use", [] { return command([](StoreAction& a) { a.mutable_remove_network()->set_id(net); }); },
   errc::failed_precondition, "network " + net + " is in use by service " + web},
  {"ingress needed", [] { return command([](StoreAction& a) { a.mutable_remove_network()->set_id(nth_id(2, 4)); }); },
   errc::failed_precondition, "ingress network cannot be removed because service " + web + " depends on it"},
  {"last manager", [] { return set_spec("m1", 7, NODE_ROLE_WORKER); }, errc::failed_precondition,
   "attempting to demote the last manager of the swarm"},
  {"node version", [] { return set_spec("w1", 7, NODE_ROLE_WORKER); }, errc::out_of_sequence, "update out of sequence"},
  {"unknown node", [] { return set_spec("x", 7, NODE_ROLE_WORKER); }, errc::not_found, "node x not found"},
  {"removing a manager",
   [] {
     return command([](StoreAction& a) {
       a.mutable_remove_node()->set_id("m1");
       a.mutable_remove_node()->set_force(true);
     });
   },
   errc::failed_precondition,
   "node m1 is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal"},
  {"removing a ready node", [] { return command([](StoreAction& a) { a.mutable_remove_node()->set_id("w1"); }); },
   errc::failed_precondition, "node w1 is not down and can't be removed"},
  {"second cluster", [] { return command([](StoreAction& a) { a.mutable_put_cluster()->mutable_cluster()->set_id("d"); }); },
   errc::already_exists, "cluster c already exists"},
  {"cluster version",
   [] {
     return command([](StoreAction& a) {
       a.mutable_put_cluster()->mutable_cluster()->set_id("c");
       a.mutable_put_cluster()->set_expected_version(1);
     });
   },
   errc::out_of_sequence, "update out of sequence"},
};

TEST(store_refusals_test, each_has_its_code_and_text_and_changes_nothing) {
  world w;
  for (const auto& r : rows) {
    const auto before = w.core.rows();
    const auto out = w.apply(r.make());
    EXPECT_EQ(static_cast<errc>(out.result.code()), r.code) << r.what;
    EXPECT_EQ(out.result.message(), r.text) << r.what;
    EXPECT_EQ(out.writes.size(), 0) << r.what;
    const auto after = w.core.rows();
    ASSERT_EQ(before.size(), after.size()) << r.what;
    for (int i = 0; i < before.size(); ++i)
      EXPECT_EQ(before[i].value(), after[i].value()) << r.what;
    w.core.check_invariants();
  }
}

TEST(store_refusals_test, many_services_may_publish_one_host_port) {
  world w;
  auto spec = service_spec("x");
  publish(spec, 9090, 1, PUBLISH_MODE_HOST);
  EXPECT_EQ(w.apply(create_service(nth_id(9), spec)).result.code(), 0u);
}

TEST(store_refusals_test, a_demotion_that_would_lose_the_quorum_is_refused) {
  world w;
  const auto manager = [](const char* id, Reachability r) {
    auto m = node(id, id, NODE_ROLE_MANAGER);
    m.mutable_manager_status()->set_reachability(r);
    return put_node(m);
  };
  w.apply(manager("m2", REACHABILITY_REACHABLE));
  w.apply(manager("m3", REACHABILITY_UNREACHABLE));
  const auto out = w.apply(set_spec("m1", 7, NODE_ROLE_WORKER));
  EXPECT_EQ(out.result.message(), "can't remove member from the raft: this would result in a loss of quorum");
  EXPECT_EQ(w.apply(set_spec("m3", w.index - 1, NODE_ROLE_WORKER)).result.code(), 0u) << "the dead one may go";
}

TEST(store_refusals_test, a_manager_that_is_no_member_of_the_group_any_more_may_be_removed) {
  world w;
  auto outsider = node("m2", "h3", NODE_ROLE_MANAGER); // as force-new-cluster leaves it
  outsider.mutable_status()->set_state(NODE_STATE_DOWN);
  w.apply(put_node(outsider));
  EXPECT_EQ(w.apply(command([](StoreAction& a) { a.mutable_remove_node()->set_id("m2"); })).result.message(), "");
}

TEST(store_refusals_test, a_network_that_an_update_leaves_is_in_use_until_the_old_tasks_are_to_end) {
  world w;
  const auto remove = command([](StoreAction& a) { a.mutable_remove_network()->set_id(net); });
  w.apply(create_tasks(web, 5, {task(nth_id(2, 2), 2), task(nth_id(1, 2), 1), task(nth_id(3, 2), 3)}));
  w.apply(update_service(web, 5, with_port("web", PUBLISH_MODE_INGRESS)));
  EXPECT_EQ(w.apply(remove).result.message(), "network " + net + " is in use by task " + nth_id(1, 2));
  w.apply(update_task(desired(nth_id(1, 2), TASK_STATE_SHUTDOWN)));
  EXPECT_EQ(w.apply(remove).result.message(), "network " + net + " is in use by task " + nth_id(2, 2));
  w.apply(update_task(observed(nth_id(2, 2), TASK_STATE_FAILED)));
  w.apply(update_task(desired(nth_id(3, 2), TASK_STATE_REMOVE)));
  EXPECT_EQ(w.apply(remove).result.code(), 0u);
}

TEST(store_refusals_test, the_tasks_of_a_removed_service_hold_no_network) {
  world w;
  w.apply(create_tasks(web, 5, {task(nth_id(1, 2), 1)}));
  w.apply(remove_service(web));
  EXPECT_EQ(w.apply(command([](StoreAction& a) { a.mutable_remove_network()->set_id(net); })).result.code(), 0u);
}

TEST(store_refusals_test, what_no_service_uses_any_more_can_go) {
  world w;
  w.apply(remove_service(web));
  w.apply(remove_service(nth_id(2)));
  for (auto fill : std::vector<std::function<void(StoreAction&)>>{
         [](StoreAction& a) { a.mutable_remove_secret()->set_id(sec); },
         [](StoreAction& a) { a.mutable_remove_config()->set_id(conf); },
         [](StoreAction& a) { a.mutable_remove_network()->set_id(net); },
         [](StoreAction& a) { a.mutable_remove_network()->set_id(nth_id(2, 4)); },
         [](StoreAction& a) {
           a.mutable_remove_node()->set_id("w1");
           a.mutable_remove_node()->set_force(true);
         }}) {
    const auto out = w.apply(command(fill));
    EXPECT_EQ(out.result.code(), 0u) << out.result.message();
  }
  EXPECT_EQ(w.core.count().secrets + w.core.count().configs + w.core.count().networks, 0u);
}

TEST(store_refusals_test, labels_of_secrets_can_be_changed) {
  world w;
  auto c = change_secret(1, "ok1", "");
  (*c.mutable_actions(0)->mutable_put_secret()->mutable_secret()->mutable_spec()->mutable_labels())["a"] = "b";
  const auto out = w.apply(c);
  ASSERT_EQ(out.result.code(), 0u);
  EXPECT_EQ(out.events.secrets(0).secret().spec().data(), "s") << "data is kept";
  EXPECT_EQ(out.events.secrets(0).secret().spec().labels().at("a"), "b");
}

} // namespace
} // namespace swarm
