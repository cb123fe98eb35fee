// Many tasks as plain rows of their agent: for nodes that are simulated by the hundred in one program.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/agent/task_core.hpp"

namespace swarm::agent {

struct inline_reply {
  TaskHandle handle;
  failure error;
  duration after{}; ///< when the answer comes
};

/// A driver that answers at once (drivers/simulated); filled in by whoever builds the node.
struct inline_driver {
  std::function<inline_reply(timestamp, const TaskDescription&)> prepare;
  std::function<inline_reply(timestamp, const std::string&)> start;
  std::function<inline_reply(timestamp, const std::string&)> stop;
  std::function<inline_reply(timestamp, const std::string&)> remove;
  std::function<inline_reply(timestamp, const std::string&)> inspect;
  std::function<std::vector<TaskHandle>(timestamp)> tick;   ///< what has happened by now
  std::function<std::optional<instant>()> next_due;
};

/// Runs task cores against an inline driver without any message: an assignment is RUNNING when begin() returns.
class inline_tasks {
public:
  inline_tasks(inline_driver driver, task::options opts, std::uint64_t seed)
    : driver_{std::move(driver)}, opts_{opts}, rng_{std::make_unique<random_source>(seed)} {}

  void begin(timestamp now, const std::string& task_id, TaskState desired, const task::beginning& from,
             std::shared_ptr<const TaskDescription> what);
  void step(timestamp now, const std::string& task_id, const task::event& ev);
  void tick(timestamp now);
  [[nodiscard]] std::optional<instant> next_due() const;

  struct change {
    std::string task_id;
    TaskStatus status;
    bool ended = false;
  };
  /// Since the last call; the last status of each task only.
  [[nodiscard]] std::vector<change> changes();
  [[nodiscard]] std::size_t size() const { return tasks_.size(); }
  [[nodiscard]] bool contains(const std::string& task_id) const { return tasks_.contains(task_id); }
  [[nodiscard]] std::map<std::string, TaskState> states() const;
  [[nodiscard]] TaskStatus status(const std::string& task_id) const;

private:
  struct row {
    std::unique_ptr<task::core> task;
    std::shared_ptr<const TaskDescription> what;
    bool changed = false;
  };
  struct due {
    std::string task_id;
    std::optional<task::answered> answer; // none: the task's own timer
  };
  void perform(timestamp now, const std::string& task_id, row& r, task::effects todo);
  [[nodiscard]] inline_reply call(timestamp now, const std::string& task_id, const row& r, task::verb verb) const;

  inline_driver driver_;
  task::options opts_;
  std::unique_ptr<random_source> rng_; // the cores hold on to it
  std::map<std::string, row> tasks_;
  std::multimap<instant, due> due_;
  std::vector<std::string> changed_;
};

} // namespace swarm::agent
