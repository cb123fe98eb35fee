// The engine client: pooled calls, streams, hijack, and each way an engine misbehaves told apart.
#include "tests/runtime/http/fixture.hpp"

namespace swarm::http::test {
namespace {

struct outcome {
  client_error error;
  response answer;
};

/// A client of a scripted engine.
struct under_test {
  explicit under_test(scripted_engine::script play, client_options o = {})
    : engine{dir / "e.sock", std::move(play)}, http{io, with_path(std::move(o), dir / "e.sock")} {
    io.start();
  }
  ~under_test() {
    http.stop();
    EXPECT_TRUE(io.stop());
  }
  static client_options with_path(client_options o, std::string path) {
    o.socket_path = std::move(path);
    return o;
  }
  outcome call(client_request req = {}, duration deadline = patience, std::size_t body_bytes = 0) {
    promise_box<outcome> box;
    http.call(std::move(req), deadline, [&](client_error e, response&& r) { box.set({e, std::move(r)}); }, body_bytes);
    return box.get();
  }

  temp_dir dir;
  scripted_engine engine;
  io_threads io;
  client http;
};

scripted_engine::script serve(std::string answer) {
  return [answer = std::move(answer)](peer& p) {
    while (!p.until("\r\n\r\n").empty() && p.send(answer)) {
    }
  };
}

constexpr auto ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(http_client, calls_reuse_one_connection) {
  under_test t{serve(ok)};
  for (int i = 0; i < 20; ++i) {
    const auto r = t.call();
    ASSERT_TRUE(r.error.ok()) << r.error.text;
    EXPECT_EQ(r.answer.status, 200);
    EXPECT_EQ(r.answer.body, "ok");
  }
  EXPECT_EQ(t.engine.connections, 1);
}

TEST(http_client, a_tcp_endpoint_is_called_by_name_or_address) {
  io_threads io;
  io.start();
  server there{io, [](const request_head&) -> route { return handle{}; },
               [](std::shared_ptr<exchange> e, request&& r) { e->reply(200, {}, r.body); }};
  std::uint16_t port = 0;
  ASSERT_TRUE(there.listen(tcp_endpoint{"127.0.0.1", 0, {}, true}, &port).ok());
  const auto call = [&](const std::string& host, std::uint16_t at) {
    client_options options;
    options.tcp_host = host;
    options.tcp_port = at;
    client http{io, options};
    promise_box<outcome> box;
    http.call({.method = "POST", .body = "hello"}, seconds{5}, [&](client_error e, response&& r) { box.set({e, std::move(r)}); });
    return box.get();
  };
  EXPECT_EQ(call("127.0.0.1", port).answer.body, "hello");
  EXPECT_EQ(call("localhost", port).answer.body, "hello");
  const auto closed = call("127.0.0.1", 1);
  EXPECT_EQ(closed.error.code, client_errc::cannot_connect);
  EXPECT_EQ(closed.error.text, "cannot connect to tcp://127.0.0.1:1: Connection refused");
  const auto nobody = call("name.invalid", 1);
  EXPECT_EQ(nobody.error.code, client_errc::cannot_connect) << nobody.error.text;
  there.stop();
  EXPECT_TRUE(io.stop());
}

TEST(http_client, a_tcp_endpoint_that_does_not_answer_the_call_to_connect_ends_by_the_deadline) {
  // A listener whose backlog is full: the kernel drops further connections.
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(fd, 0), 0);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size), 0);
  const auto first = peer::tcp(ntohs(at.sin_port));
  ASSERT_TRUE(first.ok());
  io_threads io;
  io.start();
  client_options options;
  options.tcp_host = "127.0.0.1";
  options.tcp_port = ntohs(at.sin_port);
  {
    client http{io, options};
    promise_box<outcome> box;
    http.call({}, milliseconds{200}, [&](client_error e, response&& r) { box.set({e, std::move(r)}); });
    const auto r = box.get();
    EXPECT_FALSE(r.error.ok());
    EXPECT_NE(r.error.text.find("in time"), std::string::npos) << r.error.text;
  }
  ::close(fd);
  EXPECT_TRUE(io.stop());
}

