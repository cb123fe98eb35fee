// The command line, read by CLI11. Nothing else includes CLI11: its headers are slow to compile.
#include <list>

#include <CLI/CLI.hpp>

#include "runtime/config_sources.hpp"

namespace swarm::config {

std::variant<command_line, source_error> read_flags(int argc, const char* const* argv,
                                                    const std::vector<option_shape>& shapes) {
  CLI::App app;
  app.set_help_flag();
  command_line out;
  app.add_flag("-h,--help", out.help);
  app.add_flag("-v,--version", out.version);
  app.add_flag("--print-config", out.print_config);
  app.add_flag("--dev", out.dev);

  std::list<std::vector<std::string>> storage; // CLI11 keeps references
  std::vector<std::pair<const option_shape*, CLI::Option*>> options;
  for (const auto& shape : shapes) {
    auto& values = storage.emplace_back();
    auto* option = app.add_option((shape.name == "host" ? "-H,--" : "--") + std::string{shape.name}, values);
    option->allow_extra_args(false); // "--host a b": b is not a second host but a mistake
    options.emplace_back(&shape, option);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return source_error{error.what()};
  }
  auto values = storage.begin();
  for (const auto& [shape, option] : options) {
    auto& texts = *values++;
    if (option->count() == 0)
      continue;
    if (!shape->repeatable && texts.size() > 1)
      return "--" + std::string{shape->name} + " is given " + std::to_string(texts.size()) + " times";
    out.options.push_back({std::string{shape->name}, std::move(texts), "flag --" + std::string{shape->name}});
  }
  return out;
}

} // namespace swarm::config
