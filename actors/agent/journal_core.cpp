// The agent's journal as bytes, see the header.
#include "actors/agent/journal_core.hpp"

#include <set>
#include <utility>

namespace swarm::agent::journal {
namespace {

constexpr std::size_t frame_bytes = 4 + 1 + 8;

std::uint64_t checksum(char kind, std::string_view payload) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  auto add = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull; };
  add(kind);
  for (const auto c : payload)
    add(c);
  return hash;
}

void put(std::string& out, std::uint64_t number, int bytes) {
  for (int i = 0; i < bytes; ++i)
    out += static_cast<char>(number >> (8 * i));
}

std::uint64_t get(std::string_view bytes) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    out |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return out;
}

std::string frame(char kind, const std::string& payload) {
  std::string out;
  out.reserve(frame_bytes + payload.size());
  put(out, payload.size(), 4);
  out += kind;
  put(out, checksum(kind, payload), 8);
  return out + payload;
}

// Folds records into the state they describe.
class folder {
public:
  bool add(char kind, std::string_view payload) {
    if (kind == 'A') {
      Assignments message;
      if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size())))
        return false;
      apply(message);
      return true;
    }
    UpdateTaskStatus message;
    if (kind != 'S' || !message.ParseFromArray(payload.data(), static_cast<int>(payload.size())))
      return false;
    for (const auto& update : message.updates())
      statuses_[update.task_id()] = update.status();
    return true;
  }
  content finish() {
    content out;
    out.assignments.set_complete(true);
    std::set<std::pair<std::string, std::uint64_t>> used;
    std::set<std::string> services;
    std::set<std::string> networks;
    for (const auto& [id, task] : tasks_) {
      *out.assignments.add_tasks() = task;
      used.insert({task.service_id(), task.spec_version()});
      services.insert(task.service_id());
      for (const auto& network : task.networks())
        networks.insert(network.network_id());
      if (const auto it = statuses_.find(id); it != statuses_.end())
        out.statuses.insert(*it);
    }
    for (const auto& [key, t] : templates_)
      if (used.contains(key))
        *out.assignments.add_templates() = t;
    for (const auto& [id, s] : services_)
      if (services.contains(id))
        *out.assignments.add_services() = s;
    for (const auto& [id, n] : networks_)
      if (networks.contains(id))
        *out.assignments.add_networks() = n;
    return out;
  }

private:
  void apply(const Assignments& message) {
    if (message.complete())
      tasks_.clear(); // templates stay: a complete message may leave out what was sent before
    for (const auto& task : message.tasks())
      tasks_[task.id()] = task;
    for (const auto& id : message.removed_task_ids())
      tasks_.erase(id);
    for (const auto& t : message.templates())
      templates_[{t.service_id(), t.spec_version()}] = t;
    for (const auto& s : message.services())
      services_[s.id()] = s;
    for (const auto& n : message.networks())
      networks_[n.id()] = n;
  }
  std::map<std::string, AssignedTask> tasks_;
  std::map<std::pair<std::string, std::uint64_t>, TaskTemplate> templates_;
  std::map<std::string, ServiceIdentity> services_;
  std::map<std::string, Network> networks_;
  std::map<std::string, TaskStatus> statuses_;
};

} // namespace

std::string header(const std::string& node_id, const std::string& cluster_id) {
  return "swarm-agent 1\n" + node_id + "\n" + cluster_id + "\n";
}

std::string record(const Assignments& message) {
  return frame('A', message.SerializeAsString());
}

std::string record(const UpdateTaskStatus& message) {
  return frame('S', message.SerializeAsString());
}

std::optional<content> read(std::string_view bytes, const std::string& node_id, const std::string& cluster_id) {
  const auto expected = header(node_id, cluster_id);
  if (!bytes.starts_with(expected))
    return std::nullopt;
  bytes.remove_prefix(expected.size());
  folder fold;
  bool any = false;
  while (bytes.size() >= frame_bytes) {
    const auto length = get(bytes.substr(0, 4));
    if (length > record_bytes_max)
      return std::nullopt;
    if (bytes.size() < frame_bytes + length)
      break; // cut short
    const auto kind = bytes[4];
    const auto payload = bytes.substr(frame_bytes, length);
    if (checksum(kind, payload) != get(bytes.substr(5, 8)) || !fold.add(kind, payload))
      return std::nullopt;
    any = any || kind == 'A';
    bytes.remove_prefix(frame_bytes + length);
  }
  if (!any)
    return std::nullopt; // nothing was ever assigned: the manager has the first word
  return fold.finish();
}

std::string rewrite(const std::string& node_id, const std::string& cluster_id, const Assignments& complete,
                    const std::map<std::string, TaskStatus>& statuses) {
  UpdateTaskStatus all;
  for (const auto& [id, status] : statuses) {
    auto& update = *all.add_updates();
    update.set_task_id(id);
    *update.mutable_status() = status;
  }
  return header(node_id, cluster_id) + record(complete) + record(all);
}

} // namespace swarm::agent::journal
