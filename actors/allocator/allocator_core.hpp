// Finds services that still need ports and tasks that still need addresses, and says when to propose what.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "messages/store.pb.h"
#include "runtime/time.hpp"

namespace swarm::allocator {

struct options {
  duration retry_min = milliseconds{500};
  duration retry_max = minutes{5}; ///< Swarm's own period for what could not be allocated
  std::size_t batch_max = 500;     ///< services in one Command
  std::size_t tasks_max = 10'000;  ///< tasks in one Command
};

/// STORE gives dynamic ports in the very entry that creates or changes a service, so that a refusal reaches the user. What
/// is left is the service for which no port was free: it is asked for again as soon as another service gives ports back,
/// else with growing pauses.
///
/// ORCHESTRATOR makes the tasks of services with networks NEW, and they wait here for addresses. There is no network plane
/// in this version that could give any (CONTROL's warning says so), hence they go on to PENDING without.
class core {
public:
  explicit core(options opts) : opts_{opts} {}

  void reset(instant now, const StoreSnapshot& snapshot);
  void observe(instant now, const EventBatch& batch);

  /// The Command to propose now, if any. While one is on its way there is no other: answer it with settled().
  [[nodiscard]] std::optional<Command> propose(instant now, wall_ns wall);
  /// The proposal was applied, refused or lost. Whoever still waits has its next turn after a pause.
  void settled();

  /// When propose() may have something; nullopt while nothing waits.
  [[nodiscard]] std::optional<instant> next_due() const;
  [[nodiscard]] std::size_t behind() const { return behind_.size(); }
  [[nodiscard]] std::size_t new_tasks() const { return new_tasks_.size(); }
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

private:
  struct waiting {
    EndpointSpec wanted;
    Endpoint last;
    std::uint64_t spec_version = 0;
    instant due;
    duration pause{};
  };
  void judge(instant now, const Service& service);
  void judge(instant now, const Task& task, bool removed);
  void propose_services(instant now, Command& command);
  void propose_tasks(instant now, wall_ns wall, Command& command);

  options opts_;
  std::map<std::string, waiting> behind_; // by service id
  std::set<std::string> new_tasks_;
  instant tasks_due_;
  duration tasks_pause_{};
  bool in_flight_ = false;
};

/// Whether the endpoint is not that of the spec.
[[nodiscard]] bool is_behind(const Service& service);

} // namespace swarm::allocator
