// The server over real sockets: requests, answers, keep-alive, pipelining, listeners, the end.
#include <fstream>

#include <sys/stat.h>

#include "tests/runtime/http/fixture.hpp"

namespace swarm::http::test {
namespace {

TEST(http_server, a_get_is_answered_with_length_date_and_body) {
  running_server s;
  const auto a = s.ask("GET /info?x=1 HTTP/1.1\r\nHost: docker\r\n\r\n");
  EXPECT_EQ(status_of(a), 200);
  EXPECT_EQ(body_of(a), "GET /info ");
  EXPECT_NE(a.find("Content-Length: 10\r\n"), std::string::npos);
  EXPECT_NE(a.find("\r\nDate: "), std::string::npos);
  EXPECT_NE(a.find(" GMT\r\n"), std::string::npos);
}

TEST(http_server, a_request_carries_its_decoded_parts_and_the_peer) {
  promise_box<request> seen;
  running_server s{[&](std::shared_ptr<exchange> ex, request&& r) {
    seen.set(r);
    ex->reply(200, {}, "");
  }};
  s.ask("POST /v1.41/a%20b/c?all=1&filters=%7B%22a%22%3A1%7D&x=1&x=2&bad=%zz HTTP/1.1\r\nHost: d\r\nX-Thing: v\r\n"
        "content-length: 3\r\n\r\nabc");
  const auto r = seen.get();
  EXPECT_EQ(r.method, "POST");
  EXPECT_EQ(r.path, "/v1.41/a b/c");
  EXPECT_EQ(r.target.substr(0, 14), "/v1.41/a%20b/c");
  EXPECT_EQ(r.query.find("filters")->second, "{\"a\":1}");
  EXPECT_EQ(r.query.count("x"), 2u);
  EXPECT_EQ(r.query_error, "invalid URL escape \"%zz\"");
  EXPECT_EQ(r.headers.get("x-THING"), "v");
  EXPECT_EQ(r.body, "abc");
  EXPECT_TRUE(r.peer.local);
  EXPECT_EQ(r.peer.pid, ::getpid());
  EXPECT_EQ(r.peer.uid, ::getuid());
}

TEST(http_server, chunked_bodies_are_joined_and_trailers_dropped) {
  running_server s;
  const auto a = s.ask("POST /x HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n");
  EXPECT_EQ(body_of(a), "POST /x hello world");
}

TEST(http_server, one_connection_carries_many_requests) {
  running_server s;
  auto p = s.connect();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(p.send("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: d\r\n\r\n"));
    ASSERT_EQ(body_of(p.answer()), "GET /" + std::to_string(i) + " ");
  }
  EXPECT_EQ(s.http.stats().accepted, 1u);
}

TEST(http_server, pipelined_requests_are_answered_in_order_even_when_handlers_finish_late) {
  std::vector<std::thread> late;
  running_server s{[&](std::shared_ptr<exchange> ex, request&& r) {
    late.emplace_back([ex, path = r.path] { ex->reply(200, {}, path); });
  }};
  auto p = s.connect();
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: d\r\n\r\n";
  p.send(all);
  for (int i = 0; i < 50; ++i)
    ASSERT_EQ(body_of(p.answer()), "/" + std::to_string(i));
  for (auto& t : late)
    t.join();
}

TEST(http_server, thousands_of_pipelined_requests_neither_recurse_nor_grow) {
  running_server s;
  auto p = s.connect();
  std::thread sender{[&] {
    for (int i = 0; i < 20000; ++i)
      p.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n");
    p.shutdown_write();
  }};
  const auto all = p.until_eof();
  sender.join();
  std::size_t count = 0;
  for (auto at = all.find("HTTP/1.1 200"); at != std::string::npos; at = all.find("HTTP/1.1 200", at + 1))
    ++count;
  EXPECT_EQ(count, 20000u);
}

TEST(http_server, head_is_answered_like_get_without_the_body) {
  running_server s;
  auto p = s.connect();
  p.send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /next HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_NE(p.answer(true).find("Content-Length: 12\r\n"), std::string::npos);
  EXPECT_EQ(body_of(p.answer()), "GET /next ");
}

TEST(http_server, connection_close_and_http_1_0_end_the_connection) {
  running_server s;
  auto p = s.connect();
  p.send("GET / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
  EXPECT_NE(p.until_eof().find("Connection: close\r\n"), std::string::npos);
  auto q = s.connect();
  q.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(q.until_eof().starts_with("HTTP/1.0 200 OK\r\n"));
  auto k = s.connect();
  k.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(k.answer().find("Connection: keep-alive\r\n"), std::string::npos);
  k.send("GET /2 HTTP/1.0\r\n\r\n");
  EXPECT_EQ(body_of(k.until_eof()), "GET /2 ");
}

TEST(http_server, expect_100_continue_is_honoured_and_others_are_417) {
  running_server s;
  auto p = s.connect();
  p.send("POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(p.answer(), "HTTP/1.1 100 Continue\r\n\r\n");
  p.send("ok");
  EXPECT_EQ(body_of(p.answer()), "POST /x ok");
  EXPECT_EQ(status_of(s.ask("GET / HTTP/1.1\r\nHost: d\r\nExpect: cake\r\n\r\n")), 417);
}

TEST(http_server, a_client_that_half_closes_still_gets_its_answer) {
  promise_box<std::shared_ptr<exchange>> box;
  running_server s{[&](std::shared_ptr<exchange> ex, request&&) { box.set(std::move(ex)); }};
  auto p = s.connect();
  p.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n");
  p.shutdown_write();
  auto ex = box.get();
  ex->reply(200, {}, "late");
  EXPECT_EQ(body_of(p.until_eof()), "late");
}

TEST(http_server, errors_are_dockers_json) {
  running_server s;
  const auto a = s.ask("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(status_of(a), 400);
  EXPECT_EQ(body_of(a), "{\"message\":\"missing required Host header\"}\n");
  EXPECT_NE(a.find("Content-Type: application/json\r\n"), std::string::npos);
  EXPECT_NE(a.find("Connection: close\r\n"), std::string::npos);
}

TEST(http_server, a_route_can_refuse_before_the_body) {
  running_server s{echo, {}, [](const request_head& h) -> route {
                     if (h.path == "/no")
                       return refuse{403, "not you", {}};
                     return handle{4};
                   }};
  auto p = s.connect();
  p.send("GET /no HTTP/1.1\r\nHost: d\r\n\r\nGET /yes HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_EQ(body_of(p.answer()), "{\"message\":\"not you\"}\n");
  EXPECT_EQ(body_of(p.answer()), "GET /yes ");
  EXPECT_EQ(status_of(s.ask("POST /no HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\n")), 403);
  EXPECT_EQ(status_of(s.ask("POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\n12345")), 413);
}

TEST(http_server, a_handler_that_throws_or_forgets_answers_500) {
  running_server s{[](std::shared_ptr<exchange>, request&& r) {
    if (r.path == "/throw")
      throw std::runtime_error{"secret"};
  }};
  EXPECT_EQ(body_of(s.ask("GET /throw HTTP/1.1\r\nHost: d\r\n\r\n")), "{\"message\":\"internal error\"}\n");
  EXPECT_EQ(status_of(s.ask("GET /forget HTTP/1.1\r\nHost: d\r\n\r\n")), 500);
}

TEST(http_server, a_reply_cannot_split_the_head) {
  running_server s{[](std::shared_ptr<exchange> ex, request&&) {
    ex->reply(200, {{"X-A", "1\r\nX-Injected: 2"}, {"Bad\r\nName", "x"}, {"Content-Length", "999"}}, "ok");
  }};
  const auto a = s.ask("GET / HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_NE(a.find("X-A: 1  X-Injected: 2\r\n"), std::string::npos);
  EXPECT_EQ(a.find("\r\nX-Injected"), std::string::npos);
  EXPECT_EQ(a.find("999"), std::string::npos);
  EXPECT_EQ(body_of(a), "ok");
}

TEST(http_server, an_exchange_outlives_its_connection_and_its_server) {
  std::shared_ptr<exchange> kept;
  promise_box<bool> gone;
  {
    promise_box<std::shared_ptr<exchange>> box;
    running_server s{[&](std::shared_ptr<exchange> ex, request&&) { box.set(std::move(ex)); }};
    auto p = s.connect();
    p.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n");
    kept = box.get();
    kept->on_close([&] { gone.set(true); });
    p.close();
    EXPECT_TRUE(gone.get());
  }
  EXPECT_TRUE(kept->closed());
  kept->reply(200, {}, "nobody");
  EXPECT_EQ(kept->write("x"), write_result::closed);
  kept->on_close([&] { gone.set(true); });
  EXPECT_TRUE(gone.get());
}

TEST(http_server, a_socket_file_has_its_mode_and_is_removed_at_stop) {
  running_server s;
  struct stat info {};
  ASSERT_EQ(::stat(s.path.c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 07777, 0660u);
  s.http.stop();
  EXPECT_NE(::stat(s.path.c_str(), &info), 0);
}

TEST(http_server, a_stale_socket_file_is_replaced_but_nothing_else) {
  temp_dir dir;
  io_threads io;
  io.start();
  const auto ok = [](const request_head&) { return handle{}; };
  server first{io, ok, echo};
  const auto path = dir / "a.sock";
  {
    // What a killed process leaves: a socket file that refuses.
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::strncpy(a.sun_path, path.c_str(), sizeof a.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    ::close(fd);
  }
  EXPECT_TRUE(first.listen(unix_endpoint{path, 0660, "no-such-group"}).ok());
  server second{io, ok, echo};
  const auto taken = second.listen(unix_endpoint{path, 0660, ""});
  EXPECT_EQ(taken.code, errc::already_exists);
  EXPECT_NE(taken.message.find("another process listens"), std::string::npos);
  std::ofstream{dir / "file"} << "precious";
  EXPECT_EQ(second.listen(unix_endpoint{dir / "file", 0660, ""}).code, errc::already_exists);
  EXPECT_EQ(second.listen(unix_endpoint{std::string(200, 'x'), 0660, ""}).code, errc::invalid_argument);
  EXPECT_TRUE(std::filesystem::exists(dir / "file"));
}

TEST(http_server, tcp_without_tls_is_loopback_only_and_only_when_allowed) {
  io_threads io;
  io.start();
  server s{io, [](const request_head&) { return handle{}; }, echo};
  tcp_endpoint e;
  EXPECT_EQ(s.listen(e).code, errc::invalid_argument);
  e.allow_plain_loopback = true;
  e.address = "0.0.0.0";
  EXPECT_EQ(s.listen(e).code, errc::invalid_argument);
  e.address = "localhost";
  EXPECT_EQ(s.listen(e).code, errc::invalid_argument);
  e.address = "127.0.0.1";
  std::uint16_t port = 0;
  ASSERT_TRUE(s.listen(e, &port).ok());
  auto p = peer::tcp(port);
  p.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  EXPECT_EQ(status_of(p.answer()), 200);
  e.port = port;
  EXPECT_EQ(s.listen(e).code, errc::already_exists);
}

TEST(http_server, stop_lets_a_running_answer_end_within_its_grace) {
  promise_box<std::shared_ptr<exchange>> box;
  running_server s{[&](std::shared_ptr<exchange> ex, request&&) { box.set(std::move(ex)); }};
  auto p = s.connect();
  auto idle = s.connect();
  p.send("GET / HTTP/1.1\r\nHost: d\r\n\r\n");
  auto ex = box.get();
  std::thread stopper{[&] { s.http.stop(patience); }};
  EXPECT_EQ(idle.until_eof(), ""); // closed although the other still runs
  ex->reply(200, {}, "done");
  EXPECT_EQ(body_of(p.until_eof()), "done");
  stopper.join();
}

TEST(http_server, several_io_threads_serve_many_clients) {
  running_server s{echo, {}, [](const request_head&) { return handle{}; }, 4};
  std::vector<std::thread> clients;
  std::atomic<int> right{0};
  for (int c = 0; c < 8; ++c)
    clients.emplace_back([&, c] {
      auto p = s.connect();
      for (int i = 0; i < 50; ++i) {
        const auto path = "/" + std::to_string(c) + "/" + std::to_string(i);
        p.send("GET " + path + " HTTP/1.1\r\nHost: d\r\n\r\n");
        right += body_of(p.answer()) == "GET " + path + " " ? 1 : 0;
      }
    });
  for (auto& t : clients)
    t.join();
  EXPECT_EQ(right, 400);
}

} // namespace
} // namespace swarm::http::test
