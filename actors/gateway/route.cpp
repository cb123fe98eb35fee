// The route table of the swarm part of the Engine API (behaviour §2.3).
#include "actors/gateway/route.hpp"

#include <array>
#include <charconv>
#include <optional>

#include "runtime/text.hpp"

namespace swarm::gateway {

namespace {

struct entry {
  std::string_view method;
  std::string_view pattern; // "*" stands for one segment, the id
  target to;
};

constexpr std::array table{
  entry{"GET", "_ping", target::ping},
  entry{"HEAD", "_ping", target::ping},
  entry{"GET", "info", target::info},
  entry{"GET", "version", target::version},
  entry{"GET", "events", target::events},
  entry{"GET", "networks", target::network_list},
  entry{"POST", "networks/create", target::network_create},
  entry{"POST", "networks/prune", target::network_prune},
  entry{"GET", "networks/*", target::network_inspect},
  entry{"DELETE", "networks/*", target::network_remove},
  entry{"POST", "networks/*/connect", target::network_connect},
  entry{"POST", "swarm/init", target::swarm_init},
  entry{"POST", "swarm/join", target::swarm_join},
  entry{"POST", "swarm/leave", target::swarm_leave},
  entry{"GET", "swarm", target::swarm_inspect},
  entry{"POST", "swarm/update", target::swarm_update},
  entry{"GET", "swarm/unlockkey", target::swarm_unlock_key},
  entry{"POST", "swarm/unlock", target::swarm_unlock},
  entry{"GET", "services", target::service_list},
  entry{"POST", "services/create", target::service_create},
  entry{"GET", "services/*", target::service_inspect},
  entry{"POST", "services/*/update", target::service_update},
  entry{"DELETE", "services/*", target::service_remove},
  entry{"GET", "services/*/logs", target::service_logs},
  entry{"GET", "tasks", target::task_list},
  entry{"GET", "tasks/*", target::task_inspect},
  entry{"GET", "tasks/*/logs", target::task_logs},
  entry{"GET", "nodes", target::node_list},
  entry{"GET", "nodes/*", target::node_inspect},
  entry{"POST", "nodes/*/update", target::node_update},
  entry{"DELETE", "nodes/*", target::node_remove},
  entry{"GET", "secrets", target::secret_list},
  entry{"POST", "secrets/create", target::secret_create},
  entry{"GET", "secrets/*", target::secret_inspect},
  entry{"POST", "secrets/*/update", target::secret_update},
  entry{"DELETE", "secrets/*", target::secret_remove},
  entry{"GET", "configs", target::config_list},
  entry{"POST", "configs/create", target::config_create},
  entry{"GET", "configs/*", target::config_inspect},
  entry{"POST", "configs/*/update", target::config_update},
  entry{"DELETE", "configs/*", target::config_remove},
};

// Everything below these belongs to the swarm API: an engine must never see it (behaviour §8 item 11).
constexpr std::array owned{"swarm", "services", "tasks", "nodes", "secrets", "configs"};

std::optional<std::string> match(std::string_view pattern, const std::vector<std::string_view>& segments) {
  const auto parts = text::split(pattern, '/');
  if (parts.size() != segments.size())
    return std::nullopt;
  std::string id;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] == "*") {
      if (segments[i].empty())
        return std::nullopt;
      id = segments[i];
    } else if (parts[i] != segments[i]) {
      return std::nullopt;
    }
  }
  return id;
}

struct version_prefix {
  std::string_view text;     // "1.41"
  std::size_t length = 0;    // of "/v1.41"; 0 = there is none
  std::uint32_t major = 1, minor = 0;
};

// "/v1.41/containers" has one; "/volumes" and "/v2" do not.
version_prefix read_version(std::string_view path) {
  if (!path.starts_with("/v") || path.size() < 5 || path[2] < '0' || path[2] > '9')
    return {};
  const auto end = std::min(path.find('/', 1), path.size());
  version_prefix v;
  v.text = path.substr(2, end - 2);
  const auto dot = v.text.find('.');
  if (dot == std::string_view::npos)
    return {};
  const auto number = [](std::string_view s, std::uint32_t& out) {
    const auto [rest, ec] = std::from_chars(s.data(), s.data() + s.size(), out);
    return ec == std::errc{} && rest == s.data() + s.size() && !s.empty();
  };
  if (!number(v.text.substr(0, dot), v.major) || !number(v.text.substr(dot + 1), v.minor))
    return {};
  v.length = end;
  return v;
}

} // namespace

route find_route(std::string_view method, std::string_view path) {
  route r;
  const auto version = read_version(path);
  if (version.length != 0) {
    r.api_minor = version.minor;
    const std::string given{version.text};
    const auto newest = "1." + std::to_string(api_minor_max), oldest = "1." + std::to_string(api_minor_min);
    if (version.major > 1 || version.minor > api_minor_max)
      r.error = "client version " + given + " is too new. Maximum supported API version is " + newest;
    else if (version.major < 1 || version.minor < api_minor_min)
      r.error = "client version " + given + " is too old. Minimum supported API version is " + oldest
                + ", please upgrade your client to a newer version";
    if (!r.error.empty()) {
      r.to = target::bad_version;
      return r;
    }
    path.remove_prefix(version.length);
  }
  r.engine_path = path;
  if (!path.starts_with('/'))
    return r;
  const auto segments = text::split(path.substr(1), '/');
  if (method == "GET" && segments.size() >= 3 && segments[0] == "distribution" && segments.back() == "json") {
    r.to = target::distribution;
    r.id = path.substr(14, path.size() - 14 - 5); // image names hold slashes
    return r;
  }
  for (const auto& e : table) {
    if (e.method != method)
      continue;
    if (auto id = match(e.pattern, segments)) {
      r.to = e.to;
      r.id = std::move(*id);
      return r;
    }
  }
  for (const std::string_view name : owned)
    if (segments[0] == name)
      r.to = target::unknown;
  return r;
}

std::string engine_target(std::string_view raw_target, std::uint32_t engine_minor) {
  const auto path = raw_target.substr(0, raw_target.find('?'));
  const auto version = read_version(path);
  if (version.length == 0 || engine_minor == 0 || version.minor <= engine_minor)
    return std::string{raw_target};
  return "/v1." + std::to_string(engine_minor) + std::string{raw_target.substr(version.length)};
}

} // namespace swarm::gateway
