// Networks of swarm scope as the Engine API shows them, beside those of the engine. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "messages/control.pb.h"
#include "messages/docker_json.hpp"
#include "messages/json_value.hpp"

namespace swarm::gateway {

/// Who else is on the network, for `verbose`.
struct network_users {
  std::vector<Service> services;
  std::vector<Task> tasks;
  std::vector<Node> nodes;
};

/// One network. `containers`: those of this host as its engine tells them, null when none of its tasks is here.
[[nodiscard]] std::string network_json(const Network& network, const json_value& containers, const network_users* users,
                                       api_minor api);

/// The engine's GET /networks with those of swarm scope before it and without the bridges that carry them. A body that is
/// no list stays as it is.
[[nodiscard]] std::string merged_networks_json(const std::string& engine_body, const ObjectsRead& swarm,
                                               std::string_view cluster_id, api_minor api);

/// The id of the network of swarm scope that this one of the engine's carries; "" when it is none of this cluster's.
[[nodiscard]] std::string carried_network(const json_value& engine_network, std::string_view cluster_id);

/// The network that a refusal says is not there ("network X not found"); "" for any other text.
[[nodiscard]] std::string missing_network(std::string_view refusal);
/// The refusal of a service that is to use a network of the engine alone; "" when the network may be used.
[[nodiscard]] std::string local_network_refusal(const json_value& engine_network, std::string_view cluster_id);

/// What POST /networks/create asks for.
struct network_wish {
  NetworkSpec spec;
  bool of_swarm_scope = false;
};
/// Fails with the text for status 400.
[[nodiscard]] failure read_network_wish(std::string_view body, api_minor api, network_wish& out);

/// Whether POST /networks/prune with these filters may remove a network of swarm scope (if nobody uses it).
struct prune_filters {
  std::vector<std::string> labels;     ///< "k" or "k=v": all must hold
  std::vector<std::string> not_labels; ///< none may hold
  bool until = false;                  ///< given: nothing of swarm scope is removed
};
[[nodiscard]] failure read_prune_filters(std::string_view filters, prune_filters& out);
[[nodiscard]] bool may_prune(const prune_filters& filters, const Network& network);
/// The same filters for the engine, so that it leaves the bridges alone.
[[nodiscard]] std::string engine_prune_filters(std::string_view filters);
/// The engine's answer with the names of removed networks of swarm scope added.
[[nodiscard]] std::string pruned_json(const std::string& engine_body, const std::vector<std::string>& removed);

} // namespace swarm::gateway
