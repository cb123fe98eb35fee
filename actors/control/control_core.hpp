// Turns operators' requests into Commands, or says why not.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "actors/control/refusal.hpp"
#include "actors/control/view.hpp"
#include "messages/control.pb.h"
#include "messages/store.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::control {

struct options {
  /// Fresh join tokens for the chosen roles: the secrets come from outside, since a core has no good randomness.
  std::function<void(Cluster&, bool worker, bool manager)> rotate_join_tokens;
  /// Begins, changes or calls off the replacement of the cluster's root, as its spec says; the answer is why not.
  std::function<failure(Cluster&, wall_ns)> follow_ca_config;
  /// 32 bytes from the system.
  std::function<std::string()> make_unlock_key;
  /// Refuse ingress ports when there is no ingress network. Set it where a network plane creates one.
  bool require_ingress_network = false;
};

/// Without a command, `answer` is final. With one, it is what remains to say once the command was applied: see conclude().
struct outcome {
  Written answer;
  std::optional<Command> command;
};

/// Judges what a request says by itself (behaviour §1.11) and resolves names by its view of the state. Whatever depends on
/// the state is judged again by STORE when the Command is applied, so the view may lag without harm.
class core {
public:
  core(options opts, random_source rng) : opts_{std::move(opts)}, rng_{rng} {}

  void reset(const StoreSnapshot& snapshot) { view_.reset(snapshot); }
  void observe(const EventBatch& batch) { view_.observe(batch); }

  [[nodiscard]] outcome handle(ControlRequest request, wall_ns wall);
  /// The answer to the user when the Command of an outcome was applied or refused.
  [[nodiscard]] static Written conclude(Written answer, const CommandResult& result);

  /// See view::take_peers.
  [[nodiscard]] std::optional<PeerRoles> take_peers() { return view_.take_peers(); }

  [[nodiscard]] std::string dump() const;

private:
  // Each fills `action` and returns what is wrong; ids and warnings go to `answer`.
  refusal create_service(CreateService& request, Written& answer, StoreAction& action);
  refusal update_service(UpdateService& request, Written& answer, StoreAction& action) const;
  refusal update_node(UpdateNode& request, Written& answer, StoreAction& action) const;
  refusal create_secret(CreateSecret& request, Written& answer, StoreAction& action);
  refusal update_secret(UpdateSecret& request, Written& answer, StoreAction& action) const;
  refusal create_config(CreateConfig& request, Written& answer, StoreAction& action);
  refusal update_config(UpdateConfigObject& request, Written& answer, StoreAction& action) const;
  refusal create_network(CreateNetwork& request, Written& answer, StoreAction& action);
  refusal remove_network(const RemoveNetwork& request, Written& answer, StoreAction& action) const;
  refusal update_cluster(UpdateCluster& request, wall_ns wall, Written& answer, StoreAction& action) const;

  /// What create and update of a service share: conversion, networks, defaults, rules, warnings.
  refusal prepare(ServiceSpec& spec, Written& answer) const;
  refusal resolve_networks(ServiceSpec& spec) const;
  refusal fill(ControlRequest& request, wall_ns wall, Written& answer, StoreAction& action);
  [[nodiscard]] std::string fresh_id();

  options opts_;
  random_source rng_;
  view view_;
};

} // namespace swarm::control
