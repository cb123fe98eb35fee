// Who gets a link and who does not, over real TLS.
#include "runtime/link/one_shot.hpp"
#include "tests/runtime/link/link_fixture.hpp"
#include "tests/runtime/link/raw_client.hpp"

namespace swarm::link::test {
namespace {

using link_handshake = link_fixture;

TEST_F(link_handshake, both_ends_know_each_other_by_certificate) {
  end_point a{io, link_pki::store(pki.manager("a"))}, b{io, link_pki::store(pki.worker("b"))};
  const auto addr = a.listen();
  ASSERT_TRUE(b.dial(addr, "a"));
  ASSERT_TRUE(a.wait_up() && b.wait_up());
  EXPECT_EQ(a.ups[0]->peer().node_id, "b");
  EXPECT_EQ(a.ups[0]->peer().role, PEER_ROLE_WORKER);
  EXPECT_FALSE(a.ups[0]->dialled());
  EXPECT_EQ(b.ups[0]->peer().node_id, "a");
  EXPECT_EQ(b.ups[0]->peer().role, PEER_ROLE_MANAGER);
  EXPECT_EQ(b.ups[0]->peer().cluster_id, pki.cluster());
  EXPECT_EQ(b.ups[0]->addr(), addr);
  EXPECT_EQ(b.ups[0]->hello().software(), "swarm-node");
  EXPECT_EQ(a.raw().stats().strangers, 0U);
}

TEST_F(link_handshake, bad_certificates_are_refused_by_the_server_and_counted) {
  const link_pki foreign; // the same names under another root
  const std::pair<const char*, credentials> bad[] = {
      {"foreign root", foreign.manager("b")},
      {"expired", pki.node("b", {"swarm-worker", "", -hours{48}, -hours{1}})},
      {"not yet valid", pki.node("b", {"swarm-worker", "", hours{1}, hours{2}})},
      {"another cluster", pki.node("b", {"swarm-worker", "cluster2"})},
      {"no such role", pki.node("b", {"swarm-king"})},
      {"no role", pki.node("b", {""})},
  };
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto addr = a.listen();
  std::uint64_t refused = 0;
  for (const auto& [what, who] : bad) {
    raw_client b{addr, who.certificate_pem, who.key_pem};
    EXPECT_TRUE(b.closed_by_peer()) << what;
    ++refused;
    EXPECT_TRUE(eventually([&] { return a.raw().stats().handshakes_failed == refused; })) << what;
  }
  EXPECT_TRUE(a.locked([&] { return a.ups.empty(); }));
  EXPECT_TRUE(eventually([&] { return a.raw().stats().connections == 0 && a.raw().stats().strangers == 0; }));
}

TEST_F(link_handshake, older_tls_and_other_protocols_get_nowhere) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto addr = a.listen();
  raw_client old{addr, "", "", TLS1_2_VERSION};
  EXPECT_TRUE(old.closed_by_peer());
  plain_client http{addr};
  http.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(http.closed_by_peer());
  EXPECT_TRUE(eventually([&] { return a.raw().stats().handshakes_failed == 2; }));
}

TEST_F(link_handshake, a_server_must_be_a_manager_and_the_one_expected) {
  end_point worker{io, link_pki::store(pki.worker("w"))}, manager{io, link_pki::store(pki.manager("a"))};
  const auto worker_addr = worker.listen(), manager_addr = manager.listen();
  end_point b{io, link_pki::store(pki.manager("b"))};
  ASSERT_TRUE(b.dial(worker_addr));
  ASSERT_TRUE(b.wait_down(1));
  EXPECT_NE(b.downs[0].message.find("not a manager"), std::string::npos) << b.downs[0].message;
  ASSERT_TRUE(b.dial(manager_addr, "somebody-else"));
  ASSERT_TRUE(b.wait_down(2));
  EXPECT_NE(b.downs[1].message.find("is node a"), std::string::npos) << b.downs[1].message;
  const link_pki foreign;
  auto trusting_others = pki.manager("c");
  trusting_others.roots_pem = foreign.root_pem();
  end_point c{io, link_pki::store(trusting_others)};
  ASSERT_TRUE(c.dial(manager_addr));
  ASSERT_TRUE(c.wait_down());
  EXPECT_TRUE(c.ups.empty());
}

TEST_F(link_handshake, without_a_certificate_a_peer_is_anonymous) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto addr = a.listen();
  end_point outsider{io, link_pki::store({"", "", "", pki.root_pem()})};
  ASSERT_TRUE(outsider.dial(addr));
  ASSERT_TRUE(outsider.wait_up() && a.wait_up());
  EXPECT_EQ(a.ups[0]->peer(), identity{});
  EXPECT_EQ(outsider.ups[0]->peer().node_id, "a");
  EXPECT_EQ(a.raw().stats().strangers, 1U);
  EXPECT_FALSE(outsider.raw().listen("127.0.0.1:0").ok()) << "who has no certificate cannot listen";
}

