// The life of links: up, lost, back, refused; who may say what; questions and their ends.
#include "tests/actors/links/links_fixture.hpp"

#include <algorithm>
#include <set>

#include "actors/links/outsider_actor.hpp"
#include "runtime/link/one_shot.hpp"

namespace swarm::links::test {
namespace {

using links_life = links_fixture;

TEST_F(links_life, a_link_is_told_of_to_both_and_to_those_who_ask_later) {
  auto a = manager("a"), b = manager("b");
  join(*b, "b", *a, "a");
  ASSERT_TRUE(a->changes->wait(1) && b->changes->wait(1));
  const auto news = b->changes->all()[0];
  EXPECT_EQ(news.node_id(), "a");
  EXPECT_EQ(news.addr(), a->addr);
  EXPECT_EQ(news.role(), NODE_ROLE_MANAGER);
  EXPECT_TRUE(news.up());
  const auto late = std::make_shared<record<LinkChanged>>();
  const auto listener = system.spawn([late](link_listener::pointer) -> link_listener::behavior_type {
    return {[late](const LinkChanged& n) { late->add(n); }, [](const LeaderHint&) {}};
  });
  caf::anon_send(a->part.actor, subscribe_atom_v, listener);
  ASSERT_TRUE(late->wait(1));
  EXPECT_EQ(late->all()[0].node_id(), "b");
  caf::anon_send_exit(listener, caf::exit_reason::kill);
}

TEST_F(links_life, managers_that_dial_each_other_at_once_end_with_one_link) {
  for (int round = 0; round < 5; ++round) {
    auto a = manager("a"), b = manager("b");
    a->connect("b", b->addr);
    b->connect("a", a->addr);
    ASSERT_TRUE(a->wait_linked("b") && b->wait_linked("a"));
    ASSERT_TRUE(eventually([&] { return a->fact("connections") == "1" && b->fact("connections") == "1"; }));
    std::this_thread::sleep_for(milliseconds{50});
    EXPECT_TRUE(eventually([&] { return a->linked("b") && b->linked("a"); }));
    EXPECT_EQ(a->fact("connections"), "1");
    const auto to_b = a->part.directory->find("b");
    ASSERT_TRUE(to_b);
  }
}

TEST_F(links_life, a_peer_that_comes_back_is_linked_again_without_being_asked) {
  auto a = manager("a"), b = manager("b");
  join(*b, "b", *a, "a");
  const auto addr = a->addr;
  a->stop();
  ASSERT_TRUE(b->wait_unlinked("a"));
  ASSERT_TRUE(b->changes->wait(2));
  EXPECT_FALSE(b->changes->all()[1].up());
  EXPECT_NE(b->changes->all()[1].reason(), "");
  host again{system, io, pki.manager("a")};
  ASSERT_TRUE(eventually([&] { return again.listen(addr) == addr; }));
  EXPECT_TRUE(b->wait_linked("a"));
  ForgetPeer forget;
  forget.set_node_id("a");
  b->say(forget);
  EXPECT_TRUE(again.wait_unlinked("b"));
  std::this_thread::sleep_for(milliseconds{300});
  EXPECT_FALSE(again.linked("b")) << "forgotten means forgotten";
}

TEST_F(links_life, renewed_credentials_drop_no_link_and_serve_the_next_one) {
  auto a = manager("a"), b = manager("b");
  join(*b, "b", *a, "a");
  ASSERT_TRUE(a->credentials->replace(pki.manager("a")).ok());
  auto c = worker("c");
  join(*c, "c", *a, "a");
  EXPECT_TRUE(b->linked("a"));
  EXPECT_EQ(b->changes->size(), 1U);
}

TEST_F(links_life, who_leads_is_told_to_every_peer_now_and_later) {
  auto a = manager("a");
  auto w = worker("w");
  join(*w, "w", *a, "a");
  LeaderHint hint;
  hint.set_node_id("b");
  hint.set_addr("10.0.0.2:2377");
  hint.set_term(3);
  a->say(hint);
  ASSERT_TRUE(w->hints->wait(1));
  EXPECT_EQ(w->hints->all()[0].addr(), "10.0.0.2:2377");
  auto later = worker("x");
  join(*later, "x", *a, "a");
  ASSERT_TRUE(later->hints->wait(1));
  EXPECT_EQ(later->hints->all()[0].term(), 3U);
  w->say(hint); // a worker's word on that counts for nothing
  std::this_thread::sleep_for(milliseconds{50});
  EXPECT_EQ(a->hints->size(), 0U);
  EXPECT_EQ(a->fact("refused", "w"), "1");
}

TEST_F(links_life, a_removed_node_is_cut_off_told_why_and_refused_afterwards) {
  auto a = manager("a");
  auto w = worker("w");
  join(*w, "w", *a, "a");
  PeerRoles roles;
  roles.add_removed("w");
  a->say(roles);
  ASSERT_TRUE(a->wait_unlinked("w"));
  ASSERT_TRUE(w->changes->wait(2));
  EXPECT_EQ(w->changes->all()[1].reason(), "node w was removed from swarm");
  EXPECT_TRUE(eventually([&] { return std::stoi(a->fact("refused")) >= 1; }));
  EXPECT_FALSE(a->linked("w"));
  a->say(PeerRoles{});
  EXPECT_TRUE(a->wait_linked("w"));
}

// -- questions ---------------------------------------------------------------------------------------------------------------

TEST_F(links_life, questions_are_answered_and_refusals_keep_their_code_and_text) {
  auto a = manager("a"), b = manager("b");
  join(*b, "b", *a, "a");
  const auto control = b->proxy<control_actor>("a", "control");
  EXPECT_EQ(ask<Written>(control, ControlRequest{}).error.code, errc::unavailable) << "nobody there yet";
  local_destinations here;
  here.control = fake_control("a");
  a->say(here);
  ASSERT_TRUE(eventually([&] { return ask<Written>(control, ControlRequest{}).value.has_value(); }));
  EXPECT_EQ(ask<Written>(control, ControlRequest{}).value->id(), "a");
  here.control = fake_control("a", {errc::out_of_sequence, "update out of sequence"});
  a->say(here);
  EXPECT_TRUE(eventually([&] {
    return ask<Written>(control, ControlRequest{}).error == failure{errc::out_of_sequence, "update out of sequence"};
  })) << "replaced at run time";
  here.control = control_actor{};
  here.absent = {errc::not_leader, "this node does not lead: ask 10.0.0.9:2377"};
  a->say(here);
  EXPECT_TRUE(eventually([&] { return ask<Written>(control, ControlRequest{}).error == here.absent; })) << "withdrawn";
}

TEST_F(links_life, clauses_that_are_local_by_nature_do_not_cross_hosts) {
  auto a = manager("a"), b = manager("b");
  join(*b, "b", *a, "a");
  const auto raft = b->proxy<raft_actor>("a", "raft");
  EXPECT_EQ(ask<CommandResult>(raft, Command{}).error.code, errc::unimplemented);
  EXPECT_EQ(ask<MembershipRead>(raft, ReadMembership{}).error.code, errc::unimplemented);
  EXPECT_TRUE(ask<ActorStatus>(raft, ReadStatus{}).value) << "of the stand-in itself";
}

TEST_F(links_life, stand_ins_of_actors_without_a_state_to_tell_have_one) {
  auto a = manager("a");
  const auto source = caf::actor_cast<caf::actor>(a->proxy<log_source>("b", "agent"));
  const auto peers = caf::actor_cast<caf::actor>(spawn_raft_peers(system, a->part));
  EXPECT_TRUE(ask<ActorStatus>(source, ReadStatus{}).value);
  EXPECT_TRUE(ask<ActorStatus>(peers, ReadStatus{}).value);
}

TEST_F(links_life, large_answers_arrive_and_too_large_ones_are_an_error) {
  auto opts = host::quick();
  opts.limits.message_bytes = 7 << 20;
  auto a = manager("a", opts), b = manager("b", opts);
  join(*b, "b", *a, "a");
  local_destinations here;
  here.control = fake_control("a");
  a->say(here);
  const auto control = b->proxy<control_actor>("a", "control");
  ReadObjects request;
  request.set_key("xxxxxx");
  ASSERT_TRUE(eventually([&] { return ask<ObjectsRead>(control, request).value.has_value(); }));
  EXPECT_EQ(ask<ObjectsRead>(control, request).value->configs_size(), 6);
  request.set_key("xxxxxxxx");
  EXPECT_EQ(ask<ObjectsRead>(control, request).error.code, errc::resource_exhausted);
  EXPECT_TRUE(b->linked("a"));
}

TEST_F(links_life, questions_end_with_their_deadline_and_with_their_link) {
  link_options few;
  few.asks_max = 3;
  auto a = manager("a"), b = manager("b", host::quick(), few);
  join(*b, "b", *a, "a");
  local_destinations here;
  here.control = system.spawn([](control_actor::pointer self) -> control_actor::behavior_type {
    return {
      [self](const ControlRequest&) -> caf::result<Written> { return self->make_response_promise<Written>(); },
      [](const ReadObjects&) { return ObjectsRead{}; },
      [](const ReadUnlockKey&) { return UnlockKey{}; },
      [](const EventBatch&) {},
      [](const ReadStatus&) { return ActorStatus{}; },
    };
  });
  a->say(here);
  ASSERT_TRUE(eventually([&] { return a->part.directory->current()->destinations.contains("control"); }));
  const auto hurried = b->proxy<control_actor>("a", "control", milliseconds{200});
  EXPECT_EQ(ask<Written>(hurried, ControlRequest{}).error.code, errc::deadline_exceeded);
  EXPECT_TRUE(eventually([&] { return b->fact("asks", "a") == "0" && a->fact("serving", "b") == "0"; })) << "nothing is kept of it";
  const auto patient = b->proxy<control_actor>("a", "control");
  std::vector<std::thread> askers;
  std::atomic<int> lost{0};
  for (int i = 0; i < 3; ++i)
    askers.emplace_back([&] { lost += ask<Written>(patient, ControlRequest{}).error.code == errc::unavailable ? 1 : 0; });
  ASSERT_TRUE(eventually([&] { return a->fact("serving", "b") == "3"; }));
  EXPECT_EQ(ask<Written>(patient, ControlRequest{}).error.code, errc::resource_exhausted) << "one more than may wait";
  a->stop();
  for (auto& t : askers)
    t.join();
  EXPECT_EQ(lost, 3);
  EXPECT_EQ(ask<Written>(patient, ControlRequest{}).error.code, errc::unavailable) << "and at once without a link";
}

// -- who may ---------------------------------------------------------------------------------------------------------------------

TEST_F(links_life, workers_may_not_ask_what_managers_may_and_demoted_managers_are_workers_at_once) {
  auto a = manager("a"), b = manager("b");
  auto w = worker("w");
  join(*b, "b", *a, "a");
  join(*w, "w", *a, "a");
  local_destinations here;
  here.control = fake_control("a");
  a->say(here);
  const auto of_worker = w->proxy<control_actor>("a", "control"), of_manager = b->proxy<control_actor>("a", "control");
  ASSERT_TRUE(eventually([&] { return ask<Written>(of_manager, ControlRequest{}).value.has_value(); }));
  EXPECT_EQ(ask<Written>(of_worker, ControlRequest{}).error.code, errc::permission_denied);
  EXPECT_EQ(ask<UnlockKey>(of_worker, ReadUnlockKey{}).error.code, errc::permission_denied);
  PeerRoles roles;
  (*roles.mutable_roles())["b"] = NODE_ROLE_WORKER;
  (*roles.mutable_roles())["w"] = NODE_ROLE_MANAGER;
  a->say(roles);
  EXPECT_TRUE(eventually([&] { return ask<Written>(of_manager, ControlRequest{}).error.code == errc::permission_denied; }));
  EXPECT_EQ(ask<Written>(of_worker, ControlRequest{}).error.code, errc::permission_denied) << "its certificate is a worker's";
  EXPECT_TRUE(a->linked("b")) << "it may still report as a worker";
  (*roles.mutable_roles())["b"] = NODE_ROLE_MANAGER;
  a->say(roles);
  EXPECT_TRUE(eventually([&] { return ask<Written>(of_manager, ControlRequest{}).value.has_value(); }));
}

TEST_F(links_life, what_is_delivered_is_exactly_what_the_table_carries) {
  std::set<std::pair<std::string, std::string>> rows;
  for (const auto& row : link_types())
    rows.emplace(row.to, row.type);
  const auto delivered = delivered_types();
  EXPECT_EQ(std::set(delivered.begin(), delivered.end()), rows);
}

class fake_ca {
public:
  static ca_actor spawn(caf::actor_system& system, const std::string& name) {
    return system.spawn([name](ca_actor::pointer) -> ca_actor::behavior_type {
      return {
        [name](const ReadRootCertificate&) {
          RootCertificate out;
          out.set_pem(name);
          return out;
        },
        [name](const IssueNodeCertificate& request) -> caf::result<NodeCertificateIssued> {
          if (request.join_token() != "good")
            return to_error({errc::permission_denied, "A valid join token is necessary to join this cluster"});
          NodeCertificateIssued out;
          out.set_node_id("n9");
          return out;
        },
        [](const RenewNodeCertificate& request) {
          NodeCertificateIssued out;
          out.set_node_id(request.node_id());
          return out;
        },
        [](const EventBatch&) {},
        [](tick_atom) {},
        [](const ReadStatus&) { return ActorStatus{}; },
      };
    });
  }
};

TEST_F(links_life, a_joining_node_reaches_the_leaders_ca_through_any_manager) {
  auto leader = manager("a"), follower = manager("b");
  join(*follower, "b", *leader, "a");
  local_destinations at_leader, at_follower;
  at_leader.ca = fake_ca::spawn(system, "root of a");
  at_follower.ca = follower->proxy<ca_actor>("a", "ca");
  leader->say(at_leader);
  follower->say(at_follower);
  const auto outsider = system.spawn(ask_as_outsider, &io, std::chrono::milliseconds{5000});
  ASSERT_TRUE(eventually([&] { return ask<RootCertificate>(outsider, follower->addr, ReadRootCertificate{}).value.has_value(); }));
  EXPECT_EQ(ask<RootCertificate>(outsider, follower->addr, ReadRootCertificate{}).value->pem(), "root of a");
  IssueNodeCertificate request;
  request.set_join_token("good");
  const auto issued = ask<NodeCertificateIssued>(outsider, follower->addr, pki.root_pem(), request);
  ASSERT_TRUE(issued.value) << issued.error.message;
  EXPECT_EQ(issued.value->node_id(), "n9");
  request.set_join_token("bad");
  const auto refused = ask<NodeCertificateIssued>(outsider, follower->addr, pki.root_pem(), request);
  EXPECT_EQ(refused.error, (failure{errc::permission_denied, "A valid join token is necessary to join this cluster"}));
  EXPECT_EQ(ask<NodeCertificateIssued>(outsider, follower->addr, link_pki{}.root_pem(), request).error.code, errc::unavailable);
  EXPECT_EQ(ask<NodeCertificateIssued>(outsider, follower->addr, std::string{}, request).error.code, errc::invalid_argument);

  // A worker renews through the follower too: for itself, not for others.
  auto w = worker("w");
  join(*w, "w", *follower, "b");
  const auto ca = w->proxy<ca_actor>("b", "ca");
  RenewNodeCertificate renew;
  renew.set_node_id("w");
  EXPECT_TRUE(ask<NodeCertificateIssued>(ca, renew).value);
  renew.set_node_id("v");
  EXPECT_EQ(ask<NodeCertificateIssued>(ca, renew).error.code, errc::permission_denied);
}

TEST_F(links_life, without_a_certificate_nothing_but_joining_is_answered) {
  auto a = manager("a");
  local_destinations here;
  here.control = fake_control("a");
  here.ca = fake_ca::spawn(system, "x");
  a->say(here);
  for (const auto& row : link_types()) {
    record<failure> answers;
    link::ask_once(io, {a->addr, pki.root_pem(), seconds{5}}, {std::string{row.to}, std::string{row.type}, "", std::string{row.reply}},
                   [&](const failure& why, const std::string&) { answers.add(why); });
    ASSERT_TRUE(answers.wait(1));
    const auto code = answers.all()[0].code;
    const auto type = std::string{row.type};
    if (row.reply.empty())
      EXPECT_EQ(code, errc::unimplemented) << type << " is no question";
    else if (type == "ReadRootCertificate")
      EXPECT_EQ(code, errc::ok);
    else if (type == "IssueNodeCertificate")
      EXPECT_EQ(answers.all()[0].message, "A valid join token is necessary to join this cluster");
    else
      EXPECT_EQ(code, errc::permission_denied) << type;
  }
}

} // namespace
} // namespace swarm::links::test
