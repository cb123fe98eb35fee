// A host that wants a certificate: answers in, questions and refusals out.
#include "actors/node/join_steps.hpp"

#include <gtest/gtest.h>

#include "actors/ca/certificates.hpp"
#include "runtime/crypto/bytes.hpp"

namespace swarm::node {
namespace {

const instant begin{seconds{100}};

struct join_core_test : testing::Test {
  RootCA root = ca::create_root(1'750'000'000'000'000'000);
  std::string pem = root.certificate_pem();
  ca::parsed_token token = *ca::parse_join_token(root.join_tokens().worker());
  join_steps core{{"10.0.0.1:2377", "10.0.0.2:2377"}, token, begin, 1};
  const failure unreachable{errc::unavailable, "connect: connection refused"};

  template <class E>
  static E as(const join_steps::effect& effect) {
    const auto* found = std::get_if<E>(&effect);
    EXPECT_NE(found, nullptr) << "another effect, number " << effect.index();
    return found == nullptr ? E{} : *found;
  }
};

TEST_F(join_core_test, the_root_is_compared_with_the_token_before_anything_else) {
  EXPECT_EQ(as<join_steps::ask_root>(core.begin()).addr, "10.0.0.1:2377");
  const auto question = as<join_steps::ask_certificate>(core.root_read(begin, {}, pem));
  EXPECT_EQ(question.addr, "10.0.0.1:2377");
  EXPECT_EQ(question.root_pem, pem);
  NodeCertificateIssued issued;
  issued.set_node_id("n");
  EXPECT_EQ(as<join_steps::accepted>(core.issued(begin, {}, issued)).issued.node_id(), "n");
}

TEST_F(join_core_test, another_root_ends_it_at_once) {
  const auto other = ca::create_root(1'750'000'000'000'000'000);
  const auto refused = as<join_steps::refused>(core.root_read(begin, {}, other.certificate_pem()));
  EXPECT_EQ(refused.why, (failure{errc::internal, "remote CA does not match fingerprint. Expected: " + crypto::hex(token.root_digest)}));
  EXPECT_EQ(crypto::hex(token.root_digest).size(), 64u);
}

TEST_F(join_core_test, a_wrong_secret_ends_it_at_once) {
  (void)core.root_read(begin, {}, pem);
  const failure no{errc::invalid_argument, "A valid join token is necessary to join this cluster"};
  EXPECT_EQ(as<join_steps::refused>(core.issued(begin, no, {})).why,
            (failure{errc::invalid_argument,
                     "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster"}));
}

TEST_F(join_core_test, the_next_address_is_asked_at_once_and_the_first_again_after_a_while) {
  EXPECT_EQ(as<join_steps::ask_root>(core.root_read(begin, unreachable, {})).addr, "10.0.0.2:2377");
  as<join_steps::nothing>(core.root_read(begin, unreachable, {}));
  as<join_steps::nothing>(core.tick(begin + milliseconds{100}));
  EXPECT_EQ(as<join_steps::ask_root>(core.tick(begin + milliseconds{250})).addr, "10.0.0.1:2377");
  as<join_steps::nothing>(core.tick(begin + milliseconds{300}));
}

TEST_F(join_core_test, after_ten_seconds_without_an_answer_the_last_error_is_the_answer) {
  auto now = begin;
  auto effect = core.begin();
  int questions = 0;
  for (; !std::holds_alternative<join_steps::refused>(effect) && now < begin + seconds{30}; now += milliseconds{100}) {
    if (std::holds_alternative<join_steps::ask_root>(effect)) {
      ++questions;
      effect = core.root_read(now, unreachable, {});
    } else {
      effect = core.tick(now);
    }
  }
  EXPECT_GE(now, begin + seconds{10});
  EXPECT_LE(now, begin + seconds{12});
  EXPECT_GT(questions, 10);
  EXPECT_LT(questions, 50) << "with a back-off";
  const auto why = as<join_steps::refused>(effect).why;
  EXPECT_EQ(why.code, errc::unavailable);
  EXPECT_TRUE(why.message.starts_with("rpc error: code = Unavailable desc = connection error: ")) << why.message;
  EXPECT_NE(why.message.find("connection refused"), std::string::npos);
}

TEST_F(join_core_test, a_manager_without_a_leader_is_asked_again) {
  (void)core.root_read(begin, {}, pem);
  EXPECT_EQ(as<join_steps::ask_root>(core.issued(begin, {errc::not_leader, "no leader is known"}, {})).addr, "10.0.0.2:2377");
}

} // namespace
} // namespace swarm::node