TEST(http_client, a_post_carries_its_headers_and_body) {
  promise_box<std::string> seen;
  under_test t{[&](peer& p) {
    const auto head = p.until("\r\n\r\n");
    seen.set(head + p.until("}"));
    p.send("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
  }};
  const auto r = t.call({.method = "POST", .target = "/containers/create?name=a", .headers = {{"Content-Type", "application/json"}},
                         .body = "{\"a\":1}"});
  EXPECT_EQ(r.answer.status, 201);
  EXPECT_EQ(r.answer.body, "{}");
  const auto request = seen.get();
  EXPECT_TRUE(request.starts_with("POST /containers/create?name=a HTTP/1.1\r\nHost: docker\r\n"));
  EXPECT_NE(request.find("Content-Length: 7\r\n"), std::string::npos);
}

TEST(http_client, the_pool_is_bounded_and_further_calls_wait_their_turn) {
  std::atomic<int> active{0}, most{0};
  under_test t{[&](peer& p) {
                 while (!p.until("\r\n\r\n").empty()) {
                   const int n = ++active;
                   for (int m = most; n > m && !most.compare_exchange_weak(m, n);) {
                   }
                   std::this_thread::sleep_for(std::chrono::milliseconds{1});
                   --active;
                   p.send(ok);
                 }
               },
               {.connections = 4, .idle_connections = 2}};
  promise_box<outcome> box;
  for (int i = 0; i < 100; ++i)
    t.http.call({}, patience, [&](client_error e, response&& r) { box.set({e, std::move(r)}); });
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(box.get().error.ok());
  EXPECT_LE(most, 4);
  EXPECT_LE(t.engine.connections, 100);
  EXPECT_TRUE(eventually([&] { return t.http.open_connections() <= 2; }));
}

TEST(http_client, an_absent_engine_means_nothing_happened) {
  temp_dir dir;
  io_threads io;
  io.start();
  client c{io, {.socket_path = dir / "none.sock"}};
  promise_box<client_error> box;
  for (int i = 0; i < 1000; ++i)
    c.call({}, patience, [&](client_error e, response&&) { box.set(e); });
  for (int i = 0; i < 1000; ++i) {
    const auto e = box.get();
    ASSERT_EQ(e.code, client_errc::cannot_connect);
    ASSERT_TRUE(e.nothing_happened());
    ASSERT_EQ(e.text, "cannot connect to unix://" + (dir / "none.sock") + ": no such file or directory");
  }
  c.stop();
  c.call({}, patience, [&](client_error e, response&&) { box.set(e); });
  EXPECT_EQ(box.get().code, client_errc::not_sent);
}

TEST(http_client, an_engine_that_never_answers_meets_the_deadline) {
  under_test t{[](peer& p) { p.until_eof(); }, {.connections = 1}};
  promise_box<outcome> first, second;
  t.http.call({}, milliseconds{80}, [&](client_error e, response&& r) { first.set({e, std::move(r)}); });
  t.http.call({}, milliseconds{20}, [&](client_error e, response&& r) { second.set({e, std::move(r)}); });
  EXPECT_EQ(second.get().error.code, client_errc::not_sent); // never left the queue
  const auto e = first.get().error;
  EXPECT_EQ(e.code, client_errc::deadline);
  EXPECT_FALSE(e.nothing_happened());
}

TEST(http_client, half_answers_and_garbage_are_told_apart) {
  const auto outcome_of = [](std::string answer, duration deadline = patience) {
    under_test t{[answer](peer& p) {
      p.until("\r\n\r\n");
      p.send(answer);
    }};
    return t.call({}, deadline).error.code;
  };
  EXPECT_EQ(outcome_of(""), client_errc::closed);
  EXPECT_EQ(outcome_of("HTTP/1.1 200 O"), client_errc::closed);
  EXPECT_EQ(outcome_of("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), client_errc::closed);
  EXPECT_EQ(outcome_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"), client_errc::closed);
  EXPECT_EQ(outcome_of("\x16\x03\x01 this is not http\r\n"), client_errc::garbage);
  EXPECT_EQ(outcome_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), client_errc::garbage);
  EXPECT_EQ(outcome_of("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), client_errc::garbage);
  EXPECT_EQ(outcome_of("HTTP/1.1 101 UPGRADED\r\n\r\n"), client_errc::garbage);
  EXPECT_EQ(outcome_of("HTTP/1.1 200 OK\r\n\r\nuntil close"), client_errc::ok);
  EXPECT_EQ(outcome_of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), client_errc::ok);
}

TEST(http_client, half_a_chunk_followed_by_silence_meets_the_deadline) {
  under_test t{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    p.until_eof();
  }};
  EXPECT_EQ(t.call({}, milliseconds{50}).error.code, client_errc::deadline);
}

TEST(http_client, endless_headers_and_endless_bodies_are_bounded) {
  under_test headers{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\n");
    while (p.send("X-Flood: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")) {
    }
  }};
  EXPECT_EQ(headers.call().error.code, client_errc::garbage);
  under_test body{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (p.send("1000\r\n" + std::string(0x1000, 'x') + "\r\n")) {
    }
  }};
  EXPECT_EQ(body.call({}, patience, 1 << 20).error.code, client_errc::too_large);
}

TEST(http_client, a_connection_the_engine_closed_while_idle_is_replaced_silently) {
  under_test t{[](peer& p) {
    p.until("\r\n\r\n");
    p.send(ok); // and close, as after an engine restart
  }};
  for (int i = 0; i < 10; ++i) {
    const auto r = t.call({.method = i % 2 ? "POST" : "GET"});
    ASSERT_TRUE(r.error.ok()) << r.error.text;
    ASSERT_TRUE(eventually([&] { return t.engine.closed == i + 1; }));
  }
  EXPECT_EQ(t.engine.connections, 10);
}

TEST(http_client, requests_that_would_split_are_not_sent) {
  under_test t{serve(ok)};
  EXPECT_EQ(t.call({.target = "/a HTTP/1.1\r\nX: y"}).error.code, client_errc::not_sent);
  EXPECT_EQ(t.call({.method = "GET /\r\n"}).error.code, client_errc::not_sent);
  EXPECT_EQ(t.call({.target = "nonsense"}).error.code, client_errc::not_sent);
}

TEST(http_client, a_stream_delivers_events_as_they_come_and_ends) {
  promise_box<bool> go;
  under_test t{[&](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; ++i) {
      go.get();
      p.send("2\r\ne" + std::to_string(i) + "\r\n");
    }
    go.get();
    p.send("0\r\n\r\n");
  }};
  promise_box<int> status;
  promise_box<std::string> events;
  promise_box<client_error> end;
  const auto s = t.http.stream({.target = "/events"}, patience,
                               {.on_headers = [&](const response_head& h) { status.set(h.status); },
                                .on_chunk = [&](std::string_view c) { events.set(std::string{c}); return true; },
                                .on_end = [&](const client_error& e) { end.set(e); }});
  EXPECT_EQ(status.get(), 200);
  for (int i = 0; i < 3; ++i) {
    go.set(true);
    EXPECT_EQ(events.get(), "e" + std::to_string(i));
  }
  go.set(true);
  EXPECT_TRUE(end.get().ok());
  s->cancel(); // after the end: nothing
}

