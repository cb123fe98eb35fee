// Merges what flags, variables and files say about the options of config_table.cpp.
#include "runtime/config.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "runtime/config_sources.hpp"
#include "runtime/config_table.hpp"
#include "runtime/text.hpp"

namespace swarm::config {

namespace {

// -- merging -------------------------------------------------------------------------------------------

std::string environment_name(std::string_view option_name) {
  std::string out = "SWARM_NODE_";
  for (const char c : option_name)
    out += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return out;
}

struct environment {
  std::vector<given> options;
  texts warnings;
};

environment read_environment(const char* const* environ) {
  environment out;
  for (auto entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view pair{*entry};
    if (!pair.starts_with("SWARM_NODE_"))
      continue;
    const auto equals = pair.find('=');
    const auto name = pair.substr(0, equals);
    const auto value = equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
    if (value.empty())
      continue; // as Docker does with its variables: set to nothing = not set
    const auto row = std::find_if(table().begin(), table().end(),
                                  [&](const option& o) { return environment_name(o.name) == name; });
    if (row == table().end()) {
      out.warnings.push_back("the environment variable " + std::string{name} + " belongs to no option");
      continue;
    }
    given one{std::string{row->name}, {}, "env " + std::string{name}};
    if (row->repeatable)
      for (const auto part : text::split(value, ','))
        one.values.emplace_back(text::trim(part));
    else
      one.values.emplace_back(value);
    out.options.push_back(std::move(one));
  }
  return out;
}

std::string toml_text(const option& row, const texts& values) {
  if (!row.repeatable)
    return text::quoted(values.front());
  texts quoted;
  for (const auto& value : values)
    quoted.push_back(text::quoted(value));
  return "[" + text::join(quoted, ", ") + "]";
}

stop_now usage(const std::string& what) {
  return {exit_usage, "swarm-node: " + what + "\nSee swarm-node --help\n"};
}

stop_now misconfigured(const std::string& what) { return {exit_config, "swarm-node: " + what + "\n"}; }

/// Collects values from the weakest source to the strongest, so that the last one wins.
class merger {
public:
  explicit merger(bool dev) {
    out_.options.dev = dev;
    for (const auto& row : table())
      out_.settings.push_back({std::string{row.name}, {}, "default", row.reloadable});
  }

  std::optional<stop_now> take(const std::vector<given>& source) {
    for (const auto& one : source) {
      const auto row = std::find_if(table().begin(), table().end(), [&](const option& o) { return o.name == one.name; });
      if (const auto wanted = row->set(out_.options, one.values)) {
        const auto text = one.origin + ": " + (one.origin.starts_with("flag") ? "" : one.name + ": ") +
                          toml_text(*row, one.values) + " is not " + *wanted;
        return one.origin.starts_with("flag") ? usage(text) : misconfigured(text);
      }
      setting_of(one.name).origin = one.origin;
    }
    return std::nullopt;
  }

  // A throw-away node: everything that was not asked for goes below one new folder and only this host can reach it.
  std::optional<stop_now> place_dev(bool create, const parsed* previous) {
    auto& o = out_.options;
    if (setting_of("data-root").origin == "default") {
      std::string folder = previous != nullptr ? previous->options.data_root : "/tmp/swarm-node-dev.XXXXXX";
      if (create && previous == nullptr && ::mkdtemp(folder.data()) == nullptr)
        return stop_now{exit_runtime,
                        "swarm-node: cannot make a folder in /tmp: " + std::string{std::strerror(errno)} + "\n"};
      o.data_root = folder;
    }
    const auto fall_back = [&](const std::string& name, auto& field, auto value) {
      if (auto& entry = setting_of(name); entry.origin == "default") {
        field = value;
        entry.origin = "--dev";
      }
    };
    fall_back("data-root", o.data_root, o.data_root);
    fall_back("driver", o.driver, driver_kind::simulated);
    fall_back("host", o.hosts, texts{"unix://" + o.data_root + "/docker.sock"});
    fall_back("control-socket", o.control_socket, o.data_root + "/control.sock");
    fall_back("listen-addr", o.listen_addr, std::string{"127.0.0.1:0"});
    return std::nullopt;
  }

  // What only several values together can get wrong.
  std::optional<stop_now> check() {
    const auto& o = out_.options;
    const auto refuse = [&](const char* a, const char* b, const std::string& text) {
      const auto &first = setting_of(a).origin, &second = setting_of(b).origin;
      const auto full = text + " (" + a + ": " + first + "; " + b + ": " + second + ")";
      return first.starts_with("flag") || second.starts_with("flag") ? usage(full) : misconfigured(full);
    };
    if (o.raft_election < 5 * o.raft_heartbeat)
      return refuse("raft-election", "raft-heartbeat",
                    "raft-election " + duration_text(o.raft_election) + " is less than five times raft-heartbeat " +
                        duration_text(o.raft_heartbeat) + ": one lost message would start an election");
    for (const auto& host : o.hosts) {
      if (host == "unix://" + o.control_socket)
        return refuse("host", "control-socket", "host and control-socket are the same path " + o.control_socket);
      if (host == o.engine)
        return refuse("host", "engine", "host and engine are the same socket " + host);
    }
    return std::nullopt;
  }

