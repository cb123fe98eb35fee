// Golden tests in the datadriven format: command lines, "----", expected output, blank line. See tests/README.md.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace swarm::test {

/// One block of a golden file. `cmd` is the first word of the last input line; args are its k=v words ("" for bare words).
struct golden_case {
  std::string file;
  int line = 0;
  std::string input;                       // all lines before ----
  std::string cmd;
  std::map<std::string, std::string> args;
  std::vector<std::string> words;          // bare words after the command
};

/// Runs every block of a file through `run` and compares; with the environment variable SWARM_REWRITE=1 writes the
/// file anew instead. Adds a gtest failure for each difference.
void run_golden(const std::string& path, const std::function<std::string(const golden_case&)>& run);

/// Runs run_golden on each *.txt of a folder (sorted by name), calling `fresh` before each file.
void run_golden_folder(const std::string& folder,
                       const std::function<std::function<std::string(const golden_case&)>()>& fresh);

} // namespace swarm::test
