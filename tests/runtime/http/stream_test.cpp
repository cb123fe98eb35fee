// Streamed answers: flushed at once, bounded, cut when nobody reads, told when the client is gone.
#include <thread>

#include "tests/runtime/http/fixture.hpp"

namespace swarm::http::test {
namespace {

using exchange_box = promise_box<std::shared_ptr<exchange>>;

handler keep_in(exchange_box& box) {
  return [&box](std::shared_ptr<exchange> ex, request&&) { box.set(std::move(ex)); };
}

constexpr auto get = "GET /events HTTP/1.1\r\nHost: d\r\n\r\n";

TEST(http_stream, every_chunk_is_flushed_at_once_and_the_connection_goes_on) {
  exchange_box box;
  running_server s{keep_in(box)};
  auto p = s.connect();
  p.send(get);
  const auto ex = box.get();
  ex->begin_stream(200, {{"Content-Type", "application/json"}});
  const auto head = p.until("\r\n\r\n");
  EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  for (int i = 0; i < 10; ++i) {
    const auto event = "{\"n\":" + std::to_string(i) + "}\n";
    EXPECT_EQ(ex->write(event), write_result::accepted);
    EXPECT_EQ(p.until(event), "8\r\n" + event);
    EXPECT_EQ(p.until("\r\n"), "\r\n");
  }
  ex->finish();
  EXPECT_EQ(p.until("0\r\n\r\n"), "0\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return ex->closed(); }));
  EXPECT_EQ(ex->write("late"), write_result::closed);
  p.send(get);
  box.get()->reply(200, {}, "next");
  EXPECT_EQ(body_of(p.answer()), "next");
}

TEST(http_stream, http_1_0_clients_get_a_body_that_ends_with_the_connection) {
  exchange_box box;
  running_server s{keep_in(box)};
  auto p = s.connect();
  p.send("GET / HTTP/1.0\r\n\r\n");
  const auto ex = box.get();
  ex->begin_stream(200, {});
  ex->write("one");
  ex->write("two");
  ex->finish();
  const auto all = p.until_eof();
  EXPECT_EQ(body_of(all), "onetwo");
  EXPECT_EQ(all.find("chunked"), std::string::npos);
}

TEST(http_stream, a_head_request_gets_the_stream_s_head_only) {
  exchange_box box;
  running_server s{keep_in(box)};
  auto p = s.connect();
  p.send("HEAD / HTTP/1.1\r\nHost: d\r\n\r\n");
  const auto ex = box.get();
  ex->begin_stream(200, {});
  EXPECT_EQ(ex->write("nothing"), write_result::accepted);
  ex->finish();
  p.until("\r\n\r\n");
  p.send(get);
  box.get()->reply(200, {}, "next");
  EXPECT_EQ(body_of(p.answer()), "next");
}

TEST(http_stream, the_writer_is_told_when_the_reader_is_slow_and_when_there_is_room_again) {
  limits l;
  l.outgoing_bytes = 128 * 1024;
  exchange_box box;
  running_server s{keep_in(box), l};
  auto p = s.connect();
  p.send(get);
  const auto ex = box.get();
  ex->begin_stream(200, {});
  const std::string chunk(8 * 1024, 'c');
  std::size_t accepted = 0;
  ASSERT_TRUE(eventually([&] { // the kernel's buffers and ours fill, and stay so from one look to the next
    const auto before = accepted;
    while (ex->write(chunk) == write_result::accepted)
      ++accepted;
    return accepted == before && ex->unsent() > l.outgoing_bytes - 2 * chunk.size();
  }));
  EXPECT_LE(ex->unsent(), l.outgoing_bytes + 64);
  EXPECT_EQ(ex->write(chunk), write_result::backpressure);
  promise_box<bool> room;
  ex->on_writable([&] { room.set(true); });
  EXPECT_TRUE(room.empty());
  std::size_t received = 0;
  std::thread reader{[&] {
    for (;;) {
      const auto piece = p.receive();
      if (piece.empty())
        return;
      received += piece.size();
    }
  }};
  EXPECT_TRUE(room.get());
  EXPECT_EQ(ex->write(chunk), write_result::accepted);
  ex->finish();
  EXPECT_TRUE(eventually([&] { return ex->closed(); }));
  s.http.stop();
  reader.join();
  EXPECT_GE(received, (accepted + 1) * chunk.size());
}

TEST(http_stream, a_chunk_larger_than_the_bound_passes_when_nothing_waits) {
  limits l;
  l.outgoing_bytes = 1024;
  exchange_box box;
  running_server s{keep_in(box), l};
  auto p = s.connect();
  p.send(get);
  const auto ex = box.get();
  ex->begin_stream(200, {});
  EXPECT_EQ(ex->write(std::string(100000, 'x')), write_result::accepted);
  ex->finish();
  EXPECT_GE(p.until("0\r\n\r\n").size(), 100000u);
}

TEST(http_stream, readers_that_never_read_are_cut_and_memory_stays_bounded) {
  limits l;
  l.outgoing_bytes = 64 * 1024;
  l.write_stall = milliseconds{200};
  exchange_box box;
  running_server s{keep_in(box), l};
  std::vector<peer> readers;
  std::vector<std::shared_ptr<exchange>> streams;
  promise_box<bool> gone;
  const auto before = resident_bytes();
  constexpr int count = 50;
  for (int i = 0; i < count; ++i) {
    readers.push_back(s.connect());
    readers.back().send(get);
    streams.push_back(box.get());
    streams.back()->on_close([&] { gone.set(true); });
    streams.back()->begin_stream(200, {});
  }
  const std::string event(1000, 'e');
  const auto end = clock::now() + patience;
  for (bool all_closed = false; !all_closed && clock::now() < end;) {
    all_closed = true;
    for (const auto& ex : streams)
      all_closed = ex->write(event) == write_result::closed && all_closed;
  }
  for (int i = 0; i < count; ++i)
    EXPECT_TRUE(gone.get());
  EXPECT_EQ(s.http.stats().stalled, static_cast<std::uint64_t>(count));
  const auto grown = resident_bytes() - std::min(before, resident_bytes());
  std::printf("[  MEASURE ] %d stalled readers: %zu KiB resident more\n", count, grown / 1024);
#if !defined(__SANITIZE_ADDRESS__) && !defined(SWARM_THREAD_SANITIZER)
  EXPECT_LT(grown, 16u * 1024 * 1024);
#endif
}

TEST(http_stream, the_writer_is_told_when_the_client_goes_away_silently) {
  exchange_box box;
  running_server s{keep_in(box)};
  auto p = s.connect();
  p.send(get);
  const auto ex = box.get();
  promise_box<bool> gone;
  ex->on_close([&] { gone.set(true); });
  ex->begin_stream(200, {});
  p.until("\r\n\r\n");
  p.close();
  EXPECT_TRUE(gone.get());
  EXPECT_EQ(ex->write("x"), write_result::closed);
}

TEST(http_stream, dropping_an_unfinished_stream_cuts_it_visibly) {
  exchange_box box;
  running_server s{keep_in(box)};
  auto p = s.connect();
  p.send(get);
  {
    const auto ex = box.get();
    ex->begin_stream(200, {});
    ex->write("half");
    p.until("half");
  }
  EXPECT_EQ(p.until_eof().find("0\r\n\r\n"), std::string::npos);
}

TEST(http_stream, many_threads_may_write_one_stream) {
  exchange_box box;
  running_server s{keep_in(box)};
  auto p = s.connect();
  p.send(get);
  const auto ex = box.get();
  ex->begin_stream(200, {});
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t)
    writers.emplace_back([ex] {
      for (int i = 0; i < 250; ++i)
        while (ex->write("0123456789") == write_result::backpressure)
          std::this_thread::yield();
    });
  for (auto& t : writers)
    t.join();
  ex->finish();
  const auto all = body_of(p.answer());
  std::size_t chunks = 0;
  for (auto at = all.find("a\r\n0123456789\r\n"); at != std::string::npos; at = all.find("a\r\n0123456789\r\n", at + 1))
    ++chunks;
  EXPECT_EQ(chunks, 1000u);
}

} // namespace
} // namespace swarm::http::test
