// Snapshots through STORAGE: who reads, for how long, and what a receiver is told.
#include "actors/storage/storage_actor.hpp"
#include "tests/actors/storage/storage_fixture.hpp"
#include "tests/support/actor_fixture.hpp"

namespace swarm::storage {
namespace {

struct snapshot_actors : test::actor_fixture {
  test::temp_dir dir;
  storage_options opts;
  storage_actor sender;
  storage_actor receiver;

  snapshot_actors() {
    opts.reader_threads = false;
    opts.disk_reserve_bytes = 0; // a test machine's disk is not ours to judge
    sender = spawn("sender");
    receiver = spawn("receiver");
    ask<Appended>(sender, append(1, 10, 2));
    std::vector<std::pair<std::string, std::string>> rows;
    for (int i = 100; i < 130; ++i)
      rows.emplace_back("t" + std::to_string(i), std::string(100'000, 'r'));
    self->send(sender, save(10, 2, rows)); // waits for company: reading must not miss it
    Append term;
    term.mutable_hard_state()->set_term(2);
    ask<Appended>(receiver, term);
  }
  ~snapshot_actors() override { stop_all(); }
  storage_actor spawn(const std::string& name) {
    return track(sys.spawn(storage_writer, open_storage(dir / name, small_options()).storage, opts));
  }
  answer<InstallSnapshot> read(std::uint64_t id, std::uint64_t chunk) {
    ReadSnapshotChunk request;
    request.set_snapshot_id(id);
    request.set_chunk(chunk);
    return ask<InstallSnapshot>(sender, request);
  }
  std::string fact(const storage_actor& of, const std::string& name) {
    return ask<ActorStatus>(of, ReadStatus{}).value->facts().at(name);
  }
};

TEST_F(snapshot_actors, a_state_goes_from_one_storage_to_the_other) {
  auto chunk = read(0, 0);
  ASSERT_TRUE(chunk.value) << chunk.error.message;
  EXPECT_EQ(chunk.value->meta().last_included_index(), 10u) << "what was queued is in it";
  const auto id = chunk.value->snapshot_id();
  for (std::uint64_t next = 1;; ++next) {
    EXPECT_LE(chunk.value->data().size(), 1'100'000u);
    const auto last = chunk.value->last();
    ASSERT_TRUE(ask<SnapshotChunkStored>(receiver, *chunk.value).value);
    if (last)
      break;
    chunk = read(id, next);
    ASSERT_TRUE(chunk.value) << chunk.error.message;
  }
  EXPECT_EQ(fact(receiver, "applied_index"), "10");
  EXPECT_EQ(fact(receiver, "chunks_installed"), "3");
}

TEST_F(snapshot_actors, a_reader_that_nobody_asks_closes_its_snapshot) {
  const auto id = read(0, 0).value->snapshot_id();
  EXPECT_EQ(fact(sender, "snapshots_open"), "1");
  advance(seconds{10}, seconds{1});
  EXPECT_TRUE(read(id, 1).value);
  advance(seconds{17}, seconds{1});
  EXPECT_EQ(fact(sender, "snapshots_open"), "0");
  EXPECT_EQ(read(id, 2).error.code, errc::not_found);
}

TEST_F(snapshot_actors, a_snapshot_is_not_open_for_ever) {
  const auto id = read(0, 0).value->snapshot_id();
  for (int i = 0; i < 40; ++i) {
    advance(seconds{8}, seconds{1});
    read(id, 0);
  }
  EXPECT_EQ(fact(sender, "snapshots_open"), "0");
}

TEST_F(snapshot_actors, only_so_many_are_open_at_a_time) {
  for (int i = 0; i < 4; ++i)
    EXPECT_TRUE(read(0, 0).value);
  EXPECT_EQ(read(0, 0).error.code, errc::resource_exhausted);
}

TEST_F(snapshot_actors, a_chunk_out_of_order_or_damaged_is_refused_and_counted) {
  const auto first = *read(0, 0).value;
  EXPECT_EQ(read(first.snapshot_id(), 5).error.code, errc::not_found);
  auto bad = first;
  bad.mutable_chain_sha256()->front() ^= 1;
  EXPECT_EQ(ask<SnapshotChunkStored>(receiver, bad).error.code, errc::invalid_argument);
  EXPECT_EQ(fact(receiver, "chunks_refused"), "1");
  EXPECT_TRUE(ask<SnapshotChunkStored>(receiver, first).value);
}

TEST_F(snapshot_actors, an_end_in_order_lets_go_of_the_disk_although_a_snapshot_is_open) {
  ASSERT_TRUE(read(0, 0).value);
  self->monitor(sender);
  self->send_exit(sender, caf::exit_reason::user_shutdown);
  settle();
  bool down = false;
  self->receive([&](const caf::down_msg&) { down = true; });
  EXPECT_TRUE(down);
  sender = storage_actor{};
  stop_all();
  const auto again = open_storage(dir / "sender", small_options());
  EXPECT_TRUE(again.was_clean);
  EXPECT_EQ(again.applied.log_index(), 10u);
}

} // namespace
} // namespace swarm::storage
