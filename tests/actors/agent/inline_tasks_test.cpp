// Tasks as rows: an assignment is RUNNING at once, and knobs of the driver are seen as by any other task.
#include "actors/agent/inline_tasks.hpp"

#include <gtest/gtest.h>
#include <set>

namespace swarm::agent {
namespace {

struct fake_driver {
  std::set<std::string> running;
  std::multimap<instant, std::string> ends;
  duration start_takes{};

  inline_driver functions() {
    auto handle = [this](const std::string& id, TaskHandle::Phase phase) {
      inline_reply out;
      out.handle.set_task_id(id);
      out.handle.set_phase(phase);
      out.handle.mutable_container()->set_container_id("c-" + id);
      return out;
    };
    return {
      [handle](timestamp, const TaskDescription& what) { return handle(what.task_id(), TaskHandle::PHASE_CREATED); },
      [this, handle](timestamp, const std::string& id) {
        running.insert(id);
        auto out = handle(id, TaskHandle::PHASE_RUNNING);
        out.after = start_takes;
        return out;
      },
      [this, handle](timestamp, const std::string& id) {
        running.erase(id);
        return handle(id, TaskHandle::PHASE_EXITED);
      },
      [handle](timestamp, const std::string& id) { return handle(id, TaskHandle::PHASE_ABSENT); },
      [this, handle](timestamp, const std::string& id) {
        return handle(id, running.contains(id) ? TaskHandle::PHASE_RUNNING : TaskHandle::PHASE_ABSENT);
      },
      [this, handle](timestamp now) {
        std::vector<TaskHandle> out;
        while (!ends.empty() && ends.begin()->first <= now.now) {
          out.push_back(handle(ends.begin()->second, TaskHandle::PHASE_EXITED).handle);
          out.back().mutable_container()->set_exit_code(2);
          ends.erase(ends.begin());
        }
        return out;
      },
      [this]() -> std::optional<instant> { return ends.empty() ? std::nullopt : std::optional{ends.begin()->first}; },
    };
  }
};

std::shared_ptr<const TaskDescription> describe_as(const std::string& id) {
  auto out = std::make_shared<TaskDescription>();
  out->set_task_id(id);
  return out;
}

TEST(inline_tasks, an_assignment_is_running_at_once_and_told_once) {
  fake_driver driver;
  inline_tasks tasks{driver.functions(), {}, 1};
  for (int i = 0; i < 100; ++i)
    tasks.begin({instant{}, 5}, "t" + std::to_string(i), TASK_STATE_RUNNING, {}, describe_as("t" + std::to_string(i)));
  const auto changes = tasks.changes();
  ASSERT_EQ(changes.size(), 100u);
  for (const auto& change : changes) {
    EXPECT_EQ(change.status.state(), TASK_STATE_RUNNING);
    EXPECT_EQ(change.status.timestamp(), 5);
  }
  EXPECT_TRUE(tasks.changes().empty());
}

TEST(inline_tasks, an_end_is_seen_at_its_time) {
  fake_driver driver;
  inline_tasks tasks{driver.functions(), {}, 1};
  tasks.begin({instant{}, 0}, "a", TASK_STATE_RUNNING, {}, describe_as("a"));
  (void)tasks.changes();
  driver.ends.emplace(instant{seconds{2}}, "a");
  EXPECT_EQ(tasks.next_due(), instant{seconds{2}});
  tasks.tick({instant{seconds{2}}, 0});
  const auto changes = tasks.changes();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].status.state(), TASK_STATE_FAILED);
  EXPECT_EQ(changes[0].status.err(), "task: non-zero exit (2)");
}

TEST(inline_tasks, an_answer_may_come_later) {
  fake_driver driver;
  driver.start_takes = seconds{3};
  inline_tasks tasks{driver.functions(), {}, 1};
  tasks.begin({instant{}, 0}, "a", TASK_STATE_RUNNING, {}, describe_as("a"));
  EXPECT_EQ(tasks.changes().at(0).status.state(), TASK_STATE_STARTING);
  tasks.tick({*tasks.next_due(), 0});
  EXPECT_EQ(tasks.changes().at(0).status.state(), TASK_STATE_RUNNING);
}

TEST(inline_tasks, a_forgotten_task_is_stopped_removed_and_gone) {
  fake_driver driver;
  inline_tasks tasks{driver.functions(), {}, 1};
  tasks.begin({instant{}, 0}, "a", TASK_STATE_RUNNING, {}, describe_as("a"));
  (void)tasks.changes();
  tasks.step({instant{}, 0}, "a", task::forgotten{});
  const auto changes = tasks.changes();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_TRUE(changes[0].ended);
  EXPECT_EQ(tasks.size(), 0u);
  EXPECT_TRUE(driver.running.empty());
}

} // namespace
} // namespace swarm::agent
