// Builds task descriptions, see the header.
#include "actors/agent/task_description.hpp"

#include <map>

namespace swarm::agent {
namespace {

using gotemplate::value;

value context_of(const AssignedTask& task, const ServiceIdentity& service, const node_facts& node, const std::string& name) {
  return value::object("template.Context", {
    {"Service", value::object("struct", {{"ID", value{service.id()}},
                                         {"Name", value{service.name()}},
                                         {"Labels", value::map({service.labels().begin(), service.labels().end()})}})},
    {"Node", value::object("struct", {{"ID", value{node.node_id}},
                                      {"Hostname", value{node.hostname}},
                                      {"Platform", value::object("template.Platform", {{"Architecture", value{node.architecture}},
                                                                                       {"OS", value{node.os}}})}})},
    {"Task", value::object("struct", {{"ID", value{task.id()}},
                                      {"Name", value{name}},
                                      {"Slot", value{task.slot() == 0 ? node.node_id : std::to_string(task.slot())}}})},
  });
}

class expander {
public:
  explicit expander(const value& context) : context_{context} {}
  /// In place; the first failure stays.
  void operator()(std::string& text, const char* what) {
    if (!error_.ok() || text.find("{{") == std::string::npos)
      return;
    auto expanded = gotemplate::expand(text, context_);
    if (!expanded.error.empty())
      error_ = {errc::invalid_argument, std::string{"expanding "} + what + " failed: " + expanded.error};
    else
      text = std::move(expanded.text);
  }
  [[nodiscard]] const failure& error() const { return error_; }

private:
  const value& context_;
  failure error_;
};

void expand_mounts(ContainerSpec& spec, expander& expand) {
  for (auto& mount : *spec.mutable_mounts()) {
    expand(*mount.mutable_source(), "mounts");
    expand(*mount.mutable_target(), "mounts");
    if (!mount.has_volume_options())
      continue;
    for (auto& [key, text] : *mount.mutable_volume_options()->mutable_labels())
      expand(text, "mounts");
    if (mount.volume_options().has_driver_config())
      for (auto& [key, text] : *mount.mutable_volume_options()->mutable_driver_config()->mutable_options())
        expand(text, "mounts");
  }
}

// env, secret and config as payload templates call them; secrets and configs are named by their target in the container.
gotemplate::functions payload_functions(const ContainerSpec& spec, const payloads& data) {
  using gotemplate::call_result;
  auto one = [](const std::vector<value>& args) { return args.size() == 1 ? args[0].print() : std::string{}; };
  return {
    {"env", [&spec, one](const std::vector<value>& args) -> call_result {
       const auto key = one(args) + "=";
       for (const auto& entry : spec.env())
         if (entry.starts_with(key))
           return {value{entry.substr(key.size())}, {}};
       return {value{""}, {}};
     }},
    {"secret", [&spec, &data, one](const std::vector<value>& args) -> call_result {
       const auto target = one(args);
       for (const auto& reference : spec.secrets())
         if (reference.file().name() == target)
           if (const auto* found = data.secret(reference.secret_id()))
             return {value{found->data()}, {}};
       return {{}, "secret target " + target + " not found"};
     }},
    {"config", [&spec, &data, one](const std::vector<value>& args) -> call_result {
       const auto target = one(args);
       for (const auto& reference : spec.configs())
         if (reference.has_file() && reference.file().name() == target)
           if (const auto* found = data.config(reference.config_id()))
             return {value{found->data()}, {}};
       return {{}, "config target " + target + " not found"};
     }},
  };
}

struct file_source {
  const FileTarget& target;
  const std::string& data;
  const Driver* templating;
  std::string directory; // of relative targets
};

failure add_file(const file_source& from, const value& context, const gotemplate::functions& functions, TaskDescription& out) {
  auto& file = *out.add_secret_files();
  const auto& name = from.target.name();
  file.set_target(name.starts_with('/') ? name : from.directory + name);
  file.set_uid(from.target.uid());
  file.set_gid(from.target.gid());
  file.set_mode(from.target.mode());
  if (from.templating == nullptr || from.templating->name() != "golang") {
    file.set_data(from.data);
    return {};
  }
  auto expanded = gotemplate::expand(from.data, context, functions);
  if (!expanded.error.empty())
    return {errc::invalid_argument, "failed to expand templated file " + name + ": " + expanded.error};
  file.set_data(std::move(expanded.text));
  return {};
}

failure add_files(const ContainerSpec& spec, const value& context, const payloads& data, TaskDescription& out) {
  const auto functions = payload_functions(spec, data);
  for (const auto& reference : spec.secrets()) {
    const auto* secret = data.secret(reference.secret_id());
    if (secret == nullptr)
      return {errc::unavailable, "secret " + reference.secret_name() + " has not arrived on this node"};
    if (auto error = add_file({reference.file(), secret->data(), secret->has_templating() ? &secret->templating() : nullptr, "/run/secrets/"},
                              context, functions, out);
        !error.ok())
      return error;
  }
  for (const auto& reference : spec.configs()) {
    if (!reference.has_file())
      continue; // a runtime target, e.g. a credential spec: not a file
    const auto* config = data.config(reference.config_id());
    if (config == nullptr)
      return {errc::unavailable, "config " + reference.config_name() + " has not arrived on this node"};
    if (auto error = add_file({reference.file(), config->data(), config->has_templating() ? &config->templating() : nullptr, "/"},
                              context, functions, out);
        !error.ok())
      return error;
  }
  return {};
}

failure add_networks(const AssignedTask& task, const payloads& data, TaskDescription& out) {
  for (const auto& attached : task.networks()) {
    if (!attached.predefined_name().empty())
      continue;
    const auto* network = data.network(attached.network_id());
    if (network == nullptr)
      return {errc::unavailable, "network " + attached.network_id() + " has not arrived on this node"};
    *out.add_network_definitions() = *network;
  }
  return {};
}

} // namespace

std::string task_name(const AssignedTask& task, const std::string& service_name, const std::string& node_id) {
  return service_name + "." + (task.slot() == 0 ? node_id : std::to_string(task.slot())) + "." + task.id();
}

failure describe(const AssignedTask& task, const TaskTemplate& what, const ServiceIdentity& service, const node_facts& node,
                 const payloads& data, TaskDescription& out) {
  out.Clear();
  out.set_task_id(task.id());
  out.set_task_name(task_name(task, service.name(), node.node_id));
  out.set_service_id(task.service_id());
  out.set_service_name(service.name());
  out.set_slot(task.slot());
  out.set_node_id(node.node_id);
  out.set_cluster_id(node.cluster_id);
  out.set_hostname(node.hostname);
  *out.mutable_spec() = what.spec();
  *out.mutable_endpoint_spec() = what.endpoint_spec();
  *out.mutable_networks() = task.networks();
  *out.mutable_generic_resources() = task.generic_resources();
  *out.mutable_service_labels() = service.labels();

  const auto context = context_of(task, service, node, out.task_name());
  expander expand{context};
  auto& spec = *out.mutable_spec()->mutable_container_spec();
  expand(*spec.mutable_hostname(), "hostname");
  for (auto& entry : *spec.mutable_env()) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos)
      continue;
    auto text = entry.substr(equals + 1);
    expand(text, "env");
    entry.replace(equals + 1, std::string::npos, text);
  }
  expand_mounts(spec, expand);
  if (!expand.error().ok())
    return expand.error();
  if (auto error = add_networks(task, data, out); !error.ok())
    return error;
  return add_files(spec, context, data, out);
}

} // namespace swarm::agent
