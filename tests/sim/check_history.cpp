// Reads a file of client histories, checks each, and says what it found.
#include "tests/sim/check_history.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/history_file.hpp"

namespace swarm::sim {

namespace {

namespace lin = test::linearizability;

enum exit_code : int { all_linearizable = 0, some_violated = 1, bad_file = 2, some_undecided = 3 };

int bad(const std::string& what) {
  std::fprintf(stderr, "swarm-sim check-history: %s\n%s", what.c_str(), check_history_usage);
  return bad_file;
}

lin::result check_one(const lin::history& one, double seconds, double mebibytes) {
  using clock = std::chrono::steady_clock;
  const auto end = clock::now() + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(seconds));
  lin::limits bounds;
  bounds.steps = ~0ull;
  bounds.memory = static_cast<std::uint64_t>(mebibytes * 1024 * 1024);
  bounds.stop = [end] { return clock::now() > end; };
  return lin::check(one, bounds);
}

} // namespace

int check_history(int argc, char** argv) {
  std::string path;
  double seconds = 60;
  double mebibytes = 1024;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--seconds" || word == "--memory") {
      char* end = nullptr;
      const auto number = i + 1 < argc ? std::strtod(argv[++i], &end) : 0;
      if (end == nullptr || *end != '\0' || !(number > 0 && number < 1e6))
        return bad(word + " needs a number above 0");
      (word == "--seconds" ? seconds : mebibytes) = number;
    } else if (!path.empty() || word.starts_with('-')) {
      return bad("unexpected " + word);
    } else {
      path = word;
    }
  }
  std::ifstream in{path, std::ios::binary};
  std::ostringstream text;
  if (path.empty() || !in || !(text << in.rdbuf()))
    return bad(path.empty() ? "which file?" : "cannot read " + path);
  const auto file = lin::read_histories(text.str());
  if (!file.error.empty())
    return bad(path + ": " + file.error);
  int violated = 0;
  int undecided = 0;
  for (const auto& one : file.histories) {
    const auto found = check_one(one, seconds, mebibytes);
    const bool wrong = found.answer == lin::verdict::violated;
    violated += wrong ? 1 : 0;
    undecided += found.answer == lin::verdict::undecided ? 1 : 0;
    const auto* const word = wrong ? "NOT linearizable" : found.answer == lin::verdict::undecided ? "undecided" : "linearizable";
    std::printf("%s: %s, %zu operations, %llu steps\n", one.id.empty() ? path.c_str() : one.id.c_str(), word,
                one.operations.size(), static_cast<unsigned long long>(found.steps));
    if (!found.reason.empty())
      std::printf("  %s%s\n", found.key.empty() ? "" : ("key " + found.key + ": ").c_str(), found.reason.c_str());
  }
  return violated > 0 ? some_violated : undecided > 0 ? some_undecided : all_linearizable;
}

} // namespace swarm::sim
