// Whether the Go templates of a spec can be expanded, checked when it is created: AGENT expands them later.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/specs.pb.h"

namespace swarm::control {

/// The part of text/template that AGENT's expander understands: {{.Task.Slot}} and the other fields of behaviour §4.17,
/// variables, pipelines, if/else, with, range, comments, trim markers, Go's functions and join. Values are not looked at,
/// so an argument of the wrong kind is found by AGENT only. Returns what is wrong, in Go's words, from "template: " on.
[[nodiscard]] std::optional<std::string> check_template(std::string_view text);

/// Hostname, environment and mounts: "expanding hostname failed: template: …", or nothing.
[[nodiscard]] std::optional<std::string> check_templates(const ContainerSpec& container);

} // namespace swarm::control
