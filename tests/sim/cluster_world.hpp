// A whole simulated cluster: managers, workers with their engines, the links between them, clients, and the faults.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/cluster_checkers.hpp"
#include "tests/sim/cluster_clients.hpp"
#include "tests/sim/cluster_history.hpp"
#include "tests/sim/cluster_links.hpp"
#include "tests/sim/cluster_manager.hpp"
#include "tests/sim/cluster_script.hpp"
#include "tests/sim/cluster_worker.hpp"

namespace swarm::sim {

/// One run of one seed, in the time and by the chance of its group of managers.
class cluster_world : public raft_host {
public:
  /// With a script nothing happens but what it wants.
  cluster_world(std::uint64_t seed, cluster_knobs knobs, log_mode mode, raft_world::sink out, cluster_script* script = nullptr);

  /// Faults and clients, then healing and convergence. Throws violation.
  void run();

  struct counters {
    raft_world::counters raft;
    std::uint64_t faults = 0, containers = 0, writes = 0, reads = 0, sessions = 0, entries = 0;
    void operator+=(const counters& other);
  };
  [[nodiscard]] counters totals() const;
  [[nodiscard]] std::uint64_t fingerprint() const { return world_.fingerprint(); }
  [[nodiscard]] std::string dump() const;

  // -- for a script; not from within a step of a manager ------------------------------------------------------------------
  [[nodiscard]] raft_world& group() { return world_; }
  [[nodiscard]] bool is_set_up() const { return clients_.is_set_up(); }
  [[nodiscard]] raft::raft_id leader_id(); ///< 0 = none
  /// From the other managers, and from workers, until reconnect().
  void cut_off(raft::raft_id manager, bool from_workers);
  void reconnect();
  void start_worker(unsigned number) { workers_.at(number)->start(); }
  [[nodiscard]] const std::string& node_of(unsigned worker) const { return workers_.at(worker)->node_id(); }
  /// Asks one of the managers, whichever.
  void ask(ControlRequest request, std::function<void(const Written&)> answer);

private:
  // raft_host
  void started(raft::raft_id id, raft::log_index applied) override;
  void crashed(raft::raft_id id) override;
  void role_changed(raft::raft_id id) override { manager(id).role_changed(); }
  void applied(raft::raft_id id, const Entry& entry) override { manager(id).applied(entry); }
  void installed(raft::raft_id id, raft::log_index applied) override { manager(id).installed(applied); }
  void write_done(raft::raft_id id, std::uint64_t tag, const failure& outcome) override { manager(id).write_done(tag, outcome); }
  void read_done(raft::raft_id id, std::uint64_t tag, const failure& outcome) override { manager(id).read_done(tag, outcome); }
  [[nodiscard]] bool done() override { return env_.script != nullptr && env_.script->done(); }
  void heal() override;
  [[nodiscard]] bool converged() override { return unsettled().empty(); }
  [[nodiscard]] std::uint64_t patience_us() const override { return 100'000'000; } ///< a replacement may wait for a minute
  [[nodiscard]] std::string unsettled() override;

  cluster_manager& manager(raft::raft_id id);
  [[nodiscard]] cluster_manager* leader();
  manager_downlink downlink();
  worker_uplink uplink();
  void to_worker(unsigned worker, raft::raft_id from, std::uint64_t link, std::function<void(cluster_worker&)> what);
  void to_manager(unsigned worker, raft::raft_id to, std::function<void(cluster_manager&, std::uint64_t link)> what);
  void tick();
  void trace_events(std::uint64_t index, const EventBatch& events);
  // cluster_nemesis.cpp
  void nemesis();
  void inject(unsigned which);
  void cut_worker(unsigned worker);
  [[nodiscard]] bool may_lose(const std::string& node);
  [[nodiscard]] std::string unsettled_nodes(const StoreSnapshot& state) const;
  [[nodiscard]] std::string unsettled_service(const StoreSnapshot& state, const Service& service) const;
  [[nodiscard]] std::string unsettled_engines(const StoreSnapshot& state) const;
  [[nodiscard]] const cluster_worker* worker_of(const std::string& node) const;

  cluster_knobs knobs_;
  raft_world world_;
  cluster_history history_;
  cluster_checkers checkers_;
  cluster_links links_;
  cluster_env env_;
  std::map<raft::raft_id, std::unique_ptr<cluster_manager>> managers_;
  std::vector<std::unique_ptr<cluster_worker>> workers_;
  cluster_clients clients_;
  std::set<std::string> going_; ///< nodes that are being removed, or that will not come back
  counters totals_;
};

} // namespace swarm::sim
