// The TOML configuration files, read by toml++. Nothing else includes toml++: its headers are slow to compile.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "runtime/config_sources.hpp"

namespace swarm::config {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t file_bytes_max = 1 << 20;

std::string where(const std::string& file, const toml::node& node) {
  return file + ":" + std::to_string(node.source().begin.line);
}

// The text of a plain value as the option would read it from a flag; nullopt for tables, dates and floats.
std::optional<std::string> plain_text(const toml::node& node) {
  if (const auto* text = node.as_string())
    return text->get();
  if (const auto* number = node.as_integer())
    return std::to_string(number->get());
  if (const auto* flag = node.as_boolean())
    return flag->get() ? "true" : "false";
  return std::nullopt;
}

std::variant<given, source_error> read_key(const std::string& file, std::string_view key, const toml::node& node,
                                           const std::vector<option_shape>& shapes) {
  const auto shape = std::find_if(shapes.begin(), shapes.end(), [&](const auto& s) { return s.name == key; });
  if (shape == shapes.end())
    return where(file, node) + ": unknown key \"" + std::string{key} + "\"; see swarm-node --help";
  given out{std::string{key}, {}, where(file, node)};
  const auto* list = node.as_array();
  if (list == nullptr) {
    if (auto text = plain_text(node)) {
      out.values.push_back(std::move(*text));
      return out;
    }
  } else if (shape->repeatable) {
    for (const auto& item : *list) {
      auto text = plain_text(item);
      if (!text)
        return where(file, item) + ": " + std::string{key} + ": wants a list of strings";
      out.values.push_back(std::move(*text));
    }
    return out;
  }
  return where(file, node) + ": " + std::string{key} + ": wants a string" + (shape->repeatable ? " or a list" : "");
}

std::variant<std::vector<given>, source_error> read_one(const fs::path& path, const std::vector<option_shape>& shapes) {
  std::ifstream in{path, std::ios::binary};
  std::string text;
  for (std::vector<char> block(4096); in.read(block.data(), 4096), in.gcount() > 0;) {
    text.append(block.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > file_bytes_max)
      return path.string() + ":1: larger than " + std::to_string(file_bytes_max) + " bytes";
  }
  if (in.bad() || (!in.eof() && in.fail()))
    return path.string() + ":1: cannot be read";
  const auto result = toml::parse(text, path.string());
  if (!result) {
    const auto& error = result.error();
    return path.string() + ":" + std::to_string(error.source().begin.line) + ": " + std::string{error.description()};
  }
  std::vector<given> out;
  for (const auto& [key, node] : result.table()) {
    auto value = read_key(path.string(), key.str(), node, shapes);
    if (auto* error = std::get_if<source_error>(&value))
      return std::move(*error);
    out.push_back(std::move(std::get<given>(value)));
  }
  return out;
}

} // namespace

std::variant<std::vector<given>, source_error> read_files(const std::string& file, bool required,
                                                          const std::vector<option_shape>& shapes) {
  std::error_code ec;
  std::vector<fs::path> paths;
  if (fs::exists(file, ec)) {
    if (fs::is_directory(file, ec))
      return file + ":1: is a folder, not a file";
    paths.emplace_back(file);
  } else if (required) {
    return file + ":1: no such file";
  }
  const auto folder = fs::path{file}.parent_path() / "conf.d";
  std::vector<fs::path> drop_ins;
  for (const auto& entry : fs::directory_iterator{folder, ec})
    if (entry.path().extension() == ".toml")
      drop_ins.push_back(entry.path());
  std::sort(drop_ins.begin(), drop_ins.end());
  paths.insert(paths.end(), drop_ins.begin(), drop_ins.end());

  std::vector<given> out;
  for (const auto& path : paths) {
    auto one = read_one(path, shapes);
    if (auto* error = std::get_if<source_error>(&one))
      return std::move(*error);
    auto& values = std::get<std::vector<given>>(one);
    out.insert(out.end(), std::make_move_iterator(values.begin()), std::make_move_iterator(values.end()));
  }
  return out;
}

} // namespace swarm::config
