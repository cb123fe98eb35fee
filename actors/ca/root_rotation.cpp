// The rules of SwarmKit's manager/controlapi/ca_rotation.go.
#include "actors/ca/root_rotation.hpp"

#include "actors/ca/certificates.hpp"
#include "actors/ca/join_token.hpp"
#include "runtime/crypto/x509.hpp"

namespace swarm::ca {

namespace {

// Trust stays with the old root until the end; what issues is the new one.
void describe(Cluster& cluster) {
  const auto& root = cluster.root_ca();
  auto info = tls_info(root.has_rotation() ? root.rotation().certificate_pem() : root.certificate_pem());
  info.set_trust_root(root.certificate_pem());
  *cluster.mutable_tls_info() = std::move(info);
  cluster.set_root_rotation_in_progress(root.has_rotation());
}

failure begin(RootCA& root, const RootCA& next) {
  const auto old = crypto::certificate::parse_pem(root.certificate_pem());
  const auto old_key = crypto::private_key::parse_pem(root.private_key_pem());
  const auto fresh = crypto::certificate::parse_pem(next.certificate_pem());
  if (!old || !old_key || !fresh)
    return {errc::internal, "the cluster's root certificate and key cannot be used"};
  auto& rotation = *root.mutable_rotation();
  rotation.set_certificate_pem(next.certificate_pem());
  rotation.set_private_key_pem(next.private_key_pem());
  rotation.set_cross_signed_pem(crypto::cross_sign(fresh->front(), old->front(), *old_key).pem());
  return {};
}

} // namespace

failure follow_ca_config(Cluster& cluster, wall_ns now) {
  auto& config = *cluster.mutable_spec()->mutable_ca_config();
  auto& root = *cluster.mutable_root_ca();
  const auto certificate = config.signing_ca_cert();
  const auto key = config.signing_ca_key();
  if (config.external_cas_size() > 0)
    return {errc::unimplemented, "an external CA is not available in this version of swarm-node"};
  if (certificate.empty() && !key.empty())
    return {errc::invalid_argument, "if a signing CA key is provided, the signing CA cert must also be provided"};
  if (certificate.empty()) {
    if (config.force_rotate() == root.last_forced_rotation())
      return {};
    if (auto problem = begin(root, create_root(now)); !problem.ok())
      return problem;
  } else {
    if (key.empty())
      return {errc::invalid_argument,
              "there must be at least one valid, reachable external CA corresponding to the desired CA certificate"};
    const auto wanted = accept_root(certificate, key, now);
    if (!wanted.error.ok())
      return wanted.error;
    if (wanted.root.certificate_pem() == root.certificate_pem()) {
      root.set_private_key_pem(wanted.root.private_key_pem());
      root.clear_rotation();
    } else if (root.has_rotation() && wanted.root.certificate_pem() == root.rotation().certificate_pem()) {
      root.mutable_rotation()->set_private_key_pem(wanted.root.private_key_pem());
    } else if (auto problem = begin(root, wanted.root); !problem.ok()) {
      return problem;
    }
    config.clear_signing_ca_cert();
    config.clear_signing_ca_key();
  }
  root.set_last_forced_rotation(config.force_rotate());
  describe(cluster);
  return {};
}

bool has_renewed(const NodeTLSInfo& wanted, const NodeTLSInfo& reported) {
  return reported.cert_issuer_public_key() == wanted.cert_issuer_public_key()
         && reported.cert_issuer_subject() == wanted.cert_issuer_subject();
}

void finish_root_rotation(Cluster& cluster) {
  auto& root = *cluster.mutable_root_ca();
  root.set_certificate_pem(root.rotation().certificate_pem());
  root.set_private_key_pem(root.rotation().private_key_pem());
  root.clear_rotation();
  *root.mutable_join_tokens() = make_join_tokens(root.certificate_pem());
  describe(cluster);
}

} // namespace swarm::ca
