// The rules; cryptography is in certificates, join_token and root_rotation.
#include "actors/ca/ca_desk.hpp"

#include <algorithm>

#include "actors/ca/certificates.hpp"
#include "actors/ca/join_token.hpp"
#include "actors/ca/root_rotation.hpp"
#include "messages/identity_rules.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/ids.hpp"

namespace swarm::ca {

namespace {

constexpr std::uint32_t machine_version = 1;

core::decision refuse(errc code, std::string text) { return {{code, std::move(text)}, std::nullopt, {}}; }

Command draft(wall_ns now) {
  Command command;
  command.set_machine_version(machine_version);
  command.set_proposed_at(now);
  return command;
}

} // namespace

// -- what is known ---------------------------------------------------------------------------------------------------------

void core::load(const StoreSnapshot& snapshot) {
  cluster_.reset();
  nodes_.clear();
  lagging_.clear();
  if (snapshot.has_cluster())
    put(snapshot.cluster());
  for (const auto& node : snapshot.nodes())
    put(node);
}

void core::apply(const EventBatch& batch) {
  for (const auto& event : batch.clusters())
    put(event.cluster());
  for (const auto& event : batch.nodes())
    if (event.kind() == CHANGE_KIND_REMOVED) {
      nodes_.erase(event.node().id());
      lagging_.erase(event.node().id());
    } else {
      put(event.node());
    }
}

void core::put(const Node& node) {
  auto& row = nodes_[node.id()];
  row.role = wanted_role(node);
  row.join_key_sha256 = node.join_key_sha256();
  row.tls_info.set_cert_issuer_subject(node.description().tls_info().cert_issuer_subject());
  row.tls_info.set_cert_issuer_public_key(node.description().tls_info().cert_issuer_public_key());
  compare(node.id(), row);
}

void core::put(const Cluster& cluster) {
  const bool same_issuer = cluster_ && cluster_->tls_info().SerializeAsString() == cluster.tls_info().SerializeAsString();
  cluster_ = cluster;
  if (same_issuer)
    return;
  for (const auto& [id, row] : nodes_)
    compare(id, row);
}

void core::compare(const std::string& id, const known& node) {
  if (!cluster_ || has_renewed(cluster_->tls_info(), node.tls_info))
    lagging_.erase(id);
  else
    lagging_.insert(id);
}

bool core::is_removed(const std::string& id) const {
  for (const auto& removed : cluster_->removed_nodes())
    if (removed.node_id() == id)
      return true;
  return false;
}

// -- certificates ----------------------------------------------------------------------------------------------------------

std::optional<RootCertificate> core::root() const {
  if (!cluster_)
    return std::nullopt;
  RootCertificate out;
  out.set_pem(cluster_->root_ca().certificate_pem());
  return out;
}

core::decision core::certify(wall_ns now, const std::string& node_id, NodeRole role, const std::string& key) const {
  const duration expiry{cluster_->spec().ca_config().node_cert_expiry()};
  auto issued = issue_node_certificate(cluster_->root_ca(), {cluster_->id(), node_id, role}, key, now, expiry);
  if (!issued.error.ok())
    return {std::move(issued.error), std::nullopt, {}};
  decision out;
  out.answer.set_node_id(node_id);
  out.answer.set_cluster_id(cluster_->id());
  out.answer.set_role(role);
  out.answer.set_certificate_pem(std::move(issued.pem));
  out.answer.set_root_pem(trusted_roots(cluster_->root_ca()));
  return out;
}

// The wall clock may jump back: then nothing is added.
bool core::may_attempt(wall_ns now) {
  const auto cost = std::int64_t{1'000'000'000} / opts_.join_attempts_per_second;
  const auto whole = cost * opts_.join_attempts_burst;
  const auto passed = attempted_ ? std::clamp<std::int64_t>(now - *attempted_, 0, whole) : whole;
  attempted_ = now;
  attempt_credit_ns_ = std::min(whole, attempt_credit_ns_ + passed);
  if (attempt_credit_ns_ < cost)
    return false;
  attempt_credit_ns_ -= cost;
  return true;
}

core::decision core::join(wall_ns now, const IssueNodeCertificate& request) {
  if (!cluster_)
    return refuse(errc::unavailable, "the CA is not ready");
  if (!may_attempt(now))
    return refuse(errc::resource_exhausted, "too many attempts to join this cluster; try again in a moment");
  const auto role = role_of_token(cluster_->root_ca().join_tokens(), request.join_token());
  if (!role)
    return refuse(errc::invalid_argument, "A valid join token is necessary to join this cluster");
  const auto id = request.node_id().empty() ? id128::random(rng_).str() : request.node_id();
  if (!id128::parse(id))
    return refuse(errc::invalid_argument, "invalid node id");
  if (is_removed(id))
    return refuse(errc::permission_denied, "node " + id + " was removed from swarm");
  const auto key_digest = crypto::sha256(request.public_key_der());
  if (const auto it = nodes_.find(id); it != nodes_.end()) {
    if (it->second.join_key_sha256 != key_digest)
      return refuse(errc::invalid_argument, "node " + id + " already exists");
    return certify(now, id, it->second.role, request.public_key_der());
  }
  if (joining_ >= opts_.joining_max)
    return refuse(errc::resource_exhausted, "too many nodes are joining (" + std::to_string(joining_) + "); try again");
  auto out = certify(now, id, *role, request.public_key_der());
  if (!out.refused.ok())
    return out;
  out.command = draft(now);
  auto& node = *out.command->add_actions()->mutable_put_node()->mutable_node();
  node.set_id(id);
  node.mutable_spec()->set_role(*role);
  node.mutable_spec()->set_availability(
    request.availability() == NODE_AVAILABILITY_UNSPECIFIED ? NODE_AVAILABILITY_ACTIVE : request.availability());
  node.mutable_status()->set_state(NODE_STATE_UNKNOWN);
  node.set_certificate_role(*role);
  node.set_join_key_sha256(key_digest);
  ++joining_;
  return out;
}

void core::joined() { --joining_; }

core::decision core::renew(wall_ns now, const RenewNodeCertificate& request) const {
  if (!cluster_)
    return refuse(errc::unavailable, "the CA is not ready");
  if (is_removed(request.node_id()))
    return refuse(errc::permission_denied, "node " + request.node_id() + " was removed from swarm");
  const auto it = nodes_.find(request.node_id());
  if (it == nodes_.end())
    return refuse(errc::not_found, "node " + request.node_id() + " not found");
  return certify(now, it->first, it->second.role, request.public_key_der());
}

// -- root rotation ---------------------------------------------------------------------------------------------------------

std::optional<Command> core::next_command(wall_ns now) {
  if (writing_ || !rotating() || !lagging_.empty() || nodes_.empty())
    return std::nullopt;
  writing_ = true;
  auto command = draft(now);
  auto& put = *command.add_actions()->mutable_put_cluster();
  put.set_expected_version(cluster_->meta().version().index());
  *put.mutable_cluster() = *cluster_;
  finish_root_rotation(*put.mutable_cluster());
  return command;
}

std::string core::dump() const {
  std::string out = "cluster=" + (cluster_ ? cluster_->id() : "none") + " nodes=" + std::to_string(nodes_.size())
                    + " joining=" + std::to_string(joining_) + " rotating=" + (rotating() ? "yes" : "no") + "\n";
  if (rotating())
    for (const auto& id : lagging_)
      out += "not renewed: " + id + "\n";
  return out;
}

} // namespace swarm::ca
