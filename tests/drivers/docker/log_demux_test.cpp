// The engine's log stream in well-formed and hostile pieces.
#include "drivers/docker/log_demux.hpp"

#include <gtest/gtest.h>

#include "drivers/log_window.hpp"

namespace swarm::docker {
namespace {

std::string frame(int stream, const std::string& payload, std::uint32_t length) {
  std::string out{static_cast<char>(stream), 0, 0, 0};
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(length >> shift);
  return out + payload;
}
std::string frame(int stream, const std::string& payload) { return frame(stream, payload, static_cast<std::uint32_t>(payload.size())); }
const std::string time_text = "2024-05-01T10:00:00.000000005Z ";

std::vector<LogLine> feed(log_demux& demux, const std::string& bytes, std::size_t piece) {
  std::vector<LogLine> out;
  for (std::size_t i = 0; i < bytes.size(); i += piece)
    demux.feed(std::string_view{bytes}.substr(i, piece), out);
  demux.finish(out);
  return out;
}

TEST(log_demux, frames_become_lines_whatever_the_pieces) {
  const auto bytes = frame(1, time_text + "a=b,c=d hello world\n") + frame(2, time_text + " no attributes\n") + frame(1, time_text + " \n");
  for (std::size_t piece = 1; piece < bytes.size(); ++piece) {
    log_demux demux{false};
    const auto lines = feed(demux, bytes, piece);
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[0].data(), "hello world\n");
    EXPECT_EQ(lines[0].attributes(), "a=b,c=d");
    EXPECT_EQ(lines[0].timestamp() % 1'000'000'000, 5);
    EXPECT_EQ(lines[1].stream(), 2u);
    EXPECT_EQ(lines[1].data(), "no attributes\n");
    EXPECT_EQ(lines[2].data(), "\n");
    EXPECT_EQ(demux.error(), "");
  }
}

TEST(log_demux, a_terminal_gives_raw_lines) {
  const auto bytes = time_text + " one\r\n" + time_text + "x=y two";
  for (std::size_t piece = 1; piece < bytes.size(); ++piece) {
    log_demux demux{true};
    const auto lines = feed(demux, bytes, piece);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0].data(), "one\r\n");
    EXPECT_EQ(lines[1].data(), "two");
    EXPECT_EQ(lines[1].attributes(), "x=y");
  }
}

TEST(log_demux, an_error_frame_is_the_engines_word) {
  log_demux demux{false};
  EXPECT_TRUE(feed(demux, frame(3, "log driver is on strike\n"), 100).empty());
  EXPECT_EQ(demux.error(), "log driver is on strike");
}

TEST(log_demux, hostile_frames_end_it_and_take_no_memory) {
  for (const auto& bytes : {frame(1, "x", 0xffffffff), frame(9, "x"), std::string{"\1\1\0\0\0\0\0\1x", 9}, std::string(1000, '\xff')}) {
    log_demux demux{false};
    EXPECT_TRUE(feed(demux, bytes + frame(1, "later"), 7).empty());
    EXPECT_NE(demux.error(), "");
    EXPECT_EQ(demux.held_bytes(), 0u);
  }
}

TEST(log_demux, a_frame_cut_short_and_empty_frames_are_nothing) {
  log_demux demux{false};
  EXPECT_EQ(feed(demux, frame(1, "") + frame(1, "abc", 10), 3).size(), 1u);
  EXPECT_EQ(demux.error(), "");
}

TEST(log_demux, an_endless_raw_line_is_cut) {
  log_demux demux{true};
  std::vector<LogLine> out;
  for (int i = 0; i < 1000; ++i) {
    demux.feed(std::string(1024, 'x'), out);
    ASSERT_LE(demux.held_bytes(), log_demux::raw_line_bytes_max + 1024);
  }
  EXPECT_GT(out.size(), 10u);
}

TEST(log_demux, random_bytes_do_no_harm) {
  std::uint64_t x = 88172645463325252ull;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (int i = 0; i < 64; ++i) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      bytes += static_cast<char>(i % 8 < 4 && round % 2 ? 0 : x);
    }
    for (const auto tty : {false, true}) {
      log_demux demux{tty};
      (void)feed(demux, bytes, 5);
    }
  }
}

LogLine line(const std::string& data) {
  LogLine out;
  out.set_data(data);
  return out;
}

TEST(log_window, nothing_goes_without_credit_and_a_chunk_is_bounded) {
  driver::log_window w{7, "t"};
  w.add(std::vector<LogLine>(3000, line("0123456789")));
  EXPECT_FALSE(w.next());
  w.grant(25);
  auto chunk = w.next();
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->lines_size(), 3) << "the last line may overdraw";
  EXPECT_FALSE(w.next());
  w.grant(5);
  EXPECT_FALSE(w.next()) << "first the debt";
  w.grant(1'000'000);
  std::size_t lines = 3;
  while ((chunk = w.next())) {
    EXPECT_LE(chunk->lines_size(), driver::log_window::chunk_lines);
    lines += static_cast<std::size_t>(chunk->lines_size());
  }
  EXPECT_EQ(lines, 3000u);
}

TEST(log_window, the_end_comes_after_the_last_line_and_once) {
  driver::log_window w{7, "t"};
  w.add({line("a")});
  w.end("why");
  EXPECT_FALSE(w.next());
  w.grant(1);
  const auto chunk = w.next();
  ASSERT_TRUE(chunk);
  EXPECT_TRUE(chunk->end());
  EXPECT_EQ(chunk->error(), "why");
  EXPECT_FALSE(w.next());
  EXPECT_TRUE(w.ended());
}

TEST(log_window, asks_to_wait_when_it_is_full) {
  driver::log_window w{7, "t"};
  EXPECT_TRUE(w.wants_more());
  w.add(std::vector<LogLine>(300, line(std::string(1024, 'x'))));
  EXPECT_FALSE(w.wants_more());
}

} // namespace
} // namespace swarm::docker
