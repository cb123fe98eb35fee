// Who is read, what is named as missing, and how credit is shared.
#include "actors/logs/logs_core.hpp"

#include <gtest/gtest.h>

namespace swarm::logs {
namespace {

using tasks_map = std::map<std::string, task_place>;
const std::set<std::string> nodes{"n1"};
instant at(int s) { return instant{seconds{s}}; }

SubscribeLogs request(bool follow) {
  SubscribeLogs r;
  r.set_subscription(9);
  r.add_service_ids("web");
  r.set_follow(follow);
  r.set_stdout(true);
  r.set_tail(-1);
  return r;
}

template <class T>
std::vector<T> all(const effects& list) {
  std::vector<T> out;
  for (const auto& e : list)
    if (const auto* found = std::get_if<T>(&e))
      out.push_back(*found);
  return out;
}

LogChunk piece(std::uint64_t stream, const std::string& text, bool end = false) {
  LogChunk c;
  c.set_subscription(stream);
  if (!text.empty())
    c.add_lines()->set_data(text);
  c.set_end(end);
  return c;
}

TEST(logs_core, started_tasks_of_the_service_are_read_and_the_rest_is_named) {
  reader r{request(false), 100};
  const tasks_map tasks{{"a", {"web", "n1", TASK_STATE_RUNNING}}, {"b", {"web", "", TASK_STATE_PENDING}},
                        {"c", {"web", "n2", TASK_STATE_RUNNING}}, {"d", {"other", "n1", TASK_STATE_RUNNING}}};
  const auto opened = all<open_stream>(r.begin(at(0), tasks, nodes));
  ASSERT_EQ(opened.size(), 1u);
  EXPECT_EQ(opened[0].request.task_id(), "a");
  const auto end = all<deliver>(r.chunk(at(0), piece(100, "x\n", true)));
  ASSERT_EQ(end.size(), 2u);
  EXPECT_EQ(end[0].chunk.subscription(), 9u);
  EXPECT_EQ(end[0].chunk.node_id(), "n1");
  EXPECT_EQ(end[1].chunk.error(), "warning: incomplete log stream. some logs could not be retrieved for the following reasons: "
                                  "task b has not been scheduled, node n2 is not available");
  EXPECT_TRUE(r.ended());
}

TEST(logs_core, the_table_gives_what_a_request_names_and_forgets_what_is_removed) {
  auto id = [](int n) { return id128{1, static_cast<std::uint64_t>(n)}.str(); };
  auto task = [&](int n, int service, TaskState state) {
    Task out;
    out.set_id(id(n));
    out.set_service_id(id(service));
    out.set_node_id(id(90));
    out.mutable_status()->set_state(state);
    return out;
  };
  task_places places;
  for (const int n : {1, 2, 3})
    places.put(task(n, n == 3 ? 51 : 50, TASK_STATE_PENDING));
  places.put(task(2, 50, TASK_STATE_RUNNING));
  SubscribeLogs wanted;
  wanted.add_service_ids(id(50));
  auto found = places.candidates(wanted);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found.at(id(2)).state, TASK_STATE_RUNNING);
  EXPECT_EQ(found.at(id(2)).service_id, id(50));
  EXPECT_EQ(found.at(id(2)).node_id, id(90));
  wanted.Clear();
  wanted.add_task_ids(id(3));
  EXPECT_EQ(places.candidates(wanted).size(), 1u);
  places.erase(id(3));
  EXPECT_TRUE(places.candidates(wanted).empty());
  EXPECT_EQ(places.size(), 2u);
}

TEST(logs_core, nothing_to_read_ends_at_once) {
  reader r{request(false), 1};
  const auto out = all<deliver>(r.begin(at(0), {}, nodes));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_TRUE(out[0].chunk.end());
  EXPECT_EQ(out[0].chunk.error(), "");
}

TEST(logs_core, a_follower_gets_new_tasks_once_and_does_not_end) {
  reader r{request(true), 1};
  EXPECT_TRUE(r.begin(at(0), {}, nodes).empty());
  EXPECT_TRUE(r.task_changed(at(0), "a", {"web", "n1", TASK_STATE_STARTING}, nodes).empty());
  EXPECT_EQ(all<open_stream>(r.task_changed(at(0), "a", {"web", "n1", TASK_STATE_RUNNING}, nodes)).size(), 1u);
  EXPECT_TRUE(r.task_changed(at(0), "a", {"web", "n1", TASK_STATE_COMPLETE}, nodes).empty());
  EXPECT_TRUE(all<deliver>(r.chunk(at(0), piece(1, "", true))).empty());
  EXPECT_FALSE(r.ended());
}

TEST(logs_core, credit_is_shared_out_and_given_back_for_what_was_delivered) {
  reader r{request(true), 1};
  const tasks_map tasks{{"a", {"web", "n1", TASK_STATE_RUNNING}}, {"b", {"web", "n1", TASK_STATE_RUNNING}}};
  EXPECT_TRUE(all<grant>(r.begin(at(0), tasks, nodes)).empty());
  const auto first = all<grant>(r.credit(100 * 1024));
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].credit.bytes(), 64u * 1024);
  EXPECT_EQ(first[1].credit.bytes(), 36u * 1024);
  EXPECT_TRUE(all<grant>(r.chunk(at(0), piece(1, std::string(1000, 'x')))).empty()); // the reader has not consumed it yet
  const auto again = all<grant>(r.credit(1000));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].credit.bytes(), 1000u);
}

TEST(logs_core, a_silent_node_is_given_up_after_the_deadline) {
  reader r{request(false), 1};
  (void)r.begin(at(0), {{"a", {"web", "n1", TASK_STATE_RUNNING}}}, nodes);
  EXPECT_TRUE(r.tick(at(4)).empty());
  const auto out = r.tick(at(5));
  EXPECT_EQ(all<cancel>(out).size(), 1u);
  ASSERT_EQ(all<deliver>(out).size(), 1u);
  EXPECT_NE(all<deliver>(out)[0].chunk.error().find("node n1 is not available"), std::string::npos);
}

} // namespace
} // namespace swarm::logs
