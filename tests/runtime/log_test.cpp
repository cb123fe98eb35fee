// One event is one line, whatever is in it; nobody waits for a reader; secrets stay secret.
#include "runtime/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "runtime/ids.hpp"

namespace swarm::log {
namespace {

constexpr std::int64_t noon = 1'700'000'000'123'456'789;

record sample(fields extra) { return {noon, level::info, "n1", "raft", "elected", extra}; }

// The fields of a line that must be valid JSON.
google::protobuf::Struct from_json(const std::string& line) {
  google::protobuf::Struct out;
  const auto status = google::protobuf::util::JsonStringToMessage(line, &out);
  EXPECT_TRUE(status.ok()) << status.ToString() << ": " << line;
  return out;
}

/// A pipe whose reading end the test owns.
class log_pipe : public ::testing::Test {
protected:
  void SetUp() override { ASSERT_EQ(::pipe2(ends_, O_CLOEXEC), 0); }
  void TearDown() override {
    stop();
    set_level(level::info);
    ::close(ends_[0]);
    ::close(ends_[1]);
  }

  options to_pipe(std::size_t queue_lines = 8192) {
    options opts;
    opts.fd = ends_[1];
    opts.node = "n1";
    opts.queue_lines = queue_lines;
    return opts;
  }

  std::string read_some() {
    std::string out(1 << 20, '\0');
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    const auto n = ::read(ends_[0], out.data(), out.size());
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }

