// What config.cpp reads values from: the command line and TOML files, both reduced to named texts with an origin.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace swarm::config {

/// The values given for one option in one place. A plain option has exactly one.
struct given {
  std::string name;
  std::vector<std::string> values;
  std::string origin;
};

/// An option as the sources need to know it.
struct option_shape {
  std::string_view name;
  bool repeatable = false;
};

struct command_line {
  std::vector<given> options;
  bool help = false;
  bool version = false;
  bool print_config = false;
  bool dev = false;
};

/// The error text, without a program name.
using source_error = std::string;

[[nodiscard]] std::variant<command_line, source_error> read_flags(int argc, const char* const* argv,
                                                                  const std::vector<option_shape>& shapes);

/// Reads FILE (it may be absent unless `required`), then conf.d/*.toml in its folder by name. Errors start "FILE:LINE: ".
[[nodiscard]] std::variant<std::vector<given>, source_error> read_files(const std::string& file, bool required,
                                                                        const std::vector<option_shape>& shapes);

} // namespace swarm::config
