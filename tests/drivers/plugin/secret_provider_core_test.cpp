// The steps of a fetch, its deadline, and how much runs and waits.
#include "drivers/plugin/secret_provider_core.hpp"

#include <gtest/gtest.h>

#include "runtime/overload.hpp"

namespace swarm::plugin {
namespace {

constexpr instant start{seconds{100}};
const std::string good_value = R"({"Value":"aGk="})";
const std::string activated = R"({"Implements":["secretprovider"]})";

FetchSecret request(const std::string& driver, const std::string& secret = "pw") {
  FetchSecret out;
  out.set_driver(driver);
  out.set_secret_name(secret);
  return out;
}

struct secret_provider_core : testing::Test {
  instant now = start;

  static std::string show(const effects& todo) {
    std::string out;
    for (const auto& one : todo)
      out += std::visit(overload{
                            [](const call_engine& e) { return "engine " + std::to_string(e.id) + " " + e.target; },
                            [](const search& e) { return "search " + std::to_string(e.id) + " " + e.name; },
                            [](const call_plugin& e) {
                              return "call " + std::to_string(e.id) + " " +
                                     (e.at.tcp_host.empty() ? e.at.socket_path : e.at.tcp_host) + " " + e.target +
                                     (e.body.empty() ? "" : " " + e.body);
                            },
                            [](const reply& e) {
                              return "reply " + std::to_string(e.id) + " " +
                                     (e.problem.ok() ? "value " + e.answer.value() : e.problem.message);
                            },
                        },
                        one) +
             "; ";
    return out;
  }
  std::string told(core& c, const effects& todo) {
    c.check_invariants();
    return show(todo);
  }
};

TEST_F(secret_provider_core, a_socket_is_activated_and_then_asked) {
  core c{{.has_engine = false}};
  EXPECT_EQ(told(c, c.add(now, 1, request("vault"))), "search 1 vault; ");
  EXPECT_EQ(told(c, c.searched(now, 1, {}, {"/p/vault.sock", "", 0})), "call 1 /p/vault.sock /Plugin.Activate; ");
  EXPECT_EQ(told(c, c.plugin_answered(now, 1, {200, activated})),
            "call 1 /p/vault.sock /SecretProvider.GetSecret {\"SecretName\":\"pw\"}; ");
  EXPECT_EQ(told(c, c.plugin_answered(now, 1, {200, good_value})), "reply 1 value hi; ");
  EXPECT_EQ(c.done(), 1U);
  EXPECT_EQ(c.running() + c.waiting(), 0U);
  EXPECT_FALSE(c.due());
  EXPECT_EQ(told(c, c.plugin_answered(now, 1, {200, good_value})), "") << "nobody waits any more";
}

TEST_F(secret_provider_core, a_plugin_that_the_engine_runs_is_asked_without_activation) {
  core c{{.socket_dir = "/p"}};
  EXPECT_EQ(told(c, c.add(now, 1, request("example/vault:1"))), "engine 1 /plugins/example/vault:1/json; ");
  EXPECT_EQ(
      told(
          c,
          c.engine_answered(
              now, 1,
              {200,
               R"({"Id":"ab","Enabled":true,"Config":{"Interface":{"Types":["docker.secretprovider/1.0"],"Socket":"s"}}})"})),
      "call 1 /p/ab/s /SecretProvider.GetSecret {\"SecretName\":\"pw\"}; ");
  EXPECT_EQ(told(c, c.plugin_answered(now, 1, {200, good_value})), "reply 1 value hi; ");
}

TEST_F(secret_provider_core, a_plugin_that_the_engine_does_not_run_is_looked_for_elsewhere) {
  core c{{}};
  (void)c.add(now, 1, request("vault"));
  EXPECT_EQ(told(c, c.engine_answered(now, 1, {404, "{}"})), "search 1 vault; ");
  EXPECT_EQ(told(c, c.searched(now, 1, {errc::not_found, "x"}, {})), "reply 1 plugin not found; ");
  EXPECT_EQ(c.failed(), 1U);
}

TEST_F(secret_provider_core, a_disabled_plugin_is_not_looked_for_elsewhere) {
  core c{{}};
  (void)c.add(now, 1, request("vault"));
  EXPECT_EQ(told(c, c.engine_answered(now, 1, {200, R"({"Id":"ab","Enabled":false,"Config":{"Interface":{}}})"})),
            "reply 1 plugin found but disabled; ");
}

TEST_F(secret_provider_core, an_engine_that_is_away_leaves_the_sockets) {
  core c{{}};
  (void)c.add(now, 1, request("vault"));
  (void)c.add(now, 2, request("vault"));
  EXPECT_EQ(told(c, c.engine_answered(now, 1, {0, "", "cannot connect"})), "search 1 vault; ");
  EXPECT_EQ(told(c, c.searched(now, 1, {}, {"/s", "", 0})), "call 1 /s /Plugin.Activate; ");
  EXPECT_EQ(told(c, c.engine_answered(now, 2, {500, "{}"})), "search 2 vault; ");
  EXPECT_EQ(told(c, c.searched(now, 2, {errc::not_found, ""}, {})),
            "reply 2 plugin not found (and the engine was not asked: the engine's answer about the plugin cannot be "
            "read (status 500)); ");
}

TEST_F(secret_provider_core, whatever_goes_wrong_is_told) {
  const auto after = [&](const http_answer& activation, const http_answer& answer) {
    core c{{.has_engine = false}};
    (void)c.add(now, 1, request("vault"));
    (void)c.searched(now, 1, {}, {"/s", "", 0});
    auto out = c.plugin_answered(now, 1, activation);
    if (out.size() == 1 && std::holds_alternative<call_plugin>(out[0]))
      out = c.plugin_answered(now, 1, answer);
    return told(c, out);
  };
  const http_answer fine{200, activated};
  EXPECT_EQ(after({200, R"({"Implements":[]})"}, {}), "reply 1 plugin provides no secrets; ");
  EXPECT_EQ(after({0, "", "cannot connect to unix:///s: connection refused"}, {}),
            "reply 1 cannot connect to unix:///s: connection refused; ");
  EXPECT_EQ(after({200, "", "large", true}, {}), "reply 1 plugin's answer cannot be read; ");
  EXPECT_EQ(after(fine, {200, R"({"Err":"sealed"})"}), "reply 1 sealed; ");
  EXPECT_EQ(after(fine, {0, "", "unix:///s closed the connection before answering"}),
            "reply 1 unix:///s closed the connection before answering; ");
  EXPECT_EQ(after(fine, {200, "", "large", true}),
            "reply 1 secret data must be larger than 0 and less than 512000 bytes; ");
  EXPECT_EQ(after(fine, {404, ""}), "reply 1 plugin answered with status 404; ");
}

TEST_F(secret_provider_core, a_file_that_cannot_be_used_ends_the_search) {
  core c{{.has_engine = false}};
  (void)c.add(now, 1, request("vault"));
  EXPECT_EQ(told(c, c.searched(now, 1, {errc::failed_precondition, "plugins behind TLS are not supported"}, {})),
            "reply 1 plugins behind TLS are not supported; ");
}

TEST_F(secret_provider_core, a_name_that_is_none_is_refused_before_anything_is_touched) {
  core c{{}};
  EXPECT_EQ(told(c, c.add(now, 1, request("../x"))), "reply 1 not the name of a plugin; ");
  EXPECT_EQ(told(c, c.add(now, 2, request(""))), "reply 2 not the name of a plugin; ");
  EXPECT_FALSE(c.due());
}

TEST_F(secret_provider_core, a_fetch_ends_by_its_deadline_wherever_it_is) {
  core c{{.has_engine = false, .running_per_driver = 1}};
  (void)c.add(now, 1, request("vault"));
  (void)c.searched(now, 1, {}, {"/s", "", 0});
  EXPECT_EQ(told(c, c.add(now + seconds{1}, 2, request("vault"))), "");
  ASSERT_TRUE(c.due());
  EXPECT_EQ(*c.due(), now + seconds{10});
  EXPECT_EQ(told(c, c.tick(now + seconds{9})), "");
  EXPECT_EQ(told(c, c.tick(now + seconds{10})), "reply 1 plugin did not answer within 10 s; search 2 vault; ");
  EXPECT_EQ(told(c, c.plugin_answered(now, 1, {200, activated})), "") << "too late";
  EXPECT_EQ(told(c, c.tick(now + seconds{11})), "reply 2 plugin was not found within 10 s; ");
  EXPECT_FALSE(c.due());
}

TEST_F(secret_provider_core, calls_get_what_is_left_of_the_time) {
  core c{{}};
  const auto first = c.add(now, 1, request("vault"));
  EXPECT_EQ(std::get<call_engine>(first[0]).deadline, seconds{3});
  (void)c.engine_answered(now + seconds{3}, 1, {0, "", "away"});
  const auto call = c.searched(now + seconds{3}, 1, {}, {"/s", "", 0});
  EXPECT_EQ(std::get<call_plugin>(call[0]).deadline, seconds{7});
}

TEST_F(secret_provider_core, a_plugin_that_hangs_holds_up_nobody_elses_askers) {
  core c{{.has_engine = false, .running_per_driver = 2, .running = 3, .waiting = 3}};
  EXPECT_EQ(told(c, c.add(now, 1, request("slow"))), "search 1 slow; ");
  EXPECT_EQ(told(c, c.add(now, 2, request("slow"))), "search 2 slow; ");
  EXPECT_EQ(told(c, c.add(now, 3, request("slow"))), "");
  EXPECT_EQ(told(c, c.add(now, 4, request("vault"))), "search 4 vault; ");
  EXPECT_EQ(told(c, c.add(now, 5, request("vault"))), "") << "no more run at the same time";
  EXPECT_EQ(told(c, c.add(now, 6, request("slow"))), "");
  EXPECT_EQ(told(c, c.add(now, 7, request("vault"))), "reply 7 too many secrets are being fetched; ");
  EXPECT_EQ(told(c, c.searched(now, 4, {errc::not_found, ""}, {})), "reply 4 plugin not found; search 5 vault; ");
  EXPECT_EQ(told(c, c.searched(now, 1, {errc::not_found, ""}, {})), "reply 1 plugin not found; search 3 slow; ");
  EXPECT_EQ(c.running(), 3U);
  EXPECT_EQ(c.waiting(), 1U);
  EXPECT_EQ(c.dump(), "running=3 waiting=1\nslow secret=pw task= searching\nslow secret=pw task= searching\n"
                      "vault secret=pw task= searching\nslow secret=pw task= waiting\n");
}

} // namespace
} // namespace swarm::plugin