  parsed finish() {
    for (std::size_t i = 0; i < table().size(); ++i)
      out_.settings[i].text = toml_text(table()[i], table()[i].get(out_.options));
    return std::move(out_);
  }

private:
  setting& setting_of(std::string_view name) {
    return *std::find_if(out_.settings.begin(), out_.settings.end(), [&](const setting& s) { return s.name == name; });
  }

  parsed out_;
};

std::string help_text() {
  std::string out = "Usage: swarm-node [OPTION]...\n"
                    "One node of a swarm: serves the Docker API, keeps services running on this host.\n\n";
  const auto line = [&](std::string left, std::string_view right) {
    left.resize(std::max<std::size_t>(left.size() + 2, 42), ' ');
    out += "  " + left + std::string{right} + "\n";
  };
  const daemon_options defaults;
  for (const auto& row : table()) {
    const auto value = text::join(row.get(defaults), ",");
    line("--" + std::string{row.name} + " " + std::string{row.metavar},
         std::string{row.help} + (value.empty() ? "" : " [" + value + "]"));
  }
  line("--dev", "throw-away node: temporary folder, simulated driver");
  line("--print-config", "show each value and where it comes from, then end");
  line("-v, --version", "show the version, then end");
  line("-h, --help", "show this text, then end");
  return out + "\nEach option is also the variable SWARM_NODE_NAME (capitals, _ for -) and, but for config, a key of the\n"
               "TOML file. A flag goes before a variable, a variable before the file, the file before the default.\n"
               "Signals: SIGTERM stops, SIGHUP reloads, SIGUSR1 dumps all actors.\n"
               "Exit codes: 0 stopped, 1 failed while running, 2 wrong usage, 78 wrong configuration.\n";
}

// The option `config` itself comes from a flag or a variable only.
const given* find_config(const std::vector<given>& source) {
  const auto it = std::find_if(source.begin(), source.end(), [](const given& g) { return g.name == "config"; });
  return it == source.end() ? nullptr : &*it;
}

std::vector<option_shape> shapes(bool with_config) {
  std::vector<option_shape> out;
  for (const auto& row : table())
    if (with_config || row.name != "config")
      out.push_back({row.name, row.repeatable});
  return out;
}

} // namespace

std::string version_line() { return "swarm-node " SWARM_VERSION; }

parse_result parse_daemon_options(int argc, const char* const* argv, const char* const* environ,
                                  const parsed* previous) {
  auto flags_or_error = read_flags(argc, argv, shapes(true));
  if (const auto* error = std::get_if<source_error>(&flags_or_error))
    return usage(*error);
  const auto& flags = std::get<command_line>(flags_or_error);
  if (flags.help)
    return stop_now{exit_ok, help_text()};
  if (flags.version)
    return stop_now{exit_ok, version_line() + "\n"};

  auto variables = read_environment(environ);
  const auto* config = find_config(flags.options);
  if (config == nullptr)
    config = find_config(variables.options);
  const auto file = config != nullptr ? config->values.front() : daemon_options{}.config_file;
  // A throw-away node does not take the machine's configuration unless it is named.
  std::vector<given> from_files;
  if (config != nullptr || !flags.dev) {
    auto files = read_files(file, config != nullptr, shapes(false));
    if (const auto* error = std::get_if<source_error>(&files))
      return misconfigured(*error);
    from_files = std::move(std::get<std::vector<given>>(files));
  }

  merger all{flags.dev};
  using sources = std::initializer_list<const std::vector<given>*>;
  for (const auto* source : sources{&from_files, &variables.options, &flags.options})
    if (auto stop = all.take(*source))
      return std::move(*stop);
  if (flags.dev)
    if (auto stop = all.place_dev(!flags.print_config, previous))
      return std::move(*stop);
  if (auto stop = all.check())
    return std::move(*stop);
  auto out = all.finish();
  out.warnings = std::move(variables.warnings);
  if (flags.print_config)
    return stop_now{exit_ok, print_settings(out.settings)};
  return out;
}

std::string print_settings(const std::vector<setting>& settings) {
  std::size_t width = 0;
  for (const auto& one : settings)
    width = std::max(width, one.name.size() + one.text.size() + 3);
  std::string out;
  for (const auto& one : settings) {
    // The file cannot name itself, so that this line is a comment.
    auto line = (one.name == "config" ? "# " : "") + one.name + " = " + one.text;
    line.resize(std::max(line.size(), width) + 2, ' ');
    out += line + "# " + one.origin + "\n";
  }
  return out;
}

std::vector<std::string> reload(parsed& current, const parsed& fresh) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < table().size(); ++i) {
    const auto& row = table()[i];
    auto& mine = current.settings[i];
    const auto& theirs = fresh.settings[i];
    if (mine.text == theirs.text)
      continue;
    const auto change = mine.name + ": " + mine.text + " -> " + theirs.text;
    if (!row.reloadable) {
      out.push_back(change + " needs a restart");
      continue;
    }
    row.set(current.options, row.get(fresh.options));
    mine = theirs;
    out.push_back(change);
  }
  return out;
}

} // namespace swarm::config
