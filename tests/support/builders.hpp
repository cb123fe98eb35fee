// Small builders of services, tasks, nodes and Commands, so that a test says only what it is about.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "messages/control.pb.h"
#include "messages/store.pb.h"
#include "runtime/ids.hpp"

namespace swarm::test {

/// The n-th id: 25 characters, ascending with n, all of one kind under one `tag`.
inline std::string nth_id(std::uint64_t n, std::uint64_t tag = 1) { return id128{tag << 56, n}.str(); }

inline ServiceSpec service_spec(const std::string& name, std::uint64_t replicas = 1, const std::string& image = "busybox") {
  ServiceSpec spec;
  spec.set_name(name);
  spec.mutable_task_template()->mutable_container_spec()->set_image(image);
  spec.mutable_mode()->mutable_replicated()->set_replicas(replicas);
  return spec;
}

inline PortConfig& publish(ServiceSpec& spec, std::uint32_t published, std::uint32_t target,
                           PublishMode mode = PUBLISH_MODE_INGRESS, PortProtocol protocol = PORT_PROTOCOL_TCP) {
  auto& port = *spec.mutable_endpoint_spec()->add_ports();
  port.set_protocol(protocol);
  port.set_target_port(target);
  port.set_published_port(published);
  port.set_publish_mode(mode);
  return port;
}

inline SecretReference& use_secret(ServiceSpec& spec, const std::string& id, const std::string& name) {
  auto& reference = *spec.mutable_task_template()->mutable_container_spec()->add_secrets();
  reference.set_secret_id(id);
  reference.set_secret_name(name);
  reference.mutable_file()->set_name(name);
  return reference;
}

inline ConfigReference& use_config(ServiceSpec& spec, const std::string& id, const std::string& name) {
  auto& reference = *spec.mutable_task_template()->mutable_container_spec()->add_configs();
  reference.set_config_id(id);
  reference.set_config_name(name);
  reference.mutable_file()->set_name(name);
  return reference;
}

inline Node node(const std::string& id, const std::string& hostname, NodeRole role = NODE_ROLE_WORKER,
                 NodeState state = NODE_STATE_READY) {
  Node out;
  out.set_id(id);
  out.mutable_spec()->set_role(role);
  out.mutable_spec()->set_availability(NODE_AVAILABILITY_ACTIVE);
  out.mutable_description()->set_hostname(hostname);
  out.mutable_status()->set_state(state);
  return out;
}

inline Task task(const std::string& id, std::uint64_t slot, TaskState state = TASK_STATE_PENDING,
                 TaskState desired = TASK_STATE_RUNNING) {
  Task out;
  out.set_id(id);
  out.set_slot(slot);
  out.mutable_status()->set_state(state);
  out.mutable_status()->set_message("created");
  out.set_desired_state(desired);
  return out;
}

/// A Command of one action: command([](StoreAction& a) { a.mutable_…; }).
template <class Fill>
Command command(Fill fill, std::int64_t wall = 1'000) {
  Command out;
  out.set_machine_version(1);
  out.set_proposed_at(wall);
  fill(*out.add_actions());
  return out;
}

inline Command create_service(const std::string& id, ServiceSpec spec, std::int64_t wall = 1'000) {
  return command(
    [&](StoreAction& a) {
      auto& service = *a.mutable_put_service()->mutable_service();
      service.set_id(id);
      *service.mutable_spec() = std::move(spec);
    },
    wall);
}

inline Command update_service(const std::string& id, std::uint64_t version, ServiceSpec spec, std::int64_t wall = 2'000) {
  auto out = create_service(id, std::move(spec), wall);
  out.mutable_actions(0)->mutable_put_service()->set_expected_version(version);
  return out;
}

inline Command roll_back_service(const std::string& id, std::uint64_t version, std::int64_t wall = 3'000) {
  auto out = update_service(id, version, {}, wall);
  out.mutable_actions(0)->mutable_put_service()->set_roll_back(true);
  return out;
}

inline Command remove_service(const std::string& id) {
  return command([&](StoreAction& a) { a.mutable_remove_service()->set_id(id); });
}

inline Command put_node(Node wanted, bool observed_only = true) {
  return command([&](StoreAction& a) {
    *a.mutable_put_node()->mutable_node() = std::move(wanted);
    a.mutable_put_node()->set_observed_only(observed_only);
  });
}

inline Command create_secret(const std::string& id, const std::string& name, const std::string& data = "s") {
  return command([&](StoreAction& a) {
    auto& secret = *a.mutable_put_secret()->mutable_secret();
    secret.set_id(id);
    secret.mutable_spec()->set_name(name);
    secret.mutable_spec()->set_data(data);
  });
}

inline Command create_config(const std::string& id, const std::string& name, const std::string& data = "c") {
  return command([&](StoreAction& a) {
    auto& config = *a.mutable_put_config()->mutable_config();
    config.set_id(id);
    config.mutable_spec()->set_name(name);
    config.mutable_spec()->set_data(data);
  });
}

inline Command create_network(const std::string& id, const std::string& name, bool ingress = false) {
  return command([&](StoreAction& a) {
    auto& network = *a.mutable_put_network()->mutable_network();
    network.set_id(id);
    network.mutable_spec()->set_name(name);
    network.mutable_spec()->set_driver("overlay");
    network.mutable_spec()->set_ingress(ingress);
  });
}

inline Command create_tasks(const std::string& service_id, std::uint64_t spec_version, std::vector<Task> tasks) {
  return command([&](StoreAction& a) {
    auto& create = *a.mutable_create_tasks();
    create.set_service_id(service_id);
    create.set_spec_version(spec_version);
    for (auto& row : tasks)
      *create.add_tasks() = std::move(row);
  });
}

inline Command update_task(TaskChange change) {
  return command([&](StoreAction& a) { *a.mutable_update_tasks()->add_changes() = std::move(change); });
}

inline TaskChange observed(const std::string& task_id, TaskState state, const std::string& message = {},
                           std::int64_t at = 5'000) {
  TaskChange out;
  out.set_task_id(task_id);
  out.mutable_status()->set_state(state);
  out.mutable_status()->set_message(message);
  out.mutable_status()->set_timestamp(at);
  return out;
}

inline TaskChange desired(const std::string& task_id, TaskState state) {
  TaskChange out;
  out.set_task_id(task_id);
  out.set_desired_state(state);
  return out;
}

inline TaskChange assigned(const std::string& task_id, const std::string& node_id) {
  auto out = observed(task_id, TASK_STATE_ASSIGNED, "scheduler assigned task to node");
  out.set_node_id(node_id);
  return out;
}

inline Command remove_tasks(const std::vector<std::string>& ids) {
  return command([&](StoreAction& a) {
    for (const auto& id : ids)
      a.mutable_remove_tasks()->add_task_ids(id);
  });
}

} // namespace swarm::test