TEST_F(link_handshake, an_unverified_dial_learns_nothing_about_the_peer) {
  const link_pki foreign;
  end_point a{io, link_pki::store(foreign.manager("a"))};
  const auto addr = a.listen();
  end_point outsider{io, link_pki::store({})};
  EXPECT_FALSE(outsider.dial(addr)) << "verified, but nobody to believe";
  ASSERT_TRUE(outsider.dial(addr, "", false));
  ASSERT_TRUE(outsider.wait_up());
  EXPECT_EQ(outsider.ups[0]->peer(), identity{});
}

TEST_F(link_handshake, nobody_there_is_told_at_once_and_names_need_a_port) {
  end_point b{io, link_pki::store(pki.manager("b"))};
  std::string addr;
  {
    end_point a{io, link_pki::store(pki.manager("a"))};
    addr = a.listen();
  }
  ASSERT_TRUE(b.dial(addr));
  ASSERT_TRUE(b.wait_down(1));
  EXPECT_NE(b.downs[0].message.find("connection refused"), std::string::npos) << b.downs[0].message;
  ASSERT_TRUE(b.dial("no port"));
  ASSERT_TRUE(b.wait_down(2));
  EXPECT_EQ(b.downs[1].code, errc::invalid_argument);
}

TEST_F(link_handshake, a_silent_server_is_given_up_at_the_deadline) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  limits lim;
  lim.handshake = milliseconds{200};
  end_point b{io, link_pki::store(pki.manager("b")), lim};
  ASSERT_TRUE(b.dial("127.0.0.1:" + std::to_string(ntohs(at.sin_port))));
  ASSERT_TRUE(b.wait_down());
  EXPECT_EQ(b.downs[0].code, errc::deadline_exceeded);
  ::close(fd);
}

TEST_F(link_handshake, credentials_that_do_not_fit_together_are_refused_and_the_old_ones_stay) {
  const auto good = pki.manager("a");
  const auto store = link_pki::store(good);
  const auto before = store->current();
  auto mixed = good;
  mixed.key_pem = pki.manager("b").key_pem;
  EXPECT_EQ(store->replace(mixed).code, errc::invalid_argument);
  auto torn = good;
  torn.certificate_pem.resize(torn.certificate_pem.size() / 2);
  EXPECT_EQ(store->replace(torn).code, errc::invalid_argument);
  auto elsewhere = good;
  elsewhere.cluster_id = "cluster2";
  EXPECT_EQ(store->replace(elsewhere).code, errc::invalid_argument);
  auto rootless = good;
  rootless.roots_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  EXPECT_EQ(store->replace(rootless).code, errc::invalid_argument);
  EXPECT_EQ(store->current(), before);
}