TEST(http_client, a_stream_can_be_cancelled_paused_and_resumed) {
  std::atomic<std::size_t> sent{0};
  promise_box<bool> closed;
  under_test t{[&](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const auto chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
    while (p.send(chunk))
      sent += chunk.size();
    closed.set(true);
  }};
  promise_box<std::size_t> got;
  promise_box<client_error> end;
  const auto s = t.http.stream({}, patience,
                               {.on_headers = {},
                                .on_chunk = [&](std::string_view c) { got.set(c.size()); return false; },
                                .on_end = [&](const client_error& e) { end.set(e); }},
                               milliseconds{50}); // silence is not counted while paused
  std::size_t total = got.get();
  std::size_t last = 0;
  EXPECT_TRUE(eventually([&] { // the engine stalls: nobody reads
    const auto now = sent.load();
    std::this_thread::sleep_for(std::chrono::milliseconds{30});
    return std::exchange(last, now) == sent.load() && last > 0;
  }));
  EXPECT_LT(last, 4u * 1024 * 1024);
  EXPECT_TRUE(got.empty());
  for (int i = 0; i < 5; ++i) {
    s->resume();
    total += got.get();
  }
  s->cancel();
  EXPECT_EQ(end.get().code, client_errc::cancelled);
  EXPECT_TRUE(closed.get());
  EXPECT_GT(total, 0u);
}

