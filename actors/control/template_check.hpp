// Whether the Go templates of a spec can be expanded, checked when it is created: AGENT expands them later.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/specs.pb.h"

namespace swarm::control {

/// The subset of text/template that services use: {{.Task.Slot}} and the other fields of behaviour §4.17, strings,
/// `index .Service.Labels "key"`, comments, trim markers. Returns what is wrong, in Go's words, from "template: " on.
[[nodiscard]] std::optional<std::string> check_template(std::string_view text);

/// Hostname, environment and mounts: "expanding hostname failed: template: …", or nothing.
[[nodiscard]] std::optional<std::string> check_templates(const ContainerSpec& container);

} // namespace swarm::control
