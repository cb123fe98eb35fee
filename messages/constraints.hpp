// The placement constraint language (behaviour §4.8): "node.labels.zone == east". CONTROL refuses what does not parse;
// SCHEDULER and ORCHESTRATOR match nodes against the rest.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "messages/errors.hpp"
#include "messages/objects.pb.h"

namespace swarm {

struct constraint {
  std::string key;      ///< as written; label names keep their case
  bool equal = true;    ///< "==" or "!="
  std::string expected;
  bool operator==(const constraint&) const = default;
};

/// All of `texts` in their order. Fails with errc::invalid_argument and Swarm's own text at the first that is malformed.
[[nodiscard]] failure parse_constraints(const google::protobuf::RepeatedPtrField<std::string>& texts,
                                        std::vector<constraint>& out);
/// What parses of them, for rows that were accepted long ago: a malformed one matches no node.
[[nodiscard]] std::vector<constraint> stored_constraints(const Placement& placement);

/// A key that no node will ever have: such a service waits for ever, so the user should be warned.
[[nodiscard]] bool is_known_key(const constraint& c);

/// Comparison ignores case; a missing label is ""; an unknown key never matches.
[[nodiscard]] bool matches(const constraint& c, const Node& node);
[[nodiscard]] bool matches(const std::vector<constraint>& all, const Node& node);

/// The value a spread preference sorts a node by: node.labels.X or engine.labels.X, "" when the node has none.
[[nodiscard]] std::string spread_value(std::string_view descriptor, const Node& node);

} // namespace swarm
