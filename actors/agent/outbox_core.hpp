// Task statuses on their way to the manager: the latest of each task, one message in flight, an end not before it is kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "messages/dispatcher.pb.h"

namespace swarm::agent {

/// While one message waits to be committed, what happens gathers here; so the busier the manager, the larger the batches.
///
/// With a journal, an end waits until the journal has it on disk: a host that forgets in a power cut what it has told would
/// begin anew what the managers have replaced. All else may be forgotten: the engine knows what it runs.
class outbox_core {
public:
  static constexpr int updates_max = 10'000;

  explicit outbox_core(bool journaled = false) : journaled_{journaled} {}

  /// Replaces what is waiting for that task.
  void put(const std::string& task_id, TaskStatus status) {
    const bool waits = journaled_ && status.state() >= TASK_STATE_COMPLETE;
    waiting_.insert_or_assign(task_id, item{std::move(status), waits ? ++last_end_ : 0});
  }
  void forget(const std::string& task_id) { waiting_.erase(task_id); }

  /// True when the journal must be put on disk now, with all that it was told so far; then kept() is due.
  [[nodiscard]] bool begin_sync() {
    if (syncing_ != 0 || last_end_ == kept_)
      return false;
    syncing_ = last_end_;
    return true;
  }
  void kept() { kept_ = std::exchange(syncing_, 0); }

  /// The next message, if none is in flight and there is something to say.
  [[nodiscard]] std::optional<UpdateTaskStatus> next(const std::string& node_id, const std::string& session_id) {
    if (!in_flight_.empty())
      return std::nullopt;
    UpdateTaskStatus out;
    for (auto it = waiting_.begin(); it != waiting_.end() && out.updates_size() < updates_max;) {
      const auto here = it++;
      if (here->second.end > kept_)
        continue;
      auto& update = *out.add_updates();
      update.set_task_id(here->first);
      *update.mutable_status() = here->second.status;
      in_flight_.insert(waiting_.extract(here));
    }
    if (in_flight_.empty())
      return std::nullopt;
    out.set_node_id(node_id);
    out.set_session_id(session_id);
    out.set_sequence(++sequence_);
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
  struct item {
    TaskStatus status;
    std::uint64_t end = 0; ///< its number if it waits for the disk
  };
  bool journaled_;
  std::map<std::string, item> waiting_; // ordered: messages always come out alike
  std::map<std::string, item> in_flight_;
  std::uint64_t sequence_ = 0;
  std::uint64_t last_end_ = 0;
  std::uint64_t syncing_ = 0; ///< the sync under way is of all ends up to this one; 0: there is none
  std::uint64_t kept_ = 0;    ///< ends up to this one are on disk
};

} // namespace swarm::agent
