// Reads, runs, compares and rewrites golden files.
#include "tests/support/datadriven.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace swarm::test {

namespace {

struct block {
  std::vector<std::string> lead; // comments and blank lines before the block
  std::vector<std::string> input;
  std::string expected;
  int line = 0;
};

std::vector<block> read_blocks(std::istream& in, std::vector<std::string>& tail) {
  std::vector<block> blocks;
  block current;
  std::string line;
  int number = 0;
  bool in_expected = false;
  auto finish = [&] {
    if (!current.input.empty())
      blocks.push_back(current);
    current = {};
    in_expected = false;
  };
  while (std::getline(in, line)) {
    ++number;
    if (in_expected) {
      if (line.empty())
        finish();
      else
        current.expected += line + '\n';
    } else if (line == "----") {
      in_expected = true;
    } else if (current.input.empty() && (line.empty() || line[0] == '#')) {
      current.lead.push_back(line);
    } else {
      if (current.input.empty())
        current.line = number;
      current.input.push_back(line);
    }
  }
  if (in_expected)
    finish();
  tail = current.lead;
  return blocks;
}

golden_case to_case(const std::string& path, const block& b) {
  golden_case c;
  c.file = path;
  c.line = b.line;
  for (const auto& line : b.input)
    c.input += line + '\n';
  std::istringstream words{b.input.back()};
  words >> c.cmd;
  for (std::string word; words >> word;) {
    if (const auto eq = word.find('='); eq != std::string::npos)
      c.args[word.substr(0, eq)] = word.substr(eq + 1);
    else
      c.words.push_back(word);
  }
  return c;
}

} // namespace

void run_golden(const std::string& path, const std::function<std::string(const golden_case&)>& run) {
  std::ifstream in{path};
  ASSERT_TRUE(in) << "cannot open " << path;
  std::vector<std::string> tail;
  const auto blocks = read_blocks(in, tail);
  ASSERT_FALSE(blocks.empty()) << path << " has no blocks";
  const bool rewrite = std::getenv("SWARM_REWRITE") != nullptr;
  std::ostringstream out;
  for (const auto& b : blocks) {
    auto actual = run(to_case(path, b));
    if (!actual.empty() && actual.back() != '\n')
      actual += '\n';
    if (rewrite) {
      for (const auto& line : b.lead)
        out << line << '\n';
      for (const auto& line : b.input)
        out << line << '\n';
      out << "----\n" << actual << '\n';
    } else {
      EXPECT_EQ(b.expected, actual) << path << ':' << b.line;
    }
  }
  if (rewrite) {
    for (const auto& line : tail)
      out << line << '\n';
    auto text = out.str();
    while (text.ends_with("\n\n"))
      text.pop_back();
    std::ofstream{path} << text;
  }
}

void run_golden_folder(const std::string& folder,
                       const std::function<std::function<std::string(const golden_case&)>()>& fresh) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator{folder})
    if (entry.path().extension() == ".txt")
      files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty()) << "no golden files in " << folder;
  for (const auto& file : files)
    run_golden(file, fresh());
}

} // namespace swarm::test
