// The server's bounds under hostile and slow clients: deadlines, sizes, counts, memory.
#include <thread>

#include <malloc.h>
#include <sys/resource.h>

#include "tests/runtime/http/fixture.hpp"

namespace swarm::http::test {
namespace {

limits quick() {
  limits l;
  l.header_deadline = milliseconds{60};
  l.body_grace = milliseconds{60};
  l.body_rate_min = 1024 * 1024;
  l.keep_alive = milliseconds{120};
  l.linger = milliseconds{50};
  l.write_stall = milliseconds{150};
  return l;
}

// What the program holds (0 under sanitizers, which bring their own allocator).
std::size_t heap_bytes() {
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(http_limits, a_slow_header_is_cut_at_its_deadline) {
  running_server s{echo, quick()};
  const auto start = clock::now();
  auto q = s.connect();
  q.send("GET / HTTP/1.1\r\nHost: d\r\nX: ");
  std::thread slow{[&] {
    for (int i = 0; i < 1000 && q.send("x"); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }};
  const auto answer = q.until_eof();
  EXPECT_EQ(status_of(answer), 408);
  slow.join();
  EXPECT_LT(clock::now() - start, patience);
  EXPECT_EQ(s.http.stats().stalled, 1u);
}

TEST(http_limits, a_slow_body_is_cut_but_a_steady_one_is_not) {
  auto l = quick();
  l.body_rate_min = 100;
  running_server s{echo, l};
  auto p = s.connect();
  p.send("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\n");
  EXPECT_EQ(status_of(p.until_eof()), 408);
  auto q = s.connect();
  q.send("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 4000\r\n\r\n");
  for (int i = 0; i < 40; ++i) { // twice the grace in all, and each piece earns a second
    q.send(std::string(100, 'x'));
    std::this_thread::sleep_for(std::chrono::milliseconds{3});
  }
  EXPECT_EQ(status_of(q.answer()), 200);
}

TEST(http_limits, an_idle_connection_is_closed_after_keep_alive) {
  running_server s{echo, quick()};
  auto p = s.connect();
  p.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_EQ(status_of(p.answer()), 200);
  EXPECT_EQ(p.until_eof(), "");
  EXPECT_FALSE(p.timed_out);
}

TEST(http_limits, a_handler_that_never_answers_is_answered_for) {
  auto l = quick();
  l.answer_deadline = milliseconds{50};
  promise_box<std::shared_ptr<exchange>> box;
  running_server s{[&](std::shared_ptr<exchange> ex, request&&) { box.set(std::move(ex)); }, l};
  const auto a = s.ask("GET / HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_EQ(status_of(a), 500);
  EXPECT_NE(a.find("deadline exceeded"), std::string::npos);
  EXPECT_TRUE(box.get()->closed());
}

TEST(http_limits, sizes_above_the_bounds_are_413_414_431) {
  running_server s;
  const std::string get = "GET / HTTP/1.1\r\nHost: d\r\n";
  EXPECT_EQ(status_of(s.ask(get + "X: " + std::string(header_bytes_max, 'x') + "\r\n\r\n")), 431);
  std::string many = get;
  for (std::size_t i = 0; i < header_count_max; ++i)
    many += "X: y\r\n";
  EXPECT_EQ(status_of(s.ask(many + "\r\n")), 431);
  many = get;
  for (std::size_t i = 1; i < header_count_max; ++i)
    many += "X: y\r\n";
  EXPECT_EQ(status_of(s.ask(many + "\r\n")), 200);
  EXPECT_EQ(status_of(s.ask("GET /" + std::string(request_line_bytes_max, 'a') + " HTTP/1.1\r\nHost: d\r\n\r\n")), 414);
  EXPECT_EQ(status_of(s.ask("GET /" + std::string(request_line_bytes_max - 100, 'a') + " HTTP/1.1\r\nHost: d\r\n\r\n")), 200);
  EXPECT_EQ(status_of(s.ask("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 4194305\r\n\r\n")), 413);
  EXPECT_EQ(status_of(s.ask("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n400001\r\n")), 413);
}

TEST(http_limits, an_endless_chunked_body_ends_with_413) {
  running_server s;
  auto p = s.connect();
  std::thread sender{[&] {
    p.send("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "1000\r\n" + std::string(0x1000, 'x') + "\r\n";
    while (p.send(chunk)) {
    }
  }};
  EXPECT_EQ(status_of(p.until("\r\n\r\n")), 413);
  sender.join();
}

TEST(http_limits, endless_headers_and_chunk_extensions_end) {
  running_server s;
  auto p = s.connect();
  p.send("GET / HTTP/1.1\r\nHost: d\r\n");
  while (p.send("X-Flood: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n") && p.receive(clock::duration{}).empty()) {
  }
  auto q = s.connect();
  q.send("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string answer;
  while (q.send("1;e=" + std::string(500, 'e') + "\r\nx\r\n") && answer.empty())
    answer = q.receive(clock::duration{});
  EXPECT_EQ(status_of(answer), 400);
  EXPECT_EQ(s.http.stats().bad_requests, 2u);
}

TEST(http_limits, above_max_connections_is_503_and_two_thousand_idle_ones_stay_small) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 8192);
  ::setrlimit(RLIMIT_NOFILE, &files);
  constexpr std::size_t clients = 2000;
  if (files.rlim_cur < 2 * clients + 200)
    GTEST_SKIP() << "LOUD: only " << files.rlim_cur << " descriptors, the 2,000 connection test did not run";
  limits l;
  l.connections = clients;
  running_server s{echo, l};
  {
    auto warm = s.connect();
    warm.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n");
    EXPECT_EQ(status_of(warm.answer()), 200);
  }
  ASSERT_TRUE(eventually([&] { return s.http.stats().connections == 0; }));
  ::malloc_trim(0);
  const auto before = heap_bytes();
  const auto resident_before = resident_bytes();
  std::vector<peer> all;
  all.reserve(clients);
  for (std::size_t i = 0; i < clients; ++i) {
    all.push_back(s.connect());
    ASSERT_TRUE(all.back().ok());
    all.back().send("GET / HTTP/1.1\r\nHost: d\r\n\r\n");
    ASSERT_EQ(status_of(all.back().answer()), 200);
    std::string{}.swap(all.back().rest);
  }
  const auto each = (heap_bytes() - before) / clients;
  std::printf("[  MEASURE ] %zu idle connections: %zu bytes of heap each, %zu KiB resident more in all\n", clients, each,
              (resident_bytes() - std::min(resident_before, resident_bytes())) / 1024);
  EXPECT_LE(each, 32u * 1024);
  auto refused = s.connect();
  const auto answer = refused.until_eof();
  EXPECT_EQ(status_of(answer), 503);
  EXPECT_NE(answer.find("too many connections"), std::string::npos);
  EXPECT_EQ(s.http.stats().refused, 1u);
  all.pop_back();
  ASSERT_TRUE(eventually([&] { return s.http.stats().connections < clients; }));
  EXPECT_EQ(status_of(s.ask("GET / HTTP/1.1\r\nHost: d\r\n\r\n")), 200);
}

TEST(http_limits, a_client_that_pipelines_without_reading_is_stopped_and_cut) {
  auto l = quick();
  l.outgoing_bytes = 64 * 1024;
  running_server s{[](std::shared_ptr<exchange> ex, request&&) { ex->reply(200, {}, std::string(16 * 1024, 'x')); }, l};
  auto p = s.connect();
  int sent = 0;
  while (sent < 100000 && p.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n"))
    ++sent; // blocks when the server stops reading; fails when it cuts
  EXPECT_LT(sent, 100000);
  EXPECT_LT(s.http.stats().requests, 200u);
  EXPECT_TRUE(eventually([&] { return s.http.stats().stalled == 1; }));
}

TEST(http_limits, a_hundred_slow_clients_do_not_delay_a_healthy_one) {
  limits l;
  l.header_deadline = seconds{20};
  running_server s{echo, l};
  std::vector<peer> slow;
  for (int i = 0; i < 100; ++i) {
    slow.push_back(s.connect());
    slow.back().send("GET / HTTP/1.1\r\nHost: d\r\nX: ");
  }
  for (int i = 0; i < 100; ++i) {
    slow[static_cast<std::size_t>(i)].send("y");
    EXPECT_EQ(status_of(s.ask("GET / HTTP/1.1\r\nHost: d\r\n\r\n")), 200);
  }
}

} // namespace
} // namespace swarm::http::test
