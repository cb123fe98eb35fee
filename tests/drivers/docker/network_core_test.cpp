// Bridges for networks of swarm scope: made once, found again, never somebody else's, gone with the last task.
#include "drivers/docker/network_core.hpp"

#include <gtest/gtest.h>

#include "runtime/overload.hpp"

namespace swarm::docker {
namespace {

struct network_core_test : testing::Test {
  network_core core;
  random_source rng{1};
  call_id next = 1;
  instant now{seconds{1}};
  std::vector<make_call> calls;

  static TaskDescription task(const std::string& id, const std::vector<std::string>& networks) {
    TaskDescription out;
    out.set_task_id(id);
    out.set_cluster_id("C");
    std::uint32_t n = 0;
    for (const auto& name : networks) {
      auto& network = *out.add_network_definitions();
      network.set_id("id-" + name);
      network.mutable_spec()->set_name(name);
      network.set_vni(4096 + ++n);
      network.add_ipam()->set_subnet("10.0." + std::to_string(n) + ".0/24");
      network.mutable_ipam(0)->set_gateway("10.0." + std::to_string(n) + ".1");
    }
    return out;
  }
  static std::string row(const std::string& engine, const std::string& name, const std::string& cluster = "C",
                         const std::string& subnet = "10.0.1.0/24") {
    return R"({"Id":")" + engine + R"(","Name":")" + name + R"(","IPAM":{"Config":[{"Subnet":")" + subnet
           + R"("}]},"Labels":{"io.swarm-node.cluster.id":")" + cluster + R"(","io.swarm-node.network.id":"id-)" + name + R"("}})";
  }
  std::string want(const TaskDescription& t) {
    effects out;
    const auto verdict = core.want(t, next, out);
    return (verdict == network_core::verdict::ready ? "ready " : "wait ") + done(out);
  }
  std::string release(const std::string& id) {
    effects out;
    const auto verdict = core.release(id, next, out);
    return (verdict == network_core::verdict::ready ? "ready " : "wait ") + done(out);
  }
  std::string done(effects& out) {
    std::string text;
    for (auto& e : out) {
      auto& call = std::get<make_call>(e);
      text += call.method + " " + call.target.substr(0, call.target.find('?')) + "; ";
      calls.push_back(call);
    }
    for (const auto& [id, error] : core.settled())
      text += id + (error.ok() ? " goes on; " : " fails: " + std::string{to_string(error.code)} + ": " + error.message + "; ");
    core.check_invariants();
    return text;
  }
  std::string answer(const std::string& what, docker::answer a) {
    for (auto it = calls.begin(); it != calls.end(); ++it)
      if ((it->method + " " + it->target).starts_with(what)) {
        const auto id = it->id;
        calls.erase(it);
        EXPECT_TRUE(core.owns(id));
        effects out;
        core.step(now, {id, std::move(a)}, rng, next, out);
        return done(out);
      }
    ADD_FAILURE() << "not called: " << what;
    return {};
  }
  std::string reply(const std::string& what, int status, const std::string& body = "{}") {
    return answer(what, {outcome::answered, status, body, "", "1.41"});
  }
  /// A network that a task is on.
  void make(const std::string& task_id, const std::string& name) {
    (void)want(task(task_id, {name}));
    (void)reply("GET /networks", 200, "[]");
    (void)reply("POST /networks/create", 201, R"({"Id":"e-)" + name + R"("})");
  }
};

TEST_F(network_core_test, a_task_without_networks_waits_for_nothing) { EXPECT_EQ(want(task("t", {})), "ready "); }

TEST_F(network_core_test, the_first_task_makes_its_networks_and_the_second_finds_them) {
  EXPECT_EQ(want(task("a", {"back", "front"})), "wait GET /networks; ");
  EXPECT_EQ(want(task("b", {"back"})), "wait ");
  EXPECT_EQ(reply("GET /networks", 200, "[]"), "POST /networks/create; POST /networks/create; ");
  EXPECT_EQ(reply("POST /networks/create", 201, R"({"Id":"e1"})"), "b goes on; ");
  EXPECT_EQ(reply("POST /networks/create", 201, R"({"Id":"e2"})"), "a goes on; ");
  EXPECT_EQ(core.engine_id("id-back"), "e1");
  EXPECT_EQ(want(task("c", {"front"})), "ready ");
}

TEST_F(network_core_test, what_an_earlier_life_made_is_adopted_by_its_label_and_others_are_left_alone) {
  EXPECT_EQ(want(task("a", {"back"})), "wait GET /networks; ");
  const auto list = "[" + row("e-other", "back", "other cluster") + "," + row("e-mine", "back") + R"(,{"Id":"x","Name":"back","Labels":null}])";
  EXPECT_EQ(reply("GET /networks", 200, list), "a goes on; ");
  EXPECT_EQ(core.engine_id("id-back"), "e-mine");
}

