// Membership rules against the published vectors.
#include "actors/raft/confchange.hpp"

#include <gtest/gtest.h>

#include "tests/actors/raft/vectors.hpp"

namespace swarm::raft {
namespace {

using test::items;
using test::json;
using test::member;
using test::number;

std::vector<raft_id> ids_of(const json& list) {
  std::vector<raft_id> out;
  for (const auto& id : items(list))
    out.push_back(number(id));
  return out;
}

std::vector<conf_change> changes_of(const json& step) {
  static const std::map<std::string, change_kind> kinds{{"add_voter", change_kind::add_voter},
                                                        {"add_learner", change_kind::add_learner},
                                                        {"remove", change_kind::remove},
                                                        {"update", change_kind::update}};
  std::vector<conf_change> out;
  for (const auto& change : items(member(step, "changes")))
    out.push_back({kinds.at(member(change, "op").string_value()), number(member(change, "id"))});
  return out;
}

void expect_state(const changer::outcome& got, const json& step) {
  const auto& want = member(step, "expect");
  const auto& config = got.config;
  EXPECT_EQ(config.voters.incoming.voters(), ids_of(member(want, "voters")));
  EXPECT_EQ(config.voters.outgoing.voters(), ids_of(member(want, "voters_outgoing")));
  EXPECT_EQ(std::vector<raft_id>(config.learners.begin(), config.learners.end()), ids_of(member(want, "learners")));
  EXPECT_EQ(std::vector<raft_id>(config.learners_next.begin(), config.learners_next.end()),
            ids_of(member(want, "learners_next")));
  EXPECT_EQ(config.auto_leave, member(want, "auto_leave").bool_value());
  const auto& followers = member(step, "expect_progress").struct_value().fields();
  EXPECT_EQ(got.progress.size(), followers.size());
  for (const auto& [id, expected] : followers) {
    const auto it = got.progress.find(std::stoull(id));
    ASSERT_NE(it, got.progress.end()) << "no progress of " << id;
    EXPECT_EQ(to_string(it->second.state), member(expected, "state").string_value()) << id;
    EXPECT_EQ(it->second.match, number(member(expected, "match"))) << id;
    EXPECT_EQ(it->second.next, number(member(expected, "next"))) << id;
    EXPECT_EQ(it->second.learner, member(expected, "learner").bool_value()) << id;
  }
}

TEST(confchange, published_vectors_hold) {
  const auto vectors = test::read_vectors("confchange.json", 58);
  if (!vectors)
    GTEST_SKIP();
  int steps = 0;
  for (const auto& scenario : items(*vectors)) {
    configuration config;
    progress_map followers;
    for (const auto& step : items(member(scenario, "steps"))) {
      SCOPED_TRACE(member(scenario, "scenario").string_value() + ':' + std::to_string(number(member(step, "line"))));
      ++steps;
      const changer rules{config, followers, number(member(step, "last_index")), {10, 1 << 20}};
      const auto command = member(step, "cmd").string_value();
      const auto got = command == "simple"        ? rules.simple(changes_of(step))
                       : command == "enter-joint" ? rules.enter_joint(member(step, "auto_leave").bool_value(), changes_of(step))
                                                  : rules.leave_joint();
      const auto& error = member(step, "expect_error");
      EXPECT_EQ(got.error, error.string_value());
      if (!got.error.empty())
        continue;
      expect_state(got, step);
      config = got.config;
      followers = got.progress;
    }
  }
  EXPECT_EQ(steps, 58);
}

TEST(confchange, a_refused_change_leaves_the_configuration_alone) {
  configuration config;
  config.voters.incoming = majority{{1, 2, 3}};
  progress_map followers;
  for (raft_id id : {1, 2, 3})
    followers.emplace(id, progress{1, 10, 100});
  const changer rules{config, followers, 5, {}};
  EXPECT_EQ(rules.simple({{change_kind::remove, 1}, {change_kind::remove, 2}}).error,
            "more than one voter changed without entering joint config");
  EXPECT_EQ(rules.simple({{change_kind::remove, 1}}).config.voters.incoming.voters(), (std::vector<raft_id>{2, 3}));
}

TEST(confchange, a_membership_and_its_quorum_view_name_the_same_members) {
  Membership membership;
  for (raft_id id : {3, 1, 2})
    membership.add_voters()->set_raft_id(id);
  membership.add_learners()->set_raft_id(9);
  membership.add_voters_outgoing()->set_raft_id(4);
  const auto config = to_configuration(membership);
  EXPECT_TRUE(config.joint());
  EXPECT_EQ(render(config), "voters=(1 2 3) outgoing=(4) learners=(9)");
}

} // namespace
} // namespace swarm::raft
