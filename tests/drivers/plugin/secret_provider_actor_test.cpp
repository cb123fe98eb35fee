// SECRET PROVIDER against real sockets: plugins and an engine that answer, misbehave, hang or are not there.
#include "drivers/plugin/secret_provider_actor.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

#include "drivers/plugin/secret_codec.hpp"
#include "runtime/http/server.hpp"
#include "runtime/io.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::plugin {
namespace {

constexpr auto patience = std::chrono::seconds{20};

/// A plugin: answers what `say` says; without an answer the request hangs.
class plugin_server {
public:
  struct said {
    int status = 200;
    std::string body;
  };
  using script = std::function<std::optional<said>(const http::request&)>;

  plugin_server(io_threads& io, script say)
      : server_{io, [](const http::request_head&) -> http::route { return http::handle{}; },
                [this, say](std::shared_ptr<http::exchange> exchange, http::request&& request) {
                  std::lock_guard guard{mutex_};
                  seen_ += request.method + " " + request.target + " " + request.body + "\n";
                  types_ += std::string{request.headers.get("Accept")} + "," +
                            std::string{request.headers.get("Content-Type")} + "\n";
                  if (const auto answer = say(request))
                    exchange->reply(answer->status, {}, answer->body);
                  else
                    held_.push_back(exchange);
                }} {}
  ~plugin_server() {
    server_.stop();
    held_.clear();
  }
  void on_socket(const std::string& path) { ASSERT_TRUE(server_.listen(http::unix_endpoint{path, 0600, {}}).ok()); }
  std::uint16_t on_tcp() {
    std::uint16_t port = 0;
    EXPECT_TRUE(server_.listen(http::tcp_endpoint{"127.0.0.1", 0, {}, true}, &port).ok());
    return port;
  }
  std::string seen() {
    std::lock_guard guard{mutex_};
    return seen_;
  }
  std::string types() {
    std::lock_guard guard{mutex_};
    return types_;
  }

private:
  std::mutex mutex_;
  std::string seen_, types_;
  std::vector<std::shared_ptr<http::exchange>> held_;
  http::server server_; // last: its handler uses the rest
};

plugin_server::script keeps(const std::string& base64) {
  return [base64](const http::request& request) -> std::optional<plugin_server::said> {
    if (request.path == "/Plugin.Activate")
      return plugin_server::said{200, R"({"Implements":["secretprovider"]})"};
    return plugin_server::said{200, R"({"Value":")" + base64 + "\"}"};
  };
}

class secret_provider_test : public testing::Test {
protected:
  secret_provider_test() { io.start(); }
  ~secret_provider_test() override {
    if (!provider)
      return;
    self->monitor(provider);
    self->send_exit(provider, caf::exit_reason::user_shutdown);
    self->receive([](const caf::down_msg&) {}, caf::after(patience) >> [] { ADD_FAILURE() << "it does not end"; });
  }
  void spawn(duration deadline = seconds{10}, bool with_engine = false) {
    provider_options opts;
    opts.core.socket_dir = dir.path();
    opts.core.deadline = deadline;
    opts.core.engine_deadline = milliseconds{300};
    opts.spec_dirs = {dir / "specs"};
    if (with_engine)
      opts.engine_socket = dir / "engine";
    provider = system.spawn<caf::detached>(secret_provider, opts, &io);
  }
  std::string path(const std::string& name) { return (dir / name).string(); }
  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((dir / name).parent_path());
    std::ofstream{dir / name} << text;
  }
  std::string ask(const std::string& driver) {
    FetchSecret request;
    request.set_driver(driver);
    request.set_secret_name("pw");
    std::string out;
    self->request(provider, patience, request)
        .receive(
            [&](const SecretFetched& value) { out = "value " + value.value() + (value.do_not_reuse() ? " once" : ""); },
            [&](const caf::error& err) {
              out = std::string{to_string(to_failure(err).code)} + ": " + to_failure(err).message;
            });
    return out;
  }
  std::string fact(const std::string& name) {
    std::string out;
    self->request(provider, patience, ReadStatus{})
        .receive([&](const ActorStatus& status) { out = status.facts().at(name); }, [](const caf::error&) {});
    return out;
  }

  test::temp_dir dir;
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  io_threads io;
  provider_interface provider;
};

TEST_F(secret_provider_test, a_plugin_behind_a_socket_is_asked) {
  plugin_server vault{io, keeps("aHVudGVyMg==")};
  vault.on_socket(path("vault.sock"));
  spawn();
  EXPECT_EQ(ask("vault"), "value hunter2");
  EXPECT_EQ(vault.seen(), "POST /Plugin.Activate \nPOST /SecretProvider.GetSecret {\"SecretName\":\"pw\"}\n");
  const std::string type{content_type};
  EXPECT_EQ(vault.types(), type + "," + type + "\n" + type + "," + type + "\n");
  EXPECT_EQ(fact("fetched"), "1");
  EXPECT_EQ(fact("running"), "0");
}