TEST(http_client, a_stream_whose_engine_hangs_or_dies_says_which) {
  under_test silent{[](peer& p) { p.until_eof(); }};
  promise_box<client_error> end;
  stream_callbacks c{{}, {}, [&](const client_error& e) { end.set(e); }};
  silent.http.stream({}, milliseconds{30}, c);
  EXPECT_EQ(end.get().code, client_errc::deadline);
  under_test mute{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    p.until_eof();
  }};
  mute.http.stream({}, patience, c, milliseconds{30});
  EXPECT_EQ(end.get().code, client_errc::deadline);
  under_test dying{[](peer& p) {
    p.until("\r\n\r\n");
    p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
  }};
  dying.http.stream({}, patience, c);
  EXPECT_EQ(end.get().code, client_errc::closed);
}

TEST(http_client, stop_ends_every_call_and_stream) {
  promise_box<client_error> end;
  {
    under_test t{[](peer& p) { p.until_eof(); }, {.connections = 1}};
    for (int i = 0; i < 3; ++i)
      t.http.call({}, hours{1}, [&](client_error e, response&&) { end.set(e); });
    t.http.stream({}, hours{1}, {{}, {}, [&](const client_error& e) { end.set(e); }});
    EXPECT_TRUE(eventually([&] { return t.engine.connections == 2; }));
  }
  int unknown = 0;
  for (int i = 0; i < 4; ++i)
    unknown += end.get().nothing_happened() ? 0 : 1;
  EXPECT_EQ(unknown, 2); // the call in flight and the stream; the queued ones were never sent
}

TEST(http_client, a_hijacked_stream_carries_bytes_both_ways_with_half_close) {
  under_test t{[](peer& p) {
    EXPECT_NE(p.until("\r\n\r\n").find("Upgrade: tcp\r\n"), std::string::npos);
    p.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello");
    const auto input = p.until_eof();
    p.send("saw " + std::to_string(input.size()));
  }};
  promise_box<int> status;
  promise_box<std::string> ended;
  std::string all;
  const auto s = t.http.stream({.method = "POST", .target = "/exec/1/start"}, patience,
                               {.on_headers = [&](const response_head& h) { status.set(h.status); },
                                .on_chunk = [&](std::string_view c) { all += c; return true; },
                                .on_end = [&](const client_error& e) { ended.set(e.ok() ? all : e.text); }},
                               {}, true);
  EXPECT_EQ(status.get(), 101);
  std::size_t sent = 0;
  const std::string piece(100000, 'p');
  while (sent < 5'000'000) {
    if (s->write(piece) == write_result::accepted) {
      sent += piece.size();
      continue;
    }
    promise_box<bool> room;
    s->on_writable([&] { room.set(true); });
    ASSERT_TRUE(room.get());
  }
  s->close_write();
  EXPECT_EQ(s->write("late"), write_result::closed);
  EXPECT_EQ(ended.get(), "hellosaw 5000000");
}

TEST(http_client, an_upgrade_that_is_refused_is_an_ordinary_answer) {
  under_test t{serve("HTTP/1.1 409 Conflict\r\nContent-Length: 4\r\n\r\nbusy")};
  promise_box<std::string> ended;
  std::string all;
  const auto s = t.http.stream({.method = "POST"}, patience,
                               {.on_headers = [&](const response_head& h) { all = std::to_string(h.status) + " "; },
                                .on_chunk = [&](std::string_view c) { all += c; return true; },
                                .on_end = [&](const client_error&) { ended.set(all); }},
                               {}, true);
  EXPECT_EQ(ended.get(), "409 busy");
  EXPECT_EQ(s->write("x"), write_result::closed);
}

} // namespace
} // namespace swarm::http::test
