// What a new network of swarm scope gets when it is created: its VNI and its subnets.
#pragma once

#include "actors/store/tables.hpp"
#include "messages/errors.hpp"

namespace swarm::store {

/// Fills in vni and ipam of a network that is not in the tables yet. What the spec says is taken if no other network has
/// it; else the lowest free VNI, and the first subnet of the cluster's pools that overlaps with no other network. The first
/// host address of a subnet without a gateway becomes its gateway. Predefined networks get nothing.
/// Refuses (invalid_argument, resource_exhausted) what cannot be had.
[[nodiscard]] failure plan_addresses(const tables& state, Network& network);

} // namespace swarm::store
