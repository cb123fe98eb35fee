// Whether a spec makes sense by itself (behaviour §1.11). What depends on other objects is STORE's to refuse.
#pragma once

#include "actors/control/refusal.hpp"
#include "messages/specs.pb.h"

namespace swarm::control {

/// What Swarm's daemon refuses while it converts the request; before defaults are put in.
[[nodiscard]] refusal check_service_conversion(const ServiceSpec& spec);
/// What Swarm's manager refuses. Precondition: normalise_service() was applied.
[[nodiscard]] refusal check_service(const ServiceSpec& spec);

[[nodiscard]] refusal check_node(const NodeSpec& spec);
[[nodiscard]] refusal check_secret(const SecretSpec& spec);
[[nodiscard]] refusal check_config(const ConfigSpec& spec);
[[nodiscard]] refusal check_network(const NetworkSpec& spec);
/// What Swarm could do and this version cannot. Precondition: check_network() was passed, and the driver is put in.
[[nodiscard]] refusal check_network_support(const NetworkSpec& spec);
[[nodiscard]] refusal check_cluster(const ClusterSpec& spec);

/// Names of services and networks: a DNS label, '_' allowed inside, at most 63 characters.
[[nodiscard]] refusal check_dns_name(const std::string& name);

} // namespace swarm::control
