// What the cluster's CA makes and accepts, in Swarm's format: roots, node certificates, and what is told of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/errors.hpp"
#include "messages/objects.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::ca {

inline constexpr std::string_view root_common_name = "swarm-ca";
inline constexpr duration default_node_expiry = hours{90 * 24};
inline constexpr duration min_node_expiry = hours{1};

/// ECDSA P-256, CN swarm-ca, 20 years, with fresh join tokens. `now` is wall time.
[[nodiscard]] RootCA create_root(wall_ns now);

/// Takes a root that an operator gives (`swarm ca --rotate --ca-cert --ca-key`, or at init), normalised, with fresh
/// join tokens. Refused as invalid_argument with Swarm's text: not exactly one certificate, not a CA, neither ECDSA on
/// a NIST curve nor RSA of 2048 bits or more, a key that does not match, or less than a year left.
struct accepted_root {
  failure error;
  RootCA root; ///< when error.ok()
};
[[nodiscard]] accepted_root accept_root(std::string_view certificate_pem, std::string_view key_pem, wall_ns now);

/// "swarm-manager" or "swarm-worker": the OU of a node's certificate.
[[nodiscard]] std::string_view role_name(NodeRole role);
[[nodiscard]] NodeRole parse_role_name(std::string_view name); ///< NODE_ROLE_UNSPECIFIED when unknown

struct node_subject {
  std::string cluster_id;
  std::string node_id;
  NodeRole role = NODE_ROLE_UNSPECIFIED;
};

/// Subject O = cluster, OU = role, CN = node; DNS names OU, CN, and swarm-ca for managers; client and server; valid
/// from an hour before `now` (clocks differ) until `expiry` after it. An expiry below an hour becomes the default.
/// While the root is being replaced the new one issues, and its cross-signed certificate goes along.
/// invalid_argument when the public key is not acceptable, internal when the root itself cannot be read.
struct issued_certificate {
  failure error;
  std::string pem; ///< the leaf, then intermediates
};
[[nodiscard]] issued_certificate issue_node_certificate(const RootCA& root, const node_subject& who,
                                                        std::string_view public_key_der, wall_ns now, duration expiry);

/// A node's certificate with the key that never leaves the node.
struct node_credentials {
  std::string certificate_pem;
  std::string key_pem;
};
/// For a manager that holds the root: key and certificate in one step.
[[nodiscard]] std::optional<node_credentials> make_node_credentials(const RootCA& root, const node_subject& who,
                                                                    wall_ns now, duration expiry);

/// Who a certificate speaks for, if it (with its intermediates) leads to one of the roots, `now` lies within the dates,
/// and each part of its subject occurs once: nullopt otherwise.
[[nodiscard]] std::optional<node_subject> verify_node_certificate(std::string_view certificate_pem,
                                                                  std::string_view roots_pem, wall_ns now);

/// TrustRoot, and subject and public key of the issuer, as in Swarm.TLSInfo: the root that issues.
[[nodiscard]] NodeTLSInfo tls_info(std::string_view root_pem);
/// Node.Description.TLSInfo: of the roots the first, since that is the one in force while it is being replaced.
[[nodiscard]] NodeTLSInfo node_tls_info(std::string_view certificate_pem, std::string_view roots_pem);
/// Whether the last of the roots has issued the certificate; see NodeOrders.root_pem.
[[nodiscard]] bool issued_by_last(std::string_view certificate_pem, std::string_view roots_pem);

/// When to renew: a random point between 50 % and 80 % of the certificate's life. nullopt: unreadable.
[[nodiscard]] std::optional<wall_ns> renewal_time(std::string_view certificate_pem, random_source& rng);

} // namespace swarm::ca
