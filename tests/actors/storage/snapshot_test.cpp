// Snapshots from one disk into another: what arrives, what is refused, and what a stop in the middle leaves.
#include <gtest/gtest.h>

#include "actors/storage/snapshot_source.hpp"
#include "tests/actors/storage/storage_fixture.hpp"

namespace swarm::storage {
namespace {

using texts = std::vector<std::string>;

struct snapshot_test : ::testing::Test {
  test::temp_dir dir;
  std::shared_ptr<disk> sender = open("sender");
  std::shared_ptr<disk> receiver = open("receiver");

  std::shared_ptr<disk> open(const std::string& name) { return open_storage(dir / name, small_options()).storage; }
  void reopen_receiver() {
    receiver.reset();
    receiver = open("receiver");
  }
  void SetUp() override {
    // 60 entries of term 3, forty tasks; the receiver has something else and a longer log.
    commit(*sender, append(1, 60, 3));
    std::vector<std::pair<std::string, std::string>> tasks;
    for (int i = 10; i < 50; ++i)
      tasks.emplace_back("t" + std::to_string(i), std::string(100, 'a' + static_cast<char>(i % 20)));
    auto state = save(60, 3, tasks);
    state.mutable_membership()->add_voters()->set_raft_id(7);
    commit(*sender, state);
    commit(*receiver, append(1, 9, 4, "other"));
    commit(*receiver, save(5, 4, {{"t10", "old"}, {"x", "old"}}));
  }
  /// Terms never fall along a log, so the sender must be the later one.
  void sender_is_later() {
    commit(*sender, append(61, 62, 5));
    commit(*sender, save(62, 5, {}));
    Append term;
    term.mutable_hard_state()->set_term(5);
    commit(*receiver, term);
  }
  std::vector<InstallSnapshot> chunks(std::size_t bytes = 1'000) {
    snapshot_source source{sender, 99, bytes};
    std::vector<InstallSnapshot> out;
    do {
      auto next = source.read(out.size());
      EXPECT_TRUE(next);
      out.push_back(*next);
    } while (!out.back().last());
    return out;
  }
  void expect_old() {
    EXPECT_EQ(rows(*receiver), (texts{"t10=old", "x=old"}));
    EXPECT_EQ(receiver->at().applied.log_index(), 5u);
    EXPECT_EQ(receiver->read_log().size(), 9u);
    receiver->verify();
  }
  void expect_new() {
    EXPECT_EQ(rows(*receiver), rows(*sender));
    EXPECT_EQ(receiver->at().applied.log_index(), 62u);
    EXPECT_EQ(receiver->at().compacted.term(), 5u);
    EXPECT_EQ(receiver->at().last.log_index(), 62u);
    EXPECT_TRUE(receiver->read_log().empty());
    EXPECT_EQ(receiver->membership().voters_size(), 1);
    receiver->verify();
  }
};

TEST_F(snapshot_test, a_snapshot_brings_rows_position_and_membership_and_empties_the_log) {
  sender_is_later();
  const auto all = chunks();
  ASSERT_GT(all.size(), 4u);
  for (const auto& chunk : all) {
    if (!chunk.last())
      expect_old();
    EXPECT_TRUE(receiver->install(chunk).ok());
  }
  expect_new();
  reopen_receiver();
  expect_new();
  EXPECT_EQ(receiver->at().hard.term(), 5u) << "the hard state stays";
  EXPECT_EQ(receiver->at().hard.commit_index(), 62u);
  commit(*receiver, append(63, 64, 5));
  commit(*receiver, save(64, 5, {{"t10", "after"}}));
  EXPECT_EQ(receiver->read_log().size(), 2u);
  EXPECT_EQ(rows(*receiver).front(), "t10=after");
}

TEST_F(snapshot_test, an_empty_state_is_one_empty_chunk) {
  auto empty = open("empty");
  commit(*empty, append(1, 20, 4));
  commit(*empty, save(20, 4, {}));
  snapshot_source source{empty, 1};
  const auto only = source.read(0);
  ASSERT_TRUE(only && only->last());
  EXPECT_TRUE(receiver->install(*only).ok());
  EXPECT_TRUE(rows(*receiver).empty());
}

TEST_F(snapshot_test, a_second_snapshot_replaces_the_first) {
  sender_is_later();
  for (const auto& chunk : chunks())
    ASSERT_TRUE(receiver->install(chunk).ok());
  commit(*sender, append(63, 70, 5));
  commit(*sender, save(70, 5, {{"t11", "new"}, {"t12", ""}, {"zz", "new"}}));
  for (const auto& chunk : chunks())
    ASSERT_TRUE(receiver->install(chunk).ok());
  EXPECT_EQ(rows(*receiver), rows(*sender));
  reopen_receiver();
  EXPECT_EQ(rows(*receiver), rows(*sender));
}

TEST_F(snapshot_test, the_last_chunk_can_be_read_again_and_the_first_starts_over) {
  snapshot_source source{sender, 99, 1'000};
  const auto first = source.read(0);
  ASSERT_TRUE(first);
  EXPECT_FALSE(source.read(2)) << "1 comes first";
  const auto second = source.read(1);
  ASSERT_TRUE(second);
  EXPECT_EQ(source.read(1)->SerializeAsString(), second->SerializeAsString());
  EXPECT_EQ(source.read(0)->SerializeAsString(), first->SerializeAsString());
  EXPECT_EQ(source.read(1)->SerializeAsString(), second->SerializeAsString());
  std::uint64_t at = 1;
  while (!source.read(at)->last())
    ++at;
  EXPECT_FALSE(source.read(at + 1));
}

TEST_F(snapshot_test, the_writer_goes_on_and_the_reader_sees_what_was) {
  const auto before = chunks();
  snapshot_source source{sender, 99, 1'000};
  std::vector<InstallSnapshot> during;
  for (std::uint64_t i = 0; during.empty() || !during.back().last(); ++i) {
    during.push_back(*source.read(i));
    commit(*sender, append(61 + i, 61 + i, 5));
    commit(*sender, save(61 + i, 5, {{"t20", "changed"}, {"t" + std::to_string(30 + i), ""}}));
  }
  ASSERT_EQ(during.size(), before.size());
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_EQ(during[i].SerializeAsString(), before[i].SerializeAsString());
}

TEST_F(snapshot_test, what_does_not_fit_is_refused_and_ends_the_transfer) {
  sender_is_later();
  const auto all = chunks();
  const auto refused = [&](const std::function<void(InstallSnapshot&)>& spoil) {
    EXPECT_TRUE(receiver->install(all[0]).ok());
    auto bad = all[1];
    spoil(bad);
    EXPECT_EQ(receiver->install(bad).code, errc::invalid_argument);
    EXPECT_FALSE(receiver->install(all[1]).ok()) << "it must start over";
    expect_old();
  };
  refused([](InstallSnapshot& c) { (*c.mutable_data())[40] ^= 1; });
  refused([](InstallSnapshot& c) { c.mutable_chain_sha256()->back() ^= 1; });
  refused([&](InstallSnapshot& c) { c = all[2]; });
  refused([](InstallSnapshot& c) { c.set_snapshot_id(98); });
  refused([](InstallSnapshot& c) { c.mutable_meta()->set_last_included_index(63); });
  refused([&](InstallSnapshot& c) {
    c.set_data("\xff\xff");
    c.set_chain_sha256(chunk_chain(all[0].chain_sha256(), c.data()));
  });
  refused([&](InstallSnapshot& c) {
    SnapshotRows rows;
    rows.add_rows()->set_value("a row without a key");
    c.set_data(rows.SerializeAsString());
    c.set_chain_sha256(chunk_chain(all[0].chain_sha256(), c.data()));
  });
  for (const auto& chunk : all)
    EXPECT_TRUE(receiver->install(chunk).ok());
  expect_new();
}

TEST_F(snapshot_test, a_snapshot_that_is_older_than_the_state_is_refused) {
  commit(*receiver, append(10, 80, 4));
  commit(*receiver, save(80, 4, {}));
  EXPECT_EQ(receiver->install(chunks()[0]).code, errc::invalid_argument);
}

TEST_F(snapshot_test, a_stop_at_any_chunk_leaves_the_old_state_or_the_new_one) {
  sender_is_later();
  const auto all = chunks();
  for (std::size_t stop = 1; stop < all.size(); ++stop) {
    for (std::size_t i = 0; i < stop; ++i)
      ASSERT_TRUE(receiver->install(all[i]).ok());
    reopen_receiver(); // not marked clean: everything is checked
    expect_old();
    EXPECT_FALSE(receiver->install(all[stop]).ok()) << "what came before is forgotten";
  }
  for (const auto& chunk : all)
    ASSERT_TRUE(receiver->install(chunk).ok());
  reopen_receiver();
  expect_new();
}

} // namespace
} // namespace swarm::storage
