// Builds this host's worker, see agent_sup.hpp.
#include "actors/agent/agent_sup.hpp"

#include <filesystem>

#include "actors/agent/journal_actor.hpp"

namespace swarm::agent {
namespace {

std::string journal_path(const std::string& data_directory) {
  return data_directory + "/agent/journal";
}

} // namespace

agent_options worker_options(caf::actor_system& system, agent_options base, const std::string& data_directory, bool detached_journal) {
  base.spawn_task = [&system](task_start start, const driver_actor& driver, const agent_actor& agent) {
    task_options opts;
    opts.task_id = std::move(start.task_id);
    opts.desired = start.desired;
    opts.from = std::move(start.from);
    opts.what = std::move(start.what);
    opts.driver_healthy = start.driver_healthy;
    opts.seed = start.seed;
    return system.spawn(task_walker, std::move(opts), driver, status_keeper{agent});
  };
  if (data_directory.empty())
    return base;
  const auto path = journal_path(data_directory);
  auto writer = detached_journal ? system.spawn<caf::detached>(journal_file, path) : system.spawn(journal_file, path);
  // The writer lives as long as someone holds these: it ends with the agent.
  journal_port port;
  port.content = read_journal(path);
  port.append = [writer](std::string bytes) { caf::anon_send(writer, append_atom::value, std::move(bytes)); };
  port.replace = [writer](std::string bytes) { caf::anon_send(writer, replace_atom::value, std::move(bytes)); };
  base.journal = std::move(port);
  return base;
}

void forget_worker(const std::string& data_directory) {
  std::error_code ignored;
  std::filesystem::remove_all(std::filesystem::path{journal_path(data_directory)}.parent_path(), ignored);
}

} // namespace swarm::agent
