// Builds what a driver needs to run a task out of what the manager has assigned: names, templates, secrets, configs.
#pragma once

#include <functional>
#include <string>

#include "actors/agent/template.hpp"
#include "messages/dispatcher.pb.h"
#include "messages/driver.pb.h"
#include "messages/errors.hpp"

namespace swarm::agent {

/// The node as templates see it.
struct node_facts {
  std::string node_id;
  std::string hostname;
  std::string architecture;
  std::string os;
  std::string cluster_id;
};

/// Secrets, configs and networks of swarm scope by id; nullptr when this node does not have them (yet).
struct payloads {
  std::function<const SecretSpec*(const std::string& id)> secret;
  std::function<const ConfigSpec*(const std::string& id)> config;
  std::function<const Network*(const std::string& id)> network;
};

/// "service.slot.task", or with the node's id for global tasks and slot 0.
[[nodiscard]] std::string task_name(const AssignedTask& task, const std::string& service_name, const std::string& node_id);

/// Fails with errc::unavailable when a secret, config or network is not here (it will come with the next assignments), and with
/// errc::invalid_argument when a template does not expand: the task is then REJECTED with that text.
[[nodiscard]] failure describe(const AssignedTask& task, const TaskTemplate& what, const ServiceIdentity& service,
                               const node_facts& node, const payloads& data, TaskDescription& out);

} // namespace swarm::agent
