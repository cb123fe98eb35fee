// Who waits, for what, and since when.
#include "actors/allocator/allocator_core.hpp"

#include <algorithm>

#include "messages/networks.hpp"
#include "runtime/check.hpp"
#include "runtime/ids.hpp"

namespace swarm::allocator {

namespace {

constexpr std::uint32_t machine_version = 1;

bool is_living(const Task& task) { return task.status().state() <= TASK_STATE_RUNNING; }

} // namespace

bool is_behind(const Service& service) {
  if (!service.spec().has_endpoint_spec())
    return service.endpoint().has_spec();
  // No maps in it, so equal messages have equal bytes.
  return !service.endpoint().has_spec()
         || service.endpoint().spec().SerializeAsString() != service.spec().endpoint_spec().SerializeAsString();
}

// -- what the state says -----------------------------------------------------------------------------------------------------

void core::judge(instant now, const Service& service) {
  std::vector<std::string> wanted;
  if (has_virtual_ips(service.spec()))
    for (const auto& network : service.spec().task_template().networks())
      if (const auto* known = book_.find(network.target()); known != nullptr && !known->predefined()
          && std::find(wanted.begin(), wanted.end(), network.target()) == wanted.end())
        wanted.push_back(network.target());
  for (const auto& address : service.endpoint().virtual_ips())
    book_.hold(service.id(), address.network_id(), address.addr());
  if (book_.keep_only(service.id(), wanted))
    something_was_freed(now);
  const auto& have = service.endpoint().virtual_ips();
  const bool addresses_missing = std::any_of(wanted.begin(), wanted.end(), [&](const std::string& id) {
    return std::none_of(have.begin(), have.end(), [&](const VirtualIP& ip) { return ip.network_id() == id; });
  });
  const bool ports_missing = is_behind(service);
  if (!ports_missing && !addresses_missing) {
    behind_.erase(service.id());
    return;
  }
  auto& entry = behind_[service.id()];
  entry.wanted = service.spec().endpoint_spec();
  entry.last = service.endpoint();
  entry.networks = std::move(wanted);
  entry.ports_missing = ports_missing;
  if (entry.spec_version == service.spec_version())
    return;
  entry.spec_version = service.spec_version();
  entry.pause = opts_.retry_min;
  entry.due = addresses_missing ? now : now + opts_.retry_min; // about ports STORE has just said no
}

void core::judge(instant now, const Task& task, bool removed) {
  if (removed || !is_living(task)) {
    if (book_.release(task.id()))
      something_was_freed(now);
  } else {
    for (const auto& network : task.networks())
      if (network.addresses_size() > 0)
        book_.hold(task.id(), network.network_id(), network.addresses(0));
  }
  // One that shall not run any more needs none; SCHEDULER ends it.
  if (removed || task.status().state() != TASK_STATE_NEW || task.desired_state() > TASK_STATE_COMPLETE) {
    if (new_tasks_.erase(task.id()) > 0 && task.status().state() == TASK_STATE_NEW && book_.release(task.id()))
      something_was_freed(now);
    return;
  }
  const auto [it, fresh] = new_tasks_.try_emplace(task.id());
  it->second.service_id = task.service_id();
  it->second.spec_version = task.spec_version();
  it->second.told = task.status().err();
  if (!fresh)
    return;
  tasks_due_ = now;
  tasks_pause_ = opts_.retry_min;
}

void core::learn(const Network& network, bool removed) {
  if (removed)
    return book_.remove(network.id());
  book_.put(network);
  std::erase_if(first_networks_, [&](const Network& first) { return first.spec().name() == network.spec().name(); });
}

void core::learn(const TaskTemplate& definition, bool removed) {
  const std::pair key{definition.service_id(), definition.spec_version()};
  if (removed)
    networks_of_.erase(key);
  else if (definition.spec().networks_size() > 0)
    networks_of_[key] = definition.spec().networks();
}

void core::something_was_freed(instant now) {
  tasks_due_ = now;
  for (auto& [id, entry] : behind_)
    entry.due = now;
}

/// Swarm's own: the ingress network takes the first subnet; host and bridge are there to be named by services.
void core::want_first_networks(const Cluster& cluster, instant now) {
  if (cluster.id().empty())
    return;
  for (const auto* name : {"ingress", "host", "bridge"}) {
    auto& network = first_networks_.emplace_back();
    network.set_id(id128::random(rng_).str());
    auto& spec = *network.mutable_spec();
    spec.set_name(name);
    spec.set_scope("swarm");
    network.set_predefined(is_engine_network(name));
    spec.set_ingress(!network.predefined());
    spec.set_driver(network.predefined() ? name : "overlay");
    if (network.predefined())
      (*spec.mutable_labels())["com.docker.swarm.predefined"] = "true";
  }
  first_due_ = now;
  first_pause_ = opts_.retry_min;
}

void core::reset(instant now, const StoreSnapshot& snapshot) {
  behind_.clear();
  new_tasks_.clear();
  networks_of_.clear();
  first_networks_.clear();
  book_.clear();
  in_flight_ = false;
  // They are made together, and the ingress network may be removed by a user: host and bridge tell that it was there.
  const auto& networks = snapshot.networks();
  if (std::none_of(networks.begin(), networks.end(), [](const Network& n) { return n.predefined(); }))
    want_first_networks(snapshot.cluster(), now);
  for (const auto& network : networks)
    learn(network, false);
  for (const auto& definition : snapshot.templates())
    learn(definition, false);
  for (const auto& service : snapshot.services())
    judge(now, service);
  for (const auto& task : snapshot.tasks())
    judge(now, task, false);
  for (auto& [id, entry] : behind_)
    entry.due = now; // a new leader looks once at what the last one left
}

void core::observe(instant now, const EventBatch& batch) {
  for (const auto& event : batch.clusters())
    if (event.kind() == CHANGE_KIND_CREATED)
      want_first_networks(event.cluster(), now);
  for (const auto& event : batch.networks())
    learn(event.network(), event.kind() == CHANGE_KIND_REMOVED);
  for (const auto& event : batch.templates())
    learn(event.template_(), event.kind() == CHANGE_KIND_REMOVED);
  bool freed = false;
  for (const auto& event : batch.services()) {
    if (event.kind() == CHANGE_KIND_REMOVED) {
      behind_.erase(event.service().id());
      freed = book_.release(event.service().id()) || freed || event.service().endpoint().ports_size() > 0;
    } else {
      freed = freed || (event.old().endpoint().ports_size() > 0
                        && event.old().endpoint().SerializeAsString() != event.service().endpoint().SerializeAsString());
      judge(now, event.service());
    }
  }
  if (freed)
    something_was_freed(now);
  for (const auto& event : batch.tasks())
    judge(now, event.task(), event.kind() == CHANGE_KIND_REMOVED);
}

// -- proposals ---------------------------------------------------------------------------------------------------------------

std::optional<Command> core::propose(instant now, wall_ns wall) {
  if (in_flight_)
    return std::nullopt;
  Command command;
  command.set_machine_version(machine_version);
  command.set_proposed_at(wall);
  propose_first_networks(now, command);
  if (command.actions().empty()) { // a refusal of those must not touch the others
    propose_services(now, command);
    propose_tasks(now, wall, command);
  }
  if (command.actions().empty())
    return std::nullopt;
  in_flight_ = true;
  return command;
}

void core::propose_first_networks(instant now, Command& command) {
  if (first_networks_.empty() || first_due_ > now)
    return;
  for (const auto& network : first_networks_)
    *command.add_actions()->mutable_put_network()->mutable_network() = network;
  first_due_ = now + first_pause_;
  first_pause_ = std::min(first_pause_ * 2, opts_.retry_max);
}

void core::propose_services(instant now, Command& command) {
  for (auto& [id, entry] : behind_) {
    if (entry.due > now || static_cast<std::size_t>(command.actions_size()) == opts_.batch_max)
      continue;
    // The old ports are wishes: the store keeps those that are still free.
    Endpoint endpoint = entry.last;
    *endpoint.mutable_spec() = entry.wanted;
    const bool more = propose_addresses(id, entry, endpoint);
    entry.pause = std::min(entry.pause * 2, opts_.retry_max);
    entry.due = now + entry.pause;
    if (!more && !entry.ports_missing)
      continue;
    auto& update = *command.add_actions()->mutable_update_service_state();
    update.set_service_id(id);
    update.set_if_spec_version(entry.spec_version);
    update.mutable_endpoint()->Swap(&endpoint);
  }
}

/// In the order of the spec's networks; true when the service gets one that it does not have.
bool core::propose_addresses(const std::string& service_id, const waiting& entry, Endpoint& endpoint) {
  const auto had = endpoint.virtual_ips();
  endpoint.clear_virtual_ips();
  bool more = false;
  for (const auto& network : entry.networks) {
    const auto it = std::find_if(had.begin(), had.end(), [&](const VirtualIP& ip) { return ip.network_id() == network; });
    if (it != had.end()) {
      *endpoint.add_virtual_ips() = *it;
    } else if (const auto address = book_.take(service_id, network)) {
      auto& fresh = *endpoint.add_virtual_ips();
      fresh.set_network_id(network);
      fresh.set_addr(*address);
      more = true;
    }
  }
  return more;
}

std::string core::attach(const std::string& task_id, const waiting_task& task, TaskChange& change) {
  const auto wanted = networks_of_.find({task.service_id, task.spec_version});
  if (wanted == networks_of_.end())
    return {};
  for (const auto& attachment : wanted->second) {
    const auto& target = attachment.target();
    const auto* network = book_.find(target);
    if (network == nullptr && !is_engine_network(target))
      return "network " + target + " not found";
    auto& out = *change.add_networks();
    out.set_network_id(target);
    *out.mutable_aliases() = attachment.aliases();
    if (network == nullptr || network->predefined()) {
      out.set_predefined_name(network == nullptr ? target : network->spec().name());
      continue;
    }
    const auto address = book_.take(task_id, target);
    if (!address)
      return book_.why_none(target);
    out.add_addresses(*address);
  }
  return {};
}

void core::propose_tasks(instant now, wall_ns wall, Command& command) {
  if (new_tasks_.empty() || tasks_due_ > now)
    return;
  UpdateTasks update;
  std::size_t bytes = 0;
  for (auto& [id, task] : new_tasks_) {
    // What is left over has its turn with the next Command, at once: success is seen in the events before the answer.
    if (static_cast<std::size_t>(update.changes_size()) == opts_.tasks_max || bytes >= opts_.bytes_max) {
      update.Swap(command.add_actions()->mutable_update_tasks());
      return;
    }
    TaskChange change;
    const auto why = attach(id, task, change);
    if (!why.empty() && why == task.told)
      continue;
    change.set_task_id(id);
    auto& status = *change.mutable_status();
    status.set_timestamp(wall);
    status.set_state(why.empty() ? TASK_STATE_PENDING : TASK_STATE_NEW);
    status.set_message(why.empty() ? "pending task scheduling" : "waiting for an address");
    status.set_err(why);
    if (!why.empty())
      change.clear_networks();
    bytes += change.ByteSizeLong();
    update.add_changes()->Swap(&change);
  }
  if (update.changes_size() > 0)
    update.Swap(command.add_actions()->mutable_update_tasks());
  tasks_due_ = now + tasks_pause_;
  tasks_pause_ = std::min(tasks_pause_ * 2, opts_.retry_max);
}

void core::settled() { in_flight_ = false; }

std::optional<instant> core::next_due() const {
  if (in_flight_)
    return std::nullopt;
  std::optional<instant> first;
  const auto take = [&first](instant due) {
    if (!first || due < *first)
      first = due;
  };
  if (!first_networks_.empty())
    take(first_due_);
  if (!new_tasks_.empty())
    take(tasks_due_);
  for (const auto& [id, entry] : behind_)
    take(entry.due);
  return first;
}

void core::check_invariants() const {
  for (const auto& [id, entry] : behind_)
    SWARM_CHECK(!id.empty() && entry.pause >= opts_.retry_min && entry.pause <= opts_.retry_max);
}

std::string core::dump() const {
  std::string out = "behind=" + std::to_string(behind_.size()) + " new_tasks=" + std::to_string(new_tasks_.size())
                    + (in_flight_ ? " in flight" : "") + "\n";
  for (const auto& [id, entry] : behind_)
    out += id + " ports=" + std::to_string(entry.wanted.ports_size()) + " networks=" + std::to_string(entry.networks.size())
           + " spec=" + std::to_string(entry.spec_version)
           + " pause_ms=" + std::to_string(std::chrono::duration_cast<milliseconds>(entry.pause).count()) + "\n";
  return out + book_.dump();
}

} // namespace swarm::allocator
