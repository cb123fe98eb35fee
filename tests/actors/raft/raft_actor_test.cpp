// The wiring of RAFT: who is answered when, what goes to STORAGE and STORE in which order, what happens at the bounds.
#include "actors/raft/raft_actor.hpp"

#include "tests/support/actor_fixture.hpp"

namespace swarm {
namespace {

using namespace test;

/// STORAGE and STORE, each slow on demand. A promise is delivered by the actor that made it, so releasing is a message:
/// both let go of everything they hold when they are asked for their status.
struct backends {
  std::vector<Append> appended;
  std::vector<caf::typed_response_promise<Appended>> unanswered_appends;
  bool hold_appends = false;
  failure append_error;
  bool pressure = false;
  std::vector<Entry> applied;
  std::vector<std::pair<caf::typed_response_promise<EntriesApplied>, EntriesApplied>> unanswered_applies;
  bool hold_applies = false;
  std::vector<LeadershipChanged> leadership;
  std::vector<RaftMessage> to_peers;
  std::vector<InstallSnapshot> installed;
  failure install_error;
  std::vector<ReadSnapshotChunk> snapshot_reads;
  std::vector<InstallSnapshot> snapshot; ///< what STORAGE reads
  std::vector<ReloadState> reloads;

  [[nodiscard]] Appended appended_answer() const {
    Appended out;
    out.set_pressure(pressure);
    return out;
  }
};
using shared = std::shared_ptr<backends>;

storage_actor::behavior_type slow_storage(storage_actor::pointer self, shared log) {
  return {[self, log](const Append& append) {
            auto promise = self->make_response_promise<Appended>();
            log->appended.push_back(append);
            if (!log->append_error.ok())
              promise.deliver(to_error(log->append_error));
            else if (log->hold_appends)
              log->unanswered_appends.push_back(promise);
            else
              promise.deliver(log->appended_answer());
            return promise;
          },
          [](const SaveState&) {},
          [log](const ReadSnapshotChunk& request) -> caf::result<InstallSnapshot> {
            log->snapshot_reads.push_back(request);
            if (request.chunk() >= log->snapshot.size())
              return to_error({errc::not_found, "no such chunk"});
            return log->snapshot[request.chunk()];
          },
          [log](const InstallSnapshot& chunk) -> caf::result<SnapshotChunkStored> {
            log->installed.push_back(chunk);
            if (!log->install_error.ok())
              return to_error(log->install_error);
            return SnapshotChunkStored{};
          },
          [](flush_atom) {},
          [log](const ReadStatus&) {
            for (auto& promise : std::exchange(log->unanswered_appends, {}))
              promise.deliver(log->appended_answer());
            return ActorStatus{};
          }};
}

store_actor::behavior_type slow_store(store_actor::pointer self, shared log) {
  return {[self, log](const ApplyEntries& request) {
            auto promise = self->make_response_promise<EntriesApplied>();
            EntriesApplied answer;
            for (const auto& entry : request.entries()) {
              log->applied.push_back(entry);
              answer.set_applied_index(entry.log_index());
              if (entry.type() == ENTRY_TYPE_COMMAND)
                answer.add_results()->set_log_index(entry.log_index());
            }
            if (log->hold_applies)
              log->unanswered_applies.emplace_back(promise, std::move(answer));
            else
              promise.deliver(std::move(answer));
            return promise;
          },
          [log](const ReloadState& request) {
            log->reloads.push_back(request);
            return EntriesApplied{};
          },
          [](const ReadObjects&) { return ObjectsRead{}; },
          [](subscribe_atom, const store_subscriber&) { return StoreSnapshot{}; },
          [log](const ReadStatus&) {
            for (auto& [promise, answer] : std::exchange(log->unanswered_applies, {}))
              promise.deliver(std::move(answer));
            return ActorStatus{};
          }};
}

leadership_listener::behavior_type listening(leadership_listener::pointer, shared log) {
  return {[log](const LeadershipChanged& change) { log->leadership.push_back(change); }};
}

raft_peers::behavior_type listening_peers(raft_peers::pointer, shared log) {
  return {[log](const RaftMessage& message) { log->to_peers.push_back(message); }};
}

Command command(std::int64_t at) {
  Command out;
  out.set_proposed_at(at);
  return out;
}

struct raft_actor_test : actor_fixture {
  shared log = std::make_shared<backends>();
  storage_actor storage = track(sys.spawn(slow_storage, log));
  store_actor store = track(sys.spawn(slow_store, log));
  leadership_listener listener = track(sys.spawn(listening, log));
  raft_peers peers = track(sys.spawn(listening_peers, log));
  raft_actor raft;

