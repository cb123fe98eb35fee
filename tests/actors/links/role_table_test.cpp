// The authorisation matrix: every message type of the schema against every kind of sender.
#include "actors/links/role_table.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/actors/links/schema_types.hpp"

namespace swarm::links {
namespace {

using test::all_types;
using test::make;

struct who {
  const char* name;
  PeerRole certificate;
  std::optional<NodeRole> current;
  bool removed;
};
constexpr who senders[] = {
    {"anonymous", PEER_ROLE_ANYONE, std::nullopt, false},
    {"worker", PEER_ROLE_WORKER, NODE_ROLE_WORKER, false},
    {"worker promoted, old certificate", PEER_ROLE_WORKER, NODE_ROLE_MANAGER, false},
    {"manager", PEER_ROLE_MANAGER, NODE_ROLE_MANAGER, false},
    {"manager unknown here", PEER_ROLE_MANAGER, std::nullopt, false},
    {"demoted manager", PEER_ROLE_MANAGER, NODE_ROLE_WORKER, false},
    {"removed worker", PEER_ROLE_WORKER, NODE_ROLE_WORKER, true},
    {"removed manager", PEER_ROLE_MANAGER, NODE_ROLE_MANAGER, true},
    {"refused at the handshake", PEER_ROLE_NONE, std::nullopt, false},
};

// What the design says, in its own words and not in those of the code.
bool may_by_design(const who& from, const std::string& type, const std::string& to, bool own) {
  static const std::set<std::string> anyone{"ReadRootCertificate", "IssueNodeCertificate"};
  static const std::set<std::string> worker{"RegisterNode", "NodeHeartbeat", "UpdateNodeDescription", "UpdateTaskStatus", "LogChunk",
                                            "RenewNodeCertificate"};
  const std::string name = from.name;
  if (from.removed || from.certificate == PEER_ROLE_NONE)
    return false;
  const bool manager = name == "manager" || name == "manager unknown here";
  if (anyone.contains(type))
    return true;
  if (worker.contains(type))
    return name != "anonymous" && (own || (manager && (type == "RenewNodeCertificate" || to == "reader"))); // lines of all nodes come by way of the leader
  return manager;
}

TEST(role_table, the_whole_matrix_of_types_destinations_and_senders) {
  const auto types = all_types();
  ASSERT_GT(types.size(), 150U);
  std::set<std::string> destinations;
  for (const auto& row : link_types())
    destinations.emplace(row.to);
  std::size_t cells = 0, allowed = 0;
  for (const auto& [name, type] : types)
    for (const auto& to : destinations)
      for (const auto& from : senders)
        for (const bool own : {true, false}) {
          const auto message = make(*type, own ? "n1" : "n2");
          const bool about_a_node = type->FindFieldByName("node_id") != nullptr;
          const sender s{effective_role(from.certificate, from.current, from.removed), "n1"};
          const bool got = may_send(s, to, *message) == verdict::allowed;
          const bool carried = find_link_type(to, name) != nullptr;
          const bool expected = carried && may_by_design(from, name, to, own || !about_a_node);
          EXPECT_EQ(got, expected) << name << " to " << to << " from " << from.name << (own ? "" : " about another node");
          ++cells;
          allowed += got ? 1 : 0;
        }
  EXPECT_GT(cells, 20'000U);
  EXPECT_GT(allowed, 100U);
}

TEST(role_table, every_type_that_is_carried_says_who_may_send_it) {
  for (const auto& row : link_types()) {
    EXPECT_NE(allowed_role_of(row.type), PEER_ROLE_NONE) << row.type << " has no (allowed_role)";
    if (!row.reply.empty()) {
      EXPECT_EQ(allowed_role_of(row.reply), PEER_ROLE_MANAGER) << row.reply << ": only managers answer";
    }
  }
}

TEST(role_table, every_type_that_says_who_may_send_it_is_carried) {
  std::set<std::string> carried{"LinkHello"};
  for (const auto& row : link_types()) {
    carried.emplace(row.type);
    carried.emplace(row.reply);
  }
  for (const auto& [name, type] : all_types())
    if (allowed_role_of(*type) != PEER_ROLE_NONE) {
      EXPECT_TRUE(carried.contains(name)) << name << " is annotated, but no row of link_types() carries it";
    }
}

TEST(role_table, what_workers_may_send_names_its_node) {
  for (const auto& row : link_types()) {
    const auto* const type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName("swarm." + std::string{row.type});
    ASSERT_NE(type, nullptr) << row.type;
    if (allowed_role_of(*type) != PEER_ROLE_WORKER)
      continue;
    const auto* const field = type->FindFieldByName("node_id");
    ASSERT_NE(field, nullptr) << row.type << ": nothing to compare with the certificate";
    EXPECT_EQ(field->cpp_type(), google::protobuf::FieldDescriptor::CPPTYPE_STRING);
    EXPECT_FALSE(field->is_repeated());
  }
}

TEST(role_table, an_empty_node_id_is_not_ones_own) {
  EXPECT_EQ(may_send({PEER_ROLE_WORKER, "n1"}, "dispatcher", NodeHeartbeat{}), verdict::not_own_node);
}

TEST(role_table, roles_that_exist_in_no_schema_suffice_for_nothing) {
  for (const auto have : {PEER_ROLE_NONE, PEER_ROLE_ANYONE, PEER_ROLE_WORKER, PEER_ROLE_MANAGER})
    EXPECT_FALSE(role_suffices(have, PEER_ROLE_NONE));
  EXPECT_FALSE(role_suffices(PEER_ROLE_MANAGER, static_cast<PeerRole>(77)));
  EXPECT_EQ(allowed_role_of("NoSuchMessage"), PEER_ROLE_NONE);
}

TEST(role_table, votes_and_heartbeats_are_urgent_snapshots_and_logs_are_bulk) {
  RaftMessage m;
  m.mutable_heartbeat();
  EXPECT_EQ(urgency_of(m), urgency::urgent);
  m.mutable_request_vote();
  EXPECT_EQ(urgency_of(m), urgency::urgent);
  m.mutable_append_entries();
  EXPECT_EQ(urgency_of(m), urgency::normal);
  m.mutable_install_snapshot();
  EXPECT_EQ(urgency_of(m), urgency::bulk);
  EXPECT_EQ(urgency_of(NodeHeartbeat{}), urgency::urgent);
  EXPECT_EQ(urgency_of(Assignments{}), urgency::normal);
  EXPECT_EQ(urgency_of(LogChunk{}), urgency::bulk);
}

} // namespace
} // namespace swarm::links
