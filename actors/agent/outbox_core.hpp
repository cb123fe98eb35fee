// Task statuses on their way to the manager: the latest of each task, one message in flight.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "messages/dispatcher.pb.h"

namespace swarm::agent {

/// While one message waits to be committed, what happens gathers here; so the busier the manager, the larger the batches.
class outbox_core {
public:
  static constexpr int updates_max = 10'000;

  /// Replaces what is waiting for that task.
  void put(const std::string& task_id, TaskStatus status) { waiting_.insert_or_assign(task_id, std::move(status)); }
  void forget(const std::string& task_id) { waiting_.erase(task_id); }

  /// The next message, if none is in flight and there is something to say.
  [[nodiscard]] std::optional<UpdateTaskStatus> next(const std::string& node_id, const std::string& session_id) {
    if (!in_flight_.empty() || waiting_.empty())
      return std::nullopt;
    UpdateTaskStatus out;
    out.set_node_id(node_id);
    out.set_session_id(session_id);
    out.set_sequence(++sequence_);
    while (!waiting_.empty() && out.updates_size() < updates_max) {
      auto item = waiting_.extract(waiting_.begin());
      auto& update = *out.add_updates();
      update.set_task_id(item.key());
      *update.mutable_status() = item.mapped();
      in_flight_.insert(std::move(item));
    }
    return out;
  }
  /// True when that was the message in flight.
  bool accepted(std::uint64_t sequence) {
    if (sequence != sequence_ || in_flight_.empty())
      return false;
    in_flight_.clear();
    return true;
  }
  /// The session is over: what was in flight may be lost. Newer statuses of the same tasks stay.
  void session_lost() {
    waiting_.merge(in_flight_);
    in_flight_.clear();
  }
  [[nodiscard]] bool in_flight() const { return !in_flight_.empty(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

private:
  std::map<std::string, TaskStatus> waiting_; // ordered: messages always come out alike
  std::map<std::string, TaskStatus> in_flight_;
  std::uint64_t sequence_ = 0;
};

} // namespace swarm::agent