  void release_appends() { ask<ActorStatus>(storage, ReadStatus{}); }
  void release_applies() { ask<ActorStatus>(store, ReadStatus{}); }
  void start(std::vector<raft::raft_id> voters, raft::raft_actor_options opts = {}) {
    raft::restored_state disk;
    disk.id = 1;
    for (const auto id : voters) {
      auto& member = *disk.membership.add_voters();
      member.set_raft_id(id);
      member.set_node_id("node" + std::to_string(id));
      member.set_addr("10.0.0." + std::to_string(id) + ":2377");
    }
    opts.core.seed = 1;
    raft = track(sys.spawn(raft::raft_member, opts, disk, storage, store, listener, voters.size() > 1 ? peers : raft_peers{}));
    settle();
  }
  auto send_command(std::int64_t at) {
    auto request = self->request(raft, caf::infinite, command(at));
    settle();
    return request;
  }
  RaftMessage from_peer(raft::raft_id from, raft::term_number term) {
    RaftMessage out;
    out.set_from(from);
    out.set_to(1);
    out.set_term(term);
    return out;
  }
  void deliver(RaftMessage message) {
    self->send(raft, std::move(message));
    settle();
  }
  std::string fact(const std::string& name) {
    ReadStatus request;
    return ask<ActorStatus>(raft, request).value->facts().at(name);
  }
  /// Member 1 of {1, 2, 3} wins an election and commits its no-op.
  void lead_three() {
    start({1, 2, 3});
    for (int i = 0; i < 100 && fact("role") != "pre_candidate"; ++i)
      advance(milliseconds{25});
    auto vote = from_peer(2, 1);
    vote.mutable_request_vote_reply()->set_pre_vote(true);
    vote.mutable_request_vote_reply()->set_granted(true);
    deliver(vote);
    vote.mutable_request_vote_reply()->set_pre_vote(false);
    deliver(vote);
    acknowledge(1);
  }
  void acknowledge(raft::log_index match) {
    auto reply = from_peer(2, 1);
    reply.mutable_append_entries_reply()->set_success(true);
    reply.mutable_append_entries_reply()->set_match_index(match);
    deliver(reply);
  }
};

TEST_F(raft_actor_test, a_group_of_one_leads_as_soon_as_its_vote_is_synced_and_says_so) {
  log->hold_appends = true;
  start({1});
  ASSERT_EQ(log->appended.size(), 1u);
  EXPECT_EQ(log->appended[0].hard_state().voted_for(), 1u);
  EXPECT_EQ(fact("role"), "candidate");
  release_appends();
  EXPECT_EQ(fact("role"), "leader");
  release_appends(); // of the term's first entry
  ASSERT_FALSE(log->leadership.empty());
  EXPECT_EQ(log->leadership.back().role(), RAFT_ROLE_LEADER);
  EXPECT_EQ(log->leadership.back().leader_raft_id(), 1u);
}

// Simulator, cluster seed 210: a new leader replaced a task that its predecessor had replaced already.
TEST_F(raft_actor_test, a_leader_is_announced_when_the_store_holds_what_was_decided_before_it) {
  log->hold_applies = true;
  start({1});
  EXPECT_EQ(fact("role"), "leader");
  EXPECT_TRUE(std::none_of(log->leadership.begin(), log->leadership.end(),
                           [](const auto& told) { return told.role() == RAFT_ROLE_LEADER; }));
  release_applies();
  settle();
  ASSERT_FALSE(log->leadership.empty());
  EXPECT_EQ(log->leadership.back().role(), RAFT_ROLE_LEADER);
  EXPECT_EQ(log->leadership.back().leader_node_id(), "node1");
}

TEST_F(raft_actor_test, a_command_is_answered_when_the_store_has_applied_it_and_not_before) {
  start({1});
  log->hold_appends = true;
  log->hold_applies = true;
  auto request = send_command(7);
  ASSERT_EQ(log->appended.back().entries_size(), 1);
  EXPECT_EQ(log->appended.back().entries(0).data(), command(7).SerializeAsString());
  EXPECT_EQ(log->applied.size(), 1u) << "only the no-op: nothing is applied before it is on disk";
  release_appends();
  EXPECT_EQ(log->applied.size(), 2u);
  EXPECT_FALSE(self->has_next_message());
  release_applies();
  request.receive([](const CommandResult& result) { EXPECT_EQ(result.log_index(), 2u); },
                  [](const caf::error& err) { ADD_FAILURE() << to_failure(err).message; });
}

TEST_F(raft_actor_test, commands_gather_into_one_write_while_the_disk_is_behind) {
  raft::raft_actor_options opts;
  opts.pace.in_flight_max = 2;
  start({1}, opts);
  log->hold_appends = true;
  const auto before = log->appended.size();
  std::vector<decltype(send_command(0))> requests;
  for (int i = 0; i < 10; ++i)
    requests.push_back(send_command(i));
  EXPECT_EQ(log->appended.size(), before + 2) << "two are in flight, eight wait";
  log->hold_appends = false;
  release_appends();
  ASSERT_GE(log->appended.size(), before + 3);
  EXPECT_EQ(log->appended[before + 2].entries_size(), 8);
  for (std::size_t i = 0; i < requests.size(); ++i)
    requests[i].receive([&](const CommandResult& result) { EXPECT_EQ(result.log_index(), i + 2) << "in the order of asking"; },
                        [](const caf::error& err) { ADD_FAILURE() << to_failure(err).message; });
}

TEST_F(raft_actor_test, after_a_write_for_many_the_next_waits_for_company) {
  start({1});
  log->hold_appends = true;
  const auto before = log->appended.size();
  std::vector<decltype(send_command(0))> requests;
  for (int i = 0; i < 4; ++i)
    requests.push_back(send_command(i));
  advance(milliseconds{1}, milliseconds{1});
  release_appends(); // of one; then three go together
  ASSERT_EQ(log->appended.size(), before + 2);
  advance(milliseconds{1}, milliseconds{1});
  log->hold_appends = false;
  release_appends();
  requests.push_back(send_command(4));
  requests.push_back(send_command(5));
  EXPECT_EQ(log->appended.size(), before + 2) << "others may be on their way";
  advance(milliseconds{3}, milliseconds{1});
  ASSERT_EQ(log->appended.size(), before + 3);
  EXPECT_EQ(log->appended.back().entries_size(), 2);
  for (auto& request : requests)
    request.receive([](const CommandResult&) {}, [](const caf::error& err) { ADD_FAILURE() << to_failure(err).message; });
}

TEST_F(raft_actor_test, more_than_max_pending_commands_are_refused) {
  raft::raft_actor_options opts;
  opts.max_pending = 3;
  start({1}, opts);
  log->hold_appends = true;
  for (int i = 0; i < 3; ++i)
    send_command(i);
  const auto refused = ask<CommandResult>(raft, command(9));
  EXPECT_EQ(refused.error.code, errc::resource_exhausted);
}

TEST_F(raft_actor_test, a_nearly_full_database_refuses_new_objects_and_takes_removals) {
  log->pressure = true;
  start({1});
  Command create;
  create.add_actions()->mutable_put_service();
  EXPECT_EQ(ask<CommandResult>(raft, create).error.code, errc::resource_exhausted);
  Command remove;
  remove.add_actions()->mutable_remove_service()->set_id("x");
  EXPECT_TRUE(ask<CommandResult>(raft, remove).value);
}

TEST_F(raft_actor_test, a_follower_refuses_commands_and_reads) {
  start({1, 2, 3});
  EXPECT_EQ(ask<CommandResult>(raft, command(1)).error.code, errc::not_leader);
  EXPECT_EQ(ask<ReadIndexReached>(raft, ReadIndex{}).error.code, errc::unavailable);
  EXPECT_EQ(ask<LeadershipTransferred>(raft, TransferLeadership{}).error.code, errc::not_leader);
}

TEST_F(raft_actor_test, a_read_is_answered_with_an_index_that_is_applied) {
  start({1});
  send_command(1).receive([](const CommandResult&) {}, [](const caf::error&) { ADD_FAILURE(); });
  const auto reached = ask<ReadIndexReached>(raft, ReadIndex{});
  ASSERT_TRUE(reached.value);
  EXPECT_EQ(reached.value->read_index(), 2u);
}

TEST_F(raft_actor_test, votes_leave_only_when_they_are_on_disk) {
  start({1, 2, 3});
  log->hold_appends = true;
  auto ask_vote = from_peer(2, 5);
  ask_vote.mutable_request_vote()->set_last_log_index(9);
  ask_vote.mutable_request_vote()->set_last_log_term(4);
  deliver(ask_vote);
  EXPECT_TRUE(log->to_peers.empty());
  release_appends();
  ASSERT_EQ(log->to_peers.size(), 1u);
  EXPECT_TRUE(log->to_peers[0].request_vote_reply().granted());
}

TEST_F(raft_actor_test, a_command_that_loses_its_leader_before_commit_has_an_unknown_result) {
  lead_three();
  auto request = send_command(7);
  auto beat = from_peer(3, 9);
  beat.mutable_heartbeat();
  deliver(beat);
  request.receive([](const CommandResult&) { ADD_FAILURE() << "it was not committed"; },
                  [](const caf::error& err) { EXPECT_EQ(to_failure(err).code, errc::commit_unknown); });
  EXPECT_EQ(log->leadership.back().role(), RAFT_ROLE_FOLLOWER);
}

TEST_F(raft_actor_test, a_command_that_is_committed_is_answered_even_if_the_leader_falls_before_it_is_applied) {
  lead_three();
  log->hold_applies = true;
  auto request = send_command(7);
  acknowledge(2);
  auto beat = from_peer(3, 9);
  beat.mutable_heartbeat();
  deliver(beat);
  release_applies();
  request.receive([](const CommandResult& result) { EXPECT_EQ(result.log_index(), 2u); },
                  [](const caf::error& err) { ADD_FAILURE() << to_failure(err).message; });
}

TEST_F(raft_actor_test, a_transfer_is_reported_when_the_other_one_leads) {
  lead_three();
  TransferLeadership to_two;
  to_two.set_to_raft_id(2);
  auto request = self->request(raft, caf::infinite, to_two);
  settle();
  ASSERT_TRUE(log->to_peers.back().has_timeout_now());
  EXPECT_EQ(ask<CommandResult>(raft, command(1)).error.code, errc::unavailable);
  auto vote = from_peer(2, 2);
  vote.mutable_request_vote()->set_last_log_index(1);
  vote.mutable_request_vote()->set_last_log_term(1);
  vote.mutable_request_vote()->set_leadership_transfer(true);
  deliver(vote);
  request.receive([](const LeadershipTransferred& done) { EXPECT_TRUE(done.done()) << done.message(); },
                  [](const caf::error& err) { ADD_FAILURE() << to_failure(err).message; });
}

TEST_F(raft_actor_test, a_disk_error_ends_the_actor_and_fails_everyone_who_waits) {
  start({1});
  self->monitor(raft);
  log->append_error = {errc::storage_failed, "no space left on device"};
  auto request = send_command(1);
  request.receive([](const CommandResult&) { ADD_FAILURE(); },
                  [](const caf::error& err) { EXPECT_EQ(to_failure(err).code, errc::commit_unknown); });
  bool down = false;
  self->receive([&](const caf::down_msg& msg) {
    down = true;
    EXPECT_EQ(to_failure(msg.reason).code, errc::storage_failed);
  });
  EXPECT_TRUE(down);
}

TEST_F(raft_actor_test, stopping_leaves_nobody_waiting) {
  start({1});
  log->hold_appends = true;
  auto request = send_command(1);
  self->send_exit(raft, caf::exit_reason::user_shutdown);
  settle();
  request.receive([](const CommandResult&) { ADD_FAILURE(); },
                  [](const caf::error& err) { EXPECT_EQ(to_failure(err).code, errc::commit_unknown); });
}

TEST_F(raft_actor_test, ticks_make_heartbeats_and_silence_of_the_others_ends_the_office) {
  lead_three();
  log->to_peers.clear();
  advance(milliseconds{100}, milliseconds{25});
  const auto beats = std::count_if(log->to_peers.begin(), log->to_peers.end(), [](const auto& m) { return m.has_heartbeat(); });
  EXPECT_EQ(beats, 4) << "two rounds to two peers";
  advance(seconds{1});
  EXPECT_NE(fact("role"), "leader") << "nobody has answered for an election timeout";
}

TEST_F(raft_actor_test, the_listener_hears_which_node_leads_and_where) {
  start({1, 2, 3});
  auto beat = from_peer(3, 9);
  beat.mutable_heartbeat();
  deliver(beat);
  ASSERT_FALSE(log->leadership.empty());
  EXPECT_EQ(log->leadership.back().leader_raft_id(), 3u);
  EXPECT_EQ(log->leadership.back().leader_node_id(), "node3");
  EXPECT_EQ(log->leadership.back().leader_addr(), "10.0.0.3:2377");
}

TEST_F(raft_actor_test, a_membership_change_is_answered_when_it_is_committed_and_applied) {
  lead_three();
  ChangeMembership request;
  request.set_kind(ChangeMembership::KIND_ADD_LEARNER);
  request.mutable_member()->set_raft_id(4);
  EXPECT_EQ(ask<MembershipCommitted>(raft, request).error.code, errc::invalid_argument) << "no node, no address";
  request.mutable_member()->set_node_id("node4");
  request.mutable_member()->set_addr("10.0.0.4:2377");
  auto pending = self->request(raft, caf::infinite, request);
  settle();
  EXPECT_FALSE(self->has_next_message());
  acknowledge(2);
  pending.receive(
    [](const MembershipCommitted& done) {
      EXPECT_EQ(done.log_index(), 2u);
      ASSERT_EQ(done.membership().learners_size(), 1);
      EXPECT_EQ(done.membership().learners(0).node_id(), "node4");
    },
    [](const caf::error& err) { ADD_FAILURE() << to_failure(err).message; });
  const auto read = ask<MembershipRead>(raft, ReadMembership{});
  EXPECT_EQ(read.value->membership().learners_size(), 1);
  EXPECT_EQ(read.value->leader_raft_id(), 1u);
  EXPECT_GE(read.value->active_size(), 2) << "itself and 2, which has just acknowledged";
}

TEST_F(raft_actor_test, a_membership_change_whose_leader_falls_has_an_unknown_result) {
  lead_three();
  ChangeMembership request;
  request.set_kind(ChangeMembership::KIND_REMOVE);
  request.mutable_member()->set_raft_id(3);
  auto pending = self->request(raft, caf::infinite, request);
  settle();
  auto beat = from_peer(3, 9);
  beat.mutable_heartbeat();
  deliver(beat);
  pending.receive([](const MembershipCommitted&) { ADD_FAILURE(); },
                  [](const caf::error& err) { EXPECT_EQ(to_failure(err).code, errc::commit_unknown); });
  EXPECT_EQ(ask<MembershipCommitted>(raft, request).error.code, errc::not_leader);
}

TEST_F(raft_actor_test, losing_the_link_to_the_leader_starts_pre_votes_at_once) {
  start({1, 2, 3});
  auto beat = from_peer(3, 9);
  beat.mutable_heartbeat();
  deliver(beat);
  LinkChanged lost;
  lost.set_node_id("node2");
  self->send(raft, lost);
  advance(milliseconds{150});
  EXPECT_EQ(fact("role"), "follower") << "2 does not lead";
  deliver(beat);
  lost.set_node_id("node3");
  self->send(raft, lost);
  advance(milliseconds{100});
  EXPECT_EQ(fact("role"), "pre_candidate");
}

struct raft_snapshot_test : raft_actor_test {
  InstallSnapshot chunk(std::uint64_t number, bool last) {
    InstallSnapshot out;
    out.set_snapshot_id(5);
    out.set_chunk(number);
    out.set_last(last);
    out.set_data("rows" + std::to_string(number));
    out.mutable_meta()->set_last_included_index(50);
    out.mutable_meta()->set_last_included_term(3);
    out.mutable_meta()->mutable_membership()->add_voters()->set_raft_id(2);
    return out;
  }
  void offer(std::uint64_t number, bool last) {
    auto message = from_peer(2, 4);
    *message.mutable_install_snapshot() = chunk(number, last);
    deliver(message);
  }
  const InstallSnapshotReply& last_reply() { return log->to_peers.back().install_snapshot_reply(); }
};

TEST_F(raft_snapshot_test, a_snapshot_goes_to_storage_in_chunks_and_then_the_store_loads_it) {
  start({1, 2, 3});
  offer(0, false);
  ASSERT_EQ(log->installed.size(), 1u);
  EXPECT_EQ(log->installed[0].data(), "rows0");
  EXPECT_EQ(last_reply().next_chunk(), 1u);
  EXPECT_TRUE(log->reloads.empty());
  offer(1, true);
  ASSERT_EQ(log->reloads.size(), 1u);
  EXPECT_EQ(log->reloads[0].applied_index(), 50u);
  EXPECT_TRUE(last_reply().installed());
  EXPECT_EQ(fact("last_applied"), "50");
  EXPECT_EQ(fact("config"), "voters=(2)");
}

TEST_F(raft_snapshot_test, a_chunk_that_storage_refuses_is_told_to_the_sender_and_the_actor_lives) {
  start({1, 2, 3});
  log->install_error = {errc::invalid_argument, "the digest is wrong"};
  offer(0, false);
  EXPECT_TRUE(last_reply().refused());
  EXPECT_EQ(fact("last_applied"), "0");
}

TEST_F(raft_snapshot_test, a_snapshot_without_a_position_or_voters_is_dropped_and_counted) {
  start({1, 2, 3});
  auto message = from_peer(2, 4);
  message.mutable_install_snapshot()->set_snapshot_id(5);
  deliver(message);
  EXPECT_TRUE(log->installed.empty());
  EXPECT_EQ(fact("dropped_messages"), "1");
}

} // namespace
} // namespace swarm
