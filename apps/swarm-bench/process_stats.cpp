// Parses /proc/PID/stat and /proc/PID/status.
#include "apps/swarm-bench/process_stats.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace swarm::bench {

namespace {

struct stat_line {
  int parent = 0;
  double own = 0;      // ticks
  double children = 0; // of those that have ended
};

std::optional<stat_line> read_stat(int pid) {
  std::ifstream in{"/proc/" + std::to_string(pid) + "/stat"};
  std::string text;
  std::getline(in, text);
  const auto after_name = text.rfind(')');
  if (after_name == std::string::npos)
    return std::nullopt;
  std::istringstream fields{text.substr(after_name + 1)};
  std::vector<std::string> all{std::istream_iterator<std::string>{fields}, {}};
  if (all.size() < 15)
    return std::nullopt;
  return stat_line{std::stoi(all[1]), std::stod(all[11]) + std::stod(all[12]), std::stod(all[13]) + std::stod(all[14])};
}

std::multimap<int, int> children_by_parent() {
  std::multimap<int, int> out;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc", ec}) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos)
      continue;
    if (const auto line = read_stat(std::stoi(name)))
      out.emplace(line->parent, std::stoi(name));
  }
  return out;
}

} // namespace

double cpu_seconds(int pid) {
  const auto tree = children_by_parent();
  double ticks = 0;
  std::vector<int> todo{pid};
  while (!todo.empty()) {
    const auto one = todo.back();
    todo.pop_back();
    if (const auto line = read_stat(one))
      ticks += line->own + line->children;
    for (auto [it, end] = tree.equal_range(one); it != end; ++it)
      todo.push_back(it->second);
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double rss_mb(int pid) {
  std::ifstream in{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:"))
      return std::stod(line.substr(6)) / 1024;
  return 0;
}

} // namespace swarm::bench
