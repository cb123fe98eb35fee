// Where a value may come from, who wins, and what is said about a wrong one.
#include "runtime/config.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace swarm::config {
namespace {

namespace fs = std::filesystem;
using strings = std::vector<std::string>;

class config_test : public ::testing::Test {
protected:
  void SetUp() override {
    std::string folder = "/tmp/swarm-config-test.XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    file_ = folder_ / "config.toml";
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream{path} << text;
  }

  // Reads the folder's config.toml unless `args` name another.
  parse_result parse(strings args, const strings& environment = {}, const parsed* previous = nullptr) {
    if (std::find(args.begin(), args.end(), "--config") == args.end() && fs::exists(file_))
      args.insert(args.end(), {"--config", file_.string()});
    return parse_plain(args, environment, previous);
  }

  static parse_result parse_plain(const strings& args, const strings& environment = {},
                                  const parsed* previous = nullptr) {
    std::vector<const char*> argv{"swarm-node"};
    for (const auto& arg : args)
      argv.push_back(arg.c_str());
    std::vector<const char*> env;
    for (const auto& pair : environment)
      env.push_back(pair.c_str());
    env.push_back(nullptr);
    return parse_daemon_options(static_cast<int>(argv.size()), argv.data(), env.data(), previous);
  }

  static parsed good(parse_result result) {
    if (const auto* stop = std::get_if<stop_now>(&result)) {
      ADD_FAILURE() << stop->exit_code << " " << stop->text;
      return {};
    }
    return std::get<parsed>(std::move(result));
  }

  static stop_now bad(parse_result result) {
    if (std::holds_alternative<parsed>(result)) {
      ADD_FAILURE() << "accepted";
      return {-1, ""};
    }
    return std::get<stop_now>(std::move(result));
  }

  static std::string origin(const parsed& p, std::string_view name) {
    for (const auto& one : p.settings)
      if (one.name == name)
        return one.origin;
    return "?";
  }