TEST_F(network_core_test, a_network_goes_with_its_last_task_and_the_removal_waits_for_it) {
  make("a", "back");
  EXPECT_EQ(want(task("b", {"back"})), "ready ");
  EXPECT_EQ(release("a"), "ready ");
  EXPECT_EQ(release("b"), "wait DELETE /networks/e-back; ");
  EXPECT_EQ(reply("DELETE", 204), "b goes on; ");
  EXPECT_EQ(core.engine_id("id-back"), "");
  EXPECT_EQ(release("b"), "ready ") << "as often as you like";
}

TEST_F(network_core_test, who_comes_while_it_goes_makes_it_anew) {
  make("a", "back");
  EXPECT_EQ(release("a"), "wait DELETE /networks/e-back; ");
  EXPECT_EQ(want(task("b", {"back"})), "wait ");
  EXPECT_EQ(reply("DELETE", 204), "POST /networks/create; a goes on; ");
  EXPECT_EQ(reply("POST", 201, R"({"Id":"e2"})"), "b goes on; ");
}

TEST_F(network_core_test, a_network_with_somebody_still_on_it_is_removed_later) {
  make("a", "back");
  effects out;
  core.sweep("C", next, out);
  EXPECT_EQ(done(out), "GET /networks; ");
  EXPECT_EQ(reply("GET", 200, "[" + row("e-back", "back") + "]"), "");
  EXPECT_EQ(release("a"), "wait DELETE /networks/e-back; ");
  EXPECT_EQ(reply("DELETE", 403, R"({"message":"network back has active endpoints"})"), "a goes on; ");
  core.tidy(now, next, out = {});
  EXPECT_EQ(done(out), "");
  now += seconds{2};
  core.tidy(now, next, out = {});
  EXPECT_EQ(done(out), "DELETE /networks/e-back; ");
  EXPECT_EQ(reply("DELETE", 404), "");
  EXPECT_EQ(core.ready(), 0u);
}

TEST_F(network_core_test, after_a_restart_networks_that_no_container_is_on_are_removed) {
  core.adopt("a", {"id-back"});
  effects out;
  core.sweep("C", next, out);
  EXPECT_EQ(done(out), "GET /networks; ");
  const auto list = "[" + row("e1", "back") + "," + row("e2", "front", "C", "10.0.2.0/24") + "," + row("e3", "foreign", "D") + "]";
  EXPECT_EQ(reply("GET", 200, list), "DELETE /networks/e2; ");
  EXPECT_EQ(reply("DELETE", 204), "");
  EXPECT_EQ(release("a"), "wait DELETE /networks/e1; ");
}

TEST_F(network_core_test, a_name_that_is_taken_may_be_ours_of_a_lost_answer) {
  EXPECT_EQ(want(task("a", {"back"})), "wait GET /networks; ");
  EXPECT_EQ(reply("GET", 200, "[]"), "POST /networks/create; ");
  EXPECT_EQ(answer("POST", {outcome::unknown, 0, "", "no answer in time", ""}),
            "a fails: deadline_exceeded: network back: no answer in time; ");
  EXPECT_EQ(want(task("a", {"back"})), "wait GET /networks; ");
  EXPECT_EQ(reply("GET", 200, "[" + row("e1", "back") + "]"), "a goes on; ");
}

TEST_F(network_core_test, a_name_that_is_somebody_elses_makes_way_for_one_with_the_id) {
  EXPECT_EQ(want(task("a", {"back"})), "wait GET /networks; ");
  EXPECT_EQ(reply("GET", 200, "[]"), "POST /networks/create; ");
  EXPECT_NE(calls[0].body.find(R"("Name":"back")"), std::string::npos);
  const auto taken = R"({"message":"network with name back already exists"})";
  EXPECT_EQ(reply("POST", 409, taken), "GET /networks; ");
  EXPECT_EQ(reply("GET", 200, "[]"), "POST /networks/create; ");
  EXPECT_NE(calls[0].body.find(R"("Name":"back.id-back")"), std::string::npos);
  EXPECT_EQ(reply("POST", 409, taken), "a fails: invalid_argument: network back: network with name back already exists; ");
}

TEST_F(network_core_test, a_name_that_an_earlier_network_of_ours_still_has_is_waited_for) {
  make("old", "back");
  (void)release("old");
  auto again = task("new", {"back"});
  again.mutable_network_definitions(0)->set_id("id-second");
  EXPECT_EQ(want(again), "wait ") << "made while the other goes, it would take over a bridge that is being deleted";
  EXPECT_EQ(reply("DELETE", 204), "POST /networks/create; old goes on; ");
  EXPECT_NE(calls[0].body.find(R"("Name":"back",)"), std::string::npos);
}

