// The tree as text.
#include "actors/introspect/tree_view.hpp"

#include <gtest/gtest.h>

namespace swarm::introspect {
namespace {

void add(SupervisionTree& tree, const std::string& label, const std::string& fact = {}) {
  auto& a = *tree.add_actors();
  a.set_label(label);
  a.set_messages_handled(3);
  if (!fact.empty())
    (*a.mutable_facts())["role"] = fact;
}

TEST(tree_view, children_stand_below_the_deepest_actor_that_their_label_lies_under) {
  SupervisionTree tree;
  tree.set_host("h1");
  tree.set_at(1);
  add(tree, "orchestrator");
  add(tree, "orchestrator/service/web");
  add(tree, "raft", "leader");
  add(tree, "task/9f2c");
  const auto text = tree_text(tree);
  EXPECT_NE(text.find("\n  orchestrator "), std::string::npos) << text;
  EXPECT_NE(text.find("\n    service/web "), std::string::npos) << text;
  EXPECT_NE(text.find("\n  raft "), std::string::npos) << text;
  EXPECT_NE(text.find("role=leader"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  task/9f2c "), std::string::npos) << text;
}

TEST(tree_view, a_partial_answer_says_so) {
  SupervisionTree tree;
  tree.set_partial(true);
  EXPECT_NE(tree_text(tree).find("partial"), std::string::npos);
}

} // namespace
} // namespace swarm::introspect
