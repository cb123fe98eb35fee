// Our messages as the Docker Engine's JSON and back. Pure: no sockets, no decisions about when to call what.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "messages/driver.pb.h"
#include "messages/errors.hpp"

namespace swarm::docker {

/// One network of swarm scope that a container is put on, as the engine knows it.
struct attachment {
  std::string engine_network; ///< the engine's id
  const TaskNetwork* on = nullptr;
};

/// The body of POST /containers/create for a task (behaviour §4.2). `files_directory` is where the driver has put the
/// task's secret_files, numbered 0, 1, …; each is bound read-only at its target. The container is created on `first`, if
/// it is given; on others it is put with connect_body().
[[nodiscard]] std::string create_body(const TaskDescription& task, const std::string& files_directory, const attachment* first = nullptr);
/// The body of POST /networks/ID/connect.
[[nodiscard]] std::string connect_body(const TaskDescription& task, const std::string& container, const attachment& to);
/// Whether the container shares one of the engine's own networks; it cannot be created on another then.
[[nodiscard]] bool on_engine_network(const TaskDescription& task);

/// The image as the engine wants it: "busybox" becomes "busybox:latest"; ids and digests stay.
[[nodiscard]] std::string image_reference(const std::string& image);

/// What is known of an image reference without asking anyone.
struct image_name {
  bool is_id = false;       ///< sha256:…: exists here or nowhere
  bool has_digest = false;  ///< name@sha256:…: never needs a second look at the registry
  std::string registry;     ///< host that would be asked: "docker.io" when none is named
  std::string repository;   ///< for fromImage=
  std::string tag;          ///< for tag=: the tag or the digest
};
[[nodiscard]] image_name parse_image(const std::string& image);

/// X-Registry-Auth for the engine; "" when there is none worth sending.
[[nodiscard]] std::string registry_auth(const TaskDescription& task);

/// One container as GET /containers/ID/json shows it.
struct inspected {
  TaskHandle handle;         ///< task_id from the label, "" when it has none
  std::string cluster_id;    ///< our label, "" when it has none
  std::vector<std::string> networks; ///< of swarm scope, from our label
  bool tty = false;
};
/// Fails when it is not the JSON of a container.
[[nodiscard]] failure read_inspect(std::string_view body, inspected& out);

/// One row of GET /containers/json.
struct listed {
  std::string container_id;
  std::string task_id;
  std::string cluster_id;
  std::string state;         ///< created, running, paused, restarting, removing, exited, dead
};
[[nodiscard]] failure read_list(std::string_view body, std::vector<listed>& out);

/// {"Id":…} of a create answer; "" when it has none.
[[nodiscard]] std::string read_created_id(std::string_view body);
/// {"message":…} of an error answer; the start of the body when it is not that; "" only when the body is empty.
[[nodiscard]] std::string read_message(std::string_view body);

/// One line of GET /events.
struct event {
  std::string action;        ///< "die", "oom", "destroy", "create", "health_status: healthy"
  std::string container_id;
  std::string task_id;
  std::string cluster_id;
  std::int64_t time = 0;     ///< wall ns
  std::int64_t exit_code = 0;
};
/// Fails when the line is not an event; events about anything but containers come out with an empty action.
[[nodiscard]] failure read_event(std::string_view line, event& out);

/// "" or the error that one line of POST /images/create carries.
[[nodiscard]] std::string read_pull_error(std::string_view line);

/// GET /info and GET /version as the node's description. `api_minor` is what the engine speaks at most (1.NN), `id` the
/// engine's own identity.
struct fingerprint {
  NodeDescription description;
  std::uint32_t api_minor = 0;
  std::string id;
};
[[nodiscard]] failure read_fingerprint(std::string_view info, std::string_view version, fingerprint& out);

/// {"label":["key=value"]} percent-encoded, for a filters parameter.
[[nodiscard]] std::string label_filter(const std::map<std::string, std::vector<std::string>>& filters);

} // namespace swarm::docker
