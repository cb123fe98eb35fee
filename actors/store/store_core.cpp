// Recovery, snapshots, invariants and digests; Commands go to apply.cpp, reads to read.cpp.
#include "actors/store/store_core.hpp"

#include <algorithm>

#include "actors/store/apply.hpp"
#include "actors/store/read.hpp"
#include "actors/store/tables.hpp"
#include "runtime/check.hpp"

namespace swarm::store {

core::core() : tables_{std::make_unique<tables>()} {}
core::~core() = default;
core::core(core&&) noexcept = default;
core& core::operator=(core&&) noexcept = default;

// -- recovery --------------------------------------------------------------------------------------------------------------

namespace {

struct stored_row {
  TableWrite::Table table;
  std::string_view key;
  std::string_view value;
};

failure damaged(const stored_row& row) {
  const auto name = TableWrite::Table_IsValid(row.table) ? TableWrite::Table_Name(row.table) : std::string{"?"};
  return {errc::storage_failed, "a row of table " + name + " cannot be understood"};
}

bool parse(const stored_row& row, google::protobuf::Message& out) {
  return out.ParseFromArray(row.value.data(), static_cast<int>(row.value.size()));
}

template <class T, class Table>
failure load_object(Table& table, const stored_row& row) {
  auto object = std::make_shared<T>();
  if (!parse(row, *object) || object->id().empty() || row_key(*object) != row.key)
    return damaged(row);
  const auto id = object->id();
  return table.exchange(id, std::move(object)) ? damaged(row) : failure{};
}

failure load_cluster(tables& t, const stored_row& row) {
  auto cluster = std::make_shared<Cluster>();
  if (!parse(row, *cluster) || row_key(*cluster) != row.key || t.cluster)
    return damaged(row);
  t.cluster = std::move(cluster);
  return {};
}

failure load_template(tables& t, const stored_row& row) {
  TaskTemplate object;
  if (!parse(row, object) || row_key(object) != row.key)
    return damaged(row);
  auto key = template_key{object.service_id(), object.spec_version()};
  auto service = std::make_shared<Service>();
  service->set_id(object.service_id());
  service->set_spec_version(object.spec_version());
  service->mutable_spec()->mutable_task_template()->Swap(object.mutable_spec());
  service->mutable_spec()->mutable_endpoint_spec()->Swap(object.mutable_endpoint_spec());
  return t.templates.emplace(std::move(key), std::move(service)).second ? failure{} : damaged(row);
}

failure load_task(tables& t, const stored_row& row) {
  Task task;
  if (!parse(row, task) || row_key(task) != row.key)
    return damaged(row);
  const auto id = id128::parse(task.id());
  if (!id || task.service_id().empty() || t.tasks.find(id) != no_row)
    return damaged(row);
  t.tasks.insert(task);
  return {};
}

} // namespace

failure core::load(TableWrite::Table table, std::string_view key, std::string_view value) {
  auto& t = *tables_;
  const stored_row row{table, key, value};
  switch (table) {
    case TableWrite::TABLE_CLUSTER: return load_cluster(t, row);
    case TableWrite::TABLE_SERVICE: return load_object<Service>(t.services, row);
    case TableWrite::TABLE_TEMPLATE: return load_template(t, row);
    case TableWrite::TABLE_TASK: return load_task(t, row);
    case TableWrite::TABLE_NODE: return load_object<Node>(t.nodes, row);
    case TableWrite::TABLE_SECRET: return load_object<Secret>(t.secrets, row);
    case TableWrite::TABLE_CONFIG: return load_object<Config>(t.configs, row);
    case TableWrite::TABLE_NETWORK: return load_object<Network>(t.networks, row);
    default: return damaged(row);
  }
}

failure core::loaded(std::uint64_t applied_index) {
  auto& t = *tables_;
  t.ports = {};
  for (const auto& [id, service] : t.services.all()) {
    t.ports.add(*service);
    if (!t.templates.emplace(template_key{id, service->spec_version()}, service).second)
      return {errc::storage_failed, "the state tables hold the template of service " + id + " twice"};
    if (service->has_previous_spec() && !t.templates.contains({id, service->previous_spec_version()}))
      return {errc::storage_failed, "the state tables miss the previous template of service " + id};
  }
  for (row_index row = 0; row < t.tasks.limit(); ++row)
    if (t.tasks.at(row).id && !t.templates.contains({t.tasks.service_of(row), t.tasks.at(row).spec_version}))
      return {errc::storage_failed, "the state tables miss the template of task " + t.tasks.at(row).id.str()};
  t.applied_index = applied_index;
  return {};
}

// -- applying and reading --------------------------------------------------------------------------------------------------

applied core::apply(std::uint64_t log_index, Command command) {
  SWARM_CHECK(log_index > tables_->applied_index);
  SWARM_CHECK(command.machine_version() <= machine_version);
  tables_->applied_index = log_index;
  return applier{*tables_, log_index, command}.run();
}

void core::skip(std::uint64_t log_index) {
  SWARM_CHECK(log_index > tables_->applied_index);
  tables_->applied_index = log_index;
}

std::uint64_t core::applied_index() const { return tables_->applied_index; }

failure core::read(const ReadObjects& request, ObjectsRead& out) const { return read_objects(*tables_, request, out); }

StoreSnapshot core::snapshot() const {
  const auto& t = *tables_;
  StoreSnapshot out;
  out.set_log_index(t.applied_index);
  for (const auto& [id, object] : t.services.all())
    *out.add_services() = *object;
  for (const auto& [key, object] : t.templates)
    *out.add_templates() = template_of(*object);
  out.mutable_tasks()->Reserve(static_cast<int>(t.tasks.size()));
  for (row_index row = 0; row < t.tasks.limit(); ++row)
    if (t.tasks.at(row).id)
      t.tasks.to_proto(row, *out.add_tasks());
  for (const auto& [id, object] : t.nodes.all())
    *out.add_nodes() = *object;
  for (const auto& [id, object] : t.secrets.all())
    *out.add_secrets() = *object;
  for (const auto& [id, object] : t.configs.all())
    *out.add_configs() = *object;
  for (const auto& [id, object] : t.networks.all())
    *out.add_networks() = *object;
  if (t.cluster)
    *out.mutable_cluster() = *t.cluster;
  return out;
}

table_writes core::rows() const {
  const auto& t = *tables_;
  table_writes out;
  const auto add = [&out](TableWrite::Table table, const auto& value) {
    auto& row = *out.Add();
    row.set_table(table);
    row.set_key(row_key(value));
    row.set_value(stable_bytes(value));
  };
  if (t.cluster)
    add(TableWrite::TABLE_CLUSTER, *t.cluster);
  for (const auto& [id, object] : t.services.all())
    add(TableWrite::TABLE_SERVICE, *object);
  for (const auto& [key, object] : t.templates)
    if (const auto service = t.services.find(key.service_id); !service || service->spec_version() != key.spec_version)
      add(TableWrite::TABLE_TEMPLATE, template_of(*object));
  for (const auto row : t.tasks.sorted()) {
    Task task;
    t.tasks.to_proto(row, task);
    add(TableWrite::TABLE_TASK, task);
  }
  for (const auto& [id, object] : t.nodes.all())
    add(TableWrite::TABLE_NODE, *object);
  for (const auto& [id, object] : t.secrets.all())
    add(TableWrite::TABLE_SECRET, *object);
  for (const auto& [id, object] : t.configs.all())
    add(TableWrite::TABLE_CONFIG, *object);
  for (const auto& [id, object] : t.networks.all())
    add(TableWrite::TABLE_NETWORK, *object);
  return out;
}

// -- looking inside --------------------------------------------------------------------------------------------------------

namespace {

template <class T>
void check_named(const named_table<T>& table) {
  SWARM_CHECK(table.names() == table.size());
  for (const auto& [id, object] : table.all()) {
    SWARM_CHECK(object->id() == id);
    const auto by_name = table.find_by_name(object->spec().name());
    SWARM_CHECK(by_name && by_name->id() == id);
  }
}

} // namespace

void core::check_invariants() const {
  const auto& t = *tables_;
  t.tasks.check_invariants();
  check_named(t.services);
  check_named(t.secrets);
  check_named(t.configs);
  check_named(t.networks);
  port_book ports;
  for (const auto& [id, service] : t.services.all()) {
    ports.add(*service);
    SWARM_CHECK(service->meta().version().index() <= t.applied_index);
    SWARM_CHECK(service->spec_version() <= t.applied_index && service->spec_version() > 0);
    SWARM_CHECK(t.templates.contains({id, service->spec_version()}), id);
    SWARM_CHECK(!service->has_previous_spec() || t.templates.contains({id, service->previous_spec_version()}), id);
    SWARM_CHECK(!t.ports.find_conflict(service->endpoint().spec(), id));
    for (const auto& reference : service->spec().task_template().container_spec().secrets())
      SWARM_CHECK(t.secrets.find(reference.secret_id()) != nullptr, id);
    for (const auto& reference : service->spec().task_template().container_spec().configs())
      SWARM_CHECK(t.configs.find(reference.config_id()) != nullptr, id);
  }
  SWARM_CHECK(ports == t.ports);
  for (const auto& [key, object] : t.templates)
    SWARM_CHECK(names_version(t.services.find(key.service_id).get(), key.spec_version)
                  || t.tasks.count_of_version(key.service_id, key.spec_version) > 0,
                key.service_id);
  for (row_index row = 0; row < t.tasks.limit(); ++row)
    if (t.tasks.at(row).id)
      SWARM_CHECK(t.templates.contains({t.tasks.service_of(row), t.tasks.at(row).spec_version}));
}

std::string core::dump() const {
  const auto& t = *tables_;
  std::string out = "applied=" + std::to_string(t.applied_index) + "\n";
  if (t.cluster)
    out += "cluster " + t.cluster->id() + " v" + std::to_string(t.cluster->meta().version().index()) + "\n";
  const auto line = [&out](const char* kind, const std::string& name, const auto& object) {
    out += std::string{kind} + " " + name + " " + object.id() + " v" + std::to_string(object.meta().version().index());
  };
  for (const auto& [id, service] : t.services.all()) {
    line("service", service->spec().name(), *service);
    out += " spec=" + std::to_string(service->spec_version());
    if (service->has_previous_spec())
      out += " previous=" + std::to_string(service->previous_spec_version());
    for (const auto& port : service->endpoint().ports())
      out += " port=" + std::to_string(port.published_port()) + ":" + std::to_string(port.target_port());
    if (service->has_update_status())
      out += " update=" + UpdateState_Name(service->update_status().state()).substr(sizeof "UPDATE_STATE_" - 1);
    if (service->has_job_status())
      out += " iteration=" + std::to_string(service->job_status().job_iteration().index());
    out += "\n";
  }
  for (const auto& [key, object] : t.templates)
    out += "template " + key.service_id + "@" + std::to_string(key.spec_version)
           + " tasks=" + std::to_string(t.tasks.count_of_version(key.service_id, key.spec_version)) + "\n";
  for (const auto& [id, node] : t.nodes.all()) {
    line("node", node->description().hostname(), *node);
    out += " " + NodeState_Name(node->status().state()).substr(sizeof "NODE_STATE_" - 1) + "\n";
  }
  for (const auto& [id, secret] : t.secrets.all())
    line("secret", secret->spec().name(), *secret), out += "\n";
  for (const auto& [id, config] : t.configs.all())
    line("config", config->spec().name(), *config), out += "\n";
  for (const auto& [id, network] : t.networks.all())
    line("network", network->spec().name(), *network), out += "\n";
  return out;
}

std::uint64_t core::digest() const {
  std::uint64_t hash = 0xcbf29ce484222325ull ^ tables_->applied_index; // FNV-1a
  const auto feed = [&hash](std::string_view bytes) {
    for (const char c : bytes)
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    hash = (hash ^ bytes.size()) * 0x100000001b3ull;
  };
  for (const auto& row : rows()) {
    feed(row.key());
    feed(row.value());
  }
  return hash;
}

core::counts core::count() const {
  const auto& t = *tables_;
  return {t.services.size(), t.tasks.size(), t.nodes.size(),     t.secrets.size(),
          t.configs.size(),  t.networks.size(), t.templates.size(), t.tasks.bytes()};
}

} // namespace swarm::store