  fs::path folder_, file_;
};

void expect_text(const stop_now& stop, int code, const std::string& part) {
  EXPECT_EQ(stop.exit_code, code) << stop.text;
  EXPECT_NE(stop.text.find(part), std::string::npos) << stop.text << "lacks: " << part;
}

TEST_F(config_test, defaults_are_the_documented_ones) {
  const auto p = good(parse_plain({"--config", "/dev/null"}));
  EXPECT_EQ(p.options.hosts, strings{"unix:///run/swarm-node/docker.sock"});
  EXPECT_EQ(p.options.group, "docker");
  EXPECT_EQ(p.options.control_socket, "/run/swarm-node/control.sock");
  EXPECT_EQ(p.options.data_root, "/var/lib/swarm-node");
  EXPECT_EQ(p.options.listen_addr, "0.0.0.0:2377");
  EXPECT_EQ(p.options.driver, driver_kind::docker);
  EXPECT_EQ(origin(p, "data-root"), "default");
}

TEST_F(config_test, a_flag_beats_a_variable_beats_conf_d_beats_the_file_beats_the_default) {
  write(file_, "data-root = \"/file\"\npidfile = \"/file.pid\"\nlog-level = \"warn\"\nengine = \"unix:///file\"\n");
  write(folder_ / "conf.d/10.toml", "pidfile = \"/ten.pid\"\nlog-level = \"error\"\nengine = \"unix:///ten\"\n");
  write(folder_ / "conf.d/20.toml", "\npidfile = \"/twenty.pid\"\n");
  write(folder_ / "conf.d/ignored.txt", "nonsense");
  const auto p = good(parse({"--engine", "unix:///flag"}, {"SWARM_NODE_LOG_LEVEL=debug", "SWARM_NODE_ENGINE=unix:///env"}));
  EXPECT_EQ(p.options.data_root, "/file");
  EXPECT_EQ(origin(p, "data-root"), file_.string() + ":1");
  EXPECT_EQ(p.options.pidfile, "/twenty.pid");
  EXPECT_EQ(origin(p, "pidfile"), (folder_ / "conf.d/20.toml").string() + ":2");
  EXPECT_EQ(p.options.log_level, log::level::debug);
  EXPECT_EQ(origin(p, "log-level"), "env SWARM_NODE_LOG_LEVEL");
  EXPECT_EQ(p.options.engine, "unix:///flag");
  EXPECT_EQ(origin(p, "engine"), "flag --engine");
}

TEST_F(config_test, hosts_repeat_as_flags_lists_and_comma_separated_variables) {
  EXPECT_EQ(good(parse({"--host", "unix:///a", "-H", "unix:///b"})).options.hosts, (strings{"unix:///a", "unix:///b"}));
  EXPECT_EQ(good(parse({}, {"SWARM_NODE_HOST=unix:///c, unix:///d"})).options.hosts, (strings{"unix:///c", "unix:///d"}));
  write(file_, "host = [\"unix:///e\", \"unix:///f\"]\n");
  EXPECT_EQ(good(parse({})).options.hosts, (strings{"unix:///e", "unix:///f"}));
  write(file_, "host = \"unix:///g\"\n");
  EXPECT_EQ(good(parse({})).options.hosts, strings{"unix:///g"});
}

TEST_F(config_test, every_option_can_be_set_by_its_variable_and_read_back_from_print_config) {
  const auto first = good(parse_plain({"--config", "/dev/null"}));
  const auto shown = bad(parse_plain({"--config", "/dev/null", "--print-config"}));
  EXPECT_EQ(shown.exit_code, 0);
  write(file_, shown.text);
  const auto again = good(parse({}));
  for (std::size_t i = 0; i < first.settings.size(); ++i) {
    if (first.settings[i].name == "config")
      continue;
    EXPECT_EQ(again.settings[i].text, first.settings[i].text);
    EXPECT_EQ(again.settings[i].origin, file_.string() + ":" + std::to_string(i + 1));
    std::string variable = "SWARM_NODE_";
    for (const char c : first.settings[i].name)
      variable += c == '-' ? '_' : static_cast<char>(std::toupper(c));
    // No option takes a control character, so a refusal shows that the variable was read.
    expect_text(bad(parse_plain({"--config", "/dev/null"}, {variable + "=\x01"})), 78, variable);
  }
}

TEST_F(config_test, print_config_shows_value_and_origin) {
  write(file_, "log-format = \"json\"\n");
  const auto shown = bad(parse({"--print-config", "--pidfile", "/x.pid"}));
  expect_text(shown, 0, "log-format = \"json\"");
  expect_text(shown, 0, "# " + file_.string() + ":1\n");
  expect_text(shown, 0, "# flag --pidfile\n");
  expect_text(shown, 0, "# default\n");
}

TEST_F(config_test, help_names_every_option_and_version_the_version) {
  const auto help = bad(parse_plain({"--help"}));
  for (const auto& one : good(parse_plain({"--config", "/dev/null"})).settings)
    expect_text(help, 0, "--" + one.name + " ");
  expect_text(bad(parse_plain({"--version"})), 0, "swarm-node ");
  EXPECT_EQ(version_line().find("swarm-node "), 0U);
}

TEST_F(config_test, bad_flags_are_usage_errors_that_name_the_flag_and_the_value) {
  expect_text(bad(parse_plain({"--frobnicate"})), 2, "--frobnicate");
  expect_text(bad(parse_plain({"stray"})), 2, "stray");
  expect_text(bad(parse_plain({"--data-root"})), 2, "--data-root");
  expect_text(bad(parse_plain({"--data-root", "relative"})), 2, "--data-root: \"relative\" is not an absolute path");
  expect_text(bad(parse_plain({"--data-root", "/a", "--data-root", "/b"})), 2, "--data-root is given 2 times");
  expect_text(bad(parse_plain({"--driver", "podman"})), 2, "\"podman\" is not docker, process or simulated");
  expect_text(bad(parse_plain({"--listen-addr", "2377"})), 2, "IP:PORT");
  expect_text(bad(parse_plain({"--listen-addr", "::1:2377"})), 2, "brackets");
  expect_text(bad(parse_plain({"--advertise-addr", "eth0"})), 2, "an IP address");
  expect_text(bad(parse_plain({"--host", "tcp://0.0.0.0:2375"})), 2, "would give root");
  expect_text(bad(parse_plain({"--host", "unix:///" + std::string(200, 'x')})), 2, "107 bytes");
  expect_text(bad(parse_plain({"-H", "unix:///a", "-H", "unix:///a"})), 2, "each socket once");
}

TEST_F(config_test, bad_variables_are_configuration_errors) {
  expect_text(bad(parse({}, {"SWARM_NODE_DRIVER=lxc"})), 78, "env SWARM_NODE_DRIVER: driver: \"lxc\" is not docker");
  EXPECT_EQ(good(parse({}, {"SWARM_NODE_DRIVER="})).options.driver, driver_kind::docker);
}

TEST_F(config_test, an_unknown_variable_is_told_but_does_not_stop_the_node) {
  const auto p = good(parse({}, {"SWARM_NODE_DATAROOT=/x", "OTHER=1"}));
  ASSERT_EQ(p.warnings.size(), 1U);
  EXPECT_NE(p.warnings[0].find("SWARM_NODE_DATAROOT"), std::string::npos);
}

TEST_F(config_test, bad_files_are_refused_with_file_line_and_value) {
  const auto at = [&](int line) { return file_.string() + ":" + std::to_string(line) + ": "; };
  write(file_, "# comment\ndata-rot = \"/x\"\n");
  expect_text(bad(parse({})), 78, at(2) + "unknown key \"data-rot\"");
  write(file_, "\n\nlog-level = \"loud\"\n");
  expect_text(bad(parse({})), 78, at(3) + "log-level: \"loud\" is not debug");
  write(file_, "log-level = \n");
  expect_text(bad(parse({})), 78, at(1));
  write(file_, "[section]\nx = 1\n");
  expect_text(bad(parse({})), 78, at(1) + "unknown key \"section\"");
  write(file_, "data-root = [\"/x\"]\n");
  expect_text(bad(parse({})), 78, at(1) + "data-root: wants a string");
  write(file_, "host = [\n  \"unix:///a\",\n  { x = 1 },\n]\n");
  expect_text(bad(parse({})), 78, at(3) + "host: wants a list");
  write(file_, "config = \"/x\"\n");
  expect_text(bad(parse({})), 78, at(1) + "unknown key \"config\"");
  write(file_, std::string(2 << 20, '#'));
  expect_text(bad(parse({})), 78, "larger than");
  expect_text(bad(parse({"--config", (folder_ / "absent").string()})), 78, "no such file");
  expect_text(bad(parse({"--config", folder_.string()})), 78, "is a folder");
}

TEST_F(config_test, times_and_sizes_are_read_with_their_units_and_bounded) {
  const auto p = good(parse({"--request-timeout", "2m", "--header-timeout", "1500", "--engine-timeout", "7s",
                             "--map-size", "1gib", "--max-body", "512k"}));
  EXPECT_EQ(p.options.request_timeout, milliseconds{120'000});
  EXPECT_EQ(p.options.header_timeout, milliseconds{1500});
  EXPECT_EQ(p.options.engine_timeout, milliseconds{7000});
  EXPECT_EQ(p.options.map_size, 1ULL << 30);
  EXPECT_EQ(p.options.max_body, 512ULL << 10);
  for (const auto* text : {"0", "-1", "1h", "61m", "1.5s", "", "99999999999999999999"})
    expect_text(bad(parse({"--request-timeout=" + std::string{text}})), 2, "request-timeout");
  for (const auto* text : {"1", "1x", "17000000TiB", "65T", "", "k", "1kk"})
    expect_text(bad(parse({"--map-size=" + std::string{text}})), 2, "map-size");
  for (const auto* text : {"0", "1000001", "x", "-5"})
    expect_text(bad(parse({"--max-connections=" + std::string{text}})), 2, "max-connections");
}

TEST_F(config_test, the_folder_of_plugins_is_an_option_like_the_others) {
  EXPECT_EQ(good(parse({})).options.plugin_dir, "/run/docker/plugins");
  EXPECT_EQ(good(parse({}, {"SWARM_NODE_PLUGIN_DIR=/env"})).options.plugin_dir, "/env");
  const auto p = good(parse({"--plugin-dir", "/flag"}, {"SWARM_NODE_PLUGIN_DIR=/env"}));
  EXPECT_EQ(p.options.plugin_dir, "/flag");
  EXPECT_EQ(origin(p, "plugin-dir"), "flag --plugin-dir");
  EXPECT_NE(print_settings(p.settings).find("plugin-dir = \"/flag\""), std::string::npos);
  expect_text(bad(parse({"--plugin-dir", "relative"})), 2, "plugin-dir");
}

TEST_F(config_test, values_that_contradict_each_other_are_refused) {
  expect_text(bad(parse({"--raft-election", "200ms"})), 2, "less than five times raft-heartbeat 50ms");
  expect_text(bad(parse({}, {"SWARM_NODE_RAFT_HEARTBEAT=100ms"})), 78, "less than five times");
  expect_text(bad(parse({"--host", "unix:///s", "--control-socket", "/s"})), 2, "same path");
  expect_text(bad(parse({"--host", "unix:///s", "--engine", "unix:///s"})), 2, "same socket");
}

TEST_F(config_test, dev_makes_a_folder_of_its_own_and_leaves_explicit_values_alone) {
  const auto p = good(parse_plain({"--dev", "--listen-addr", "127.0.0.1:4000"}));
  EXPECT_TRUE(fs::is_directory(p.options.data_root));
  EXPECT_EQ(p.options.driver, driver_kind::simulated);
  EXPECT_EQ(p.options.hosts, strings{"unix://" + p.options.data_root + "/docker.sock"});
  EXPECT_EQ(p.options.listen_addr, "127.0.0.1:4000");
  EXPECT_EQ(origin(p, "driver"), "--dev");
  EXPECT_EQ(origin(p, "listen-addr"), "flag --listen-addr");
  const auto again = good(parse_plain({"--dev", "--listen-addr", "127.0.0.1:4000"}, {}, &p));
  EXPECT_EQ(again.options, p.options) << "a reload stays in the same folder";
  fs::remove_all(p.options.data_root);
  const auto process = good(parse_plain({"--dev", "--driver", "process"}));
  EXPECT_EQ(process.options.driver, driver_kind::process);
  fs::remove_all(process.options.data_root);
}

TEST_F(config_test, reload_takes_what_may_change_and_names_what_needs_a_restart) {
  write(file_, "log-level = \"info\"\ndata-root = \"/a\"\n");
  auto p = good(parse({}));
  write(file_, "log-level = \"debug\"\ndata-root = \"/b\"\nmax-connections = 5\n");
  const auto told = reload(p, good(parse({})));
  EXPECT_EQ(told, (strings{"data-root: \"/a\" -> \"/b\" needs a restart", "max-connections: \"1024\" -> \"5\" needs a restart",
                           "log-level: \"info\" -> \"debug\""}));
  EXPECT_EQ(p.options.log_level, log::level::debug);
  EXPECT_EQ(p.options.max_connections, 1024U);
  EXPECT_EQ(p.options.data_root, "/a");
  EXPECT_EQ(origin(p, "log-level"), file_.string() + ":1");
}

} // namespace
} // namespace swarm::config
