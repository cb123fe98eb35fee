// Task statuses on their way from agents into the store: gathered from all nodes, committed in few Commands.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "messages/dispatcher.pb.h"
#include "messages/errors.hpp"
#include "messages/store.pb.h"
#include "runtime/ids.hpp"
#include "runtime/time.hpp"

namespace swarm::dispatcher {

inline constexpr std::size_t report_updates_max = 10'000;
/// Waiting updates of all nodes; a report beyond it is dropped. The agent is not told "accepted" and reports again.
inline constexpr std::size_t waiting_updates_max = 1'000'000;
/// Longer texts of agents are cut.
inline constexpr std::size_t status_text_max = 2'000;

struct accepted {
  std::string node;
  TaskStatusAccepted message;
};

/// While one Command is under way the next one gathers; of several states of one task in it only the last is kept.
/// After a failure the same changes are proposed again: repeating a status is harmless.
class status_intake {
public:
  /// Precondition: the session is current. States that are not an agent's to report are left out.
  /// False: refused as too large or because too much waits.
  bool add(const UpdateTaskStatus& report);

  [[nodiscard]] std::optional<Command> next_command(timestamp now);
  /// The reports that are now committed in full.
  [[nodiscard]] std::vector<accepted> committed(timestamp now, const failure& outcome);
  [[nodiscard]] std::optional<instant> retry_at() const { return retry_at_; }
  [[nodiscard]] std::size_t waiting() const { return waiting_; }

private:
  struct batch {
    UpdateTasks update;
    std::size_t bytes = 0;
    boost::unordered_flat_map<task_id, int, id_hash> position; ///< of each task's change
    std::map<std::string, TaskStatusAccepted> reports;         ///< that end in this batch, the latest of each node
  };
  void append(batch& to, const std::string& node, const UpdateTaskStatus::Update& update);

  std::deque<batch> batches_; ///< the first may be under way
  std::size_t waiting_ = 0;
  bool in_flight_ = false;
  unsigned refusals_ = 0;
  std::optional<instant> retry_at_;
};

} // namespace swarm::dispatcher
