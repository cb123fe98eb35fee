// Log lines on the wire.
#include "actors/gateway/log_frames.hpp"

#include <gtest/gtest.h>

namespace swarm::gateway {
namespace {

using namespace std::string_literals;

LogLine line(const std::string& text, unsigned stream = 1) {
  LogLine l;
  l.set_stream(stream);
  l.set_timestamp(1'795'000'000'123'456'789);
  l.set_data(text);
  return l;
}

TEST(log_frames, a_frame_has_stream_and_big_endian_length) {
  std::string out;
  append_frame(out, 2, std::string(300, 'x'));
  EXPECT_EQ(out.substr(0, 8), "\x02\0\0\0\0\0\x01\x2c"s);
  EXPECT_EQ(out.size(), 308u);
}

TEST(log_frames, timestamp_comes_before_details_and_details_are_sorted) {
  auto l = line("hello\n");
  l.set_attributes("a=1,z=2");
  std::string out;
  append_line(out, l, {true, true, false}, "n", "s", "t");
  EXPECT_EQ(out.substr(8), "2026-11-18T11:06:40.123456789Z a=1,com.docker.swarm.node.id=n,com.docker.swarm.service.id=s,"
                           "com.docker.swarm.task.id=t,z=2 hello\n");
}

TEST(log_frames, a_terminals_bytes_go_out_as_they_are) {
  std::string out;
  append_line(out, line("\x1b[1mx"), {false, false, true}, "n", "s", "t");
  EXPECT_EQ(out, "\x1b[1mx");
}

} // namespace
} // namespace swarm::gateway
