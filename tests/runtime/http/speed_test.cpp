// Figures, printed and not judged: keep-alive requests per second as the docker CLI's HEAD /_ping makes them.
#include <thread>

#include "tests/runtime/http/fixture.hpp"

namespace swarm::http::test {
namespace {

void ping(const std::shared_ptr<exchange>& ex, request&&) {
  ex->reply(200, {{"Content-Type", "text/plain; charset=utf-8"}, {"Api-Version", "1.50"}, {"Ostype", "linux"}}, "OK");
}

double rate(running_server& s, int clients, int each) {
  std::vector<std::thread> threads;
  const auto start = clock::now();
  for (int c = 0; c < clients; ++c)
    threads.emplace_back([&] {
      auto p = s.connect();
      char buffer[4096];
      for (int i = 0; i < each; ++i) {
        p.send("GET /_ping HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/28.0\r\n\r\n");
        if (::recv(p.fd(), buffer, sizeof buffer, 0) <= 0)
          ADD_FAILURE() << "no answer";
      }
    });
  for (auto& t : threads)
    t.join();
  return clients * each / std::chrono::duration<double>(clock::now() - start).count();
}

TEST(http_speed, keep_alive_requests_per_second) {
  running_server s{ping};
  rate(s, 1, 200);
  std::printf("[  MEASURE ] 1 client: %.0f requests/s\n", rate(s, 1, 5000));
  std::printf("[  MEASURE ] 8 clients: %.0f requests/s\n", rate(s, 8, 1500));
}

TEST(http_speed, engine_calls_per_second_through_the_pool) {
  running_server engine{ping};
  client c{engine.io, {.socket_path = engine.path}};
  promise_box<bool> all;
  std::atomic<int> left{5000};
  std::function<void()> next = [&] {
    c.call({.target = "/_ping"}, patience, [&](client_error e, response&&) {
      EXPECT_TRUE(e.ok()) << e.text;
      if (--left > 0)
        next();
      else
        all.set(true);
    });
  };
  const auto start = clock::now();
  next();
  EXPECT_TRUE(all.get());
  std::printf("[  MEASURE ] client, one call at a time: %.0f calls/s\n",
              5000 / std::chrono::duration<double>(clock::now() - start).count());
}

TEST(http_speed, proxied_requests_per_second) {
  running_server engine{ping};
  running_server front{ping, {}, [&](const request_head&) -> route { return pass_through{engine.path}; }};
  std::printf("[  MEASURE ] 1 client through pass-through: %.0f requests/s\n", rate(front, 1, 2000));
}

} // namespace
} // namespace swarm::http::test
