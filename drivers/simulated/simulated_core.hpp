// Tasks that exist only as rows: the driver contract without any process, with knobs for what may go wrong.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "messages/driver.pb.h"
#include "messages/errors.hpp"
#include "runtime/time.hpp"

namespace swarm::simulated {

/// Knobs of one task, from the container labels "simulated.<knob>" or the environment "SIMULATED_<KNOB>" (the label
/// wins); durations are Go's ("1.5s", "200ms") or plain nanoseconds:
///   run_for      ends by itself after that time with exit_code                          (else it runs for ever)
///   exit_code    of a task that ends by itself
///   fail_start   text: Start is refused with it
///   block_start  Start answers only after that time
///   lose_reply   prepare|start|stop|remove: that request works, but its first answer is errc::deadline_exceeded
///   crash_after  is killed (137, out of memory) after that time
///   log_lines    how many lines its log has
struct knobs {
  duration run_for{};
  duration block_start{};
  duration crash_after{};
  std::int64_t exit_code = 0;
  std::uint32_t log_lines = 0;
  std::string fail_start;
  std::string lose_reply;
  bool operator==(const knobs&) const = default;
};
[[nodiscard]] knobs knobs_of(const ContainerSpec& spec);

/// A result that may come later: `after` is 0 for most.
struct reply {
  TaskHandle handle;
  failure error;
  duration after{};
};

/// About 150 bytes and a microsecond per task: hundreds of thousands fit into one program. The same rules as the docker
/// driver: every request may be repeated, names are unique, a task runs once.
class core {
public:
  [[nodiscard]] reply prepare(timestamp now, const TaskDescription& task);
  [[nodiscard]] reply start(timestamp now, const std::string& task_id);
  [[nodiscard]] reply stop(timestamp now, const std::string& task_id);
  [[nodiscard]] reply remove(timestamp now, const std::string& task_id);
  [[nodiscard]] reply inspect(const std::string& task_id) const;
  /// Every task of that cluster, in order of their ids.
  [[nodiscard]] RecoveredTasks recover(const std::string& cluster_id) const;
  /// What a foreign `docker rm -f` is to the docker driver.
  [[nodiscard]] std::vector<TaskHandle> vanish(const std::string& task_id);
  /// Ends what is due; each end is one observation.
  [[nodiscard]] std::vector<TaskHandle> tick(timestamp now);
  /// When tick() has something to do next.
  [[nodiscard]] std::optional<instant> next_due() const;
  [[nodiscard]] std::uint32_t log_lines(const std::string& task_id) const;
  [[nodiscard]] std::size_t size() const { return rows_.size(); }

private:
  struct row {
    wall_ns started_at = 0;
    wall_ns finished_at = 0;
    std::unique_ptr<knobs> special; // most have none
    std::uint32_t cluster = 0;      // index into clusters_
    std::int16_t exit_code = 0;
    std::uint8_t phase = 0;
    std::uint8_t oom = 0;
  };
  using rows = std::map<std::string, row>;
  [[nodiscard]] TaskHandle handle_of(const std::string& task_id, const row& r) const;
  [[nodiscard]] static bool lose(row& r, const char* request);
  void arm(instant at, const std::string& task_id);

  rows rows_;
  std::vector<std::string> clusters_;
  std::multimap<instant, std::string> due_;
};

/// "1m30s", "250ms", "1.5s" or nanoseconds; 0 when it is none of these.
[[nodiscard]] duration parse_duration(const std::string& text);

} // namespace swarm::simulated
