// The rows of the option table, and how a value is read from and written as text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config.hpp"

namespace swarm::config {

using texts = std::vector<std::string>;
/// Sets the field, or says what would have been right.
using setter = std::function<std::optional<std::string>(daemon_options&, const texts&)>;
using getter = std::function<texts(const daemon_options&)>;

struct option {
  std::string_view name;
  std::string_view metavar;
  std::string_view help;
  setter set;
  getter get;
  bool repeatable = false;
  bool reloadable = false;
};

/// In the order of --help and --print-config.
[[nodiscard]] const std::vector<option>& table();

/// "50ms", "10s", "2m": the shortest form that reads back as the same value.
[[nodiscard]] std::string duration_text(milliseconds value);

} // namespace swarm::config
