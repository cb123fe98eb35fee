// One manager of a simulated cluster: STORE and CONTROL, and while it leads the cores of the leader, with what their
// actors do around them. RAFT and the disk are raft_world's.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "actors/control/control_core.hpp"
#include "actors/dispatcher/session_core.hpp"
#include "actors/dispatcher/status_intake.hpp"
#include "actors/store/store_core.hpp"
#include "tests/sim/cluster_env.hpp"
#include "tests/support/leader_cores.hpp"

namespace swarm::sim {

/// The way to workers, by closures; `link` must still be the same link when it leaves.
struct manager_downlink {
  std::function<void(unsigned worker, raft::raft_id from, std::uint64_t link, Assignments)> assign;
  std::function<void(unsigned worker, raft::raft_id from, std::uint64_t link, TaskStatusAccepted)> accepted;
  std::function<void(unsigned worker, raft::raft_id from, std::string session)> invalid;
  std::function<void(unsigned worker, raft::raft_id from, raft::raft_id leader, raft::term_number term)> hint;
  /// A request of a client for the leader; answered as control() answers. False when the way is cut.
  std::function<bool(raft::raft_id from, raft::raft_id to, ControlRequest, std::function<void(const Written&)>)> forward;
};

class cluster_manager {
public:
  using written = std::function<void(const Written&)>;
  using objects = std::function<void(const failure&, const ObjectsRead&)>;

  cluster_manager(cluster_env& env, raft::raft_id id, manager_downlink down);
  ~cluster_manager();

  // -- from raft_world ----------------------------------------------------------------------------------------------------
  void started(raft::log_index applied);
  void crashed();
  void role_changed();
  void applied(const Entry& entry);
  void installed(raft::log_index applied);
  void write_done(std::uint64_t tag, const failure& outcome);
  void read_done(std::uint64_t tag, const failure& outcome);

  // -- from clients -------------------------------------------------------------------------------------------------------
  void control(ControlRequest request, bool forwarded, const written& answer);
  void read(const ReadObjects& request, const objects& answer);
  /// A Command as it is: what makes the cluster in the first place.
  void propose(Command command, const std::function<void(const CommandResult&, const failure&)>& done);

  // -- from workers -------------------------------------------------------------------------------------------------------
  void register_node(unsigned worker, std::uint64_t link, const RegisterNode& request,
                     const std::function<void(const failure&, const NodeRegistered&)>& answer);
  void beat(unsigned worker, const NodeHeartbeat& beat);
  void report(unsigned worker, const UpdateTaskStatus& report);
  /// A link is up: whom to ask.
  void greet(unsigned worker);

  void tick();
  void jump_clock(std::int64_t by_ns) { wall_offset_ += by_ns; }
  void set_full(bool full) { full_ = full; }
  [[nodiscard]] bool is_up() const { return static_cast<bool>(store_); }
  [[nodiscard]] bool leads() const { return static_cast<bool>(office_); }
  [[nodiscard]] const store::core& store() const { return *store_; }
  /// "" = none; only a leader has any.
  [[nodiscard]] std::string session_of(const std::string& node) const;
  void check_invariants() const;
  [[nodiscard]] std::string dump() const; ///< of a leader's services

private:
  struct pending {
    Command command;
    std::function<void(const CommandResult&, const failure&)> done;
  };
  struct office; ///< what only a leader has

  [[nodiscard]] timestamp time() const { return env_.time(wall_offset_); }
  void soon(std::uint64_t delay, std::function<void()> run);
  void start_or_end_office();
  void lead();
  void hear();
  void flush();
  void send_frames();
  void ask_drivers();
  void retry_unknown(ControlRequest request, unsigned times, const written& answer);
  void control_here(ControlRequest request, unsigned retries, const written& answer);
  void plant(Command& command);
  test::leader_cores::host leader_host();

  cluster_env& env_;
  raft::raft_id id_;
  manager_downlink down_;
  std::unique_ptr<store::core> store_;
  std::unique_ptr<control::core> control_;
  std::unique_ptr<office> office_;
  std::map<std::uint64_t, pending> writes_;
  std::map<std::uint64_t, std::pair<ReadObjects, objects>> reads_;
  CommandResult last_result_;
  std::uint64_t next_tag_;
  raft::term_number leading_term_ = 0;
  raft::raft_id hinted_ = 0;
  raft::term_number hinted_term_ = 0;
  std::set<unsigned> greeted_;
  std::int64_t wall_offset_ = 0;
  bool full_ = false;
};

} // namespace swarm::sim