TEST_F(secret_provider_test, its_socket_may_stand_in_a_folder_of_its_name) {
  plugin_server vault{io, keeps("eA==")};
  std::filesystem::create_directory(dir / "vault");
  vault.on_socket(path("vault/vault.sock"));
  spawn();
  EXPECT_EQ(ask("vault"), "value x");
}

TEST_F(secret_provider_test, files_name_sockets_and_ports) {
  plugin_server here{io, keeps("dW5peA==")}, there{io, keeps("dGNw")};
  here.on_socket(path("elsewhere"));
  const auto port = std::to_string(there.on_tcp());
  write("specs/a.spec", "unix://" + path("elsewhere") + "\n");
  write("specs/b/b.spec", "tcp://localhost:" + port);
  write("specs/c.json", R"({"Name":"c","Addr":"tcp://127.0.0.1:)" + port + "\"}");
  write("specs/d.json", R"({"Name":"d","Addr":"tcp://127.0.0.1:1","TLSConfig":{}})");
  write("specs/e.spec", "nonsense");
  write("specs/f.spec", std::string(70'000, ' '));
  std::filesystem::create_directory(dir / "specs/g.spec");
  ASSERT_EQ(::mkfifo((dir / "specs/h.spec").c_str(), 0600), 0);
  spawn();
  EXPECT_EQ(ask("a"), "value unix");
  EXPECT_EQ(ask("b"), "value tcp");
  EXPECT_EQ(ask("c"), "value tcp");
  EXPECT_EQ(ask("d"), "failed_precondition: plugins behind TLS are not supported; let it listen on a unix socket");
  EXPECT_EQ(ask("e"), "failed_precondition: plugin address \"nonsense\" is neither unix:///PATH nor tcp://HOST:PORT");
  for (const std::string name : {"f", "g", "h"})
    EXPECT_EQ(ask(name), "failed_precondition: plugin's file " + path("specs/" + name + ".spec") + " cannot be read");
}

TEST_F(secret_provider_test, a_plugin_that_comes_later_is_found) {
  spawn();
  EXPECT_EQ(ask("vault"), "not_found: plugin not found");
  write("vault.sock", "not a socket");
  EXPECT_EQ(ask("vault"), "not_found: plugin not found");
  std::filesystem::remove(dir / "vault.sock");
  {
    plugin_server vault{io, keeps("eA==")};
    vault.on_socket(path("vault.sock"));
    EXPECT_EQ(ask("vault"), "value x");
  }
  EXPECT_EQ(ask("vault"), "not_found: plugin not found");
  EXPECT_EQ(fact("failed"), "3");
}

TEST_F(secret_provider_test, a_socket_where_nobody_listens_says_so) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, path("vault.sock").c_str(), sizeof name.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  ::close(fd);
  write("specs/closed.spec", "tcp://127.0.0.1:1");
  spawn();
  EXPECT_EQ(ask("vault"), "unavailable: cannot connect to unix://" + path("vault.sock") + ": connection refused");
  EXPECT_EQ(ask("closed"), "unavailable: cannot connect to tcp://127.0.0.1:1: Connection refused");
}

TEST_F(secret_provider_test, a_plugin_that_misbehaves_is_told_by_what_it_did) {
  std::mutex mutex;
  plugin_server::said next;
  plugin_server vault{io, [&](const http::request& request) -> std::optional<plugin_server::said> {
                        if (request.path == "/Plugin.Activate")
                          return plugin_server::said{200, R"({"Implements":["secretprovider"]})"};
                        std::lock_guard guard{mutex};
                        return next;
                      }};
  vault.on_socket(path("vault.sock"));
  spawn();
  const auto after = [&](int status, const std::string& body) {
    {
      std::lock_guard guard{mutex};
      next = {status, body};
    }
    return ask("vault");
  };
  EXPECT_EQ(after(200, R"({"Err":"no such secret"})"), "unavailable: no such secret");
  EXPECT_EQ(after(500, "oh"), "unavailable: plugin answered with status 500");
  EXPECT_EQ(after(404, ""), "unavailable: plugin answered with status 404");
  EXPECT_EQ(after(200, "{"), "unavailable: plugin's answer cannot be read");
  EXPECT_EQ(after(200, R"({"Value":"?"})"), "unavailable: plugin's value is not base64");
  EXPECT_EQ(after(200, std::string(2 * 1024 * 1024, 'A')),
            "failed_precondition: secret data must be larger than 0 and less than 512000 bytes");
  EXPECT_EQ(after(200, R"({"Value":"eA==","DoNotReuse":true})"), "value x once");
  EXPECT_EQ(after(200, R"({"Value":")" + std::string(682'664, 'A') + "\"}"), "value " + std::string(511'998, '\0'))
      << "nearly the largest";
}

TEST_F(secret_provider_test, a_plugin_that_hangs_ends_by_the_deadline_and_holds_up_nobody_else) {
  plugin_server slow{io, [](const http::request&) { return std::optional<plugin_server::said>{}; }};
  slow.on_socket(path("slow.sock"));
  plugin_server vault{io, keeps("eA==")};
  vault.on_socket(path("vault.sock"));
  spawn(seconds{2});
  FetchSecret request;
  request.set_driver("slow");
  std::atomic<int> late = 0;
  for (int i = 0; i < 50; ++i)
    system.spawn([&, request](caf::event_based_actor* asker) {
      asker->request(provider, patience, request)
          .then([](const SecretFetched&) {},
                [&](const caf::error& err) {
                  if (to_failure(err) == failure{errc::deadline_exceeded, "plugin did not answer within 2 s"} ||
                      to_failure(err).message == "plugin was not found within 2 s")
                    ++late;
                });
    });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ask("vault"), "value x");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds{2});
  while (late < 50 && std::chrono::steady_clock::now() - begin < patience)
    std::this_thread::sleep_for(milliseconds{20});
  EXPECT_EQ(late, 50);
  EXPECT_EQ(fact("running"), "0");
  EXPECT_EQ(fact("waiting"), "0");
}

TEST_F(secret_provider_test, the_engines_own_plugins_come_first) {
  plugin_server engine{
      io, [](const http::request& request) -> std::optional<plugin_server::said> {
        if (request.target == "/plugins/example/vault:1/json" || request.target == "/plugins/vault/json")
          return plugin_server::said{
              200,
              R"({"Id":"ab12","Enabled":true,"Config":{"Interface":{"Socket":"p.sock","Types":["docker.secretprovider/1.0"]}}})"};
        return plugin_server::said{404, "{}"};
      }};
  engine.on_socket(path("engine"));
  std::filesystem::create_directory(dir / "ab12");
  plugin_server managed{io, [](const http::request& request) -> std::optional<plugin_server::said> {
                          if (request.path != "/SecretProvider.GetSecret")
                            return plugin_server::said{404, ""}; // the engine has activated it
                          return plugin_server::said{200, R"({"Value":"bWFuYWdlZA=="})"};
                        }};
  managed.on_socket(path("ab12/p.sock"));
  plugin_server vault{io, keeps("c29ja2V0")}, other{io, keeps("b3RoZXI=")};
  vault.on_socket(path("vault.sock"));
  other.on_socket(path("other.sock"));
  spawn(seconds{10}, true);
  EXPECT_EQ(ask("example/vault:1"), "value managed");
  EXPECT_EQ(ask("vault"), "value managed");
  EXPECT_EQ(ask("other"), "value other") << "the engine does not run it";
  EXPECT_EQ(ask("none"), "not_found: plugin not found");
}

TEST_F(secret_provider_test, an_engine_that_hangs_leaves_time_for_sockets) {
  plugin_server engine{io, [](const http::request&) { return std::optional<plugin_server::said>{}; }};
  engine.on_socket(path("engine"));
  plugin_server vault{io, keeps("eA==")};
  vault.on_socket(path("vault.sock"));
  spawn(seconds{10}, true);
  EXPECT_EQ(ask("vault"), "value x");
  EXPECT_EQ(ask("none"), "not_found: plugin not found (and the engine was not asked: unix://" + path("engine") +
                             " did not answer in time)");
}

TEST_F(secret_provider_test, it_ends_in_the_middle_of_a_fetch) {
  plugin_server slow{io, [](const http::request&) { return std::optional<plugin_server::said>{}; }};
  slow.on_socket(path("slow.sock"));
  spawn();
  FetchSecret request;
  request.set_driver("slow");
  std::atomic<bool> told = false;
  system.spawn([&, request](caf::event_based_actor* asker) {
    asker->request(provider, patience, request)
        .then([](const SecretFetched&) {}, [&](const caf::error&) { told = true; });
  });
  while (slow.seen().empty())
    std::this_thread::sleep_for(milliseconds{5});
  self->monitor(provider);
  self->send_exit(provider, caf::exit_reason::user_shutdown);
  self->receive([](const caf::down_msg&) {}, caf::after(patience) >> [] { ADD_FAILURE() << "it does not end"; });
  provider = provider_interface{};
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!told && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(milliseconds{5});
  EXPECT_TRUE(told);
}

} // namespace
} // namespace swarm::plugin
