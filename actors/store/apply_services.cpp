// Changes of services, and the checks that only the owner of all objects can make.
#include <algorithm>

#include "actors/store/apply.hpp"
#include "messages/networks.hpp"

namespace swarm::store {

namespace {

bool is_job(const ServiceSpec& spec) { return spec.mode().has_replicated_job() || spec.mode().has_global_job(); }

int mode_kind(const ServiceSpec& spec) {
  const auto& mode = spec.mode();
  return mode.has_global() ? 1 : mode.has_replicated_job() ? 2 : mode.has_global_job() ? 3 : 0;
}

/// What tasks are made of, without the credentials: a new password alone replaces no task.
std::string template_bytes(const ServiceSpec& spec) {
  auto task = spec.task_template();
  if (task.has_container_spec())
    task.mutable_container_spec()->clear_registry_auth();
  auto bytes = stable_bytes(task);
  bytes += '\n';
  return bytes += stable_bytes(spec.endpoint_spec());
}

/// "secret not found: a" or "secrets not found: a, b" for the references that do not hold.
template <class Table, class References, class Id, class Name>
failure check_files(const Table& table, const References& references, std::string_view kind, Id id, Name name) {
  std::vector<std::string> missing;
  for (const auto& reference : references) {
    const auto found = table.find(id(reference));
    if (!found || found->spec().name() != name(reference))
      missing.push_back(name(reference));
  }
  if (missing.empty())
    return {};
  std::string text{kind};
  text += missing.size() == 1 ? " not found: " : "s not found: ";
  for (std::size_t i = 0; i < missing.size(); ++i)
    text += (i == 0 ? "" : ", ") + missing[i];
  return refuse(errc::invalid_argument, std::move(text));
}

} // namespace

failure applier::check_references(const ServiceSpec& spec) const {
  for (const auto* networks : {&spec.task_template().networks(), &spec.networks()})
    for (const auto& network : *networks)
      if (!is_engine_network(network.target()) && !state_.networks.find(network.target()))
        return refuse(errc::not_found, "network " + network.target() + " not found");
  const auto& container = spec.task_template().container_spec();
  if (auto bad = check_files(
        state_.secrets, container.secrets(), "secret", [](const SecretReference& r) { return r.secret_id(); },
        [](const SecretReference& r) { return r.secret_name(); });
      !bad.ok())
    return bad;
  return check_files(
    state_.configs, container.configs(), "config", [](const ConfigReference& r) { return r.config_id(); },
    [](const ConfigReference& r) { return r.config_name(); });
}

failure applier::check_ports(const ServiceSpec& spec, const std::string& service_id) const {
  const auto found = state_.ports.find_conflict(spec.endpoint_spec(), service_id);
  if (!found)
    return {};
  const auto holder = state_.services.find(found->service_id);
  return refuse(errc::invalid_argument,
                "port '" + std::to_string(found->port) + "' is already in use by service '" + holder->spec().name() + "' ("
                  + holder->id() + ") as " + (found->ingress ? "an ingress port" : "a host-published port"));
}

failure applier::put_service(PutService& put) {
  auto& wanted = *put.mutable_service();
  if (wanted.id().empty())
    return refuse(errc::invalid_argument, "a service needs an id");
  if (!put.has_expected_version())
    return create_service(wanted);
  const auto old = state_.services.find(wanted.id());
  if (!old)
    return refuse(errc::not_found, "service " + wanted.id() + " not found");
  return update_service(old, put);
}

failure applier::create_service(Service& wanted) {
  const auto& spec = wanted.spec();
  if (auto bad = check_ports(spec, wanted.id()); !bad.ok())
    return bad;
  if (auto bad = check_references(spec); !bad.ok())
    return bad;
  if (state_.services.find(wanted.id()))
    return refuse(errc::already_exists, "service " + wanted.id() + " already exists");
  if (state_.services.is_taken(spec.name()))
    return refuse(errc::already_exists,
                  "name conflicts with an existing object: service " + spec.name() + " already exists");
  Service fresh;
  fresh.set_id(wanted.id());
  fresh.mutable_spec()->Swap(wanted.mutable_spec());
  created(*fresh.mutable_meta());
  set_spec_version(fresh, nullptr);
  allocate(fresh, {});
  if (is_job(fresh.spec())) {
    fresh.mutable_job_status()->mutable_job_iteration();
    fresh.mutable_job_status()->set_last_execution(command_.proposed_at());
  }
  store_service(CHANGE_KIND_CREATED, std::move(fresh), nullptr, true);
  return {};
}

failure applier::update_service(const std::shared_ptr<const Service>& old, PutService& put) {
  Service fresh = *old;
  if (put.roll_back()) {
    if (!old->has_previous_spec())
      return refuse(errc::failed_precondition, "service " + old->id() + " does not have a previous spec");
    fresh.mutable_spec()->Swap(fresh.mutable_previous_spec());
    fresh.set_spec_version(old->previous_spec_version());
    fresh.set_previous_spec_version(old->spec_version());
    auto& status = *fresh.mutable_update_status();
    status.Clear();
    status.set_state(UPDATE_STATE_ROLLBACK_STARTED);
    status.set_started_at(command_.proposed_at());
    status.set_message("manually requested rollback");
  } else {
    fresh.mutable_previous_spec()->Swap(fresh.mutable_spec());
    fresh.mutable_spec()->Swap(put.mutable_service()->mutable_spec());
    fresh.clear_update_status();
    set_spec_version(fresh, old.get());
  }
  if (is_job(fresh.spec())) { // it runs again
    fresh.mutable_job_status()->mutable_job_iteration()->set_index(index_);
    fresh.mutable_job_status()->set_last_execution(command_.proposed_at());
  }
  if (auto bad = check_ports(fresh.spec(), fresh.id()); !bad.ok())
    return bad;
  if (auto bad = check_references(fresh.spec()); !bad.ok())
    return bad;
  if (mode_kind(fresh.spec()) != mode_kind(old->spec()))
    return refuse(errc::unimplemented, "service mode change is not allowed");
  if (fresh.spec().name() != old->spec().name())
    return refuse(errc::unimplemented, "renaming services is not supported");
  if (put.expected_version() != old->meta().version().index())
    return out_of_sequence();
  updated(*fresh.mutable_meta());
  allocate(fresh, old->endpoint());
  store_service(CHANGE_KIND_UPDATED, std::move(fresh), old, true);
  return {};
}

void applier::set_spec_version(Service& fresh, const Service* old) {
  if (old == nullptr) {
    fresh.set_spec_version(index_);
    return;
  }
  fresh.set_previous_spec_version(old->spec_version());
  if (template_bytes(fresh.spec()) != template_bytes(old->spec()))
    fresh.set_spec_version(index_);
}

/// When no dynamic port is left the endpoint stays as it is, behind its spec: ALLOCATOR tries again when one is free.
void applier::allocate(Service& fresh, const Endpoint& old) const {
  const auto addresses = kept_virtual_ips(fresh.spec(), old);
  if (!fresh.spec().has_endpoint_spec())
    fresh.clear_endpoint();
  else if (auto endpoint = state_.ports.allocate(fresh.spec().endpoint_spec(), old, fresh.id()))
    fresh.mutable_endpoint()->Swap(&*endpoint);
  if (addresses.empty() && fresh.endpoint().virtual_ips().empty())
    return;
  *fresh.mutable_endpoint()->mutable_virtual_ips() = addresses;
}

/// Virtual addresses stay for as long as the service is on their network; ALLOCATOR gives new ones.
google::protobuf::RepeatedPtrField<VirtualIP> applier::kept_virtual_ips(const ServiceSpec& spec, const Endpoint& old) const {
  google::protobuf::RepeatedPtrField<VirtualIP> out;
  if (!has_virtual_ips(spec))
    return out;
  const auto& wanted = spec.task_template().networks();
  for (const auto& address : old.virtual_ips()) {
    const auto network = state_.networks.find(address.network_id());
    if (network && !network->predefined()
        && std::any_of(wanted.begin(), wanted.end(), [&](const auto& n) { return n.target() == address.network_id(); }))
      *out.Add() = address;
  }
  return out;
}

void applier::store_service(ChangeKind kind, Service fresh, const std::shared_ptr<const Service>& old, bool spec_changed) {
  const auto object = std::make_shared<const Service>(std::move(fresh));
  exchange(state_.services, object->id(), object);
  auto& ports = state_.ports;
  const auto swap_ports = [&ports](const Service* out, const Service* in) {
    if (out != nullptr)
      ports.remove(*out);
    if (in != nullptr)
      ports.add(*in);
  };
  swap_ports(old.get(), object.get());
  undo_.push_back([swap_ports, old, object] { swap_ports(object.get(), old.get()); });

  if (spec_changed)
    store_template(object);
  touched_services_.try_emplace(object->id(), old ? old->spec_version() : 0);
  write(TableWrite::TABLE_SERVICE, row_key(*object), object.get());
  auto& event = *out_.events.add_services();
  event.set_kind(kind);
  *event.mutable_service() = *object;
  if (old)
    *event.mutable_old() = *old;
}

void applier::store_template(const std::shared_ptr<const Service>& service) {
  const auto key = template_key{service->id(), service->spec_version()};
  auto& slot = state_.templates[key];
  if (slot && stable_bytes(template_of(*slot)) == stable_bytes(template_of(*service)))
    return;
  const auto before = std::exchange(slot, service);
  undo_.push_back([this, key, before] {
    if (before)
      state_.templates[key] = before;
    else
      state_.templates.erase(key);
  });
  auto& event = *out_.events.add_templates();
  event.set_kind(before ? CHANGE_KIND_UPDATED : CHANGE_KIND_CREATED); // updated: the credentials alone have changed
  *event.mutable_template_() = template_of(*service);
}

failure applier::remove_service(const std::string& id) {
  const auto old = state_.services.find(id);
  if (!old)
    return refuse(errc::not_found, "service " + id + " not found");
  exchange(state_.services, id, nullptr);
  auto& ports = state_.ports;
  ports.remove(*old);
  undo_.push_back([&ports, old] { ports.add(*old); });
  touched_services_.try_emplace(id, old->spec_version());
  write(TableWrite::TABLE_SERVICE, row_key(*old), nullptr);
  auto& event = *out_.events.add_services();
  event.set_kind(CHANGE_KIND_REMOVED);
  *event.mutable_service() = *old;
  return {};
}

failure applier::update_service_state(UpdateServiceState& update) {
  const auto old = state_.services.find(update.service_id());
  const bool stale = old && update.if_spec_version() != 0 && update.if_spec_version() != old->spec_version();
  if (update.roll_back()) {
    if (!old)
      return refuse(errc::not_found, "service " + update.service_id() + " not found");
    if (stale)
      return out_of_sequence();
    if (!old->has_previous_spec())
      return refuse(errc::failed_precondition, "service " + old->id() + " does not have a previous spec");
  }
  if (!old || stale)
    return {};
  Service fresh = *old;
  if (update.has_update_status())
    fresh.mutable_update_status()->Swap(update.mutable_update_status());
  if (update.has_job_status())
    fresh.mutable_job_status()->Swap(update.mutable_job_status());
  if (update.roll_back()) {
    fresh.mutable_spec()->Swap(fresh.mutable_previous_spec());
    fresh.clear_previous_spec();
    fresh.set_spec_version(old->previous_spec_version());
    fresh.clear_previous_spec_version();
    if (auto bad = check_ports(fresh.spec(), fresh.id()); !bad.ok())
      return bad;
    if (auto bad = check_references(fresh.spec()); !bad.ok())
      return bad;
    updated(*fresh.mutable_meta());
    allocate(fresh, old->endpoint());
  } else if (update.has_endpoint()
             && stable_bytes(update.endpoint().spec()) == stable_bytes(fresh.spec().endpoint_spec())) {
    allocate(fresh, update.endpoint());
  }
  if (stable_bytes(fresh) != stable_bytes(*old))
    store_service(CHANGE_KIND_UPDATED, std::move(fresh), old, update.roll_back());
  return {};
}

} // namespace swarm::store
