// Applies one Command to the tables: all of it, or nothing.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "actors/store/store_core.hpp"
#include "actors/store/tables.hpp"

namespace swarm::store {

/// Lives for one Command. First the actions on objects, each of which may refuse and then everything is undone; then those
/// on tasks, which never refuse; then the templates of all services that were touched are settled.
class applier {
public:
  applier(tables& state, std::uint64_t log_index, Command& command);
  [[nodiscard]] applied run();

private:
  [[nodiscard]] failure change_objects(StoreAction& action);
  void change_tasks(StoreAction& action);

  // apply_services.cpp
  [[nodiscard]] failure put_service(PutService& put);
  [[nodiscard]] failure create_service(Service& wanted);
  [[nodiscard]] failure update_service(const std::shared_ptr<const Service>& old, PutService& put);
  [[nodiscard]] failure remove_service(const std::string& id);
  [[nodiscard]] failure update_service_state(UpdateServiceState& update);
  [[nodiscard]] failure check_references(const ServiceSpec& spec) const;
  [[nodiscard]] failure check_ports(const ServiceSpec& spec, const std::string& service_id) const;
  void set_spec_version(Service& fresh, const Service* old);
  void allocate(Service& fresh, const Endpoint& old) const;
  [[nodiscard]] google::protobuf::RepeatedPtrField<VirtualIP> kept_virtual_ips(const ServiceSpec& spec, const Endpoint& old) const;
  void store_service(ChangeKind kind, Service fresh, const std::shared_ptr<const Service>& old, bool spec_changed);
  void store_template(const std::shared_ptr<const Service>& service);

  // apply_objects.cpp
  [[nodiscard]] failure put_node(PutNode& put);
  [[nodiscard]] failure put_observed_node(Node& seen);
  [[nodiscard]] failure put_node_membership(const Node& seen);
  [[nodiscard]] failure remove_node(const RemoveObject& remove);
  [[nodiscard]] failure put_secret(PutSecret& put);
  [[nodiscard]] failure put_config(PutConfig& put);
  [[nodiscard]] failure put_network(PutNetwork& put);
  [[nodiscard]] failure put_cluster(PutCluster& put);
  void change_cluster(Cluster fresh);
  void remember_removed(const std::string& id);
  [[nodiscard]] failure remove_secret(const std::string& id);
  [[nodiscard]] failure remove_config(const std::string& id);
  [[nodiscard]] failure remove_network(const std::string& id);
  [[nodiscard]] id128 living_task(const template_key& key) const;
  void store_node(ChangeKind kind, Node fresh, const std::shared_ptr<const Node>& old);

  // apply_tasks.cpp
  void create_tasks(CreateTasks& create);
  void update_tasks(UpdateTasks& update);
  void remove_tasks(const RemoveTasks& remove);
  void orphan_tasks_of(const std::string& node_id);
  [[nodiscard]] bool change_task(row_index row, const TaskChange& change, bool& status_changed);
  void tell_task(ChangeKind kind, Task&& task);
  void settle_templates();

  void created(Meta& meta) const;
  void updated(Meta& meta) const;
  /// `value` null = the row goes.
  void write(TableWrite::Table table, std::string key, const google::protobuf::Message* value);

  /// Puts or (null) removes an object in a way that undo() takes back.
  template <class Table>
  void exchange(Table& table, const std::string& id, typename Table::pointer object) {
    auto old = table.exchange(id, std::move(object));
    undo_.push_back([&table, id, old = std::move(old)] { table.exchange(id, old); });
  }
  void undo();

  tables& state_;
  const std::uint64_t index_;
  Command& command_;
  applied out_;
  std::vector<std::function<void()>> undo_;
  std::vector<std::string> removed_nodes_;
  std::map<std::string, std::uint64_t> touched_services_; // spec version before; 0 = no service
};

[[nodiscard]] inline failure refuse(errc code, std::string text) { return {code, std::move(text)}; }
[[nodiscard]] inline failure out_of_sequence() { return {errc::out_of_sequence, "update out of sequence"}; }

/// Keys of rows in the state tables begin with when the row was first written (8 bytes, most significant first): what was
/// made together lies together, so that a transaction touches few pages, wherever the ids would have put it.
[[nodiscard]] std::string row_key(std::int64_t first_written, std::string_view id);
/// When the object was created, then its id.
template <class Object>
[[nodiscard]] std::string row_key(const Object& object) {
  return row_key(object.meta().created_at(), object.id());
}
/// The version of the spec, then the service's id.
[[nodiscard]] std::string row_key(const TaskTemplate& row);

} // namespace swarm::store
