// The CA's rules: tokens, repeated requests, removed nodes, roles, and a root that is replaced.
#include "actors/ca/ca_desk.hpp"

#include <gtest/gtest.h>

#include "actors/ca/certificates.hpp"
#include "actors/ca/join_token.hpp"
#include "actors/ca/root_rotation.hpp"
#include "runtime/crypto/x509.hpp"
#include "runtime/ids.hpp"

namespace swarm::ca {
namespace {

constexpr wall_ns now = 1'750'000'000'000'000'000;

struct ca_core_test : testing::Test {
  StoreSnapshot state;
  core ca{options{2}, random_source{1}};
  random_source rng{7};

  void SetUp() override {
    auto& cluster = *state.mutable_cluster();
    cluster.set_id(id128::random(rng).str());
    cluster.mutable_meta()->mutable_version()->set_index(5);
    *cluster.mutable_root_ca() = create_root(now);
    *cluster.mutable_tls_info() = tls_info(cluster.root_ca().certificate_pem());
    cluster.mutable_spec()->mutable_ca_config()->set_node_cert_expiry(duration{hours{48}}.count());
    ca.load(state);
  }
  const Cluster& cluster() const { return state.cluster(); }
  const RootCA& root() const { return state.cluster().root_ca(); }

  IssueNodeCertificate request(const std::string& token, const crypto::private_key& key, const std::string& id = {}) {
    IssueNodeCertificate out;
    out.set_join_token(token);
    out.set_public_key_der(key.public_key_der());
    out.set_node_id(id);
    return out;
  }
  IssueNodeCertificate request() { return request(root().join_tokens().worker(), crypto::private_key::generate(), id128::random(rng).str()); }
  std::optional<node_subject> who(const core::decision& d) const {
    return verify_node_certificate(d.answer.certificate_pem(), d.answer.root_pem(), now);
  }
  /// The store has applied what was proposed.
  void commit(const Command& command) {
    EventBatch batch;
    for (const auto& action : command.actions()) {
      if (action.has_put_node()) {
        *batch.add_nodes()->mutable_node() = action.put_node().node();
        *state.add_nodes() = action.put_node().node();
      }
      if (action.has_put_cluster()) {
        *batch.add_clusters()->mutable_cluster() = action.put_cluster().cluster();
        *state.mutable_cluster() = action.put_cluster().cluster();
      }
    }
    ca.apply(batch);
  }
  void put(const Node& node, ChangeKind kind = CHANGE_KIND_UPDATED) {
    EventBatch batch;
    batch.add_nodes()->set_kind(kind);
    *batch.mutable_nodes(0)->mutable_node() = node;
    ca.apply(batch);
  }
  void put_cluster() {
    EventBatch batch;
    *batch.add_clusters()->mutable_cluster() = state.cluster();
    ca.apply(batch);
  }
  Node joined() {
    const auto d = ca.join(now, request());
    commit(*d.command);
    ca.joined();
    return d.command->actions(0).put_node().node();
  }
};

TEST_F(ca_core_test, attempts_to_join_are_limited_in_rate) {
  ca = core{options{2, 10, 5}, random_source{1}};
  ca.load(state);
  const auto guess = [&](wall_ns at) { return ca.join(at, request("SWMTKN-1-guess-guess", crypto::private_key::generate())).refused.code; };
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(guess(now), errc::invalid_argument) << "a burst is looked at";
  EXPECT_EQ(guess(now), errc::resource_exhausted);
  EXPECT_EQ(ca.join(now, request()).refused.code, errc::resource_exhausted) << "nobody learns whether the token was right";
  EXPECT_EQ(guess(now - 5'000'000'000), errc::resource_exhausted) << "a clock that is set back gives nothing";
  EXPECT_TRUE(ca.join(now - 4'900'000'000, request()).refused.ok()) << "one each tenth of a second";
  EXPECT_EQ(guess(now - 4'900'000'000), errc::resource_exhausted);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(guess(now + 60'000'000'000), errc::invalid_argument) << "a quiet minute gives one burst, not sixty";
  EXPECT_EQ(guess(now + 60'000'000'000), errc::resource_exhausted);
}

TEST_F(ca_core_test, a_worker_token_makes_a_worker_and_a_manager_token_a_manager) {
  const auto key = crypto::private_key::generate();
  const auto id = id128::random(rng).str();
  auto asked = request(root().join_tokens().worker(), key, id);
  asked.set_availability(NODE_AVAILABILITY_DRAIN);
  const auto worker = ca.join(now, asked);
  ASSERT_TRUE(worker.refused.ok()) << worker.refused.message;
  const auto& node = worker.command->actions(0).put_node().node();
  EXPECT_EQ(node.id(), id);
  EXPECT_EQ(node.spec().role(), NODE_ROLE_WORKER);
  EXPECT_EQ(node.certificate_role(), NODE_ROLE_WORKER);
  EXPECT_EQ(node.spec().availability(), NODE_AVAILABILITY_DRAIN);
  EXPECT_EQ(node.status().state(), NODE_STATE_UNKNOWN);
  EXPECT_FALSE(worker.command->actions(0).put_node().has_expected_version()) << "refused when it exists by then";
  ASSERT_TRUE(who(worker));
  EXPECT_EQ(who(worker)->node_id, id);
  EXPECT_EQ(who(worker)->cluster_id, cluster().id());
  EXPECT_EQ(who(worker)->role, NODE_ROLE_WORKER);
  const auto leaf = crypto::certificate::parse_pem(worker.answer.certificate_pem());
  EXPECT_TRUE(leaf->front().belongs_to(key));
  EXPECT_EQ(leaf->front().not_after(), now + duration{hours{48}}.count()) << "as the cluster's spec says";

  const auto manager = ca.join(now, request(root().join_tokens().manager(), crypto::private_key::generate()));
  EXPECT_EQ(who(manager)->role, NODE_ROLE_MANAGER);
  EXPECT_EQ(manager.command->actions(0).put_node().node().spec().role(), NODE_ROLE_MANAGER);
  EXPECT_EQ(manager.command->actions(0).put_node().node().spec().availability(), NODE_AVAILABILITY_ACTIVE);
}

TEST_F(ca_core_test, tokens_that_are_not_valid_now_are_refused_in_swarms_words) {
  auto other = root();
  rotate_join_tokens(*other.mutable_join_tokens(), other.certificate_pem(), true, true);
  for (const auto& token : {std::string{}, std::string{"x"}, other.join_tokens().worker()})
    EXPECT_EQ(ca.join(now, request(token, crypto::private_key::generate())).refused,
              (failure{errc::invalid_argument, "A valid join token is necessary to join this cluster"}));
}

TEST_F(ca_core_test, a_request_is_repeated_without_harm_but_gives_nothing_in_anothers_name) {
  const auto asked = request();
  const auto first = ca.join(now, asked);
  commit(*first.command);
  const auto again = ca.join(now, asked);
  EXPECT_FALSE(again.command) << "the node is there";
  EXPECT_EQ(who(again)->node_id, asked.node_id());
  auto thief = request(root().join_tokens().worker(), crypto::private_key::generate(), asked.node_id());
  EXPECT_EQ(ca.join(now, thief).refused.code, errc::invalid_argument);
  EXPECT_EQ(ca.join(now, request(root().join_tokens().worker(), crypto::private_key::generate(), "not an id")).refused.code,
            errc::invalid_argument);
}

TEST_F(ca_core_test, a_bad_public_key_is_refused_and_leaves_nothing_behind) {
  auto asked = request();
  asked.set_public_key_der("junk");
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(ca.join(now, asked).refused.code, errc::invalid_argument);
  EXPECT_TRUE(ca.join(now, request()).refused.ok());
}

TEST_F(ca_core_test, no_more_nodes_join_at_a_time_than_the_bound) {
  EXPECT_TRUE(ca.join(now, request()).refused.ok());
  EXPECT_TRUE(ca.join(now, request()).refused.ok());
  EXPECT_EQ(ca.join(now, request()).refused.code, errc::resource_exhausted);
  ca.joined();
  EXPECT_TRUE(ca.join(now, request()).refused.ok());
}

TEST_F(ca_core_test, a_renewal_has_the_role_that_the_state_says) {
  auto node = joined();
  RenewNodeCertificate renew;
  renew.set_node_id(node.id());
  renew.set_public_key_der(crypto::private_key::generate().public_key_der());
  EXPECT_EQ(who(ca.renew(now, renew))->role, NODE_ROLE_WORKER);
  node.set_certificate_role(NODE_ROLE_MANAGER);
  put(node);
  EXPECT_EQ(who(ca.renew(now, renew))->role, NODE_ROLE_MANAGER);
}

TEST_F(ca_core_test, removed_and_unknown_nodes_get_nothing) {
  const auto node = joined();
  RenewNodeCertificate renew;
  renew.set_node_id(node.id());
  renew.set_public_key_der(crypto::private_key::generate().public_key_der());
  put(node, CHANGE_KIND_REMOVED);
  EXPECT_EQ(ca.renew(now, renew).refused.code, errc::not_found);
  state.mutable_cluster()->add_removed_nodes()->set_node_id(node.id());
  put_cluster();
  const failure removed{errc::permission_denied, "node " + node.id() + " was removed from swarm"};
  EXPECT_EQ(ca.renew(now, renew).refused, removed);
  EXPECT_EQ(ca.join(now, request(root().join_tokens().worker(), crypto::private_key::generate(), node.id())).refused, removed);
}

TEST_F(ca_core_test, before_the_state_is_there_nothing_is_issued) {
  core empty{options{}, random_source{1}};
  EXPECT_EQ(empty.join(now, request()).refused.code, errc::unavailable);
  EXPECT_EQ(empty.renew(now, {}).refused.code, errc::unavailable);
  EXPECT_FALSE(empty.root());
}

// -- rotation ----------------------------------------------------------------------------------------------------------------

struct rotation_test : ca_core_test {
  std::string old_pem;
  Node node;
  void SetUp() override {
    ca_core_test::SetUp();
    old_pem = root().certificate_pem();
    node = joined();
    report(old_pem);
  }
  void report(const std::string& issuer) {
    *node.mutable_description()->mutable_tls_info() = tls_info(issuer);
    put(node);
  }
  void begin() {
    auto& cluster = *state.mutable_cluster();
    cluster.mutable_spec()->mutable_ca_config()->set_force_rotate(cluster.spec().ca_config().force_rotate() + 1);
    ASSERT_TRUE(follow_ca_config(cluster, now).ok());
    put_cluster();
  }
};

TEST_F(rotation_test, everybody_can_verify_everybody_at_any_moment) {
  const auto before = ca.join(now, request());
  begin();
  EXPECT_TRUE(cluster().root_rotation_in_progress());
  EXPECT_EQ(ca.root()->pem(), old_pem) << "tokens are the old ones until the end";
  const auto during = ca.join(now, request());
  ASSERT_TRUE(during.refused.ok());
  const auto fresh_pem = root().rotation().certificate_pem();
  EXPECT_EQ(during.answer.root_pem(), old_pem + fresh_pem);
  EXPECT_TRUE(verify_node_certificate(during.answer.certificate_pem(), old_pem, now)) << "by who has not heard of it";
  EXPECT_TRUE(verify_node_certificate(during.answer.certificate_pem(), fresh_pem, now)) << "by who has done with the old one";
  EXPECT_TRUE(verify_node_certificate(before.answer.certificate_pem(), old_pem + fresh_pem, now));
  EXPECT_FALSE(verify_node_certificate(before.answer.certificate_pem(), fresh_pem, now));
  EXPECT_TRUE(issued_by_last(during.answer.certificate_pem(), during.answer.root_pem()));
  EXPECT_FALSE(issued_by_last(before.answer.certificate_pem(), during.answer.root_pem())) << "to be renewed";
  EXPECT_EQ(node_tls_info(during.answer.certificate_pem(), during.answer.root_pem()).cert_issuer_public_key(),
            cluster().tls_info().cert_issuer_public_key());
}

TEST_F(rotation_test, it_ends_when_the_last_node_has_renewed) {
  begin();
  EXPECT_TRUE(ca.rotating());
  EXPECT_EQ(ca.lagging(), 1u);
  EXPECT_FALSE(ca.next_command(now));
  const auto fresh = root().rotation().certificate_pem();
  const auto token = root().join_tokens().worker();
  report(fresh);
  const auto end = ca.next_command(now);
  ASSERT_TRUE(end);
  EXPECT_FALSE(ca.next_command(now)) << "one at a time";
  EXPECT_EQ(end->actions(0).put_cluster().expected_version(), 5u);
  commit(*end);
  ca.written();
  EXPECT_FALSE(ca.rotating());
  EXPECT_FALSE(cluster().root_rotation_in_progress());
  EXPECT_EQ(root().certificate_pem(), fresh);
  EXPECT_EQ(cluster().tls_info().trust_root(), fresh);
  EXPECT_NE(root().join_tokens().worker(), token);
  EXPECT_TRUE(token_fits_root(*parse_join_token(root().join_tokens().worker()), fresh));
  EXPECT_FALSE(ca.next_command(now));
}

TEST_F(rotation_test, a_node_that_is_removed_is_not_waited_for) {
  begin();
  put(node, CHANGE_KIND_REMOVED);
  Node other = node;
  other.set_id(id128::random(rng).str());
  *other.mutable_description()->mutable_tls_info() = cluster().tls_info();
  put(other);
  EXPECT_TRUE(ca.next_command(now));
}

TEST_F(rotation_test, a_second_one_supersedes_the_first_and_giving_the_old_root_calls_it_off) {
  const auto old_key = root().private_key_pem();
  begin();
  const auto first = root().rotation().certificate_pem();
  begin();
  EXPECT_NE(root().rotation().certificate_pem(), first);
  EXPECT_EQ(root().certificate_pem(), old_pem);
  auto& config = *state.mutable_cluster()->mutable_spec()->mutable_ca_config();
  config.set_signing_ca_cert(old_pem);
  config.set_signing_ca_key(old_key);
  ASSERT_TRUE(follow_ca_config(*state.mutable_cluster(), now).ok());
  EXPECT_FALSE(root().has_rotation());
  EXPECT_FALSE(cluster().root_rotation_in_progress());
  EXPECT_EQ(config.signing_ca_key(), "") << "the key lives in the root only";
}

TEST_F(rotation_test, an_operators_root_is_taken_and_what_is_wrong_with_it_is_said) {
  const auto theirs = create_root(now);
  auto copy = cluster();
  auto& config = *copy.mutable_spec()->mutable_ca_config();
  const auto refused = [&](const std::string& cert, const std::string& key) {
    config.set_signing_ca_cert(cert);
    config.set_signing_ca_key(key);
    auto trial = copy;
    return follow_ca_config(trial, now);
  };
  EXPECT_EQ(refused("", theirs.private_key_pem()),
            (failure{errc::invalid_argument, "if a signing CA key is provided, the signing CA cert must also be provided"}));
  EXPECT_EQ(refused(theirs.certificate_pem(), "").message,
            "there must be at least one valid, reachable external CA corresponding to the desired CA certificate");
  EXPECT_EQ(refused(theirs.certificate_pem(), root().private_key_pem()).code, errc::invalid_argument);
  EXPECT_EQ(refused(theirs.certificate_pem() + old_pem, theirs.private_key_pem()).message,
            "the desired CA certificate cannot contain multiple certificates");
  ASSERT_TRUE(refused(theirs.certificate_pem(), theirs.private_key_pem()).ok());
  config.set_signing_ca_cert(theirs.certificate_pem());
  config.set_signing_ca_key(theirs.private_key_pem());
  ASSERT_TRUE(follow_ca_config(copy, now).ok());
  EXPECT_EQ(copy.root_ca().rotation().certificate_pem(), theirs.certificate_pem());
  EXPECT_EQ(copy.tls_info().cert_issuer_public_key(), tls_info(theirs.certificate_pem()).cert_issuer_public_key());
  EXPECT_EQ(copy.tls_info().trust_root(), old_pem);
}

TEST_F(rotation_test, an_update_that_asks_for_nothing_new_changes_nothing) {
  const auto before = cluster().SerializeAsString();
  ASSERT_TRUE(follow_ca_config(*state.mutable_cluster(), now).ok());
  EXPECT_EQ(cluster().SerializeAsString(), before);
}

} // namespace
} // namespace swarm::ca
