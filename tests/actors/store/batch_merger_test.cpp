// Which commands' events travel together.
#include "actors/store/batch_merger.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace swarm::store {
namespace {

class batch_merger_test : public testing::Test {
protected:
  static EventBatch at(std::uint64_t index) {
    EventBatch out;
    out.set_log_index(index);
    out.set_wall(static_cast<std::int64_t>(index) * 10);
    return out;
  }
  static EventBatch service(std::uint64_t index, const std::string& id, ChangeKind kind = CHANGE_KIND_CREATED) {
    auto out = at(index);
    auto& event = *out.add_services();
    event.set_kind(kind);
    event.mutable_service()->set_id(id);
    auto& row = *out.add_templates();
    row.set_kind(kind);
    row.mutable_template_()->set_service_id(id);
    return out;
  }
  static EventBatch secret(std::uint64_t index, const std::string& id, ChangeKind kind = CHANGE_KIND_CREATED) {
    auto out = at(index);
    auto& event = *out.add_secrets();
    event.set_kind(kind);
    event.mutable_secret()->set_id(id);
    return out;
  }
  static std::string text(const EventBatch& batch) {
    auto out = std::to_string(batch.log_index()) + "/" + std::to_string(batch.wall());
    for (const auto& event : batch.services())
      out += " s:" + event.service().id();
    for (const auto& event : batch.templates())
      out += " t:" + event.template_().service_id();
    for (const auto& event : batch.secrets())
      out += " x:" + event.secret().id();
    for (const auto& event : batch.configs())
      out += " c:" + event.config().id();
    for (const auto& event : batch.tasks())
      out += " task:" + event.task().id();
    return out;
  }
  using texts = std::vector<std::string>;

  texts out;
  batch_merger merger{[this](EventBatch&& batch) { out.push_back(text(batch)); }};
};

TEST_F(batch_merger_test, creations_of_one_kind_become_one_batch_with_the_last_index) {
  merger.put(service(5, "a"));
  merger.put(service(6, "b"));
  merger.put(service(9, "c"));
  EXPECT_EQ(out, texts{}) << "held back for the next";
  merger.flush();
  EXPECT_EQ(out, texts{"9/90 s:a s:b s:c t:a t:b t:c"});
  merger.flush();
  EXPECT_EQ(out.size(), 1u);
}

TEST_F(batch_merger_test, another_kind_begins_another_batch) {
  merger.put(secret(1, "x"));
  merger.put(secret(2, "y"));
  merger.put(service(3, "a"));
  merger.put(secret(4, "z"));
  merger.flush();
  EXPECT_EQ(out, (texts{"2/20 x:x x:y", "3/30 s:a t:a", "4/40 x:z"}));
}

TEST_F(batch_merger_test, what_changes_or_removes_goes_alone_and_in_its_place) {
  merger.put(service(1, "a"));
  merger.put(service(2, "a", CHANGE_KIND_UPDATED));
  merger.put(service(3, "b"));
  merger.put(service(4, "a", CHANGE_KIND_REMOVED));
  merger.put(service(5, "c", CHANGE_KIND_REMOVED));
  EXPECT_EQ(out, (texts{"1/10 s:a t:a", "2/20 s:a t:a", "3/30 s:b t:b", "4/40 s:a t:a", "5/50 s:c t:c"}));
  merger.flush();
  EXPECT_EQ(out.size(), 5u);
}

TEST_F(batch_merger_test, a_batch_of_several_kinds_goes_alone) {
  merger.put(secret(1, "x"));
  auto mixed = secret(2, "y");
  mixed.add_configs()->set_kind(CHANGE_KIND_CREATED);
  merger.put(std::move(mixed));
  merger.put(secret(3, "z"));
  merger.flush();
  EXPECT_EQ(out, (texts{"1/10 x:x", "2/20 x:y c:", "3/30 x:z"}));
}

TEST_F(batch_merger_test, tasks_go_alone) {
  merger.put(service(1, "a"));
  auto task = at(2);
  task.add_tasks()->set_kind(CHANGE_KIND_CREATED);
  merger.put(std::move(task));
  EXPECT_EQ(out, (texts{"1/10 s:a t:a", "2/20 task:"}));
}

TEST_F(batch_merger_test, what_is_empty_is_not_told) {
  merger.put(service(1, "a"));
  merger.put(at(2));
  merger.put(service(3, "b"));
  merger.flush();
  merger.put(at(4));
  merger.flush();
  EXPECT_EQ(out, texts{"3/30 s:a s:b t:a t:b"});
}

} // namespace
} // namespace swarm::store
