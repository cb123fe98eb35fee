// One task's life on its node: one step at a time from ACCEPTED to its end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "messages/dispatcher.pb.h"
#include "messages/driver.pb.h"
#include "messages/errors.hpp"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::agent::task {

// -- what may happen -----------------------------------------------------------------------------------------------
struct desired { TaskState state = TASK_STATE_RUNNING; };  ///< from the manager; only ever rises
struct forgotten {};                                       ///< no longer assigned: stop, remove, end
struct answered {                                          ///< by the driver, to the request of that number
  std::uint32_t request = 0;
  failure error;
  TaskHandle handle;
};
struct seen { TaskHandle handle; };                        ///< by the driver, unasked
struct driver_health { bool healthy = true; };
struct ticked {};
using event = std::variant<desired, forgotten, answered, seen, driver_health, ticked>;

// -- what the shell must do, in this order ---------------------------------------------------------------------------
enum class verb : std::uint8_t { prepare, start, stop, remove, inspect };
struct ask {
  std::uint32_t request = 0; ///< comes back in `answered`
  task::verb verb = verb::inspect;
  bool operator==(const ask&) const = default;
};
struct report { TaskStatus status; };
struct wake { duration after{}; bool operator==(const wake&) const = default; };
struct ended { bool operator==(const ended&) const = default; }; ///< nothing is left of it: forget the task
using effect = std::variant<ask, report, wake, ended>;
using effects = std::vector<effect>;

struct options {
  duration retry_first = seconds{1};
  duration retry_max = seconds{8};
};

/// How a task begins here. A fresh assignment has none of it; after a restart of the agent the journal and the driver's
/// recovery fill it in; after a wiped host `state` is what the manager has recorded.
struct beginning {
  TaskState state = TASK_STATE_ASSIGNED;
  TaskStatus status;   ///< the last one reported, when known
  TaskHandle handle;   ///< what the driver found; absent when there is nothing
};

/// Acts until what is observed has caught up with what is desired, and never runs a task twice.
///
///   ASSIGNED ─► ACCEPTED ─► PREPARING ─1─► READY ─2─► STARTING ─3─► RUNNING ─4─► COMPLETE | FAILED
///                    └──5──────┴──5──► REJECTED          └──6──► FAILED
///   1 prepared        2 when more than READY is desired   3 started, and healthy if it has a health check
///   4 its container ended: exit code 0 or not             5 refused before it could start
///   6 refused at start: the exit code is whatever the driver then finds
///   any ─► SHUTDOWN when SHUTDOWN or REMOVE is desired and it has not ended: stopped first
///
/// Temporary errors are retried inside the same state with growing delays, or at once when the driver is well again.
/// After an unknown outcome the driver is asked what is there before anything is repeated.
class core {
public:
  /// With `rng` only for jitter: it must outlive the core.
  core(options opts, random_source* rng) : opts_{opts}, rng_{rng} {}

  [[nodiscard]] effects begin(instant now, wall_ns wall, TaskState desired, const beginning& from, bool driver_healthy);
  [[nodiscard]] effects step(instant now, wall_ns wall, const event& ev);
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

  [[nodiscard]] TaskState state() const { return state_; }
  [[nodiscard]] TaskStatus status() const;
  [[nodiscard]] bool is_over() const { return over_; }
  /// Why the next step is waiting: "" when it is not.
  [[nodiscard]] const std::string& trouble() const { return err_; }

private:
  enum class message : std::uint8_t { accepted, preparing, prepared, starting, started, finished, shutdown, other };
  void act();
  void advance();
  void issue(verb v);
  void enter(TaskState state, message text);
  void fail(std::string err);
  void retry(const failure& error);
  void on_answer(const answered& ev);
  void on_error(const failure& error);
  void prepared(const TaskHandle& handle);
  void look_at(const TaskHandle& handle);
  void on_exit(const TaskHandle& handle);
  void resume(const TaskHandle& found);
  void note(const TaskHandle& handle);
  void tell();
  [[nodiscard]] bool terminal() const { return state_ >= TASK_STATE_COMPLETE; }
  [[nodiscard]] bool stop_wanted() const { return forgotten_ || desired_ >= TASK_STATE_SHUTDOWN; }

  options opts_;
  random_source* rng_;
  effects out_;
  instant now_{};
  wall_ns wall_ = 0;
  instant retry_at_{};
  wall_ns changed_at_ = 0;
  std::string err_;
  std::string container_id_;
  std::unique_ptr<google::protobuf::RepeatedPtrField<PortConfig>> ports_; // most tasks have none
  std::int64_t pid_ = 0;
  std::int64_t exit_code_ = 0;
  std::uint32_t request_ = 0;       // number of the request under way
  std::uint32_t next_request_ = 1;
  TaskState state_ = TASK_STATE_ASSIGNED;
  TaskState desired_ = TASK_STATE_RUNNING;
  verb asked_ = verb::inspect;      // what is under way
  message message_ = message::other;
  std::uint8_t failures_ = 0;
  bool waiting_ = false;            // for retry_at_ or for the driver
  bool driver_healthy_ = true;
  bool touched_ = false;            // the driver may hold something of it
  bool stopped_ = false;            // its container is known not to run
  bool runs_ = false;               // it has been seen running: never start it again
  bool look_ = false;               // an outcome is unknown: inspect before going on
  bool unhealthy_ = false;
  bool doomed_ = false;             // refused at start; only the exit code that the engine gave it is still looked up
  bool forgotten_ = false;
  bool over_ = false;
};

} // namespace swarm::agent::task
