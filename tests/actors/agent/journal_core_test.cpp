// The agent's journal: what is written comes back, what is damaged is not believed.
#include "actors/agent/journal_core.hpp"

#include <gtest/gtest.h>

namespace swarm::agent::journal {
namespace {

Assignments assign(bool complete, const std::vector<std::string>& tasks, const std::vector<std::string>& removed = {}) {
  Assignments out;
  out.set_complete(complete);
  for (const auto& id : tasks) {
    auto& task = *out.add_tasks();
    task.set_id(id);
    task.set_service_id("svc");
    task.set_spec_version(3);
  }
  for (const auto& id : removed)
    out.add_removed_task_ids(id);
  if (complete) {
    auto& what = *out.add_templates();
    what.set_service_id("svc");
    what.set_spec_version(3);
    out.add_services()->set_id("svc");
  }
  return out;
}

UpdateTaskStatus status(const std::string& id, TaskState state) {
  UpdateTaskStatus out;
  auto& update = *out.add_updates();
  update.set_task_id(id);
  update.mutable_status()->set_state(state);
  return out;
}

std::string example() {
  return header("n", "c") + record(assign(true, {"a", "b"})) + record(status("a", TASK_STATE_PREPARING)) + record(assign(false, {"d"}, {"b"}))
         + record(status("a", TASK_STATE_RUNNING)) + record(status("b", TASK_STATE_RUNNING));
}

TEST(journal_core, folds_records_into_tasks_and_their_latest_statuses) {
  const auto kept = read(example(), "n", "c");
  ASSERT_TRUE(kept);
  ASSERT_EQ(kept->assignments.tasks_size(), 2);
  EXPECT_EQ(kept->assignments.tasks(0).id(), "a");
  EXPECT_EQ(kept->assignments.tasks(1).id(), "d");
  EXPECT_EQ(kept->assignments.templates_size(), 1);
  ASSERT_EQ(kept->statuses.size(), 1u);
  EXPECT_EQ(kept->statuses.at("a").state(), TASK_STATE_RUNNING);
}

TEST(journal_core, a_rewritten_journal_holds_the_same) {
  const auto kept = read(example(), "n", "c");
  const auto again = read(rewrite("n", "c", kept->assignments, kept->statuses), "n", "c");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->assignments.SerializeAsString(), kept->assignments.SerializeAsString());
  EXPECT_EQ(again->statuses.size(), kept->statuses.size());
}

TEST(journal_core, missing_or_foreign_journals_are_not_believed) {
  EXPECT_FALSE(read("", "n", "c"));
  EXPECT_FALSE(read(header("n", "c"), "n", "c"));
  EXPECT_FALSE(read(example(), "other", "c"));
  EXPECT_FALSE(read(example(), "n", "other"));
}

TEST(journal_core, a_torn_end_is_left_out_at_any_length) {
  const auto whole = example();
  const auto first = header("n", "c").size() + record(assign(true, {"a", "b"})).size();
  for (auto length = first; length <= whole.size(); ++length)
    EXPECT_TRUE(read(std::string_view{whole}.substr(0, length), "n", "c")) << length;
}

TEST(journal_core, no_flipped_bit_passes_unseen) {
  const auto whole = example();
  for (std::size_t i = 0; i < whole.size() * 8; i += 3) {
    auto bad = whole;
    bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << (i % 8)));
    const auto kept = read(bad, "n", "c").value_or(content{});
    // A flipped length may look like a torn end: then less is known, but nothing wrong.
    for (const auto& task : kept.assignments.tasks())
      EXPECT_TRUE(task.id() == "a" || task.id() == "b" || task.id() == "d");
  }
}

} // namespace
} // namespace swarm::agent::journal
