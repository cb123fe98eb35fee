// Answers in pieces: the load's clients must find their ends, or every figure is wrong.
#include "apps/swarm-bench/api_client.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace swarm::bench {
namespace {

TEST(answer_reader, takes_one_answer_after_the_other_however_they_are_cut) {
  const std::string two = "HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nabcd"
                          "HTTP/1.1 409 Conflict\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n2\r\n!!\r\n0\r\n\r\n";
  for (std::size_t piece = 1; piece <= two.size(); ++piece) {
    answer_reader reader;
    std::vector<api_answer> answers;
    for (std::size_t from = 0; from < two.size(); from += piece) {
      reader.feed(std::string_view{two}.substr(from, piece));
      while (auto answer = reader.take())
        answers.push_back(std::move(*answer));
    }
    ASSERT_EQ(answers.size(), 2u) << piece;
    EXPECT_EQ(answers[0].status, 201);
    EXPECT_EQ(answers[0].body, "abcd");
    EXPECT_TRUE(answers[0].ok() && !answers[0].closes);
    EXPECT_EQ(answers[1].body, "xyz!!");
    EXPECT_TRUE(!answers[1].ok() && answers[1].closes);
  }
}

TEST(answer_reader, what_is_no_http_is_an_error) {
  answer_reader reader;
  reader.feed("SSH-2.0-x\r\n\r\n");
  EXPECT_THROW(static_cast<void>(reader.take()), api_error);
}

} // namespace
} // namespace swarm::bench