TEST_F(network_core_test, one_that_takes_the_place_of_another_is_not_made_while_tasks_are_on_that) {
  make("old", "back");
  auto again = task("new", {"front"}); // the same subnet and bridge
  EXPECT_EQ(want(again), "wait new fails: unavailable: network front: tasks on this host still use network back, whose place it takes; ");
  EXPECT_EQ(release("old"), "wait DELETE /networks/e-back; ");
  EXPECT_EQ(want(again), "wait ");
  EXPECT_EQ(reply("DELETE", 403, R"({"message":"network back has active endpoints"})"),
            "old goes on; new fails: unavailable: network front: tasks on this host still use network back, whose place it takes; ");
}

TEST_F(network_core_test, an_address_range_that_is_taken_is_waited_for_only_when_it_is_ours) {
  const auto overlap = R"({"message":"Pool overlaps with other one on this address space"})";
  EXPECT_EQ(want(task("a", {"back"})), "wait GET /networks; ");
  EXPECT_EQ(reply("GET", 200, "[]"), "POST /networks/create; ");
  EXPECT_EQ(reply("POST", 403, overlap),
            "a fails: invalid_argument: network back: Pool overlaps with other one on this address space; ");
  (void)release("a");
  EXPECT_EQ(want(task("old", {"old"})), "wait POST /networks/create; "); // has the same subnet
  EXPECT_EQ(reply("POST", 201, R"({"Id":"e-old"})"), "old goes on; ");
  EXPECT_EQ(want(task("b", {"back"})),
            "wait b fails: unavailable: network back: tasks on this host still use network old, whose place it takes; ");
}

TEST_F(network_core_test, an_engine_that_is_away_fails_all_that_wait_and_nothing_is_left_hanging) {
  EXPECT_EQ(want(task("a", {"back", "front"})), "wait GET /networks; ");
  EXPECT_EQ(want(task("b", {"front"})), "wait ");
  EXPECT_EQ(answer("GET", {outcome::nothing, 0, "", "connection refused", ""}),
            "a fails: unavailable: connection refused; b fails: unavailable: connection refused; ");
  EXPECT_EQ(reply((want(task("b", {"front"})), "GET"), 200, "nonsense"),
            "b fails: deadline_exceeded: the engine's answer is not a list of networks; ");
  EXPECT_EQ(release("a"), "ready ");
}

TEST_F(network_core_test, a_network_that_was_lost_is_made_anew_after_a_look) {
  make("a", "back");
  core.forget();
  EXPECT_EQ(want(task("b", {"back"})), "wait GET /networks; ");
  EXPECT_EQ(reply("GET", 200, "[]"), "POST /networks/create; ");
  EXPECT_EQ(reply("POST", 201, R"({"Id":"e2"})"), "b goes on; ");
  EXPECT_EQ(core.engine_id("id-back"), "e2");
}

TEST_F(network_core_test, who_gives_up_waiting_is_not_told_and_what_was_made_for_it_goes) {
  EXPECT_EQ(want(task("a", {"back"})), "wait GET /networks; ");
  EXPECT_EQ(reply("GET", 200, "[]"), "POST /networks/create; ");
  core.stop_waiting("a");
  EXPECT_EQ(release("a"), "ready ");
  EXPECT_EQ(reply("POST", 201, R"({"Id":"e1"})"), "DELETE /networks/e1; ");
  EXPECT_EQ(reply("DELETE", 204), "");
}

TEST(network_body_test, is_a_bridge_with_our_addresses_labels_and_mtu) {
  Network network;
  network.set_id("N");
  network.set_vni(4097);
  network.mutable_spec()->set_name("back");
  network.mutable_spec()->set_internal(true);
  auto& ipam = *network.add_ipam();
  ipam.set_subnet("10.0.1.0/24");
  ipam.set_gateway("10.0.1.1");
  EXPECT_EQ(network_body(network, "C", false),
            R"({"Name":"back","CheckDuplicate":true,"Driver":"bridge","Internal":true,"IPAM":{"Driver":"default","Config":[)"
            R"({"Subnet":"10.0.1.0/24","Gateway":"10.0.1.1","IPRange":"10.0.1.1/32"}]},"Options":{)"
            R"("com.docker.network.bridge.name":"sw-4097","com.docker.network.driver.mtu":"1450"},)"
            R"("Labels":{"io.swarm-node.cluster.id":"C","io.swarm-node.network.id":"N"}})");
  (*network.mutable_spec()->mutable_options())["com.docker.network.driver.mtu"] = "9000";
  EXPECT_NE(network_body(network, "C", true).find(R"("com.docker.network.driver.mtu":"9000")"), std::string::npos);
}

} // namespace
} // namespace swarm::docker
