// What a measurement is, and how many of them become JSON lines and one table with ratios. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace swarm::bench {

/// One number of a row.
struct metric {
  std::string name;               ///< with its unit at the end: per_s, p99_ms, rss_mb
  double value = 0;
  bool higher_is_better = false;
};

/// One measured row of one side in one round.
struct row {
  std::string name;               ///< write-service, converge, idle …
  std::string what;               ///< its size: "32 clients", "50 containers"
  std::string side;               ///< ours, peer
  int round = 0;
  std::vector<metric> metrics;    ///< the first one is the headline
  std::string error;              ///< why it could not be measured; then there are no metrics
};

/// {"row":…,"what":…,"side":…,"round":…, metrics…} without a line end.
[[nodiscard]] std::string to_json(const row& r);

/// A Markdown table: per row and metric the medians of both sides, and how many times better ours is.
[[nodiscard]] std::string table(const std::vector<row>& rows);

[[nodiscard]] double median(std::vector<double> values);
/// The value below which `percent` of the values are; 0 for none.
[[nodiscard]] double percentile(std::vector<double> values, double percent);
/// Three significant digits: 12345, 123, 12.3, 0.0123.
[[nodiscard]] std::string short_number(double value);

} // namespace swarm::bench
