// The wiring of STORE: who is told what, in which order, and what goes to disk.
#include "actors/store/store_actor.hpp"

#include "tests/support/actor_fixture.hpp"
#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

struct seen {
  std::vector<SaveState> saved;
  std::vector<EventBatch> events;
  std::vector<const EventBatch*> addresses;
  std::vector<InstallSnapshot> chunks;

  /// What STORAGE would read: every row of `state`, two to a chunk.
  void serve(const store::core& state) {
    chunks.clear();
    SnapshotRows rows;
    const auto all = state.rows();
    for (int i = 0; i < all.size(); ++i) {
      *rows.add_rows() = all[i];
      if (rows.rows_size() < 2 && i + 1 < all.size())
        continue;
      auto& chunk = chunks.emplace_back();
      chunk.set_snapshot_id(77);
      chunk.set_chunk(chunks.size() - 1);
      chunk.set_last(i + 1 == all.size());
      chunk.mutable_meta()->set_last_included_index(state.applied_index());
      chunk.set_data(rows.SerializeAsString());
      rows.Clear();
    }
  }
};

storage_actor::behavior_type fake_storage(storage_actor::pointer, std::shared_ptr<seen> log) {
  return {[](const Append&) { return Appended{}; }, [log](const SaveState& s) { log->saved.push_back(s); },
          [log](const ReadSnapshotChunk& request) -> caf::result<InstallSnapshot> {
            if (request.chunk() >= log->chunks.size())
              return to_error({errc::not_found, "no such chunk"});
            return log->chunks[request.chunk()];
          },
          [](const InstallSnapshot&) { return SnapshotChunkStored{}; }, [](flush_atom) {},
          [](const ReadStatus&) { return ActorStatus{}; }};
}

store_subscriber::behavior_type fake_subscriber(store_subscriber::pointer, std::shared_ptr<seen> log) {
  return {[log](const EventBatch& b) {
    log->events.push_back(b);
    log->addresses.push_back(&b);
  }};
}

struct store_actor_test : actor_fixture {
  std::shared_ptr<seen> log = std::make_shared<seen>();
  storage_actor storage = track(sys.spawn(fake_storage, log));
  std::shared_ptr<store::core> core = std::make_shared<store::core>();
  store_actor store = track(sys.spawn(store::store_keeper, core, storage));
  std::uint64_t index = 0;

  Entry entry(const Command& c) {
    Entry e;
    e.set_log_index(++index);
    e.set_term(3);
    e.set_data(c.SerializeAsString());
    return e;
  }
  answer<EntriesApplied> apply(std::vector<Entry> entries) {
    ApplyEntries request;
    for (auto& e : entries)
      *request.add_entries() = std::move(e);
    return ask<EntriesApplied>(store, request);
  }
};

TEST_F(store_actor_test, one_batch_gives_one_result_per_command_and_one_save) {
  Entry noop;
  noop.set_type(ENTRY_TYPE_NOOP);
  noop.set_log_index(++index);
  noop.set_term(3);
  const auto out = apply({noop, entry(create_service(nth_id(1), service_spec("web"))),
                          entry(create_service(nth_id(2), service_spec("web"))), entry(create_secret("s", "sec"))});
  ASSERT_TRUE(out.value);
  ASSERT_EQ(out.value->results_size(), 3);
  EXPECT_EQ(out.value->applied_index(), 4u);
  EXPECT_EQ(out.value->results(0).code(), 0u);
  EXPECT_EQ(static_cast<errc>(out.value->results(1).code()), errc::already_exists);
  EXPECT_EQ(out.value->results(2).log_index(), 4u);
  ASSERT_EQ(log->saved.size(), 1u);
  EXPECT_EQ(log->saved[0].applied_index(), 4u);
  EXPECT_EQ(log->saved[0].applied_term(), 3u);
  EXPECT_EQ(log->saved[0].writes_size(), 2) << "service, secret";
}

