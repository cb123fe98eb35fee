// What directs a simulated cluster in the place of chance, and hears what happens in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "messages/driver.pb.h"
#include "messages/store.pb.h"

namespace swarm::sim {

class cluster_world;

/// Hears of things while they happen: what it wants done about them goes through raft_world::after().
class cluster_script {
public:
  struct fate {
    std::uint64_t after_us = 0;
    std::int64_t exit_code = 0;
  };
  virtual ~cluster_script() = default;
  /// Time begins, the cluster is being set up.
  virtual void begin(cluster_world& world) = 0;
  virtual void committed(const EventBatch& events) = 0;
  /// An agent begins a task with everything that it needs.
  virtual void described(const TaskDescription& task) = 0;
  virtual void container_started(const std::string& task) = 0;
  virtual void container_ended(const std::string& task, std::int64_t exit_code) = 0;
  /// Of a container that starts now; nothing: it runs until it is stopped.
  [[nodiscard]] virtual std::optional<fate> fate_of(const std::string& task) = 0;
  /// It has seen all it wanted to see: now everything heals.
  [[nodiscard]] virtual bool done() const = 0;
  /// In the end services have all their tasks.
  [[nodiscard]] virtual bool is_steady() const = 0;
};

} // namespace swarm::sim
