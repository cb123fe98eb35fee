// One function per request; the shared steps of services below.
#include "actors/control/control_core.hpp"

#include <algorithm>

#include "actors/control/names.hpp"
#include "actors/control/validate.hpp"
#include "actors/control/warnings.hpp"
#include "messages/networks.hpp"
#include "messages/service_defaults.hpp"
#include "runtime/ids.hpp"

namespace swarm::control {

namespace {

constexpr std::uint32_t machine_version = 1;
constexpr std::size_t command_bytes_max = 3u << 19; // 1.5 MiB, see Command

refusal remove_by(const directory& objects, const std::string& key, const char* kind, Written& answer, RemoveObject& remove) {
  auto found = objects.find(key, kind);
  if (!found.problem.ok())
    return found.problem;
  answer.set_id(found.id);
  remove.set_id(std::move(found.id));
  return {};
}

} // namespace

outcome core::handle(ControlRequest request, wall_ns wall) {
  Command command;
  command.set_machine_version(machine_version);
  command.set_proposed_at(wall);
  Written answer;
  if (const auto bad = fill(request, wall, answer, *command.add_actions()); !bad.ok())
    return {to_written(bad), std::nullopt};
  if (const auto size = command.ByteSizeLong(); size > command_bytes_max)
    return {to_written(invalid("the request takes " + std::to_string(size) + " bytes, more than the "
                               + std::to_string(command_bytes_max) + " that one change may have")),
            std::nullopt};
  return {std::move(answer), std::move(command)};
}

Written core::conclude(Written answer, const CommandResult& result) {
  answer.set_log_index(result.log_index());
  if (result.code() == 0)
    return answer;
  const auto code = static_cast<errc>(result.code());
  // Not found and 409 of networks are the daemon's own words in Swarm; everything else is the manager's.
  Written refused = to_written({code, result.message(), code == errc::not_found || code == errc::conflict});
  refused.set_log_index(result.log_index());
  return refused;
}

refusal core::fill(ControlRequest& request, wall_ns wall, Written& answer, StoreAction& action) {
  switch (request.request_case()) {
    case ControlRequest::kCreateService: return create_service(*request.mutable_create_service(), answer, action);
    case ControlRequest::kUpdateService: return update_service(*request.mutable_update_service(), answer, action);
    case ControlRequest::kRemoveService:
      return remove_by(view_.services, request.remove_service().service_id(), "service", answer,
                       *action.mutable_remove_service());
    case ControlRequest::kUpdateNode: return update_node(*request.mutable_update_node(), answer, action);
    case ControlRequest::kRemoveNode:
      action.mutable_remove_node()->set_force(request.remove_node().force());
      return remove_by(view_.nodes, request.remove_node().node_id(), "node", answer, *action.mutable_remove_node());
    case ControlRequest::kCreateSecret: return create_secret(*request.mutable_create_secret(), answer, action);
    case ControlRequest::kUpdateSecret: return update_secret(*request.mutable_update_secret(), answer, action);
    case ControlRequest::kRemoveSecret:
      return remove_by(view_.secrets, request.remove_secret().secret_id(), "secret", answer, *action.mutable_remove_secret());
    case ControlRequest::kCreateConfig: return create_config(*request.mutable_create_config(), answer, action);
    case ControlRequest::kUpdateConfig: return update_config(*request.mutable_update_config(), answer, action);
    case ControlRequest::kRemoveConfig:
      return remove_by(view_.configs, request.remove_config().config_id(), "config", answer, *action.mutable_remove_config());
    case ControlRequest::kCreateNetwork: return create_network(*request.mutable_create_network(), answer, action);
    case ControlRequest::kRemoveNetwork: return remove_network(request.remove_network(), answer, action);
    case ControlRequest::kUpdateCluster: return update_cluster(*request.mutable_update_cluster(), wall, answer, action);
    case ControlRequest::REQUEST_NOT_SET: break;
  }
  return invalid("invalid argument");
}

// -- services --------------------------------------------------------------------------------------------------------------

/// The legacy list of networks is folded into the task's, and names become ids.
refusal core::resolve_networks(ServiceSpec& spec) const {
  auto& task = *spec.mutable_task_template();
  if (task.networks().empty())
    task.mutable_networks()->Swap(spec.mutable_networks());
  spec.clear_networks();
  for (auto& network : *task.mutable_networks()) {
    const auto found = view_.networks.find(network.target(), "network");
    if (!found.problem.ok()) {
      if (is_engine_network(network.target()))
        continue;
      // 20.10 answers 500 here, and clients match the text.
      return found.problem.code == errc::not_found ? plain_refusal(errc::internal, found.problem.text) : found.problem;
    }
    const auto& facts = view_.network_facts_of.find(found.id)->second;
    if (facts.ingress)
      return invalid("Service cannot be explicitly attached to the ingress network \"" + facts.name + "\"");
    network.set_target(found.id);
  }
  return {};
}

refusal core::prepare(ServiceSpec& spec, Written& answer) const {
  if (auto bad = check_service_conversion(spec); !bad.ok())
    return bad;
  auto& task = *spec.mutable_task_template();
  if (task.runtime() != "plugin") // what another runtime would use is dropped, as in Swarm
    task.clear_plugin_spec();
  task.clear_network_attachment_spec();
  if (auto bad = resolve_networks(spec); !bad.ok())
    return bad;
  normalise_service(spec);
  if (auto bad = check_service(spec); !bad.ok())
    return bad;
  if (opts_.require_ingress_network) {
    bool present = false;
    for (const auto& [id, facts] : view_.network_facts_of)
      present = present || facts.ingress;
    for (const auto& port : spec.endpoint_spec().ports())
      if (!present && port.publish_mode() == PUBLISH_MODE_INGRESS)
        return {errc::failed_precondition, "service needs ingress network, but no ingress network is present", false};
  }
  for (auto& warning : service_warnings(spec))
    answer.add_warnings(std::move(warning));
  const auto& networks = spec.task_template().networks();
  if (has_virtual_ips(spec) && std::any_of(networks.begin(), networks.end(), [this](const auto& n) {
        const auto facts = view_.network_facts_of.find(n.target());
        return facts != view_.network_facts_of.end() && !facts->second.predefined;
      }))
    answer.add_warnings("EndpointSpec.Mode=vip has no load balancer yet: the service has its virtual address, but its name resolves "
                        "to the addresses of its tasks, as with dnsrr");
  return {};
}

refusal core::create_service(CreateService& request, Written& answer, StoreAction& action) {
  auto& spec = *request.mutable_spec();
  if (spec.name().empty()) {
    auto name = random_name(rng_);
    while (view_.services.has_name(name))
      name += static_cast<char>('0' + rng_.below(10));
    spec.set_name(name);
  }
  if (auto bad = prepare(spec, answer); !bad.ok())
    return bad;
  if (spec.task_template().has_container_spec())
    spec.mutable_task_template()->mutable_container_spec()->set_registry_auth(request.registry_auth());
  answer.set_id(fresh_id());
  auto& service = *action.mutable_put_service()->mutable_service();
  service.set_id(answer.id());
  service.mutable_spec()->Swap(&spec);
  return {};
}

refusal core::update_service(UpdateService& request, Written& answer, StoreAction& action) const {
  const auto found = view_.services.find(request.service_id(), "service");
  if (!found.problem.ok())
    return found.problem;
  const auto& facts = view_.service_facts_of.find(found.id)->second;
  auto& put = *action.mutable_put_service();
  answer.set_id(found.id);
  put.set_expected_version(request.version());
  put.mutable_service()->set_id(found.id);
  if (request.roll_back()) {
    put.set_roll_back(true);
    return {};
  }
  auto& spec = *request.mutable_spec();
  const bool legacy = spec.networks_size() > 0;
  const bool unnamed = spec.name().empty(); // Swarm's daemon makes up a name, which then is a new one
  if (unnamed)
    spec.set_name("unnamed");
  if (auto bad = prepare(spec, answer); !bad.ok())
    return bad;
  if (unnamed)
    return {errc::unimplemented, "renaming services is not supported", false};
  if (legacy) {
    std::vector<std::string> targets;
    for (const auto& network : spec.task_template().networks())
      targets.push_back(network.target());
    if (targets != facts.network_targets)
      return {errc::unimplemented, "networks must be migrated to TaskSpec before being changed", false};
  }
  if (spec.task_template().has_container_spec()) {
    auto& auth = *spec.mutable_task_template()->mutable_container_spec()->mutable_registry_auth();
    if (!request.registry_auth().empty())
      auth = request.registry_auth();
    else if (!request.auth_from_previous())
      auth = facts.registry_auth;
    else if (facts.has_previous)
      auth = facts.previous_registry_auth;
    else
      return plain_refusal(errc::internal, "service does not have a previous spec");
  }
  put.mutable_service()->mutable_spec()->Swap(&spec);
  return {};
}

// -- the rest --------------------------------------------------------------------------------------------------------------

refusal core::update_node(UpdateNode& request, Written& answer, StoreAction& action) const {
  if (auto bad = check_node(request.spec()); !bad.ok())
    return bad;
  const auto found = view_.nodes.find(request.node_id(), "node");
  if (!found.problem.ok())
    return found.problem;
  answer.set_id(found.id);
  auto& put = *action.mutable_put_node();
  put.set_expected_version(request.version());
  put.mutable_node()->set_id(found.id);
  put.mutable_node()->mutable_spec()->Swap(request.mutable_spec());
  return {};
}

refusal core::create_secret(CreateSecret& request, Written& answer, StoreAction& action) {
  if (auto bad = check_secret(request.spec()); !bad.ok())
    return bad;
  answer.set_id(fresh_id());
  auto& secret = *action.mutable_put_secret()->mutable_secret();
  secret.set_id(answer.id());
  secret.mutable_spec()->Swap(request.mutable_spec());
  return {};
}

refusal core::update_secret(UpdateSecret& request, Written& answer, StoreAction& action) const {
  const auto found = view_.secrets.find(request.secret_id(), "secret");
  if (!found.problem.ok())
    return found.problem;
  answer.set_id(found.id);
  auto& put = *action.mutable_put_secret();
  put.set_expected_version(request.version());
  put.mutable_secret()->set_id(found.id);
  put.mutable_secret()->mutable_spec()->Swap(request.mutable_spec());
  return {};
}

refusal core::create_config(CreateConfig& request, Written& answer, StoreAction& action) {
  if (auto bad = check_config(request.spec()); !bad.ok())
    return bad;
  answer.set_id(fresh_id());
  auto& config = *action.mutable_put_config()->mutable_config();
  config.set_id(answer.id());
  config.mutable_spec()->Swap(request.mutable_spec());
  return {};
}

refusal core::update_config(UpdateConfigObject& request, Written& answer, StoreAction& action) const {
  const auto found = view_.configs.find(request.config_id(), "config");
  if (!found.problem.ok())
    return found.problem;
  answer.set_id(found.id);
  auto& put = *action.mutable_put_config();
  put.set_expected_version(request.version());
  put.mutable_config()->set_id(found.id);
  put.mutable_config()->mutable_spec()->Swap(request.mutable_spec());
  return {};
}

refusal core::create_network(CreateNetwork& request, Written& answer, StoreAction& action) {
  auto& spec = *request.mutable_spec();
  if (auto bad = check_network(spec); !bad.ok())
    return bad;
  if (spec.driver().empty())
    spec.set_driver("overlay");
  spec.set_scope("swarm");
  if (auto bad = check_network_support(spec); !bad.ok())
    return bad;
  answer.set_id(fresh_id());
  if (spec.enable_ipv6())
    answer.add_warnings("EnableIPv6 is stored but has no effect yet: tasks get IPv4 addresses only");
  if (spec.attachable())
    answer.add_warnings("Attachable is stored but has no effect yet: only tasks of services can be on a network of swarm scope");
  auto& network = *action.mutable_put_network()->mutable_network();
  network.set_id(answer.id());
  network.mutable_spec()->Swap(&spec);
  return {};
}

refusal core::remove_network(const RemoveNetwork& request, Written& answer, StoreAction& action) const {
  if (is_engine_network(request.network_id()))
    return plain_refusal(errc::permission_denied, request.network_id() + " is a pre-defined network and cannot be removed");
  if (auto bad = remove_by(view_.networks, request.network_id(), "network", answer, *action.mutable_remove_network());
      !bad.ok())
    return bad;
  const auto& facts = view_.network_facts_of.find(answer.id())->second;
  if (facts.predefined)
    return plain_refusal(errc::permission_denied, facts.name + " is a pre-defined network and cannot be removed");
  return {};
}

refusal core::update_cluster(UpdateCluster& request, wall_ns wall, Written& answer, StoreAction& action) const {
  if (!view_.cluster)
    return plain_refusal(errc::not_found, "this node holds no cluster");
  auto& spec = *request.mutable_spec();
  if (spec.name().empty())
    spec.set_name("default");
  if (auto bad = check_cluster(spec); !bad.ok())
    return bad;
  // The spec is replaced whole: what the request leaves out becomes 0, not a default (behaviour §1.11, "Trap").
  if (!spec.orchestration().has_task_history_retention_limit())
    spec.mutable_orchestration()->set_task_history_retention_limit(0);
  auto& put = *action.mutable_put_cluster();
  put.set_expected_version(request.version());
  auto& cluster = *put.mutable_cluster();
  cluster = *view_.cluster;
  answer.set_id(cluster.id());
  cluster.mutable_spec()->Swap(&spec);
  if (opts_.follow_ca_config)
    if (auto bad = opts_.follow_ca_config(cluster, wall); !bad.ok())
      return {bad.code, std::move(bad.message), false};
  if (request.rotate_worker_token() || request.rotate_manager_token())
    opts_.rotate_join_tokens(cluster, request.rotate_worker_token(), request.rotate_manager_token());
  const bool locked = cluster.spec().encryption_config().auto_lock_managers();
  if (!locked)
    cluster.clear_unlock_key();
  else if (cluster.unlock_key().empty() || request.rotate_unlock_key())
    cluster.set_unlock_key(opts_.make_unlock_key());
  return {};
}

std::string core::fresh_id() { return id128::random(rng_).str(); }

std::string core::dump() const {
  return "services=" + std::to_string(view_.service_facts_of.size())
         + " networks=" + std::to_string(view_.network_facts_of.size()) + " cluster=" + (view_.cluster ? view_.cluster->id() : "none")
         + "\n";
}

} // namespace swarm::control
