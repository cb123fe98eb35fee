// Medians, JSON lines and the Markdown table.
#include "apps/swarm-bench/report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "runtime/text.hpp"

namespace swarm::bench {

namespace {

struct cell {
  std::vector<double> ours, peer;
  bool higher_is_better = false;
};

std::string median_text(const std::vector<double>& values) {
  return values.empty() ? "" : short_number(median(values));
}

std::string ratio_text(const cell& c) {
  if (c.ours.empty() || c.peer.empty())
    return "";
  const auto ours = median(c.ours), peer = median(c.peer);
  if (ours <= 0 || peer <= 0)
    return "";
  return short_number(c.higher_is_better ? ours / peer : peer / ours) + "x";
}

} // namespace

double median(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double percentile(std::vector<double> values, double percent) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  const auto at = static_cast<std::size_t>(static_cast<double>(values.size()) * percent / 100);
  return values[std::min(at, values.size() - 1)];
}

std::string short_number(double value) {
  const auto size = std::fabs(value);
  const int digits = size == 0 || size >= 100 ? 0 : std::max(0, 2 - static_cast<int>(std::floor(std::log10(size))));
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", std::min(digits, 9), value);
  return text.data();
}

std::string to_json(const row& r) {
  std::string out = "{\"row\":" + text::quoted(r.name) + ",\"what\":" + text::quoted(r.what) +
                    ",\"side\":" + text::quoted(r.side) + ",\"round\":" + std::to_string(r.round);
  for (const auto& m : r.metrics) {
    std::array<char, 64> number{};
    std::snprintf(number.data(), number.size(), "%.6g", std::isfinite(m.value) ? m.value : 0.0);
    out += "," + text::quoted(m.name) + ":" + number.data();
  }
  if (!r.error.empty())
    out += ",\"error\":" + text::quoted(r.error);
  return out + "}";
}

std::string table(const std::vector<row>& rows) {
  using key = std::pair<std::string, std::string>; // row and what; metric
  std::vector<key> order;
  std::map<key, cell> cells;
  std::string failures;
  for (const auto& r : rows) {
    const auto label = r.what.empty() ? r.name : r.name + ", " + r.what;
    if (!r.error.empty())
      failures += "\n" + label + " (" + r.side + ", round " + std::to_string(r.round) + "): " + r.error;
    for (const auto& m : r.metrics) {
      const key where{label, m.name};
      auto [it, fresh] = cells.try_emplace(where);
      if (fresh)
        order.push_back(where);
      it->second.higher_is_better = m.higher_is_better;
      (r.side == "peer" ? it->second.peer : it->second.ours).push_back(m.value);
    }
  }
  std::string out = "| row | metric | peer | ours | ours is better by |\n|---|---|---|---|---|\n";
  for (const auto& where : order) {
    const auto& c = cells.at(where);
    out += "| " + where.first + " | " + where.second + " | " + median_text(c.peer) + " | " + median_text(c.ours) + " | " +
           ratio_text(c) + " |\n";
  }
  return out + (failures.empty() ? "" : "\nNot measured:" + failures + "\n");
}

} // namespace swarm::bench
