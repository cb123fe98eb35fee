// Sees to it that the networks of swarm scope which tasks are on exist on this engine, and go with their last task.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/docker/docker_events.hpp"
#include "drivers/docker/engine_map.hpp"
#include "drivers/driver_core.hpp"
#include "runtime/random.hpp"

namespace swarm::docker {

struct network_options {
  duration call_deadline = seconds{10};
  duration work_deadline = seconds{60};  ///< create, remove
  driver::backoff_options removal{seconds{1}, seconds{60}};
};

/// On each host a network of swarm scope is a bridge network of the engine with the same name, subnet and gateway. It is
/// known by its labels, never by its name: a network without them, or of another cluster, is somebody else's and is left
/// alone. Its range for the engine's own choice is the gateway alone, so that no address but those that tasks bring can be
/// taken on it.
///
///   absent ─1─► creating ─2─► ready ─3─► removing ─4─► absent
///   1 first wish, after the engine's list was read; while no other of ours is in its place   2 201, or found in the list after
///   a 409   3 the last task is gone   4 204 or 404; when it fails it is ready again, and removed later
class network_core {
public:
  explicit network_core(network_options opts = {}) : opts_{opts} {}

  enum class verdict : std::uint8_t { ready, wait };
  /// All networks that the task names. It uses them from now on; settled() names it when the verdict is wait.
  verdict want(const TaskDescription& task, call_id& next_call, effects& out);
  /// It no longer waits, but goes on using them.
  void stop_waiting(const std::string& task_id);
  /// A container of this task was found that is on these.
  void adopt(const std::string& task_id, const std::vector<std::string>& network_ids);
  /// The task's last trace is gone. With wait, settled() names it when networks without users are gone, too, or could not go.
  verdict release(const std::string& task_id, call_id& next_call, effects& out);

  /// All containers of ours are known now: networks that none of them uses can go.
  void sweep(const std::string& cluster_id, call_id& next_call, effects& out);
  /// The engine may have lost some: its list is read again before the next wish.
  void forget() { listed_ = false; }
  /// Removals that failed are tried again.
  void tidy(instant now, call_id& next_call, effects& out);

  [[nodiscard]] bool owns(call_id call) const { return calls_.contains(call); }
  void step(instant now, const call_ended& ev, random_source& rng, call_id& next_call, effects& out);

  struct verdict_for {
    std::string task_id;
    failure error;
  };
  [[nodiscard]] std::vector<verdict_for> settled() { return std::exchange(settled_, {}); }
  /// The engine's own id of it; "" when it is not there.
  [[nodiscard]] std::string engine_id(const std::string& network_id) const;
  [[nodiscard]] std::size_t ready() const;
  void check_invariants() const;

private:
  enum class phase : std::uint8_t { absent, creating, ready, removing };
  struct entry {
    phase at = phase::absent;
    Network definition;              // empty: only known from the engine's list
    std::string engine_id;
    std::string name;                // as the engine has it
    std::string subnet;              // likewise
    bool other_name = false;         // its own is taken by somebody else's
    std::set<std::string> users;     // tasks
    std::set<std::string> wanted_by; // those that wait
    std::set<std::string> leaving;   // those that wait for its end
    driver::backoff retries;
    instant retry_at{};
  };
  void list(call_id& next_call, effects& out);
  void listed(const answer& from, call_id& next_call, effects& out);
  void create(const std::string& id, entry& e, call_id& next_call, effects& out);
  void created(const std::string& id, entry& e, const answer& from, call_id& next_call, effects& out);
  void remove(const std::string& id, entry& e, call_id& next_call, effects& out);
  void removed(instant now, const std::string& id, const answer& from, random_source& rng, call_id& next_call, effects& out);
  void go_on(call_id& next_call, effects& out);
  void fail(entry& e, const failure& error);
  void settle_ready();
  void settle_left(entry& e);
  [[nodiscard]] const entry* in_its_place(const std::string& id, const entry& e) const;

  network_options opts_;
  std::string cluster_id_;
  bool listed_ = false;
  bool may_sweep_ = false;
  call_id listing_ = 0;
  std::map<std::string, entry> networks_;  // by the swarm's id
  std::map<call_id, std::string> calls_;   // network, "" for the list
  std::set<std::string> waiting_;          // tasks
  std::vector<verdict_for> settled_;
};

/// The body of POST /networks/create.
[[nodiscard]] std::string network_body(const Network& network, const std::string& cluster_id, bool other_name);

/// A row of GET /networks that carries a network of swarm scope.
struct listed_network {
  std::string engine_id;
  std::string name;
  std::string network_id;
  std::string cluster_id;
  std::string subnet;
};
[[nodiscard]] failure read_networks(std::string_view body, std::vector<listed_network>& out);

} // namespace swarm::docker
