// Builds this host's worker, see agent_sup.hpp.
#include "actors/agent/agent_sup.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include "actors/agent/journal_actor.hpp"
#include "runtime/ids.hpp"

namespace swarm::agent {
namespace {

// What a manager sees of this host until its driver can say more, e.g. because the engine is not up yet.
NodeDescription host_description() {
  NodeDescription out;
  utsname host{};
  if (::uname(&host) == 0) {
    out.set_hostname(host.nodename);
    out.mutable_platform()->set_architecture(host.machine);
    out.mutable_platform()->set_os("linux");
  }
  out.mutable_resources()->set_nano_cpus(::sysconf(_SC_NPROCESSORS_ONLN) * std::int64_t{1'000'000'000});
  out.mutable_resources()->set_memory_bytes(::sysconf(_SC_PHYS_PAGES) * std::int64_t{::sysconf(_SC_PAGESIZE)});
  return out;
}

} // namespace
agent_actor spawn_agent(caf::actor_system& system, const driver_actor& driver, agent_options base, const std::string& directory,
                        bool detached_journal) {
  base.spawn_task = [&system](task_start start, const driver_actor& to, const agent_actor& agent) {
    task_options opts;
    opts.task_id = std::move(start.task_id);
    opts.desired = start.desired;
    opts.from = std::move(start.from);
    opts.what = std::move(start.what);
    opts.driver_healthy = start.driver_healthy;
    opts.seed = start.seed;
    return system.spawn(task_walker, std::move(opts), to, status_keeper{agent});
  };
  if (!directory.empty()) {
    const auto path = directory + "/journal";
    auto writer = detached_journal ? system.spawn<caf::detached>(journal_file, path) : system.spawn(journal_file, path);
    // The writer lives as long as the agent holds it.
    base.journal = journal_port{read_journal(path), std::move(writer)};
  }
  return system.spawn(node_agent, std::move(base), driver);
}

agent_actor spawn_agent(caf::actor_system& system, const driver_actor& driver, const std::string& cluster_id,
                        const std::string& node_id, const std::string& addr, const std::string& name,
                        const std::string& directory) {
  agent_options base;
  base.cluster_id = cluster_id;
  base.node_id = node_id;
  base.addr = addr;
  base.name = name;
  base.description = host_description();
  if (!name.empty())
    base.description.set_hostname(name);
  base.seed = id_hash{}(id128::parse(node_id)) ^ actor_registry::monotonic_ns();
  return spawn_agent(system, driver, std::move(base), directory);
}

} // namespace swarm::agent
