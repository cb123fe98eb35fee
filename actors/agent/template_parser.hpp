// The syntax of Go templates: text to a tree. Used by template.cpp only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/agent/template.hpp"

namespace swarm::agent::gotemplate {

struct pipeline;

/// One operand of a command.
struct operand {
  enum class form : std::uint8_t { dot, field, variable, literal, function, group };
  form what = form::dot;
  std::string name;                    // variable or function
  std::vector<std::string> path;       // .A.B behind dot, variable or group
  value literal;
  std::shared_ptr<pipeline> group;
};

struct command {
  std::vector<operand> words;          // the first may be a function, the rest are its arguments
};

struct pipeline {
  std::vector<std::string> declares;   // $x := …, $k, $v := …
  bool assigns = false;                // $x = …
  std::vector<command> commands;
};

struct node {
  enum class form : std::uint8_t { text, action, if_, with, range };
  form what = form::text;
  int line = 1;
  std::string text;
  gotemplate::pipeline pipeline;
  std::vector<node> body;
  std::vector<node> otherwise;
};

struct parsed {
  std::vector<node> nodes;
  std::string error;
};
[[nodiscard]] parsed parse(std::string_view text);

} // namespace swarm::agent::gotemplate
