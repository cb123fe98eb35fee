// The wiring of CA: an answer only after the commit, a renewal only after a read index.
#include "actors/ca/ca_actor.hpp"

#include "actors/ca/certificates.hpp"
#include "actors/ca/root_rotation.hpp"
#include "runtime/crypto/x509.hpp"
#include "runtime/ids.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/fake_raft.hpp"

namespace swarm::ca {
namespace {

using namespace test;

struct ca_actor_test : actor_fixture {
  std::shared_ptr<fake_log> log = std::make_shared<fake_log>();
  std::shared_ptr<fake_state> state = std::make_shared<fake_state>();
  raft_actor raft = track(sys.spawn(fake_raft, log));
  store_actor store = track(sys.spawn(fake_store, state));
  ca_actor ca;
  crypto::private_key key = crypto::private_key::generate();
  random_source rng{3};

  void start() {
    auto& cluster = *state->snapshot.mutable_cluster();
    cluster.set_id(id128::random(rng).str());
    *cluster.mutable_root_ca() = create_root(actor_registry::wall_now_ns());
    *cluster.mutable_tls_info() = tls_info(cluster.root_ca().certificate_pem());
    ca = track(sys.spawn(certificate_authority, ca_options{}, raft, store, random_source{1}));
    settle();
  }
  IssueNodeCertificate join() {
    IssueNodeCertificate out;
    out.set_join_token(state->snapshot.cluster().root_ca().join_tokens().worker());
    out.set_public_key_der(key.public_key_der());
    return out;
  }
  ~ca_actor_test() override {
    stop_all();
    state->subscribers.clear();
  }
};

TEST_F(ca_actor_test, a_join_is_answered_when_the_node_is_committed) {
  start();
  const auto out = ask<NodeCertificateIssued>(ca, join());
  ASSERT_TRUE(out.value) << out.error.message;
  ASSERT_EQ(log->proposed.size(), 1u);
  EXPECT_EQ(log->proposed[0].actions(0).put_node().node().id(), out.value->node_id());
}

TEST_F(ca_actor_test, a_join_that_is_not_committed_gives_no_certificate) {
  start();
  log->answer = {errc::not_leader, "n2 leads"};
  EXPECT_EQ(ask<NodeCertificateIssued>(ca, join()).error, log->answer);
  log->answer = {};
  log->silent = true;
  EXPECT_EQ(ask_for<NodeCertificateIssued>(seconds{11}, ca, join()).error.code, errc::deadline_exceeded);
  log->silent = false;
  EXPECT_TRUE(ask<NodeCertificateIssued>(ca, join()).value) << "and the failed ones no longer count as joining";
}

TEST_F(ca_actor_test, wrong_tokens_are_refused_without_a_proposal) {
  start();
  auto wrong = join();
  wrong.set_join_token("x");
  EXPECT_EQ(ask<NodeCertificateIssued>(ca, wrong).error.code, errc::invalid_argument);
  EXPECT_TRUE(log->proposed.empty());
}

TEST_F(ca_actor_test, a_manager_that_no_longer_leads_renews_nothing) {
  auto& node = *state->snapshot.add_nodes();
  node.set_id(id128::random(rng).str());
  node.set_certificate_role(NODE_ROLE_WORKER);
  start();
  RenewNodeCertificate renew;
  renew.set_node_id(node.id());
  renew.set_public_key_der(key.public_key_der());
  EXPECT_EQ(ask<NodeCertificateIssued>(ca, renew).value->role(), NODE_ROLE_WORKER);
  log->answer = {errc::not_leader, "n2 leads"};
  EXPECT_EQ(ask<NodeCertificateIssued>(ca, renew).error, log->answer);
}

TEST_F(ca_actor_test, the_root_is_there_for_everybody) {
  start();
  EXPECT_EQ(ask<RootCertificate>(ca, ReadRootCertificate{}).value->pem(), state->snapshot.cluster().root_ca().certificate_pem());
}

TEST_F(ca_actor_test, a_rotation_ends_and_a_lost_end_is_tried_again) {
  auto& node = *state->snapshot.add_nodes();
  node.set_id(id128::random(rng).str());
  start();
  auto cluster = state->snapshot.cluster();
  cluster.mutable_spec()->mutable_ca_config()->set_force_rotate(1);
  ASSERT_TRUE(follow_ca_config(cluster, actor_registry::wall_now_ns()).ok());
  *node.mutable_description()->mutable_tls_info() = cluster.tls_info();
  EventBatch batch;
  batch.set_log_index(1);
  *batch.add_clusters()->mutable_cluster() = cluster;
  *batch.add_nodes()->mutable_node() = node;
  log->answer = {errc::not_leader, "n2 leads"};
  state->tell(batch);
  settle();
  ASSERT_EQ(log->proposed.size(), 1u);
  log->answer = {};
  advance(seconds{2}, milliseconds{100});
  ASSERT_EQ(log->proposed.size(), 2u);
  EXPECT_FALSE(log->proposed[1].actions(0).put_cluster().cluster().root_ca().has_rotation());
}

} // namespace
} // namespace swarm::ca
