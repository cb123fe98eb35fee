// swarm-sim: seeded, replayable simulations of the cores, and the checker of client histories. `swarm-sim raft --seed N`
// replays one run.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <optional>
#include <random>
#include <string>

#include "runtime/check.hpp"
#include "tests/sim/check_history.hpp"
#include "tests/sim/scenario_play.hpp"
#include "tests/sim/simulations.hpp"

namespace swarm {

// Replaces the one that aborts (the linker prefers a program's own definition to a library's): a broken invariant is
// a finding like any other here.
void check_failed(const char* file, int line, const char* condition, std::string_view detail) {
  const auto* const name = std::strrchr(file, '/');
  throw sim::violation{"invariant: " + std::string{name != nullptr ? name + 1 : file} + ':' + std::to_string(line) + ' '
                       + condition + (detail.empty() ? "" : ": " + std::string{detail})};
}

} // namespace swarm

namespace swarm::sim {
namespace {

struct arguments {
  const simulation* what = nullptr;
  run_options run;
  std::uint64_t seed = 1;
  std::uint64_t seeds = 1;
  std::uint64_t max_seeds = 2'000;
  double budget_seconds = 0; ///< of processor time; 0 = no limit
  bool twice = false;
  bool find_bugs = false;
  log_mode log = log_mode::none;
};

constexpr const char* usage =
  "usage: swarm-sim raft|cluster|scenario [--seed N|fresh] [--seeds COUNT] [--ticks T] [--lite] [--log=short|full] [--bug NAME]\n"
  "                      raft: the Raft cores of managers alone; cluster: managers, workers, engines, links, clients;\n"
  "                      scenario: the same clusters in calm, with updates, restarts, jobs, and a change of leaders amid\n"
  "                      [--name NAME|all]            one scenario; --list says which there are\n"
  "                      [--twice]                    run each seed twice, compare the traces byte by byte\n"
  "                      [--find-bugs] [--max-seeds N] every planted bug must be found within N seeds\n"
  "                      [--budget SECONDS]           of processor time: start no new seed after that\n"
  "                      [--list-bugs]\n";

std::string options_of(const arguments& args) {
  std::string out;
  if (args.run.ticks != 0)
    out += " --ticks " + std::to_string(args.run.ticks);
  if (args.run.lite)
    out += " --lite";
  if (!args.run.bug.empty())
    out += " --bug " + args.run.bug;
  if (!args.run.name.empty())
    out += " --name " + args.run.name;
  return out;
}

run_result run_seed(std::uint64_t seed, const arguments& args, log_mode mode, const raft_world::sink& out) {
  return args.what->run(seed, args.run, mode, out);
}

/// The last lines before a failure, from a second run of the same seed.
void print_tail(std::uint64_t seed, const arguments& args) {
  std::deque<std::string> tail;
  run_seed(seed, args, log_mode::full, [&](const std::string& line) {
    tail.push_back(line);
    if (tail.size() > 200)
      tail.pop_front();
  });
  for (const auto& line : tail)
    std::printf("  %s\n", line.c_str());
}

void report(std::uint64_t seed, arguments args, const run_result& r) {
  args.run.name = r.name;
  std::printf("FAILED seed=%llu %s\n%s\n", static_cast<unsigned long long>(seed), r.violation.c_str(), r.dump.c_str());
  std::printf("options: %s\n", args.what->render_options(seed, args.run).c_str());
  if (args.log != log_mode::full)
    print_tail(seed, args);
  std::printf("reproduce: swarm-sim %s --seed %llu%s --log=full\n", args.what->name.c_str(),
              static_cast<unsigned long long>(seed), options_of(args).c_str());
}

bool same_twice(std::uint64_t seed, const arguments& args) {
  std::string traces[2];
  for (auto& trace : traces)
    run_seed(seed, args, log_mode::full, [&](const std::string& line) { trace += line + '\n'; });
  if (traces[0] == traces[1])
    return true;
  std::printf("FAILED seed=%llu: two runs differ (%zu and %zu bytes of trace)\n", static_cast<unsigned long long>(seed),
              traces[0].size(), traces[1].size());
  return false;
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

int run_seeds(const arguments& args) {
  std::vector<std::pair<std::string, std::uint64_t>> sum;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  for (auto seed = args.seed; seed < args.seed + args.seeds; ++seed, ++done) {
    if (args.budget_seconds > 0 && cpu_seconds() > args.budget_seconds)
      break;
    if (args.seeds == 1)
      std::printf("seed=%llu %s\n", static_cast<unsigned long long>(seed),
                  args.what->render_options(seed, args.run).c_str());
    if (args.twice) {
      failed += same_twice(seed, args) ? 0 : 1;
      continue;
    }
    const auto r = run_seed(seed, args, args.log, [](const std::string& line) { std::printf("%s\n", line.c_str()); });
    if (sum.empty())
      sum.resize(r.totals.size());
    for (std::size_t i = 0; i < r.totals.size(); ++i)
      sum[i] = {r.totals[i].first, sum[i].second + r.totals[i].second};
    if (args.seeds == 1)
      std::printf("fingerprint=%016llx\n", static_cast<unsigned long long>(r.fingerprint));
    if (!r.violation.empty()) {
      report(seed, args, r);
      if (++failed >= 3)
        break;
    }
  }
  std::printf("seeds=%llu from=%llu failed=%llu cpu=%.1fs", static_cast<unsigned long long>(done),
              static_cast<unsigned long long>(args.seed), static_cast<unsigned long long>(failed), cpu_seconds());
  for (const auto& [name, value] : sum)
    std::printf(" %s=%llu", name.c_str(), static_cast<unsigned long long>(value));
  std::printf("\n");
  return failed == 0 ? 0 : 1;
}

int find_bugs(arguments args) {
  int missed = 0;
  for (const auto& name : args.what->bugs()) {
    args.run.bug = name;
    bool found = false;
    for (std::uint64_t i = 0; i < args.max_seeds && !found; ++i) {
      const auto r = run_seed(args.seed + i, args, log_mode::none, {});
      found = !r.violation.empty();
      if (found)
        std::printf("%-28s seed %-5llu %s\n", name.c_str(), static_cast<unsigned long long>(args.seed + i), r.violation.c_str());
    }
    if (!found) {
      std::printf("%-28s NOT FOUND in %llu seeds\n", name.c_str(), static_cast<unsigned long long>(args.max_seeds));
      ++missed;
    }
    std::fflush(stdout);
  }
  std::printf("bugs=%zu missed=%d cpu=%.1fs\n", args.what->bugs().size(), missed, cpu_seconds());
  return missed == 0 ? 0 : 1;
}

std::optional<arguments> parse(int argc, char** argv) {
  arguments out;
  out.what = argc >= 2 ? find_simulation(argv[1]) : nullptr;
  if (out.what == nullptr)
    return std::nullopt;
  for (int i = 2; i < argc; ++i) {
    std::string name = argv[i];
    std::optional<std::string> inline_value;
    if (const auto eq = name.find('='); eq != std::string::npos) {
      inline_value = name.substr(eq + 1);
      name.resize(eq);
    }
    auto value = [&]() -> std::string {
      if (inline_value)
        return *inline_value;
      return i + 1 < argc ? argv[++i] : "";
    };
    auto number = [&] { return std::strtoull(value().c_str(), nullptr, 10); };
    if (name == "--seed") {
      const auto text = value();
      out.seed = text == "fresh" ? std::random_device{}() : std::strtoull(text.c_str(), nullptr, 10);
    } else if (name == "--seeds")
      out.seeds = number();
    else if (name == "--ticks")
      out.run.ticks = number();
    else if (name == "--max-seeds")
      out.max_seeds = number();
    else if (name == "--budget")
      out.budget_seconds = std::strtod(value().c_str(), nullptr);
    else if (name == "--lite")
      out.run.lite = true;
    else if (name == "--twice")
      out.twice = true;
    else if (name == "--find-bugs")
      out.find_bugs = true;
    else if (name == "--log") {
      const auto mode = value();
      if (mode != "short" && mode != "full")
        return std::nullopt;
      out.log = mode == "short" ? log_mode::short_rows : log_mode::full;
    } else if (name == "--bug") {
      out.run.bug = value();
      const auto& known = out.what->bugs();
      if (std::find(known.begin(), known.end(), out.run.bug) == known.end())
        return std::nullopt;
    } else if (name == "--name" && out.what->knows != nullptr) {
      out.run.name = value();
      if (out.run.name == "all")
        out.run.name.clear();
      else if (!out.what->knows(out.run.name))
        return std::nullopt;
    } else if (name == "--list" && out.what->knows != nullptr) {
      for (const auto& one : scenarios())
        std::printf("%-20s %s\n", one.name, one.what);
      std::exit(0);
    } else if (name == "--list-bugs") {
      for (const auto& bug : out.what->bugs())
        std::printf("%s\n", bug.c_str());
      std::exit(0);
    } else {
      return std::nullopt;
    }
  }
  return out;
}

} // namespace
} // namespace swarm::sim

int main(int argc, char** argv) {
  if (argc >= 2 && std::string{argv[1]} == "check-history")
    return swarm::sim::check_history(argc, argv);
  const bool help = argc >= 2 && std::string{argv[1]} == "--help";
  const auto args = help ? std::nullopt : swarm::sim::parse(argc, argv);
  if (!args) {
    std::fprintf(help ? stdout : stderr, "%s%s", swarm::sim::usage, swarm::sim::check_history_usage);
    return help ? 0 : 2;
  }
  return args->find_bugs ? swarm::sim::find_bugs(*args) : swarm::sim::run_seeds(*args);
}
