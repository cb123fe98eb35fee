// What all drivers share: container labels, retry delays, and what to do with a container found after a restart.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "messages/driver.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::driver {

// -- labels ------------------------------------------------------------------------------------------------------
// The com.docker.swarm.* ones are Swarm's own: portainer, traefik, cAdvisor and others depend on exactly these.
inline constexpr std::string_view label_task = "com.docker.swarm.task";
inline constexpr std::string_view label_task_id = "com.docker.swarm.task.id";
inline constexpr std::string_view label_task_name = "com.docker.swarm.task.name";
inline constexpr std::string_view label_node_id = "com.docker.swarm.node.id";
inline constexpr std::string_view label_service_id = "com.docker.swarm.service.id";
inline constexpr std::string_view label_service_name = "com.docker.swarm.service.name";
/// Ours: only what carries it is ever reaped, so that a stock swarm's containers on the same engine are safe.
inline constexpr std::string_view label_cluster_id = "io.swarm-node.cluster.id";

/// Ids of the networks of swarm scope that it is on, with commas; absent when there are none.
inline constexpr std::string_view label_networks = "io.swarm-node.networks";

/// The spec's container labels with the system's over them.
[[nodiscard]] std::map<std::string, std::string> labels_of(const TaskDescription& task);

/// DOCKER_RESOURCE_<KIND>=v1,v2 for each kind of assigned generic resources, sorted by kind.
[[nodiscard]] std::vector<std::string> resource_env(const TaskDescription& task);

/// The texts that Swarm gives mounts which no engine may see (behaviour §1.11); "" when all are fine.
[[nodiscard]] std::string mount_error(const TaskSpec& spec);

// -- retries -----------------------------------------------------------------------------------------------------
struct backoff_options {
  duration first = milliseconds{100};
  duration max = seconds{8};
};

/// Doubling delays, each drawn from [half, whole] of its step, so that many that failed together do not return together.
class backoff {
public:
  explicit backoff(backoff_options opts = {}) : opts_{opts} {}
  [[nodiscard]] duration next(random_source& rng);
  void reset() { step_ = 0; }
  [[nodiscard]] std::uint32_t failures() const { return step_; }

private:
  backoff_options opts_;
  std::uint32_t step_ = 0;
};

// -- containers found ----------------------------------------------------------------------------------------------
enum class found_decision : std::uint8_t {
  adopt,       ///< it is the container of an assigned task
  remove,      ///< ours, but nobody wants it
  leave_alone, ///< not ours, or we cannot know yet
};

/// `cluster_id` is the label on the container ("" when it has none). Before the first contact with a manager a node
/// whose own records are lost does not know what is assigned: then nothing is removed (`assignments_known` false).
[[nodiscard]] found_decision decide_found(std::string_view found_cluster_id, std::string_view our_cluster_id,
                                          bool assigned, bool assignments_known);

// -- handles -------------------------------------------------------------------------------------------------------
/// News about one container may overtake each other (an inspect and an event). A task's container never starts twice,
/// so its phase only rises: keeps the further one, and what only the older knew (pid, ports).
void merge_handle(TaskHandle& known, const TaskHandle& news);

} // namespace swarm::driver
