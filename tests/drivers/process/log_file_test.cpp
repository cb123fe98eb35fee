// Log records: lines, rotation, tail, torn ends.
#include "drivers/process/log_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace swarm::process {
namespace {

struct log_file : testing::Test {
  std::filesystem::path folder = std::filesystem::temp_directory_path() / ("swarm-log-" + std::to_string(::getpid()));
  std::string path = (folder / "log").string();
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::vector<std::string> read(log_reader& reader) {
    std::vector<std::string> out;
    for (LogLine line; reader.next(line);)
      out.push_back(std::to_string(line.stream()) + ':' + line.data());
    return out;
  }
  std::vector<std::string> read_all() {
    log_reader reader{path};
    return read(reader);
  }
};
using lines = std::vector<std::string>;

TEST_F(log_file, a_line_is_written_when_it_is_complete) {
  log_writer writer{path, 1 << 20, 2};
  writer.feed(1, "one\ntw", 1);
  EXPECT_EQ(read_all(), lines{"1:one\n"});
  writer.feed(2, "err\n", 2);
  writer.feed(1, "o\n", 3);
  writer.feed(1, "rest", 4);
  writer.finish(5);
  EXPECT_EQ(read_all(), (lines{"1:one\n", "2:err\n", "1:two\n", "1:rest"}));
}

TEST_F(log_file, a_line_without_end_is_cut_into_pieces) {
  log_writer writer{path, 1 << 20, 2};
  writer.feed(1, std::string(3 * log_line_bytes_max, 'x'), 1);
  log_reader reader{path};
  LogLine line;
  ASSERT_TRUE(reader.next(line));
  EXPECT_EQ(line.data().size(), log_line_bytes_max);
}

TEST_F(log_file, old_files_go_and_a_follower_crosses_rotations) {
  log_writer writer{path, 4096, 2};
  log_reader follower{path};
  std::size_t followed = 0;
  for (int i = 0; i < 500; ++i) {
    writer.feed(1, "line " + std::to_string(i) + std::string(50, '.') + '\n', i);
    if (i % 10 == 0)
      followed += read(follower).size();
  }
  followed += read(follower).size();
  EXPECT_EQ(followed, 500u);
  EXPECT_FALSE(std::filesystem::exists(path + ".2"));
  const auto kept = read_all();
  EXPECT_LT(kept.size(), 200u);
  EXPECT_NE(kept.back().find("line 499"), std::string::npos);
}

TEST_F(log_file, tail_and_since_choose_where_to_begin) {
  log_writer writer{path, 1 << 20, 2};
  for (int i = 0; i < 10; ++i)
    writer.feed(1, std::to_string(i) + '\n', i + 1);
  log_reader tail{path};
  tail.seek(3, 0);
  EXPECT_EQ(read(tail), (lines{"1:7\n", "1:8\n", "1:9\n"}));
  log_reader none{path};
  none.seek(0, 0);
  EXPECT_TRUE(read(none).empty());
  log_reader since{path};
  since.seek(-1, 9);
  EXPECT_EQ(read(since), (lines{"1:8\n", "1:9\n"}));
}

TEST_F(log_file, garbage_at_the_end_is_not_a_record) {
  {
    log_writer writer{path, 1 << 20, 2};
    writer.feed(1, "good\n", 1);
  }
  std::ofstream{path, std::ios::app | std::ios::binary} << std::string(40, '\xff');
  EXPECT_EQ(read_all(), lines{"1:good\n"});
}

} // namespace
} // namespace swarm::process
