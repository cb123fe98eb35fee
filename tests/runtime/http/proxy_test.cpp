// Pass-through to an engine's socket: bodies both ways, hijacked streams, half-close, and an engine that misbehaves.
#include <thread>

#include "tests/runtime/http/fixture.hpp"

namespace swarm::http::test {
namespace {

constexpr auto upgrade_request = "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
                                 "Upgrade: tcp\r\nContent-Length: 0\r\n\r\n";
constexpr auto upgraded = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                          "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

/// A server that passes everything to a scripted engine.
struct proxied {
  explicit proxied(scripted_engine::script play, response_filter filter = {}, limits lim = {})
    : engine{dir / "engine.sock", std::move(play)},
      server{echo, lim, [path = dir / "engine.sock", filter](const request_head&) -> route {
               return pass_through{path, filter};
             }} {}
  temp_dir dir;
  scripted_engine engine;
  running_server server;
};

// Reads one request's head, answers, and closes: what an engine does for "Connection: close".
scripted_engine::script answers(std::string answer, promise_box<std::string>* seen = nullptr) {
  return [answer = std::move(answer), seen](peer& p) {
    auto head = p.until("\r\n\r\n");
    if (seen)
      seen->set(head);
    p.send(answer);
  };
}

TEST(http_proxy, a_get_and_its_answer_pass_and_the_connection_goes_on) {
  promise_box<std::string> seen;
  proxied x{answers("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", &seen)};
  auto p = x.server.connect();
  for (int i = 0; i < 3; ++i) {
    p.send("GET /v1.41/containers/json?all=1 HTTP/1.1\r\nHost: d\r\nX-Registry-Auth: abc\r\nConnection: keep-alive\r\n\r\n");
    const auto a = p.answer();
    EXPECT_EQ(status_of(a), 200);
    EXPECT_EQ(body_of(a), "hello");
    EXPECT_NE(a.find("Api-Version: 1.41\r\n"), std::string::npos);
    EXPECT_EQ(a.find("Connection: close"), std::string::npos);
    const auto head = seen.get();
    EXPECT_TRUE(head.starts_with("GET /v1.41/containers/json?all=1 HTTP/1.1\r\nHost: d\r\nX-Registry-Auth: abc\r\n")) << head;
    EXPECT_EQ(head.find("keep-alive"), std::string::npos);
  }
  EXPECT_EQ(x.server.http.stats().accepted, 1u);
}

TEST(http_proxy, chunked_answers_are_flushed_piece_by_piece) {
  promise_box<bool> go;
  proxied x{[&](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 5; ++i) {
      go.get();
      p.send("3\r\nev" + std::to_string(i) + "\r\n");
    }
    p.send("0\r\n\r\n");
  }};
  auto p = x.server.connect();
  p.send("GET /events HTTP/1.1\r\nHost: d\r\n\r\n");
  p.until("\r\n\r\n");
  for (int i = 0; i < 5; ++i) {
    go.set(true);
    const auto chunk = "3\r\nev" + std::to_string(i) + "\r\n";
    EXPECT_EQ(p.until(chunk), chunk);
  }
  EXPECT_EQ(p.until("0\r\n\r\n"), "0\r\n\r\n");
}

TEST(http_proxy, an_answer_without_length_ends_with_the_connection) {
  proxied x{answers("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")};
  auto p = x.server.connect();
  p.send("GET /logs HTTP/1.1\r\nHost: d\r\n\r\n");
  const auto a = p.until_eof();
  EXPECT_EQ(body_of(a), "until the end");
  EXPECT_NE(a.find("Connection: close\r\n"), std::string::npos);
}

TEST(http_proxy, head_204_and_304_have_no_body) {
  proxied x{[](peer& p) {
    const auto head = p.until("\r\n\r\n");
    p.send(head.starts_with("HEAD") ? "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" : "HTTP/1.1 204 No Content\r\n\r\n");
  }};
  auto p = x.server.connect();
  p.send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\nPOST /stop HTTP/1.1\r\nHost: d\r\n\r\nHEAD / HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_EQ(status_of(p.answer(true)), 200);
  EXPECT_EQ(status_of(p.answer(true)), 204);
  EXPECT_EQ(status_of(p.answer(true)), 200);
}

TEST(http_proxy, a_request_body_streams_through_with_flat_memory) {
  constexpr std::size_t size = 64 * 1024 * 1024;
  promise_box<std::size_t> total;
  proxied x{[&](peer& p) {
    p.until("\r\n\r\n");
    std::size_t n = p.rest.size();
    while (n < size) {
      const auto piece = p.receive();
      if (piece.empty())
        break;
      n += piece.size();
    }
    total.set(n);
    p.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n");
    const std::string piece(1 << 20, 'y');
    for (std::size_t sent = 0; sent < size; sent += piece.size())
      p.send(piece);
  }};
  auto p = x.server.connect();
  const auto before = resident_bytes();
  std::thread sender{[&] {
    p.send("POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n");
    const std::string piece(1 << 20, 'x');
    for (std::size_t sent = 0; sent < size; sent += piece.size())
      p.send(piece);
  }};
  EXPECT_EQ(total.get(), size);
  sender.join();
  p.until("\r\n\r\n");
  std::size_t got = p.rest.size();
  while (got < size) {
    const auto piece = p.receive();
    if (piece.empty())
      break;
    got += piece.size();
  }
  EXPECT_EQ(got, size);
  const auto grown = resident_bytes() - std::min(before, resident_bytes());
  std::printf("[  MEASURE ] 64 MiB each way: %zu KiB resident more (test's own pieces included)\n", grown / 1024);
#if !defined(__SANITIZE_ADDRESS__) && !defined(SWARM_THREAD_SANITIZER)
  EXPECT_LT(grown, 8u * 1024 * 1024);
#endif
}

TEST(http_proxy, a_chunked_request_passes_byte_for_byte_and_the_next_request_is_not_part_of_it) {
  promise_box<std::string> seen;
  proxied x{[&](peer& p) {
    p.until("\r\n\r\n");
    seen.set(p.until("0\r\n\r\n"));
    EXPECT_EQ(p.rest, "");
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  }};
  auto p = x.server.connect();
  const std::string body = "4\r\nabcd\r\n5;x=y\r\nefghi\r\n0\r\n\r\n";
  const auto one = "POST /a HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n" + body;
  p.send(one + one);
  EXPECT_EQ(seen.get(), body);
  EXPECT_EQ(body_of(p.answer()), "ok");
  EXPECT_EQ(seen.get(), body);
  EXPECT_EQ(body_of(p.answer()), "ok");
}

TEST(http_proxy, a_malformed_chunk_never_reaches_the_engine) {
  promise_box<std::string> seen;
  proxied x{[&](peer& p) { seen.set(p.until_eof()); }};
  auto p = x.server.connect();
  p.send("POST /a HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\nGET /evil");
  EXPECT_EQ(status_of(p.answer()), 400);
  EXPECT_EQ(seen.get().find("evil"), std::string::npos);
}

TEST(http_proxy, expect_100_continue_is_the_engine_s_business) {
  proxied x{[](peer& p) {
    EXPECT_NE(p.until("\r\n\r\n").find("Expect: 100-continue"), std::string::npos);
    p.send("HTTP/1.1 100 Continue\r\n\r\n");
    const auto body = p.until("body");
    p.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body);
  }};
  auto p = x.server.connect();
  p.send("PUT /archive HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(p.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  p.send("body");
  EXPECT_EQ(body_of(p.answer()), "body");
}

TEST(http_proxy, an_upgrade_with_early_data_is_spliced_both_ways) {
  proxied x{[](peer& p) {
    const auto head = p.until("\r\n\r\n");
    EXPECT_NE(head.find("Connection: Upgrade\r\n"), std::string::npos);
    EXPECT_NE(head.find("Upgrade: tcp\r\n"), std::string::npos);
    p.send(std::string{upgraded} + "hello");
    EXPECT_EQ(p.until("early"), "early");
    EXPECT_EQ(p.until("later"), "later");
    p.send("bye");
  }};
  auto p = x.server.connect();
  p.send(std::string{upgrade_request} + "early");
  EXPECT_EQ(p.until("\r\n\r\n"), upgraded);
  EXPECT_EQ(p.until("hello"), "hello");
  p.send("later");
  EXPECT_EQ(p.until_eof(), "bye");
}

TEST(http_proxy, half_close_reaches_the_engine_and_its_late_output_still_flows_back) {
  proxied x{[](peer& p) {
    p.until("\r\n\r\n");
    p.send(upgraded);
    const auto input = p.until_eof(); // `cat`: until stdin ends
    EXPECT_FALSE(p.timed_out);
    p.send("saw " + std::to_string(input.size()));
    p.shutdown_write();
    EXPECT_EQ(p.until_eof(), "");
  }};
  auto p = x.server.connect();
  p.send(upgrade_request);
  EXPECT_EQ(p.until("\r\n\r\n"), upgraded);
  p.send(std::string(300000, 'i'));
  p.shutdown_write();
  EXPECT_EQ(p.until_eof(), "saw 300000");
}

TEST(http_proxy, half_close_before_the_upgrade_is_answered_is_not_lost) {
  promise_box<bool> answer_now;
  proxied x{[&](peer& p) {
    p.until("\r\n\r\n");
    answer_now.get();
    p.send(upgraded);
    p.send("got " + p.until_eof());
  }};
  auto p = x.server.connect();
  p.send(std::string{upgrade_request} + "stdin");
  p.shutdown_write();
  answer_now.set(true);
  EXPECT_EQ(p.until("\r\n\r\n"), upgraded);
  EXPECT_EQ(p.until_eof(), "got stdin");
}

TEST(http_proxy, the_engine_s_half_close_reaches_the_client_which_may_go_on_sending) {
  promise_box<std::string> rest;
  proxied x{[&](peer& p) {
    p.until("\r\n\r\n");
    p.send(std::string{upgraded} + "out");
    p.shutdown_write();
    rest.set(p.until_eof());
  }};
  auto p = x.server.connect();
  p.send(upgrade_request);
  p.until("\r\n\r\n");
  EXPECT_EQ(p.until_eof(), "out");
  EXPECT_TRUE(p.send("still here"));
  p.shutdown_write();
  EXPECT_EQ(rest.get(), "still here");
}

TEST(http_proxy, the_old_200_raw_stream_answer_is_hijacked_too) {
  proxied x{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n");
    p.send("got " + p.until_eof());
  }};
  auto p = x.server.connect();
  p.send("POST /containers/x/attach HTTP/1.1\r\nHost: d\r\n\r\nraw input, not a request\r\n");
  EXPECT_EQ(status_of(p.until("\r\n\r\n")), 200);
  p.shutdown_write();
  EXPECT_EQ(p.until_eof(), "got raw input, not a request\r\n");
}

