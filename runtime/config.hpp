// Every option of the daemon: flag, SWARM_NODE_* variable and key of the TOML file, with where its value came from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/log.hpp"
#include "runtime/time.hpp"

namespace swarm::config {

enum class driver_kind : std::uint8_t { docker, process, simulated };
[[nodiscard]] std::string_view to_string(driver_kind kind);

/// What the daemon is to do, validated. The defaults here are the documented ones.
struct daemon_options {
  // -- where it listens and keeps its state ----------------------------------------
  std::vector<std::string> hosts{"unix:///run/swarm-node/docker.sock"};
  std::string group = "docker";                    ///< owns the sockets of `hosts`, when such a group exists
  std::string control_socket = "/run/swarm-node/control.sock";
  std::string data_root = "/var/lib/swarm-node";
  std::string pidfile;                             ///< empty: none
  // -- what runs the tasks -----------------------------------------------------------
  driver_kind driver = driver_kind::docker;
  std::string engine = "unix:///var/run/docker.sock";
  std::string plugin_dir = "/run/docker/plugins";  ///< sockets of plugins that keep secrets
  // -- the cluster -------------------------------------------------------------------
  std::string listen_addr = "0.0.0.0:2377";        ///< for other nodes
  std::string advertise_addr;                      ///< empty: chosen at swarm init
  std::string node_name;                           ///< empty: the engine's name, else the host's
  milliseconds raft_heartbeat{50};
  milliseconds raft_election{400};                 ///< lower bound; the upper one is twice that
  // -- bounds ------------------------------------------------------------------------
  std::uint64_t map_size = 16ULL << 30;            ///< most bytes that the database may grow to (address space, not disk)
  std::uint32_t max_connections = 1024;
  std::uint64_t max_body = 4ULL << 20;             ///< bytes of one API request that is not passed through
  milliseconds header_timeout{10'000};             ///< a client's request head must be complete by then
  milliseconds request_timeout{20'000};            ///< one API request that does not stream; init, join and leave get three times that
  milliseconds engine_timeout{10'000};             ///< one call to the engine that does not stream or pull
  milliseconds shutdown_timeout{10'000};           ///< from SIGTERM to exit
  // -- talk --------------------------------------------------------------------------
  log::level log_level = log::level::info;
  log::format log_format = log::format::text;
  // -- how it was started ------------------------------------------------------------
  std::string config_file = "/etc/swarm-node/config.toml";
  bool dev = false;                                ///< everything below data_root, which is a new temporary folder

  bool operator==(const daemon_options&) const = default;
};

/// One option as --print-config shows it; printed together they are a valid configuration file. origin is "default", "--dev", "flag --x", "env SWARM_NODE_X" or "FILE:LINE".
struct setting {
  std::string name;
  std::string text;
  std::string origin;
  bool reloadable = false;
};

struct parsed {
  daemon_options options;
  std::vector<setting> settings;
  std::vector<std::string> warnings;               ///< e.g. a SWARM_NODE_* variable that no option has
};

/// The program is to end now: --help, --version, --print-config (0), a bad flag (2), a bad variable or file (78).
struct stop_now {
  int exit_code = 0;
  std::string text;                                ///< for stdout when exit_code is 0, else for stderr
};

inline constexpr int exit_ok = 0;
inline constexpr int exit_runtime = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_config = 78;             // EX_CONFIG of sysexits.h

using parse_result = std::variant<parsed, stop_now>;

/// Precedence: flag > environment > file (config file, then conf.d/*.toml beside it by name) > default.
/// `environ` is a null-terminated list of NAME=value. Reads files; with --dev it makes the temporary folder, unless
/// `previous` (the result in force, on SIGHUP) has one already.
[[nodiscard]] parse_result parse_daemon_options(int argc, const char* const* argv, const char* const* environ,
                                                const parsed* previous = nullptr);

/// What --print-config prints.
[[nodiscard]] std::string print_settings(const std::vector<setting>& settings);

/// On SIGHUP: parse again, then take over what may change while running. Returns one line per difference:
/// "log-level: info -> debug" when taken, "data-root: … needs a restart" when not.
std::vector<std::string> reload(parsed& current, const parsed& fresh);

/// "swarm-node 0.1.0"
[[nodiscard]] std::string version_line();

} // namespace swarm::config
