// The placement constraint language.
#include "messages/constraints.hpp"

#include <gtest/gtest.h>

namespace swarm {
namespace {

std::string refusal(const std::string& text) {
  google::protobuf::RepeatedPtrField<std::string> texts;
  *texts.Add() = text;
  std::vector<constraint> out;
  return parse_constraints(texts, out).message;
}

Node sample() {
  Node n;
  n.set_id("4vnnmvn15pr4b8yi81jzf1zho");
  n.mutable_spec()->set_role(NODE_ROLE_WORKER);
  (*n.mutable_spec()->mutable_labels())["Zone"] = "East";
  auto& d = *n.mutable_description();
  d.set_hostname("Host1");
  d.mutable_platform()->set_os("linux");
  d.mutable_platform()->set_architecture("x86_64");
  (*d.mutable_engine()->mutable_labels())["com.example.disk"] = "ssd";
  n.mutable_status()->set_addr("10.1.2.3");
  return n;
}

bool fits(const std::string& text, const Node& node = sample()) {
  Placement p;
  p.add_constraints(text);
  return matches(stored_constraints(p), node);
}

TEST(constraints, are_parsed_with_and_without_blanks) {
  EXPECT_EQ(refusal("node.role==manager"), "");
  EXPECT_EQ(refusal("  node.role  !=  manager "), "");
  EXPECT_EQ(refusal("node.labels.a-b_c.d == x.*(y)?+[z]\\^$|/:- w"), "");
}

TEST(constraints, say_what_is_wrong_with_them) {
  EXPECT_EQ(refusal("node.role"), "constraint expected one operator from ==, !=");
  EXPECT_EQ(refusal("node.role=manager"), "constraint expected one operator from ==, !=");
  EXPECT_EQ(refusal(""), "constraint expected one operator from ==, !=");
  EXPECT_EQ(refusal("no de==x"), "key 'no de' is invalid");
  EXPECT_EQ(refusal("==x"), "key '' is invalid");
  EXPECT_EQ(refusal("1a==x"), "key '1a' is invalid");
  EXPECT_EQ(refusal("node.id=="), "value '' is invalid");
  EXPECT_EQ(refusal("node.id==a,b"), "value 'a,b' is invalid");
  EXPECT_EQ(refusal("node.id==a==b"), "value 'a==b' is invalid");
}

TEST(constraints, compare_without_regard_to_case) {
  EXPECT_TRUE(fits("node.hostname==host1"));
  EXPECT_FALSE(fits("node.hostname!=HOST1"));
  EXPECT_TRUE(fits("NODE.ROLE==Worker"));
  EXPECT_FALSE(fits("node.role==manager"));
  EXPECT_TRUE(fits("node.id==4vnnmvn15pr4b8yi81jzf1zho"));
  EXPECT_TRUE(fits("node.platform.os==Linux"));
  EXPECT_TRUE(fits("node.platform.arch==x86_64"));
  EXPECT_FALSE(fits("node.platform.arch==amd64")) << "as reported, not normalised";
}

TEST(constraints, know_labels_of_node_and_engine) {
  EXPECT_TRUE(fits("node.labels.Zone==east"));
  EXPECT_FALSE(fits("node.labels.zone==east")) << "the label's name keeps its case";
  EXPECT_TRUE(fits("node.labels.zone!=east")) << "a missing label is empty";
  EXPECT_TRUE(fits("engine.labels.com.example.disk==SSD"));
  EXPECT_FALSE(fits("engine.labels.none==ssd"));
}

TEST(constraints, compare_addresses_and_networks) {
  EXPECT_TRUE(fits("node.ip==10.1.2.3"));
  EXPECT_TRUE(fits("node.ip==10.1.0.0/16"));
  EXPECT_FALSE(fits("node.ip==10.2.0.0/16"));
  EXPECT_TRUE(fits("node.ip!=10.2.0.0/16"));
  EXPECT_FALSE(fits("node.ip!=10.1.2.3"));
  EXPECT_FALSE(fits("node.ip==nonsense"));
  EXPECT_FALSE(fits("node.ip==10.1.0.0/40"));
  auto v6 = sample();
  v6.mutable_status()->set_addr("fd00::1:2");
  EXPECT_TRUE(fits("node.ip==fd00:0:0:0:0:0:1:2", v6));
  EXPECT_TRUE(fits("node.ip==fd00::/8", v6));
  EXPECT_FALSE(fits("node.ip==10.1.2.3", v6));
  for (const auto* bad : {"1.2.3", "1.2.3.4.5", "1.2.3.256", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", "::1.2.3"})
    EXPECT_FALSE(fits(std::string{"node.ip!="} + bad)) << bad;
}

TEST(constraints, with_unknown_keys_or_broken_texts_match_no_node) {
  EXPECT_FALSE(fits("node.colour==red"));
  EXPECT_FALSE(fits("node.colour!=red"));
  EXPECT_FALSE(fits("broken"));
  EXPECT_TRUE(is_known_key({"node.labels.x", true, "y"}));
  EXPECT_TRUE(is_known_key({"Engine.Labels.x", true, "y"}));
  EXPECT_FALSE(is_known_key({"node.labels.", true, "y"}));
  EXPECT_FALSE(is_known_key({"node.colour", true, "red"}));
}

TEST(constraints, role_is_what_the_certificate_says) {
  auto promoted = sample();
  promoted.mutable_spec()->set_role(NODE_ROLE_MANAGER);
  promoted.set_certificate_role(NODE_ROLE_WORKER);
  EXPECT_TRUE(fits("node.role==worker", promoted));
}

TEST(spread, takes_the_value_of_a_label) {
  EXPECT_EQ(spread_value("node.labels.Zone", sample()), "East");
  EXPECT_EQ(spread_value("engine.labels.com.example.disk", sample()), "ssd");
  EXPECT_EQ(spread_value("node.labels.none", sample()), "");
  EXPECT_EQ(spread_value("nonsense", sample()), "");
}

} // namespace
} // namespace swarm
