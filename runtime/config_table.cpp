// Every option with its name, its words in --help, its reader and its writer.
#include "runtime/config_table.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <set>

#include "runtime/text.hpp"

namespace swarm::config {

namespace {

constexpr std::size_t socket_path_bytes_max = 107; // sun_path without its terminator

// -- readers of one text: fill `out` or return what is wanted --------------------------------------------

std::optional<std::string> read_text(const std::string& text, std::string& out) {
  out = text;
  return std::nullopt;
}

std::optional<std::string> read_name(const std::string& text, std::string& out) {
  constexpr std::size_t name_bytes_max = 63; // of a host name
  const auto plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  if (text.empty() || text.size() > name_bytes_max || !std::all_of(text.begin(), text.end(), plain))
    return "a name: 1 to 63 letters, digits, '-', '_' or '.'";
  return read_text(text, out);
}

std::optional<std::string> read_name_or_none(const std::string& text, std::string& out) {
  return text.empty() ? read_text(text, out) : read_name(text, out);
}

std::optional<std::string> read_path(const std::string& text, std::string& out) {
  if (text.empty() || text.front() != '/')
    return "an absolute path";
  return read_text(text, out);
}

std::optional<std::string> read_path_or_none(const std::string& text, std::string& out) {
  return text.empty() ? read_text(text, out) : read_path(text, out);
}

std::optional<std::string> read_socket_path(const std::string& text, std::string& out) {
  if (text.size() > socket_path_bytes_max)
    return "a path of at most 107 bytes (the kernel's limit for sockets)";
  return read_path(text, out);
}

std::optional<std::string> read_unix_url(const std::string& text, std::string& out) {
  constexpr std::string_view scheme = "unix://";
  if (text.starts_with("tcp://"))
    return "unix:///PATH: a TCP socket without client certificates would give root to whoever reaches it";
  std::string path;
  if (!text.starts_with(scheme) || read_socket_path(text.substr(scheme.size()), path))
    return "unix:///PATH with at most 107 bytes of path";
  return read_text(text, out);
}

bool is_ip(const std::string& text) {
  in6_addr bytes{};
  return ::inet_pton(AF_INET, text.c_str(), &bytes) == 1 || ::inet_pton(AF_INET6, text.c_str(), &bytes) == 1;
}

std::optional<std::string> read_ip_or_none(const std::string& text, std::string& out) {
  if (!text.empty() && !is_ip(text))
    return "an IP address";
  return read_text(text, out);
}

template <class Number>
std::optional<Number> whole_number(std::string_view text) {
  Number number{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

std::optional<std::string> read_ip_port(const std::string& text, std::string& out) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || !whole_number<std::uint16_t>(std::string_view{text}.substr(colon + 1)))
    return "IP:PORT";
  auto ip = text.substr(0, colon);
  const bool brackets = ip.size() > 2 && ip.front() == '[' && ip.back() == ']';
  if (brackets)
    ip = ip.substr(1, ip.size() - 2);
  if (!is_ip(ip) || brackets != (ip.find(':') != std::string::npos))
    return "IP:PORT, with an IPv6 address in brackets";
  return read_text(text, out);
}

std::pair<std::string_view, std::string_view> split_unit(std::string_view text) {
  const auto unit = std::find_if(text.begin(), text.end(), [](char c) { return c < '0' || c > '9'; });
  const auto digits = static_cast<std::size_t>(unit - text.begin());
  return {text.substr(0, digits), text.substr(digits)};
}

std::optional<std::string> read_duration(const std::string& text, milliseconds& out) {
  constexpr std::int64_t hour_ms = 3'600'000;
  const auto [digits, unit] = split_unit(text);
  const auto number = whole_number<std::int64_t>(digits);
  const std::int64_t factor = unit.empty() || unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : 0;
  if (!number || factor == 0 || *number < 1 || *number > hour_ms / factor)
    return "a time from 1ms to 60m: a number with ms, s or m (ms when there is none)";
  out = milliseconds{*number * factor};
  return std::nullopt;
}

std::optional<std::string> read_bytes(const std::string& text, std::uint64_t& out, std::uint64_t least) {
  const auto [digits, unit] = split_unit(text);
  const auto number = whole_number<std::uint64_t>(digits);
  auto letter = text::to_lower(unit);
  for (const std::string_view ending : {"ib", "b"})
    if (letter.ends_with(ending)) {
      letter.resize(letter.size() - ending.size());
      break;
    }
  constexpr std::string_view units = "kmgt";
  const auto power = letter.empty() ? 0 : letter.size() == 1 ? units.find(letter[0]) + 1 : std::string::npos;
  const auto shift = power <= units.size() ? 10 * power : 64;
  if (!number || shift >= 64 || *number > (1ULL << 46) >> shift || *number << shift < least)
    return "a size from " + std::to_string(least) + " bytes to 64TiB, such as 512MiB or 16GiB";
  out = *number << shift;
  return std::nullopt;
}

std::optional<std::string> read_count(const std::string& text, std::uint32_t& out) {
  const auto number = whole_number<std::uint32_t>(text);
  if (!number || *number < 1 || *number > 1'000'000)
    return "a number from 1 to 1000000";
  out = *number;
  return std::nullopt;
}

std::string bytes_text(std::uint64_t value) {
  constexpr std::array<std::string_view, 5> units{"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; value != 0 && value % 1024 == 0 && unit + 1 < units.size(); ++unit)
    value /= 1024;
  return std::to_string(value) + std::string{units[unit]};
}

// -- makers of table rows ------------------------------------------------------------------------------

using text_reader = std::optional<std::string> (*)(const std::string&, std::string&);

option text_option(std::string_view name, std::string_view metavar, std::string_view help,
                   std::string daemon_options::*field, text_reader read) {
  return {name, metavar, help,
          [field, read](daemon_options& o, const texts& t) { return read(t.front(), o.*field); },
          [field](const daemon_options& o) { return texts{o.*field}; }};
}

option duration_option(std::string_view name, std::string_view help, milliseconds daemon_options::*field,
                       bool reloadable) {
  return {name, "TIME", help,
          [field](daemon_options& o, const texts& t) { return read_duration(t.front(), o.*field); },
          [field](const daemon_options& o) { return texts{duration_text(o.*field)}; }, false, reloadable};
}

option bytes_option(std::string_view name, std::string_view help, std::uint64_t daemon_options::*field,
                    std::uint64_t least, bool reloadable) {
  return {name, "SIZE", help,
          [field, least](daemon_options& o, const texts& t) { return read_bytes(t.front(), o.*field, least); },
          [field](const daemon_options& o) { return texts{bytes_text(o.*field)}; }, false, reloadable};
}

option hosts_option() {
  return {"host", "unix://SOCK", "where to serve the Docker API; may be repeated (-H)",
          [](daemon_options& o, const texts& t) -> std::optional<std::string> {
            std::set<std::string> seen;
            texts hosts(t.size());
            for (std::size_t i = 0; i < t.size(); ++i) {
              if (auto wanted = read_unix_url(t[i], hosts[i]))
                return wanted;
              if (!seen.insert(hosts[i]).second)
                return "each socket once";
            }
            if (hosts.empty())
              return "at least one socket";
            o.hosts = std::move(hosts);
            return std::nullopt;
          },
          [](const daemon_options& o) { return o.hosts; }, true};
}

option driver_option() {
  return {"driver", "docker|process|simulated", "what runs the tasks of this node",
          [](daemon_options& o, const texts& t) -> std::optional<std::string> {
            for (const auto kind : {driver_kind::docker, driver_kind::process, driver_kind::simulated})
              if (to_string(kind) == t.front()) {
                o.driver = kind;
                return std::nullopt;
              }
            return "docker, process or simulated";
          },
          [](const daemon_options& o) { return texts{std::string{to_string(o.driver)}}; }};
}

option connections_option() {
  return {"max-connections", "N", "open API connections; more are refused",
          [](daemon_options& o, const texts& t) { return read_count(t.front(), o.max_connections); },
          [](const daemon_options& o) { return texts{std::to_string(o.max_connections)}; }, false, false};
}

option log_level_option() {
  return {"log-level", "debug|info|warn|error", "what is worth a line",
          [](daemon_options& o, const texts& t) -> std::optional<std::string> {
            const auto level = log::parse_level(t.front());
            if (!level)
              return "debug, info, warn, error or off";
            o.log_level = *level;
            return std::nullopt;
          },
          [](const daemon_options& o) { return texts{std::string{to_string(o.log_level)}}; }, false, true};
}

option log_format_option() {
  return {"log-format", "text|json", "how a line looks",
          [](daemon_options& o, const texts& t) -> std::optional<std::string> {
            const auto format = log::parse_format(t.front());
            if (!format)
              return "text or json";
            o.log_format = *format;
            return std::nullopt;
          },
          [](const daemon_options& o) { return texts{std::string{to_string(o.log_format)}}; }, false, true};
}

} // namespace

std::string_view to_string(driver_kind kind) {
  switch (kind) {
    case driver_kind::docker: return "docker";
    case driver_kind::process: return "process";
    case driver_kind::simulated: return "simulated";
  }
  return "";
}

std::string duration_text(milliseconds value) {
  const auto ms = value.count();
  return ms % 60'000 == 0 ? std::to_string(ms / 60'000) + "m"
         : ms % 1000 == 0 ? std::to_string(ms / 1000) + "s"
                          : std::to_string(ms) + "ms";
}

const std::vector<option>& table() {
  using o = daemon_options;
  static const std::vector<option> rows{
      hosts_option(),
      text_option("group", "NAME", "group that may use these sockets", &o::group, read_name),
      text_option("control-socket", "PATH", "where console and REPL connect", &o::control_socket, read_socket_path),
      text_option("data-root", "DIR", "where the state is kept", &o::data_root, read_path),
      text_option("pidfile", "FILE", "write the process id here", &o::pidfile, read_path_or_none),
      driver_option(),
      text_option("engine", "unix://SOCK", "the Docker Engine of this host", &o::engine, read_unix_url),
      text_option("plugin-dir", "DIR", "sockets of plugins that keep secrets (docker secret create --driver)", &o::plugin_dir,
                  read_path),
      text_option("listen-addr", "IP:PORT", "where other nodes connect", &o::listen_addr, read_ip_port),
      text_option("advertise-addr", "IP", "the address that other nodes are told", &o::advertise_addr, read_ip_or_none),
      text_option("node-name", "NAME", "name of this node (default: the engine's, else the host's)", &o::node_name,
                  read_name_or_none),
      duration_option("raft-heartbeat", "how often a leader says it is there", &o::raft_heartbeat, false),
      duration_option("raft-election", "silence after which another leader is sought", &o::raft_election, false),
      bytes_option("map-size", "most that the database may grow to", &o::map_size, 16ULL << 20, false),
      connections_option(),
      bytes_option("max-body", "largest API request that is not passed through", &o::max_body, 64ULL << 10, false),
      duration_option("header-timeout", "a client's request head must be there by then", &o::header_timeout, false),
      duration_option("request-timeout", "longest answer that is not a stream", &o::request_timeout, false),
      duration_option("engine-timeout", "longest call to the engine", &o::engine_timeout, false),
      duration_option("shutdown-timeout", "longest stop after SIGTERM", &o::shutdown_timeout, true),
      log_level_option(),
      log_format_option(),
      text_option("config", "FILE", "configuration file; conf.d/*.toml beside it is read too", &o::config_file,
                  read_path),
  };
  return rows;
}

} // namespace swarm::config