TEST_F(link_handshake, renewal_serves_new_handshakes_and_drops_no_link) {
  end_point a{io, link_pki::store(pki.manager("a"))}, b{io, link_pki::store(pki.manager("b"))};
  const auto addr = a.listen();
  ASSERT_TRUE(b.dial(addr));
  ASSERT_TRUE(a.wait_up(1) && b.wait_up(1));
  // A root rotation: both roots are trusted, the certificate is of the new one.
  const link_pki next;
  auto renewed = next.manager("a");
  renewed.roots_pem += pki.root_pem();
  ASSERT_TRUE(a.credentials->replace(renewed).ok());
  ASSERT_TRUE(b.dial(addr));
  ASSERT_TRUE(b.wait_down(1)) << "who does not know the new root yet";
  auto knows = pki.manager("b");
  knows.roots_pem += next.root_pem();
  ASSERT_TRUE(b.credentials->replace(knows).ok());
  ASSERT_TRUE(b.dial(addr));
  ASSERT_TRUE(b.wait_up(2));
  EXPECT_EQ(b.ups[0]->send(priority::normal, tell("x", "Y")), sent::queued);
  EXPECT_TRUE(a.wait_received(1)) << "the first link lives on";
  EXPECT_EQ(b.locked([&] { return b.downs.size(); }), 1U);
}

TEST_F(link_handshake, a_link_ends_with_the_certificate_of_its_peer) {
  limits lim;
  lim.silence = milliseconds{300};
  end_point a{io, link_pki::store(pki.manager("a")), lim};
  end_point b{io, link_pki::store(pki.node("b", {"swarm-worker", "", -hours{1}, seconds{2}})), lim};
  ASSERT_TRUE(b.dial(a.listen()));
  ASSERT_TRUE(a.wait_up());
  ASSERT_TRUE(a.wait_down());
  EXPECT_EQ(a.downs[0].code, errc::permission_denied);
}

TEST_F(link_handshake, one_question_without_a_certificate) {
  end_point a{io, link_pki::store(pki.manager("a"))};
  const auto addr = a.listen();
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::pair<failure, std::string>> answers;
  const auto ask = [&](one_shot_target target) {
    ask_once(io, std::move(target), {"ca", "ReadRootCertificate", "?", "RootCertificate"}, [&](failure f, std::string payload) {
      const std::lock_guard lock{mutex};
      answers.emplace_back(std::move(f), std::move(payload));
      changed.notify_all();
    });
  };
  const auto answered = [&](std::size_t n) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, seconds{10}, [&] { return answers.size() >= n; });
  };
  const auto reply = [&](std::size_t n, Envelope::Kind kind, const std::string& type) {
    ASSERT_TRUE(a.wait_up(n) && a.wait_received(n));
    auto answer = tell("", type, "pem", a.received.back().request_id());
    answer.set_kind(kind);
    answer.set_code(static_cast<std::uint32_t>(errc::permission_denied));
    answer.set_message("no");
    a.ups.back()->send(priority::normal, answer);
  };
  ask({addr, "", seconds{10}});
  reply(1, Envelope::KIND_REPLY, "RootCertificate");
  ASSERT_TRUE(answered(1));
  EXPECT_TRUE(answers[0].first.ok());
  EXPECT_EQ(answers[0].second, "pem");
  EXPECT_EQ(a.received[0].to(), "ca");
  EXPECT_EQ(a.received[0].kind(), Envelope::KIND_ASK);

  ask({addr, pki.root_pem(), seconds{10}});
  reply(2, Envelope::KIND_ERROR, "");
  ASSERT_TRUE(answered(2));
  EXPECT_EQ(answers[1].first, (failure{errc::permission_denied, "no"}));

  ask({addr, pki.root_pem(), seconds{10}});
  reply(3, Envelope::KIND_REPLY, "Written");
  ASSERT_TRUE(answered(3));
  EXPECT_EQ(answers[2].first.code, errc::unavailable) << "not what was asked for";

  ask({addr, link_pki{}.root_pem(), seconds{10}});
  ASSERT_TRUE(answered(4));
  EXPECT_EQ(answers[3].first.code, errc::unavailable) << "not under this root";

  ask({addr, pki.root_pem(), milliseconds{200}});
  ASSERT_TRUE(answered(5));
  EXPECT_EQ(answers[4].first.code, errc::deadline_exceeded);
  EXPECT_TRUE(a.wait_down(4)) << "and every one hung up";
}

} // namespace
} // namespace swarm::link::test
