// Swarm's choices on top of runtime/crypto's X.509.
#include "actors/ca/certificates.hpp"

#include <algorithm>

#include "actors/ca/join_token.hpp"
#include "runtime/check.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/crypto/x509.hpp"

namespace swarm::ca {

namespace {

constexpr std::string_view manager_role = "swarm-manager";
constexpr std::string_view worker_role = "swarm-worker";
constexpr duration root_life = hours{20 * 365 * 24};
constexpr duration least_root_life = hours{365 * 24}; // of a root that is given to us
constexpr duration backdate = hours{1}; // of roots too, else it does nothing for a node whose clock is behind

std::optional<crypto::certificate> single(std::string_view pem) {
  auto all = crypto::certificate::parse_pem(pem);
  if (!all || all->size() != 1)
    return std::nullopt;
  return std::move(all->front());
}

RootCA to_root(const crypto::certificate& certificate, const crypto::private_key& key) {
  RootCA out;
  out.set_certificate_pem(certificate.pem());
  out.set_private_key_pem(key.pem());
  *out.mutable_join_tokens() = make_join_tokens(out.certificate_pem());
  return out;
}

accepted_root refuse_root(std::string text) { return {{errc::invalid_argument, std::move(text)}, {}}; }

} // namespace

RootCA create_root(wall_ns now) {
  const auto key = crypto::private_key::generate();
  const crypto::validity when{now - backdate.count(), now + root_life.count()};
  return to_root(crypto::issue_root(key, std::string{root_common_name}, when), key);
}

accepted_root accept_root(std::string_view certificate_pem, std::string_view key_pem, wall_ns now) {
  const auto certificates = crypto::certificate::parse_pem(certificate_pem);
  if (!certificates)
    return refuse_root("could not parse the desired CA certificate");
  if (certificates->size() != 1)
    return refuse_root("the desired CA certificate cannot contain multiple certificates");
  const auto& certificate = certificates->front();
  const auto key = crypto::private_key::parse_pem(key_pem);
  if (!key)
    return refuse_root("could not parse the desired CA key");
  if (!key->acceptable_for_ca())
    return refuse_root("the desired CA key must be ECDSA on P-256, P-384 or P-521, or RSA of at least 2048 bits");
  if (!certificate.belongs_to(*key))
    return refuse_root("certificate key mismatch");
  if (!certificate.is_ca())
    return refuse_root("the desired CA certificate is not a CA certificate");
  if (certificate.not_before() > now)
    return refuse_root("CA certificate is not valid yet");
  if (certificate.not_after() - now < least_root_life.count())
    return refuse_root("CA certificate expires too soon");
  return {{}, to_root(certificate, *key)};
}

std::string_view role_name(NodeRole role) { return role == NODE_ROLE_MANAGER ? manager_role : worker_role; }

NodeRole parse_role_name(std::string_view name) {
  return name == manager_role ? NODE_ROLE_MANAGER : name == worker_role ? NODE_ROLE_WORKER : NODE_ROLE_UNSPECIFIED;
}

issued_certificate issue_node_certificate(const RootCA& root, const node_subject& who, std::string_view public_key_der,
                                          wall_ns now, duration expiry) {
  const bool rotating = root.has_rotation();
  const auto ca = single(rotating ? root.rotation().certificate_pem() : root.certificate_pem());
  const auto key = crypto::private_key::parse_pem(rotating ? root.rotation().private_key_pem() : root.private_key_pem());
  if (!ca || !key || !ca->belongs_to(*key))
    return {{errc::internal, "the cluster's root certificate and key cannot be used"}, {}};
  if (who.role == NODE_ROLE_UNSPECIFIED || who.cluster_id.empty() || who.node_id.empty())
    return {{errc::invalid_argument, "a certificate needs cluster, node and role"}, {}};
  crypto::leaf_request request;
  request.public_key_der = public_key_der;
  request.subject = {who.cluster_id, std::string{role_name(who.role)}, who.node_id};
  request.dns_names = {request.subject.organizational_unit, who.node_id};
  if (who.role == NODE_ROLE_MANAGER)
    request.dns_names.emplace_back(root_common_name);
  const auto life = expiry < min_node_expiry ? default_node_expiry : expiry;
  request.when = {now - backdate.count(), now + life.count()};
  const auto leaf = crypto::issue_leaf(*ca, *key, request);
  if (!leaf)
    return {{errc::invalid_argument, "the public key or the names of the request are not acceptable"}, {}};
  return {{}, leaf->pem() + (rotating ? root.rotation().cross_signed_pem() : std::string{})};
}

std::optional<node_credentials> make_node_credentials(const RootCA& root, const node_subject& who, wall_ns now,
                                                      duration expiry) {
  const auto key = crypto::private_key::generate();
  auto issued = issue_node_certificate(root, who, key.public_key_der(), now, expiry);
  if (!issued.error.ok())
    return std::nullopt;
  return node_credentials{std::move(issued.pem), key.pem()};
}

std::optional<node_subject> verify_node_certificate(std::string_view certificate_pem, std::string_view roots_pem,
                                                    wall_ns now) {
  const auto chain = crypto::certificate::parse_pem(certificate_pem);
  const auto roots = crypto::certificate::parse_pem(roots_pem);
  if (!chain || !roots || chain->front().is_ca() || !crypto::verify_chain(*chain, *roots, now)
      || !std::all_of(chain->begin() + 1, chain->end(), [](const auto& c) { return c.is_ca(); }))
    return std::nullopt;
  auto subject = chain->front().subject();
  if (!subject || subject->organization.empty() || subject->common_name.empty())
    return std::nullopt;
  const auto role = parse_role_name(subject->organizational_unit);
  if (role == NODE_ROLE_UNSPECIFIED)
    return std::nullopt;
  return node_subject{std::move(subject->organization), std::move(subject->common_name), role};
}

NodeTLSInfo tls_info(std::string_view root_pem) {
  NodeTLSInfo out;
  out.set_trust_root(std::string{root_pem});
  if (const auto root = single(root_pem)) {
    out.set_cert_issuer_subject(root->subject_der());
    out.set_cert_issuer_public_key(root->public_key_der());
  }
  return out;
}

namespace {

// The certificate, among the roots or what goes along with the leaf, that has signed it.
const crypto::certificate* issuer_of(const crypto::certificate& leaf, const std::vector<crypto::certificate>& among) {
  for (const auto& candidate : among)
    if (candidate.subject_der() == leaf.issuer_der() && leaf.signed_by(candidate))
      return &candidate;
  return nullptr;
}

} // namespace

NodeTLSInfo node_tls_info(std::string_view certificate_pem, std::string_view roots_pem) {
  NodeTLSInfo out;
  const auto chain = crypto::certificate::parse_pem(certificate_pem);
  const auto roots = crypto::certificate::parse_pem(roots_pem);
  if (!chain || !roots)
    return out;
  out.set_trust_root(roots->front().pem());
  out.set_cert_issuer_subject(chain->front().issuer_der());
  const auto* issuer = issuer_of(chain->front(), *roots);
  if (issuer == nullptr)
    issuer = issuer_of(chain->front(), *chain);
  if (issuer != nullptr)
    out.set_cert_issuer_public_key(issuer->public_key_der());
  return out;
}

bool issued_by_last(std::string_view certificate_pem, std::string_view roots_pem) {
  const auto chain = crypto::certificate::parse_pem(certificate_pem);
  const auto roots = crypto::certificate::parse_pem(roots_pem);
  return chain && roots && chain->front().signed_by(roots->back());
}

std::optional<wall_ns> renewal_time(std::string_view certificate_pem, random_source& rng) {
  const auto chain = crypto::certificate::parse_pem(certificate_pem);
  if (!chain || chain->front().not_after() <= chain->front().not_before())
    return std::nullopt;
  const auto& leaf = chain->front();
  const auto life = static_cast<std::uint64_t>(leaf.not_after() - leaf.not_before());
  return leaf.not_before() + static_cast<wall_ns>(rng.between(life / 2, life / 5 * 4));
}

} // namespace swarm::ca
