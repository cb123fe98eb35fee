// Reads the labels.
#include "messages/service_labels.hpp"

#include <charconv>
#include <string_view>
#include <utility>

namespace swarm {

namespace {

constexpr double longest = 365.0 * 24 * 3600 * 1e9; // a year, in nanoseconds

/// Nanoseconds of the unit that the text begins with, and its length; 0 when there is none.
std::pair<double, std::size_t> unit_of(std::string_view text) {
  constexpr std::pair<std::string_view, double> units[] = {{"ns", 1},   {"us", 1e3},      {"ms", 1e6},
                                                           {"s", 1e9},  {"m", 60 * 1e9},  {"h", 3600 * 1e9}};
  for (const auto& [name, value] : units)
    if (text.starts_with(name))
      return {value, name.size()};
  return {0, 0};
}

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  double sum = 0;
  if (text.empty())
    return std::nullopt;
  while (!text.empty()) {
    double number = 0;
    const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (ec != std::errc{} || text.front() < '0' || text.front() > '9')
      return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    const auto [unit, length] = unit_of(text);
    if (length == 0)
      return std::nullopt;
    text.remove_prefix(length);
    sum += number * unit;
  }
  if (!(sum >= 1 && sum <= longest)) // written so that NaN and infinity fail
    return std::nullopt;
  return std::chrono::nanoseconds{static_cast<std::int64_t>(sum)};
}

} // namespace

std::optional<std::chrono::nanoseconds> update_deadline(const ServiceSpec& spec) {
  const auto label = spec.labels().find(update_deadline_label);
  return label == spec.labels().end() ? std::nullopt : parse_duration(label->second);
}

} // namespace swarm
