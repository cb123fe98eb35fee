// Replacing the cluster's root (`swarm ca --rotate`): how it begins, what it needs to end, and what nodes trust meanwhile.
#pragma once

#include "messages/errors.hpp"
#include "messages/objects.pb.h"
#include "runtime/time.hpp"

namespace swarm::ca {

/// Compares what the spec of `cluster` asks for with its root, and begins, changes, or calls off a rotation in it:
///   the certificate in force is asked for      → a rotation under way is called off
///   the certificate that is to follow already  → its key is replaced
///   another one, or force_rotate has changed    → a rotation begins; one under way is superseded
/// Certificate and key are taken out of the spec: they live in the root from then on. Refused as invalid_argument with
/// Swarm's text.
[[nodiscard]] failure follow_ca_config(Cluster& cluster, wall_ns now);

/// Whether a node's certificate comes from the root that issues now (Cluster.tls_info), as the node itself reports.
[[nodiscard]] bool has_renewed(const NodeTLSInfo& wanted, const NodeTLSInfo& reported);

/// The root that was to follow is in force: fresh join tokens for it. Precondition: a rotation is under way.
void finish_root_rotation(Cluster& cluster);

} // namespace swarm::ca