TEST_F(store_actor_test, subscribers_get_a_snapshot_and_then_the_same_events_without_a_copy) {
  apply({entry(create_service(nth_id(1), service_spec("web")))});
  const auto first = track(sys.spawn(fake_subscriber, log));
  const auto second = track(sys.spawn(fake_subscriber, log));
  const auto snapshot = ask<StoreSnapshot>(store, subscribe_atom::value, first);
  ask<StoreSnapshot>(store, subscribe_atom::value, second);
  ASSERT_TRUE(snapshot.value);
  EXPECT_EQ(snapshot.value->services_size(), 1);
  EXPECT_EQ(snapshot.value->log_index(), 1u);
  apply({entry(create_service(nth_id(2), service_spec("db"))), entry(create_service(nth_id(3), service_spec("db")))});
  ASSERT_EQ(log->events.size(), 2u) << "the refused command changed nothing";
  EXPECT_EQ(log->events[0].log_index(), 2u);
  EXPECT_EQ(log->addresses[0], log->addresses[1]);
}

TEST_F(store_actor_test, a_subscriber_that_ends_is_forgotten) {
  const auto gone = track(sys.spawn(fake_subscriber, log));
  ask<StoreSnapshot>(store, subscribe_atom::value, gone);
  self->send_exit(gone, caf::exit_reason::kill);
  settle();
  const auto status = ask<ActorStatus>(store, ReadStatus{});
  EXPECT_EQ(status.value->facts().at("subscribers"), "0");
}

TEST_F(store_actor_test, entries_that_are_known_or_cannot_be_read_change_nothing) {
  auto first = entry(create_service(nth_id(1), service_spec("web")));
  apply({first});
  auto garbage = entry({});
  garbage.set_data("\xff\xff\xff");
  const auto out = apply({first, garbage});
  ASSERT_TRUE(out.value);
  EXPECT_EQ(static_cast<errc>(out.value->results(0).code()), errc::commit_unknown);
  EXPECT_EQ(static_cast<errc>(out.value->results(1).code()), errc::invalid_argument);
  EXPECT_EQ(core->count().services, 1u);
  EXPECT_EQ(core->applied_index(), 2u);
}

TEST_F(store_actor_test, a_membership_entry_is_saved_with_the_state) {
  Membership membership;
  membership.add_voters()->set_raft_id(7);
  Entry change;
  change.set_type(ENTRY_TYPE_CONFIGURATION);
  change.set_log_index(++index);
  change.set_data(membership.SerializeAsString());
  const auto out = apply({change});
  EXPECT_EQ(out.value->results_size(), 0);
  ASSERT_EQ(log->saved.size(), 1u);
  EXPECT_EQ(log->saved[0].membership().voters(0).raft_id(), 7u);
}

TEST_F(store_actor_test, reads_answer_objects_or_the_error_of_the_lookup) {
  apply({entry(create_service(nth_id(1), service_spec("web")))});
  ReadObjects request;
  request.set_key("web");
  EXPECT_EQ(ask<ObjectsRead>(store, request).value->services_size(), 1);
  request.set_key("nope");
  EXPECT_EQ(ask<ObjectsRead>(store, request).error, (failure{errc::not_found, "service nope not found"}));
}

TEST_F(store_actor_test, the_full_status_holds_the_dump) {
  apply({entry(create_service(nth_id(1), service_spec("web")))});
  ReadStatus full;
  full.set_full(true);
  const auto status = ask<ActorStatus>(store, full);
  EXPECT_EQ(status.value->facts().at("services"), "1");
  EXPECT_NE(status.value->state().find("service web "), std::string::npos);
}

// -- reloading -----------------------------------------------------------------------------------------------------------

struct reload_test : store_actor_test {
  store::core other; ///< as another manager has it
  store_subscriber subscriber = track(sys.spawn(fake_subscriber, log));

