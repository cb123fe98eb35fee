// Changes of nodes, secrets, configs, networks and the cluster.
#include <algorithm>

#include "actors/store/address_plan.hpp"
#include "actors/store/apply.hpp"

namespace swarm::store {

namespace {

// Swarm's: longer than clocks differ, and than an unattended host stays off.
constexpr std::int64_t removed_node_margin_ns = 7LL * 24 * 3600 * 1'000'000'000;

bool is_manager(const Node& node) { return node.spec().role() == NODE_ROLE_MANAGER; }

/// Whether the Raft group would still have a quorum of reachable members without this node.
bool can_lose(const object_table<Node>& nodes, const Node& leaving) {
  if (!leaving.has_manager_status())
    return true; // not a member
  std::size_t members = 0;
  std::size_t reachable = 0;
  for (const auto& [id, node] : nodes.all()) {
    if (!node->has_manager_status() || id == leaving.id())
      continue;
    ++members;
    reachable += node->manager_status().reachability() == REACHABILITY_REACHABLE ? 1 : 0;
  }
  return reachable >= members / 2 + 1;
}

/// raft_id, certificate_role and manager_status, as `from` has them.
void take_membership(Node& to, const Node& from) {
  to.set_raft_id(from.raft_id());
  to.set_certificate_role(from.certificate_role());
  if (from.has_manager_status())
    *to.mutable_manager_status() = from.manager_status();
  else
    to.clear_manager_status();
}

} // namespace

// -- nodes -----------------------------------------------------------------------------------------------------------------

void applier::store_node(ChangeKind kind, Node fresh, const std::shared_ptr<const Node>& old) {
  const auto object = std::make_shared<const Node>(std::move(fresh));
  exchange(state_.nodes, object->id(), object);
  write(TableWrite::TABLE_NODE, row_key(*object), object.get());
  auto& event = *out_.events.add_nodes();
  event.set_kind(kind);
  *event.mutable_node() = *object;
  if (old)
    *event.mutable_old() = *old;
}

failure applier::put_observed_node(Node& seen) {
  const auto old = state_.nodes.find(seen.id());
  if (!old) {
    created(*seen.mutable_meta());
    if (seen.spec().role() == NODE_ROLE_UNSPECIFIED)
      seen.mutable_spec()->set_role(NODE_ROLE_WORKER);
    if (seen.spec().availability() == NODE_AVAILABILITY_UNSPECIFIED)
      seen.mutable_spec()->set_availability(NODE_AVAILABILITY_ACTIVE);
    store_node(CHANGE_KIND_CREATED, std::move(seen), nullptr);
    return {};
  }
  *seen.mutable_meta() = old->meta();
  *seen.mutable_spec() = old->spec();
  take_membership(seen, *old);
  if (stable_bytes(seen) != stable_bytes(*old))
    store_node(CHANGE_KIND_UPDATED, std::move(seen), old);
  return {};
}

failure applier::put_node_membership(const Node& seen) {
  const auto old = state_.nodes.find(seen.id());
  if (!old)
    return {};
  Node fresh = *old;
  take_membership(fresh, seen);
  if (stable_bytes(fresh) != stable_bytes(*old))
    store_node(CHANGE_KIND_UPDATED, std::move(fresh), old);
  return {};
}

failure applier::put_node(PutNode& put) {
  auto& wanted = *put.mutable_node();
  if (wanted.id().empty())
    return refuse(errc::invalid_argument, "a node needs an id");
  if (put.membership_only())
    return put_node_membership(wanted);
  if (put.observed_only())
    return put_observed_node(wanted);
  const auto old = state_.nodes.find(wanted.id());
  if (!put.has_expected_version()) {
    if (old)
      return refuse(errc::already_exists, "node " + wanted.id() + " already exists");
    created(*wanted.mutable_meta());
    store_node(CHANGE_KIND_CREATED, std::move(wanted), nullptr);
    return {};
  }
  if (!old)
    return refuse(errc::not_found, "node " + wanted.id() + " not found");
  if (is_manager(*old) && !is_manager(wanted)) {
    const auto& all = state_.nodes.all();
    if (std::count_if(all.begin(), all.end(), [](const auto& entry) { return is_manager(*entry.second); }) == 1)
      return refuse(errc::failed_precondition, "attempting to demote the last manager of the swarm");
    if (!can_lose(state_.nodes, *old))
      return refuse(errc::failed_precondition,
                    "can't remove member from the raft: this would result in a loss of quorum");
  }
  if (old->meta().version().index() != put.expected_version())
    return out_of_sequence();
  Node fresh = *old;
  fresh.mutable_spec()->Swap(wanted.mutable_spec());
  updated(*fresh.mutable_meta());
  store_node(CHANGE_KIND_UPDATED, std::move(fresh), old);
  return {};
}

failure applier::remove_node(const RemoveObject& remove) {
  const auto old = state_.nodes.find(remove.id());
  if (!old)
    return refuse(errc::not_found, "node " + remove.id() + " not found");
  // Not so a manager of before in a group that was begun anew (force-new-cluster).
  if (old->raft_id() != 0 || old->has_manager_status())
    return refuse(errc::failed_precondition, "node " + remove.id()
                                               + " is a cluster manager and is a member of the raft cluster. It must be "
                                                 "demoted to worker before removal");
  if (!remove.force() && old->status().state() == NODE_STATE_READY)
    return refuse(errc::failed_precondition, "node " + remove.id() + " is not down and can't be removed");
  exchange(state_.nodes, remove.id(), nullptr);
  removed_nodes_.push_back(remove.id());
  write(TableWrite::TABLE_NODE, row_key(*old), nullptr);
  auto& event = *out_.events.add_nodes();
  event.set_kind(CHANGE_KIND_REMOVED);
  *event.mutable_node() = *old;
  remember_removed(remove.id());
  return {};
}

// Its certificate is good for some time yet: until then it is on a list of those whom nobody talks to.
void applier::remember_removed(const std::string& id) {
  if (!state_.cluster)
    return;
  auto fresh = *state_.cluster;
  auto& removed = *fresh.mutable_removed_nodes();
  const auto expired = std::remove_if(removed.begin(), removed.end(),
                                      [this](const RemovedNode& n) { return n.until() < command_.proposed_at(); });
  removed.erase(expired, removed.end());
  auto& entry = *removed.Add();
  entry.set_node_id(id);
  entry.set_until(command_.proposed_at() + fresh.spec().ca_config().node_cert_expiry() + removed_node_margin_ns);
  change_cluster(std::move(fresh));
}

// -- secrets and configs: alike but for their names ------------------------------------------------------------------------

namespace {

/// Keeps everything but the labels; false when the update asks for more.
template <class Object>
bool take_labels(Object& fresh, Object& wanted) {
  if (wanted.spec().name() != fresh.spec().name()
      || (!wanted.spec().data().empty() && wanted.spec().data() != fresh.spec().data()))
    return false;
  fresh.mutable_spec()->mutable_labels()->swap(*wanted.mutable_spec()->mutable_labels());
  return true;
}

/// Names of the services whose current spec refers to a file, sorted.
template <class Uses>
std::vector<std::string> users_of(const named_table<Service>& services, Uses uses) {
  std::vector<std::string> names;
  for (const auto& [id, service] : services.all())
    if (uses(service->spec().task_template().container_spec()))
      names.push_back(service->spec().name());
  std::sort(names.begin(), names.end());
  return names;
}

failure in_use(const char* kind, const std::string& name, const std::vector<std::string>& users) {
  auto text = std::string{kind} + " '" + name + "' is in use by the following service" + (users.size() == 1 ? ": " : "s: ");
  for (std::size_t i = 0; i < users.size(); ++i)
    text += (i == 0 ? "" : ", ") + users[i];
  return refuse(errc::invalid_argument, std::move(text));
}

/// The steps of put_secret and put_config: gives the object to store, or refuses.
template <class Object, class Put>
failure prepare_file(const named_table<Object>& table, Put& put, Object& wanted, const char* kind, Object& fresh) {
  const std::string word{kind};
  const auto old = table.find(wanted.id());
  if (wanted.id().empty())
    return refuse(errc::invalid_argument, "a " + word + " needs an id");
  if (!put.has_expected_version()) {
    if (old || table.is_taken(wanted.spec().name()))
      return refuse(errc::already_exists, word + " " + wanted.spec().name() + " already exists");
    fresh.Swap(&wanted);
    return {};
  }
  if (!old)
    return refuse(errc::not_found, word + " " + wanted.id() + " not found");
  fresh = *old;
  if (!take_labels(fresh, wanted))
    return refuse(errc::invalid_argument, "only updates to Labels are allowed");
  if (old->meta().version().index() != put.expected_version())
    return out_of_sequence();
  return {};
}

} // namespace

failure applier::put_secret(PutSecret& put) {
  auto fresh = std::make_shared<Secret>();
  if (auto bad = prepare_file(state_.secrets, put, *put.mutable_secret(), "secret", *fresh); !bad.ok())
    return bad;
  put.has_expected_version() ? updated(*fresh->mutable_meta()) : created(*fresh->mutable_meta());
  exchange(state_.secrets, fresh->id(), fresh);
  write(TableWrite::TABLE_SECRET, row_key(*fresh), fresh.get());
  auto& event = *out_.events.add_secrets();
  event.set_kind(put.has_expected_version() ? CHANGE_KIND_UPDATED : CHANGE_KIND_CREATED);
  *event.mutable_secret() = *fresh;
  return {};
}

failure applier::put_config(PutConfig& put) {
  auto fresh = std::make_shared<Config>();
  if (auto bad = prepare_file(state_.configs, put, *put.mutable_config(), "config", *fresh); !bad.ok())
    return bad;
  put.has_expected_version() ? updated(*fresh->mutable_meta()) : created(*fresh->mutable_meta());
  exchange(state_.configs, fresh->id(), fresh);
  write(TableWrite::TABLE_CONFIG, row_key(*fresh), fresh.get());
  auto& event = *out_.events.add_configs();
  event.set_kind(put.has_expected_version() ? CHANGE_KIND_UPDATED : CHANGE_KIND_CREATED);
  *event.mutable_config() = *fresh;
  return {};
}

failure applier::remove_secret(const std::string& id) {
  const auto old = state_.secrets.find(id);
  if (!old)
    return refuse(errc::not_found, "secret " + id + " not found");
  const auto users = users_of(state_.services, [&id](const ContainerSpec& c) {
    return std::any_of(c.secrets().begin(), c.secrets().end(), [&id](const auto& r) { return r.secret_id() == id; });
  });
  if (!users.empty())
    return in_use("secret", old->spec().name(), users);
  exchange(state_.secrets, id, nullptr);
  write(TableWrite::TABLE_SECRET, row_key(*old), nullptr);
  auto& event = *out_.events.add_secrets();
  event.set_kind(CHANGE_KIND_REMOVED);
  *event.mutable_secret() = *old;
  return {};
}

failure applier::remove_config(const std::string& id) {
  const auto old = state_.configs.find(id);
  if (!old)
    return refuse(errc::not_found, "config " + id + " not found");
  const auto users = users_of(state_.services, [&id](const ContainerSpec& c) {
    return std::any_of(c.configs().begin(), c.configs().end(), [&id](const auto& r) { return r.config_id() == id; });
  });
  if (!users.empty())
    return in_use("config", old->spec().name(), users);
  exchange(state_.configs, id, nullptr);
  write(TableWrite::TABLE_CONFIG, row_key(*old), nullptr);
  auto& event = *out_.events.add_configs();
  event.set_kind(CHANGE_KIND_REMOVED);
  *event.mutable_config() = *old;
  return {};
}

// -- networks --------------------------------------------------------------------------------------------------------------

failure applier::put_network(PutNetwork& put) {
  auto& wanted = *put.mutable_network();
  if (wanted.id().empty())
    return refuse(errc::invalid_argument, "a network needs an id");
  const auto old = state_.networks.find(wanted.id());
  if (!put.has_expected_version()) {
    if (old || state_.networks.is_taken(wanted.spec().name()))
      return refuse(errc::conflict, "network with name " + wanted.spec().name() + " already exists");
    if (wanted.spec().ingress())
      for (const auto& [id, network] : state_.networks.all())
        if (network->spec().ingress())
          return refuse(errc::already_exists, "ingress network (" + id + ") is already present");
    if (auto bad = plan_addresses(state_, wanted); !bad.ok())
      return bad;
    created(*wanted.mutable_meta());
  } else {
    if (!old)
      return refuse(errc::not_found, "network " + wanted.id() + " not found");
    if (wanted.spec().name() != old->spec().name())
      return refuse(errc::unimplemented, "renaming networks is not supported");
    if (old->meta().version().index() != put.expected_version())
      return out_of_sequence();
    *wanted.mutable_meta() = old->meta();
    *wanted.mutable_ipam() = old->ipam();
    wanted.set_vni(old->vni());
    updated(*wanted.mutable_meta());
  }
  const auto fresh = std::make_shared<const Network>(std::move(wanted));
  exchange(state_.networks, fresh->id(), fresh);
  write(TableWrite::TABLE_NETWORK, row_key(*fresh), fresh.get());
  auto& event = *out_.events.add_networks();
  event.set_kind(old ? CHANGE_KIND_UPDATED : CHANGE_KIND_CREATED);
  *event.mutable_network() = *fresh;
  return {};
}

/// The task with the lowest id of that version that runs, or is to; none: null.
id128 applier::living_task(const template_key& key) const {
  id128 first;
  for (auto row = state_.tasks.first_of_service(key.service_id); row != no_row; row = state_.tasks.at(row).service_next) {
    const auto& task = state_.tasks.at(row);
    if (task.spec_version == key.spec_version && task.state <= TASK_STATE_RUNNING && task.desired_state <= TASK_STATE_RUNNING
        && (!first || task.id < first))
      first = task.id;
  }
  return first;
}

failure applier::remove_network(const std::string& id) {
  const auto old = state_.networks.find(id);
  if (!old)
    return refuse(errc::not_found, "network " + id + " not found");
  const auto uses = [&id](const TaskSpec& spec) {
    return std::any_of(spec.networks().begin(), spec.networks().end(), [&id](const auto& n) { return n.target() == id; });
  };
  for (const auto& [service_id, service] : state_.services.all()) {
    if (uses(service->spec().task_template()))
      return refuse(errc::failed_precondition, "network " + id + " is in use by service " + service_id);
    const auto& ports = service->spec().endpoint_spec().ports();
    if (old->spec().ingress()
        && std::any_of(ports.begin(), ports.end(), [](const auto& p) { return p.publish_mode() != PUBLISH_MODE_HOST; }))
      return refuse(errc::failed_precondition,
                    "ingress network cannot be removed because service " + service_id + " depends on it");
  }
  // Tasks of older specs that are to go on; those of a removed service are about to end.
  for (const auto& [key, row] : state_.templates)
    if (uses(row->spec().task_template()) && state_.services.find(key.service_id))
      if (const auto task = living_task(key); task)
        return refuse(errc::failed_precondition, "network " + id + " is in use by task " + task.str());
  exchange(state_.networks, id, nullptr);
  write(TableWrite::TABLE_NETWORK, row_key(*old), nullptr);
  auto& event = *out_.events.add_networks();
  event.set_kind(CHANGE_KIND_REMOVED);
  *event.mutable_network() = *old;
  return {};
}

// -- cluster ---------------------------------------------------------------------------------------------------------------

failure applier::put_cluster(PutCluster& put) {
  auto& wanted = *put.mutable_cluster();
  const auto old = state_.cluster;
  if (wanted.id().empty())
    return refuse(errc::invalid_argument, "a cluster needs an id");
  if (!put.has_expected_version()) {
    if (old)
      return refuse(errc::already_exists, "cluster " + old->id() + " already exists");
    created(*wanted.mutable_meta());
  } else {
    if (!old || old->id() != wanted.id())
      return refuse(errc::not_found, "cluster " + wanted.id() + " not found");
    if (old->meta().version().index() != put.expected_version())
      return out_of_sequence();
    *wanted.mutable_meta() = old->meta();
    *wanted.mutable_removed_nodes() = old->removed_nodes(); // ours alone: the proposer may not know the latest
    updated(*wanted.mutable_meta());
  }
  change_cluster(std::move(wanted));
  return {};
}

void applier::change_cluster(Cluster fresh) {
  const auto old = state_.cluster;
  state_.cluster = std::make_shared<const Cluster>(std::move(fresh));
  undo_.push_back([this, old] { state_.cluster = old; });
  write(TableWrite::TABLE_CLUSTER, row_key(*state_.cluster), state_.cluster.get());
  auto& event = *out_.events.add_clusters();
  event.set_kind(old ? CHANGE_KIND_UPDATED : CHANGE_KIND_CREATED);
  *event.mutable_cluster() = *state_.cluster;
}

} // namespace swarm::store
