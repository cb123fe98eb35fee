// What is written is read back, in order, after reopening: log, suffixes, compaction, state, and the room that is left.
#include <gtest/gtest.h>
#include <lmdb.h>

#include "tests/actors/storage/storage_fixture.hpp"

namespace swarm::storage {
namespace {

using texts = std::vector<std::string>;

struct storage_disk : ::testing::Test {
  test::temp_dir dir;
  open_options opts = small_options();
  recovered_state state = open_storage(dir / "raft", opts);

  disk& storage() { return *state.storage; }
  void reopen() {
    state = {};
    state = open_storage(dir / "raft", opts);
  }
};

TEST_F(storage_disk, everything_is_equal_after_reopening) {
  Append request = append(1, 3, 2);
  request.mutable_hard_state()->set_voted_for(7);
  request.mutable_hard_state()->set_commit_index(2);
  commit(storage(), request);
  auto state_request = save(2, 2, {{"a", "1"}, {"b", "2"}});
  state_request.mutable_membership()->add_voters()->set_raft_id(7);
  commit(storage(), state_request);
  reopen();
  EXPECT_EQ(log_texts(state.entries), (texts{"1@2 data1", "2@2 data2", "3@2 data3"}));
  EXPECT_EQ(state.hard.term(), 2u);
  EXPECT_EQ(state.hard.voted_for(), 7u);
  EXPECT_EQ(state.hard.commit_index(), 2u);
  EXPECT_EQ(state.applied.log_index(), 2u);
  EXPECT_EQ(state.applied.term(), 2u);
  EXPECT_EQ(state.compacted.log_index(), 0u);
  ASSERT_EQ(state.membership.voters_size(), 1);
  EXPECT_EQ(state.membership.voters(0).raft_id(), 7u);
  EXPECT_EQ(rows(storage()), (texts{"a=1", "b=2"}));
}

TEST_F(storage_disk, one_transaction_takes_requests_of_both_kinds_in_their_order) {
  const auto first = append(1, 2, 1), second = append(3, 4, 1), third = append(4, 5, 2, "new");
  const auto early = save(1, 1, {{"k", "old"}, {"gone", "x"}});
  auto late = save(3, 1, {{"k", "new"}, {"gone", ""}});
  const operation all[] = {&first, &early, &second, &late, &third};
  const auto report = storage().commit(all);
  EXPECT_EQ(report.entries, 6u);
  EXPECT_EQ(report.rows, 2u) << "each row once";
  reopen();
  EXPECT_EQ(log_texts(state.entries), (texts{"1@1 data1", "2@1 data2", "3@1 data3", "4@2 new4", "5@2 new5"}));
  EXPECT_EQ(rows(storage()), (texts{"k=new"}));
  EXPECT_EQ(state.applied.log_index(), 3u);
}

TEST_F(storage_disk, what_is_journaled_is_there_after_reopening_and_goes_on) {
  commit(storage(), append(1, 2, 1));
  auto third = append(3, 3, 2);
  third.mutable_hard_state()->set_voted_for(5);
  ASSERT_TRUE(storage().journal(third));
  auto fourth = append(4, 5, 2);
  fourth.mutable_hard_state()->set_voted_for(5);
  ASSERT_TRUE(storage().journal(fourth));
  EXPECT_EQ(storage().at().last.log_index(), 5u);
  reopen();
  EXPECT_EQ(log_texts(state.entries), (texts{"1@1 data1", "2@1 data2", "3@2 data3", "4@2 data4", "5@2 data5"}));
  EXPECT_EQ(state.hard.term(), 2u);
  EXPECT_EQ(state.hard.voted_for(), 5u);
  EXPECT_FALSE(storage().has_journaled());
  auto sixth = append(6, 6, 2);
  sixth.mutable_hard_state()->set_voted_for(5);
  ASSERT_TRUE(storage().journal(sixth));
  reopen();
  EXPECT_EQ(state.entries.size(), 6u) << "what was taken over before is not read again";
}

TEST_F(storage_disk, records_of_an_epoch_that_is_over_do_not_count_and_others_must_follow_the_database) {
  const auto journal = dir / "raft" / file::journal;
  const auto replace = std::filesystem::copy_options::overwrite_existing;
  auto first = append(1, 3, 1);
  state = {};
  std::filesystem::copy(dir / "raft", dir / "copy", std::filesystem::copy_options::recursive);
  state = open_storage(dir / "raft", opts);
  ASSERT_TRUE(storage().journal(first));
  std::filesystem::copy_file(journal, dir / "journal");
  reopen(); // takes it over
  commit(storage(), append(4, 4, 1));
  state = {};
  std::filesystem::copy_file(dir / "journal", journal, replace);
  state = open_storage(dir / "raft", opts);
  EXPECT_EQ(state.entries.size(), 4u);
  state = open_storage(dir / "copy", opts);
  commit(storage(), append(1, 2, 1));
  state = {};
  std::filesystem::copy_file(dir / "journal", dir / "copy" / file::journal, replace);
  try {
    state = open_storage(dir / "copy", opts);
    ADD_FAILURE() << "the log has two entries, the record begins with the first";
  } catch (const open_error& e) {
    EXPECT_EQ(e.problem(), open_problem::damaged);
    EXPECT_NE(std::string{e.what()}.find("record 0 does not follow the database: the log has no gap"), std::string::npos)
        << e.what();
  }
  state = open_storage(dir / "raft", opts);
}

TEST_F(storage_disk, a_transaction_takes_what_is_journaled_first) {
  auto first = append(1, 3, 1);
  ASSERT_TRUE(storage().journal(first));
  const auto second = append(4, 4, 1);
  const auto done = save(4, 1, {{"k", "v"}});
  const operation both[] = {&second, &done};
  EXPECT_EQ(storage().commit(both).entries, 4u);
  EXPECT_FALSE(storage().has_journaled());
  reopen();
  EXPECT_EQ(state.entries.size(), 4u);
  EXPECT_EQ(state.applied.log_index(), 4u);
}

TEST_F(storage_disk, only_what_goes_on_at_the_end_and_fits_is_journaled) {
  opts.journal_bytes = 2 * append_journal::block;
  reopen(); // keeps the journal that is there
  auto big = append(1, 1, 1, std::string(append_journal::bytes_default, 'x'));
  EXPECT_FALSE(storage().journal(big));
  EXPECT_EQ(big.entries_size(), 1);
  commit(storage(), append(1, 4, 1));
  auto conflict = append(3, 3, 2, "new");
  EXPECT_FALSE(storage().journal(conflict));
  commit(storage(), conflict);
  reopen();
  EXPECT_EQ(log_texts(state.entries), (texts{"1@1 data1", "2@1 data2", "3@2 new3"}));
}

TEST_F(storage_disk, the_first_new_entry_replaces_everything_from_its_index_on) {
  commit(storage(), append(1, 500, 1));
  commit(storage(), append(100, 101, 3, "new"));
  EXPECT_EQ(storage().at().last.log_index(), 101u);
  EXPECT_EQ(storage().at().last.term(), 3u);
  reopen();
  ASSERT_EQ(state.entries.size(), 101u);
  EXPECT_EQ(state.entries[98].term(), 1u);
  EXPECT_EQ(state.entries[99].data(), "new100");
  commit(storage(), append(1, 1, 3, "all"));
  reopen();
  EXPECT_EQ(log_texts(state.entries), (texts{"1@3 all1"}));
}

TEST_F(storage_disk, compaction_goes_in_slices_and_never_beyond_applied) {
  commit(storage(), append(1, 3500, 4));
  Append truncate;
  truncate.set_truncate_before(3001);
  EXPECT_EQ(commit(storage(), truncate).removed, 0u); // nothing is applied yet: the log is the only copy
  auto report = commit(storage(), save(2500, 4, {}));
  EXPECT_EQ(report.removed, disk::compaction_slice);
  EXPECT_TRUE(report.compaction_left);
  EXPECT_EQ(storage().commit({}).removed, disk::compaction_slice);
  report = storage().commit({});
  EXPECT_EQ(report.removed, 500u);
  EXPECT_FALSE(report.compaction_left);
  EXPECT_EQ(storage().at().compacted.log_index(), 2500u);
  reopen();
  ASSERT_EQ(state.entries.size(), 1000u);
  EXPECT_EQ(state.entries.front().log_index(), 2501u);
  EXPECT_EQ(state.compacted.log_index(), 2500u);
  EXPECT_EQ(state.compacted.term(), 4u);
}

TEST_F(storage_disk, a_log_that_is_compacted_away_goes_on_where_it_was) {
  commit(storage(), append(1, 10, 1));
  commit(storage(), save(10, 1, {}));
  Append truncate;
  truncate.set_truncate_before(11);
  EXPECT_EQ(commit(storage(), truncate).removed, 10u);
  reopen();
  EXPECT_TRUE(state.entries.empty());
  EXPECT_EQ(storage().at().last.log_index(), 10u);
  EXPECT_EQ(storage().at().last.term(), 1u);
  commit(storage(), append(11, 11, 2));
  reopen();
  EXPECT_EQ(log_texts(state.entries), (texts{"11@2 data11"}));
}

TEST_F(storage_disk, a_sliding_log_does_not_make_the_file_grow) {
  std::uint64_t index = 0;
  std::uint64_t after_warm_up = 0;
  for (int round = 0; round < 60; ++round) {
    Append request = append(index + 1, index + 200, 1, std::string(500, 'd'));
    index += 200;
    commit(storage(), request);
    commit(storage(), save(index, 1, {{"k", std::to_string(index)}}));
    Append truncate;
    truncate.set_truncate_before(index - 100);
    commit(storage(), truncate);
    if (round == 20)
      after_warm_up = storage().usage().file_bytes;
  }
  EXPECT_LE(storage().usage().file_bytes, after_warm_up + after_warm_up / 4);
}

TEST_F(storage_disk, rows_of_all_tables_keep_apart) {
  SaveState request;
  for (int t = 0; t <= TableWrite::Table_MAX; ++t) {
    auto& row = *request.add_writes();
    row.set_table(static_cast<TableWrite::Table>(t));
    row.set_key("same");
    row.set_value(std::to_string(t));
  }
  commit(storage(), append(1, 1, 1));
  request.set_applied_index(1);
  request.set_applied_term(1);
  commit(storage(), request);
  std::string seen;
  storage().visit_rows([&](TableWrite::Table table, std::string_view key, std::string_view value) {
    EXPECT_EQ(key, "same");
    EXPECT_EQ(value, std::to_string(table));
    seen += value;
  });
  EXPECT_EQ(seen, "01234567");
}

TEST_F(storage_disk, large_entries_and_rows_survive) {
  const std::string big(3 << 20, 'b');
  commit(storage(), append(1, 2, 1, big));
  commit(storage(), save(2, 1, {{"big", big}}));
  reopen();
  EXPECT_EQ(state.entries[1].data(), big + "2");
  EXPECT_EQ(rows(storage()), (texts{"big=" + big}));
}

TEST_F(storage_disk, at_eighty_percent_of_the_map_there_is_room_to_compact_and_to_change_state) {
  state = {};
  opts.map_bytes = 8u << 20;
  reopen();
  std::uint64_t index = 0;
  while (storage().usage().map_percent() < 80) {
    commit(storage(), append(index + 1, index + 20, 1, std::string(1000, 'x')));
    index += 20;
  }
  for (int i = 0; i < 20; ++i) // membership changes and applied state must still go in
    commit(storage(), save(index, 1, {{"k" + std::to_string(i), std::string(1000, 'y')}}));
  Append truncate;
  truncate.set_truncate_before(index);
  auto report = commit(storage(), truncate);
  while (report.compaction_left)
    report = storage().commit({});
  EXPECT_LT(storage().usage().map_percent(), 20u);
  commit(storage(), append(index + 1, index + 1000, 1, std::string(1000, 'z')));
  reopen();
  EXPECT_EQ(state.entries.size(), 1001u);
}

TEST_F(storage_disk, a_full_map_is_refused_whole_and_what_was_committed_stands) {
  state = {};
  opts.map_bytes = 4u << 20;
  reopen();
  std::uint64_t index = 0;
  try {
    for (;;) {
      commit(storage(), append(index + 1, index + 50, 1, std::string(1000, 'x')));
      index += 50;
    }
  } catch (const lmdb::storage_error& e) {
    EXPECT_EQ(e.code(), MDB_MAP_FULL);
  }
  EXPECT_EQ(storage().at().last.log_index(), index);
  opts.map_bytes = 8u << 20; // what an operator does
  reopen();
  EXPECT_EQ(state.entries.size(), index);
  commit(storage(), append(index + 1, index + 1, 1));
}

TEST_F(storage_disk, what_raft_may_never_ask_for_is_caught) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  commit(storage(), append(1, 5, 3));
  commit(storage(), save(3, 3, {}));
  EXPECT_DEATH(commit(storage(), append(7, 7, 3)), "no gap");
  EXPECT_DEATH(commit(storage(), append(3, 3, 4)), "applied entry is never replaced");
  EXPECT_DEATH(commit(storage(), append(6, 6, 2)), "term never falls");
  EXPECT_DEATH(commit(storage(), save(2, 3, {})), "applied never goes back");
  EXPECT_DEATH(commit(storage(), save(6, 3, {})), "applied is in the log");
  Append vote;
  vote.mutable_hard_state()->set_term(3);
  vote.mutable_hard_state()->set_voted_for(1);
  commit(storage(), vote);
  vote.mutable_hard_state()->set_voted_for(2);
  EXPECT_DEATH(commit(storage(), vote), "one vote per term");
}

} // namespace
} // namespace swarm::storage