  void SetUp() override {
    apply({entry(create_service(nth_id(1), service_spec("gone"))), entry(create_service(nth_id(2), service_spec("kept"))),
           entry(create_secret("s", "sec"))});
    ask<StoreSnapshot>(store, subscribe_atom_v, subscriber);
    log->events.clear();
    std::uint64_t at = 0;
    static_cast<void>(other.apply(++at, create_service(nth_id(1), service_spec("gone"))));
    static_cast<void>(other.apply(++at, create_service(nth_id(2), service_spec("kept"))));
    static_cast<void>(other.apply(++at, create_secret("s", "sec")));
    static_cast<void>(other.apply(++at, remove_service(nth_id(1))));
    static_cast<void>(other.apply(++at, update_service(nth_id(2), 2, service_spec("kept", 5))));
    static_cast<void>(other.apply(++at, create_service(nth_id(3), service_spec("new"))));
    static_cast<void>(other.apply(++at, put_node(node("n1", "host"))));
  }
  answer<EntriesApplied> reload() {
    ReloadState request;
    request.set_applied_index(other.applied_index());
    return ask<EntriesApplied>(store, request);
  }
};

TEST_F(reload_test, a_reloaded_store_is_the_other_managers_and_goes_on_from_there) {
  log->serve(other);
  ASSERT_GT(log->chunks.size(), 1u);
  const auto done = reload();
  ASSERT_TRUE(done.value) << done.error.message;
  EXPECT_EQ(done.value->applied_index(), 7u);
  EXPECT_EQ(core->digest(), other.digest());
  core->check_invariants();
  index = 7;
  const auto next = apply({entry(create_service(nth_id(4), service_spec("after")))});
  ASSERT_TRUE(next.value);
  EXPECT_EQ(next.value->results(0).code(), 0u);
  EXPECT_EQ(log->saved.back().applied_index(), 8u);
}

TEST_F(reload_test, subscribers_hear_the_difference_in_one_batch) {
  log->serve(other);
  ASSERT_TRUE(reload().value);
  ASSERT_EQ(log->events.size(), 1u);
  const auto& batch = log->events[0];
  EXPECT_EQ(batch.log_index(), 7u);
  ASSERT_EQ(batch.services_size(), 3);
  EXPECT_EQ(batch.services(0).kind(), CHANGE_KIND_REMOVED);
  EXPECT_EQ(batch.services(0).service().spec().name(), "gone");
  EXPECT_EQ(batch.services(1).kind(), CHANGE_KIND_UPDATED);
  EXPECT_EQ(batch.services(1).old().spec().mode().replicated().replicas(), 1u);
  EXPECT_EQ(batch.services(1).service().spec().mode().replicated().replicas(), 5u);
  EXPECT_EQ(batch.services(2).kind(), CHANGE_KIND_CREATED);
  EXPECT_EQ(batch.nodes_size(), 1);
  EXPECT_EQ(batch.secrets_size(), 0) << "the same in both";
  EXPECT_EQ(batch.tasks_size(), 0);
}

TEST_F(reload_test, what_cannot_be_loaded_is_refused_and_the_old_state_stays) {
  const auto before = core->digest();
  log->serve(other);
  log->chunks[1].set_data("nonsense");
  EXPECT_FALSE(reload().value);
  EXPECT_EQ(core->digest(), before);
  log->chunks.clear();
  EXPECT_EQ(reload().error.code, errc::not_found);
  EXPECT_EQ(core->digest(), before);
  EXPECT_TRUE(log->events.empty());
  log->serve(other);
  EXPECT_TRUE(reload().value) << "a refused one leaves nothing behind";
}

TEST_F(reload_test, a_state_that_is_not_newer_is_refused) {
  ReloadState request;
  request.set_applied_index(3);
  EXPECT_EQ(ask<EntriesApplied>(store, request).error.code, errc::invalid_argument);
}

} // namespace
} // namespace swarm