TEST(http_proxy, an_upgrade_that_is_refused_leaves_a_usable_connection) {
  proxied x{answers("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n")};
  auto p = x.server.connect();
  p.send(upgrade_request);
  EXPECT_EQ(status_of(p.answer()), 404);
  p.send(upgrade_request);
  EXPECT_EQ(status_of(p.answer()), 404);
}

TEST(http_proxy, a_client_that_disappears_closes_the_engine_s_side) {
  promise_box<bool> over;
  for (const bool streaming : {false, true}) {
    proxied x{[&](peer& p) {
      p.until("\r\n\r\n");
      if (streaming)
        p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
      p.until_eof();
      over.set(!p.timed_out);
    }};
    auto p = x.server.connect();
    p.send("GET /events HTTP/1.1\r\nHost: d\r\n\r\n");
    if (streaming)
      p.until("hi");
    else
      EXPECT_TRUE(eventually([&] { return x.engine.connections == 1; }));
    p.close();
    EXPECT_TRUE(over.get());
    EXPECT_TRUE(eventually([&] { return x.server.http.stats().connections == 0; }));
  }
}

TEST(http_proxy, a_client_that_half_closes_and_later_disappears_is_noticed_on_a_silent_stream) {
  proxied x{[](peer& p) {
    p.until("\r\n\r\n");
    p.send(upgraded);
    p.until_eof();                              // stdin's end
    pollfd silent{p.fd(), 0, 0};                // then only a full close can be seen
    EXPECT_GT(::poll(&silent, 1, 20000), 0);
  }};
  auto p = x.server.connect();
  p.send(upgrade_request);
  p.until("\r\n\r\n");
  p.shutdown_write();
  EXPECT_TRUE(p.receive(std::chrono::milliseconds{20}).empty());
  EXPECT_EQ(x.server.http.stats().connections, 1u);
  p.close();
  EXPECT_TRUE(eventually([&] { return x.server.http.stats().connections == 0; }));
}

