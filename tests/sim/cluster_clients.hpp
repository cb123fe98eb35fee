// Clients of a simulated cluster: some write and read keys through any manager, one changes services and nodes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/cluster_manager.hpp"
#include "tests/support/linearizability.hpp"

namespace swarm::sim {

/// A key is a config, its value a label. Each write names the version that its client has read, and every value is
/// written once: so a write is a compare-and-set of values.
class cluster_clients {
public:
  struct access {
    std::function<std::vector<raft::raft_id>()> managers;             ///< that are up
    std::function<cluster_manager*(raft::raft_id)> manager;           ///< null = down
    std::function<bool(const std::string& node)> may_remove;          ///< and note that it is going
  };

  cluster_clients(cluster_env& env, access to);

  void begin();
  /// The cluster itself, and nothing else before heal().
  void set_up();
  [[nodiscard]] bool is_set_up() const { return setup_.empty(); }
  /// From now on nothing changes but what is needed: every node active, every key written and read once more.
  void heal();
  [[nodiscard]] bool settled() const { return finals_left_ == 0 && nodes_active_; }
  [[nodiscard]] std::string unsettled() const;
  /// Without what says nothing.
  [[nodiscard]] test::linearizability::history history() const;
  [[nodiscard]] std::uint64_t writes_done() const { return writes_done_; }
  [[nodiscard]] std::uint64_t reads_done() const { return reads_done_; }

private:
  struct client {
    bool busy = false;
    std::map<unsigned, std::pair<std::string, std::uint64_t>> known; ///< key -> value, version; as read last
    std::vector<unsigned> final_reads, final_writes;                 ///< still to be done
  };
  template <class Answer>
  using reply = std::function<void(const Answer&)>;

  /// Once, at the manager, if the request gets there; `give_up` when there was no answer in time.
  template <class Answer>
  void ask(raft::raft_id manager, std::function<void(cluster_manager&, reply<Answer>)> what, reply<Answer> done,
           std::function<void()> give_up);
  [[nodiscard]] raft::raft_id any_manager();
  void client_loop(std::size_t who);
  void do_read(std::size_t who, unsigned key, std::function<void(bool)> done);
  void do_write(std::size_t who, unsigned key, std::function<void(bool)> done);
  void final_step(std::size_t who);
  void admin_loop();
  void change_service();
  void change_node();
  void remove_node();
  void activate_nodes();
  void control(ControlRequest request, std::function<void(bool)> done = {});
  [[nodiscard]] ServiceSpec draw_service(const std::string& name);
  std::size_t begin_operation(std::size_t who, test::linearizability::action what, unsigned key);
  void end_operation(std::size_t operation, test::linearizability::outcome how);

  cluster_env& env_;
  access to_;
  std::vector<client> clients_;
  test::linearizability::history history_;
  std::uint64_t place_ = 0;
  std::uint64_t next_value_ = 1;
  std::vector<Command> setup_;
  bool setup_busy_ = false;
  bool healing_ = false;
  bool nodes_active_ = false;
  std::size_t finals_left_ = 0;
  std::set<std::size_t> dropped_; ///< operations of which nothing follows
  std::uint64_t writes_done_ = 0;
  std::uint64_t reads_done_ = 0;
};

} // namespace swarm::sim