  int ends_[2] = {-1, -1};
};

TEST(log_render, text_line_has_time_level_node_actor_event_and_pairs) {
  EXPECT_EQ(render(sample({{"term", 3}, {"leader", "host 2"}, {"ok", true}, {"ratio", 0.5}}), format::text),
            "2023-11-14T22:13:20.123456789Z info n1 raft elected term=3 leader=\"host 2\" ok=true ratio=0.5");
}

TEST(log_render, json_line_keeps_numbers_and_booleans) {
  const auto line = render(sample({{"term", 3}, {"leader", "host 2"}, {"ok", true}}), format::json);
  const auto parsed = from_json(line).fields();
  EXPECT_EQ(parsed.at("term").number_value(), 3);
  EXPECT_TRUE(parsed.at("ok").bool_value());
  EXPECT_EQ(parsed.at("leader").string_value(), "host 2");
  EXPECT_EQ(parsed.at("event").string_value(), "elected");
}

TEST(log_render, newlines_quotes_and_broken_utf8_cannot_forge_a_second_line) {
  const std::string evil = "a\nb\"c\\d\xff\x01\xe2\x82\xac\xed\xa0\x80";
  for (const auto how : {format::text, format::json}) {
    const auto line = render({noon, level::warn, "n\n1", "act or", "e\nv", {{"k\ney", evil}}}, how);
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_EQ(line.find('\x01'), std::string::npos) << line;
    EXPECT_EQ(line.find('\xff'), std::string::npos) << line;
    EXPECT_NE(line.find("\xe2\x82\xac"), std::string::npos) << "valid UTF-8 is kept: " << line;
  }
  EXPECT_EQ(from_json(render(sample({{"k", evil}}), format::json)).fields().count("k"), 1U);
}

TEST(log_render, a_secret_shows_as_stars) {
  const secret token{"SWMTKN-1-abc"};
  EXPECT_EQ(render(sample({{"token", token}}), format::text).find("abc"), std::string::npos);
  EXPECT_NE(render(sample({{"token", token}}), format::json).find("\"***\""), std::string::npos);
}

TEST(log_render, a_long_value_is_cut_and_says_so) {
  const auto line = render(sample({{"body", std::string(100'000, 'x')}}), format::text);
  EXPECT_LT(line.size(), 5000U);
  EXPECT_NE(line.find("(100000 bytes)"), std::string::npos);
}

TEST(log_render, keys_of_ours_are_not_repeated_in_json) {
  const auto parsed = from_json(render(sample({{"node", "other"}, {"time", 1}}), format::json)).fields();
  EXPECT_EQ(parsed.at("node").string_value(), "n1");
  EXPECT_EQ(parsed.at("node_").string_value(), "other");
  EXPECT_EQ(parsed.at("time_").number_value(), 1);
}

TEST(log_render, ids_errors_and_numbers_without_a_json_form_have_one) {
  const service_id id{id128{1, 2}};
  const auto line = render(sample({{"service", id},
                                   {"error", failure{errc::not_found, "service web not found"}},
                                   {"inf", std::numeric_limits<double>::infinity()}}),
                           format::json);
  const auto parsed = from_json(line).fields();
  EXPECT_EQ(parsed.at("service").string_value(), id.str());
  EXPECT_EQ(parsed.at("inf").string_value(), "+Inf");
  EXPECT_NE(parsed.at("error").string_value().find("service web not found"), std::string::npos);
}

TEST(log_level, names_read_back) {
  for (const auto l : {level::debug, level::info, level::warn, level::error, level::off})
    EXPECT_EQ(parse_level(to_string(l)), l);
  EXPECT_EQ(parse_level("warning"), level::warn);
  EXPECT_EQ(parse_level("loud"), std::nullopt);
  EXPECT_EQ(parse_format("json"), format::json);
  EXPECT_EQ(parse_format("xml"), std::nullopt);
}

TEST_F(log_pipe, lines_arrive_in_order_and_below_the_level_they_do_not) {
  start(to_pipe());
  debug("raft", "unseen");
  for (int i = 0; i < 100; ++i)
    info("raft", "step", {{"i", i}});
  set_level(level::warn);
  info("raft", "unseen");
  flush();
  const auto text = read_some();
  EXPECT_EQ(text.find("unseen"), std::string::npos);
  EXPECT_LT(text.find("i=7\n"), text.find("i=99\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 100);
}

TEST_F(log_pipe, journald_gets_a_priority_in_front_of_each_line) {
  auto opts = to_pipe();
  opts.journald_prefix = true;
  start(opts);
  info("a", "one");
  warn("a", "two");
  error("a", "three");
  flush();
  const auto text = read_some();
  EXPECT_TRUE(text.starts_with("<6>20")) << text;
  EXPECT_NE(text.find("\n<4>20"), std::string::npos);
  EXPECT_NE(text.find("\n<3>20"), std::string::npos);
}

TEST_F(log_pipe, a_reader_that_stopped_reading_blocks_nobody_and_losses_are_counted_and_told) {
  start(to_pipe(64));
  const auto lost_before = dropped();
  for (int i = 0; i < 20'000; ++i) // nobody reads: a logger that waits would never come to the end
    info("flood", "line", {{"i", i}, {"padding", std::string(100, 'x')}});
  EXPECT_GT(dropped(), lost_before);
  std::string all;
  for (int round = 0; round < 2000 && all.find("i=19999 ") == std::string::npos; ++round) {
    all += read_some();
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  EXPECT_NE(all.find("i=19999 "), std::string::npos) << "the newest lines survive";
  EXPECT_NE(all.find(" log lines_dropped lost="), std::string::npos);
}

TEST_F(log_pipe, stop_gives_up_on_a_reader_that_never_reads) {
  start(to_pipe());
  for (int i = 0; i < 2000; ++i)
    info("flood", "line", {{"padding", std::string(200, 'x')}});
  const auto begin = std::chrono::steady_clock::now();
  stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{20});
}

TEST_F(log_pipe, many_threads_may_write_while_the_node_changes_its_name) {
  start(to_pipe());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 50; ++i)
        info("worker", "line", {{"thread", t}});
    });
  set_node("n2");
  for (auto& t : threads)
    t.join();
  flush();
  const auto text = read_some();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 200);
}

TEST(log_journald, only_the_named_file_is_the_journal) {
  struct stat info {};
  ASSERT_EQ(::fstat(2, &info), 0);
  ::setenv("JOURNAL_STREAM", (std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino)).c_str(), 1);
  EXPECT_TRUE(journald_wanted(2));
  ::setenv("JOURNAL_STREAM", "1:1", 1);
  EXPECT_FALSE(journald_wanted(2));
  ::unsetenv("JOURNAL_STREAM");
  EXPECT_FALSE(journald_wanted(2));
}

TEST(log_count, each_severity_is_counted_even_when_it_is_not_shown) {
  const auto before = count(level::debug);
  debug("test", "unseen");
  EXPECT_EQ(count(level::debug), before + 1);
}

} // namespace
} // namespace swarm::log