TEST(http_proxy, an_absent_engine_is_503_in_docker_s_words) {
  temp_dir dir;
  running_server s{echo, {}, [&](const request_head&) -> route { return pass_through{dir / "none.sock", {}}; }};
  auto p = s.connect();
  for (int i = 0; i < 2; ++i) {
    p.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n");
    const auto a = p.answer();
    EXPECT_EQ(status_of(a), 503);
    EXPECT_EQ(body_of(a), "{\"message\":\"Cannot connect to the Docker Engine at unix://" + (dir / "none.sock")
                            + ": no such file or directory\"}\n");
  }
  EXPECT_EQ(status_of(s.ask("POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\npart")), 503);
}

TEST(http_proxy, an_engine_that_breaks_off_or_talks_nonsense_is_502_or_a_visible_cut) {
  const auto ask = [](const std::string& answer) {
    proxied x{answers(answer)};
    auto p = x.server.connect();
    p.send("GET /x HTTP/1.1\r\nHost: d\r\n\r\n");
    return p.answer();
  };
  EXPECT_EQ(status_of(ask("")), 502);
  EXPECT_EQ(status_of(ask("HTTP/1.1 20")), 502);
  EXPECT_EQ(status_of(ask("garbage garbage\r\n\r\n")), 502);
  EXPECT_EQ(status_of(ask("HTTP/1.1 200 OK\r\nX: " + std::string(100000, 'x') + "\r\n\r\n")), 502);
  EXPECT_EQ(body_of(ask("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")), "half");
  EXPECT_EQ(body_of(ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe")), "5\r\nhe");
}

TEST(http_proxy, an_early_answer_to_a_large_upload_reaches_the_client) {
  proxied x{answers("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")};
  auto p = x.server.connect();
  std::thread sender{[&] {
    p.send("POST /load HTTP/1.1\r\nHost: d\r\nContent-Length: 100000000\r\n\r\n");
    const std::string piece(65536, 'x');
    for (int i = 0; i < 1600 && p.send(piece); ++i) {
    }
  }};
  EXPECT_EQ(status_of(p.answer()), 403);
  p.until_eof();
  sender.join();
}

TEST(http_proxy, a_filter_may_edit_head_and_body) {
  response_filter f;
  f.head = [](response_head& h) { h.headers.set("Swarm", "active/manager"); };
  f.body = [](const response_head& h, std::string body) {
    return h.status == 200 ? body.substr(0, body.size() - 1) + ",\"Swarm\":{}}" : body;
  };
  proxied x{answers("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n"), f};
  auto p = x.server.connect();
  for (int i = 0; i < 2; ++i) {
    p.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n");
    const auto a = p.answer();
    EXPECT_EQ(body_of(a), "{\"a\":1,\"Swarm\":{}}");
    EXPECT_NE(a.find("Swarm: active/manager\r\n"), std::string::npos);
    EXPECT_EQ(a.find("chunked"), std::string::npos);
  }
}

TEST(http_proxy, a_body_too_large_to_edit_is_502) {
  response_filter f;
  f.body = [](const response_head&, std::string body) { return body; };
  f.body_bytes = 100;
  proxied x{answers("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + std::string(101, 'x')), f};
  auto p = x.server.connect();
  p.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n");
  EXPECT_EQ(status_of(p.answer()), 502);
}

TEST(http_proxy, a_handler_can_pass_on_a_request_it_has_read) {
  temp_dir dir;
  promise_box<std::string> seen;
  scripted_engine engine{dir / "e.sock", [&](peer& p) {
                           const auto head = p.until("\r\n\r\n");
                           seen.set(head + p.until("end"));
                           p.send("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nid");
                         }};
  std::thread later;
  running_server s{[&](std::shared_ptr<exchange> ex, request&& r) {
    if (later.joinable())
      later.join();
    later = std::thread{[&dir, ex, r = std::move(r)]() mutable {
      r.body += " edited end";
      ex->proxy(dir / "e.sock", std::move(r));
    }};
  }};
  auto p = s.connect();
  for (int i = 0; i < 2; ++i) {
    p.send("POST /containers/create?name=a HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
           "4\r\nbody\r\n0\r\n\r\n");
    auto a = p.answer();
    if (status_of(a) == 100)
      a = p.answer();
    EXPECT_EQ(status_of(a), 201);
    const auto request = seen.get();
    EXPECT_NE(request.find("Content-Length: 15\r\n"), std::string::npos) << request;
    EXPECT_EQ(request.find("chunked"), std::string::npos);
    EXPECT_EQ(request.find("Expect"), std::string::npos);
    EXPECT_TRUE(request.ends_with("\r\n\r\nbody edited end"));
  }
  later.join();
}

TEST(http_proxy, http_1_0_clients_talk_http_1_0_to_the_engine) {
  promise_box<std::string> seen;
  proxied x{answers("HTTP/1.0 200 OK\r\n\r\nplain", &seen)};
  auto p = x.server.connect();
  p.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(body_of(p.until_eof()), "plain");
  EXPECT_TRUE(seen.get().starts_with("GET / HTTP/1.0\r\n"));
}

TEST(http_proxy, a_route_may_rewrite_the_target) {
  temp_dir dir;
  promise_box<std::string> seen;
  scripted_engine engine{dir / "e.sock", answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &seen)};
  running_server s{echo, {}, [&](const request_head& h) -> route {
                     return pass_through{dir / "e.sock", {}, "/v1.41" + h.path.substr(6)};
                   }};
  EXPECT_EQ(status_of(s.ask("GET /v1.50/info HTTP/1.1\r\nHost: d\r\n\r\n")), 200);
  EXPECT_TRUE(seen.get().starts_with("GET /v1.41/info HTTP/1.1\r\n"));
}

TEST(http_proxy, absolute_targets_are_made_origin_form) {
  promise_box<std::string> seen;
  proxied x{answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &seen)};
  auto p = x.server.connect();
  for (const auto& [target, origin] : {std::pair{"http://d/a?b=c", "/a?b=c"}, {"http://d", "/"}, {"http://d?x=1", "/?x=1"}}) {
    p.send(std::string{"GET "} + target + " HTTP/1.1\r\nHost: d\r\n\r\n");
    EXPECT_EQ(status_of(p.answer()), 200);
    EXPECT_TRUE(seen.get().starts_with(std::string{"GET "} + origin + " HTTP/1.1\r\n"));
  }
}

} // namespace
} // namespace swarm::http::test
