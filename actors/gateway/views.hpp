// Stored objects as the Engine API shows them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "messages/control.pb.h"
#include "messages/docker_json.hpp"
#include "messages/errors.hpp"

namespace swarm::gateway {

/// A JSON array of tasks, each with its spec put back in. A spec is turned into JSON once, however many tasks have it.
[[nodiscard]] std::string tasks_json(const ObjectsRead& read, api_minor api);
/// One task; `read` holds exactly one.
[[nodiscard]] std::string task_json(const ObjectsRead& read, api_minor api);

/// Services, as they are or with the defaults that `insertDefaults=true` adds.
[[nodiscard]] std::string services_json(const ObjectsRead& read, api_minor api);
[[nodiscard]] std::string service_json(const Service& service, bool insert_defaults, api_minor api);

/// GET /swarm shows the join tokens, /info does not.
[[nodiscard]] Cluster cluster_view(const Cluster& cluster, bool with_tokens);

/// The Swarm member of GET /info.
[[nodiscard]] std::string swarm_info_json(const LocalNode& local, const ObjectsRead* cluster_and_nodes, api_minor api);

/// The `Swarm` header of /_ping: inactive, pending, error, locked, active/worker, active/manager.
[[nodiscard]] std::string swarm_header(const LocalNode& local);

/// Keys that may filter a list (behaviour §2.4); an unknown one is refused in the daemon's words for that API version.
[[nodiscard]] failure check_filters(ObjectKind kind, std::string_view filters, api_minor api, ReadObjects& out);

/// `version` query parameter: a number, or Go's words for what it is instead.
[[nodiscard]] failure parse_version(std::string_view text, std::string_view object, std::uint64_t& out);

/// A query parameter that the daemon reads with Go's strconv.ParseBool; "" is false. Wrong ones: "invalid value for KEY: TEXT".
[[nodiscard]] failure parse_flag(std::string_view text, std::string_view key, bool& out);

/// "1", "t", "true"… as the daemon's httputils.BoolValue: everything but "", 0, no, false, none is true.
[[nodiscard]] bool bool_value(std::string_view text);

} // namespace swarm::gateway
