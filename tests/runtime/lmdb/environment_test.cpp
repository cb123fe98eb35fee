// The LMDB wrapper: transactions, cursors, the owner's lock, the full map, dead readers, and checks in a child.
#include <gtest/gtest.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "runtime/lmdb/child_check.hpp"
#include "runtime/lmdb/transaction.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::lmdb {
namespace {

namespace fs = std::filesystem;
const std::vector<std::string> names{"t", "u"};

struct lmdb_environment : ::testing::Test {
  test::temp_dir dir;
  environment_options opts{dir / "db", 64u << 20, 16, 8};

  environment open() {
    return environment{opts, owner_lock{dir / "owner"}, [](write_txn& txn) {
                         for (const auto& name : names)
                           static_cast<void>(txn.create_table(name));
                       }};
  }
};

TEST_F(lmdb_environment, what_is_committed_is_there_after_reopening_and_nothing_else) {
  {
    auto env = open();
    EXPECT_TRUE(env.created());
    const auto tables = env.open_tables(names);
    write_txn txn{env};
    txn.put(tables[0], "a", "1");
    std::memcpy(txn.reserve(tables[0], "b", 2), "22", 2);
    txn.commit();
    write_txn lost{env};
    lost.put(tables[0], "a", "other");
    lost.put(tables[1], "x", "y");
  }
  auto env = open();
  EXPECT_FALSE(env.created());
  const auto tables = env.open_tables(names);
  const read_txn txn{env};
  EXPECT_EQ(txn.get(tables[0], "a"), "1");
  EXPECT_EQ(txn.get(tables[0], "b"), "22");
  EXPECT_FALSE(txn.get(tables[1], "x"));
}

TEST_F(lmdb_environment, a_reader_keeps_its_view_while_a_writer_commits) {
  auto env = open();
  const auto t = env.open_tables(names)[0];
  const read_txn before{env};
  write_txn txn{env};
  txn.put(t, "a", "1");
  EXPECT_EQ(txn.get(t, "a"), "1");
  txn.commit();
  EXPECT_FALSE(before.get(t, "a"));
  EXPECT_EQ(read_txn{env}.get(t, "a"), "1");
}

TEST_F(lmdb_environment, cursors_walk_in_key_order_and_may_erase_as_they_go) {
  auto env = open();
  const auto t = env.open_tables(names)[0];
  write_txn txn{env};
  for (std::uint64_t i = 0; i < 1000; ++i)
    txn.put(t, u64_key{i * 3}, std::to_string(i));
  {
    cursor at{txn, t};
    ASSERT_TRUE(at.seek(u64_key{100}));
    EXPECT_EQ(u64_key::parse(at.key()), 102u);
    std::size_t erased = 0;
    for (bool found = true; found; found = at.next(), ++erased)
      at.erase();
    EXPECT_EQ(erased, 966u);
    EXPECT_TRUE(at.last());
    EXPECT_EQ(u64_key::parse(at.key()), 99u);
  }
  txn.commit();
  const read_txn after{env};
  cursor at{after, t};
  std::uint64_t expected = 0;
  for (bool found = at.first(); found; found = at.next(), expected += 3)
    EXPECT_EQ(u64_key::parse(at.key()), expected);
  EXPECT_EQ(expected, 102u);
}

TEST_F(lmdb_environment, a_prefix_scan_gives_exactly_the_keys_with_the_prefix) {
  auto env = open();
  const auto t = env.open_tables(names)[0];
  write_txn txn{env};
  for (const auto* key : {"a", "ab", "abc", "abd", "ac", "b", "\xff\xff"})
    txn.put(t, key, key);
  std::string seen;
  const auto note = [&](std::string_view key, std::string_view) {
    seen += std::string{key} + ' ';
    return true;
  };
  scan_prefix(txn, t, "ab", note);
  EXPECT_EQ(seen, "ab abc abd ");
  seen.clear();
  scan_prefix(txn, t, "\xff", note);
  EXPECT_EQ(seen, "\xff\xff ");
  seen.clear();
  scan_prefix(txn, t, "", [&](std::string_view key, std::string_view) { return note(key, ""), seen.size() < 4; });
  EXPECT_EQ(seen, "a ab ");
}

TEST_F(lmdb_environment, a_second_opener_is_refused_and_told_who_has_it) {
  auto env = open();
  try {
    open();
    FAIL() << "a second open in the same process must be refused";
  } catch (const storage_error& e) {
    EXPECT_EQ(e.code(), EWOULDBLOCK);
    EXPECT_NE(std::string{e.what()}.find("in use by process " + std::to_string(::getpid())), std::string::npos)
        << e.what();
  }
}

TEST_F(lmdb_environment, the_owners_lock_goes_away_with_its_process) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const auto child = ::fork();
  if (child == 0) {
    const owner_lock lock{dir / "owner"};
    static_cast<void>(!::write(ready[1], "x", 1));
    ::pause();
    ::_exit(0);
  }
  char locked = 0;
  ASSERT_EQ(::read(ready[0], &locked, 1), 1);
  EXPECT_THROW(owner_lock{dir / "owner"}, storage_error);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_NO_THROW(owner_lock{dir / "owner"});
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(lmdb_environment, left_overs_of_an_interrupted_creation_are_replaced) {
  std::ofstream{dir / "db.new"} << "half a file";
  std::ofstream{dir / "db.new-lock"} << "x";
  EXPECT_TRUE(open().created());
  EXPECT_FALSE(fs::exists(dir / "db.new"));
  EXPECT_FALSE(fs::exists(dir / "db.new-lock"));
  struct stat info {};
  ASSERT_EQ(::stat((dir / "db").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(lmdb_environment, a_full_map_is_an_error_and_the_last_commit_stands) {
  opts.map_bytes = 1u << 20;
  const std::string kilobytes(8000, 'v');
  std::uint64_t committed = 0;
  {
    auto env = open();
    const auto tables = env.open_tables(names);
    try {
      for (std::uint64_t i = 0; i < 1000; ++i) {
        write_txn txn{env};
        txn.put(tables[0], u64_key{i}, kilobytes);
        txn.commit();
        committed = i + 1;
      }
      FAIL() << "one MiB cannot hold eight";
    } catch (const storage_error& e) {
      EXPECT_EQ(e.code(), MDB_MAP_FULL);
      EXPECT_EQ(e.as_failure().code, errc::storage_failed);
    }
    const read_txn txn{env};
    EXPECT_GE(env.measure(txn, tables).map_percent(), 80u); // so the reserve is noticed before the map is full
  }
  auto env = open();
  const auto tables = env.open_tables(names);
  const read_txn txn{env};
  std::uint64_t there = 0;
  cursor at{txn, tables[0]};
  for (bool found = at.first(); found; found = at.next())
    ++there;
  EXPECT_EQ(there, committed);
}

TEST_F(lmdb_environment, a_disk_smaller_than_the_map_is_noted) {
#ifdef SWARM_THREAD_SANITIZER
  GTEST_SKIP() << "its shadow memory leaves no room for such a map";
#endif
  opts.map_bytes = 1ULL << 45;
  const auto env = open();
  ASSERT_EQ(env.notes().size(), 1u);
  EXPECT_NE(env.notes()[0].find("32768.0 GiB"), std::string::npos);
}

TEST_F(lmdb_environment, slots_of_dead_readers_are_cleared) {
  auto env = open();
  const auto child = ::fork();
  if (child == 0) {
    auto other = environment::open_read_only(opts);
    const read_txn reader{other};
    ::_exit(0); // without ending the transaction
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(env.check_readers(), 1u);
  EXPECT_EQ(env.check_readers(), 0u);
}

TEST_F(lmdb_environment, a_write_transaction_moved_to_another_thread_is_caught) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        auto env = open();
        const auto t = env.open_tables(names)[0];
        write_txn txn{env};
        std::thread{[&] { txn.put(t, "a", "b"); }}.join();
      },
      "belongs to the thread");
}

TEST_F(lmdb_environment, a_missing_table_or_file_is_an_error) {
  EXPECT_THROW(environment::open_read_only(opts), storage_error);
  auto env = open();
  const std::vector<std::string> unknown{"nope"};
  EXPECT_THROW(static_cast<void>(env.open_tables(unknown)), storage_error);
  EXPECT_EQ(env.open_tables(names).size(), 2u);
}

TEST(lmdb_child_check, tells_ok_refused_crashed_and_slow_apart) {
  using outcome = child_result::outcome;
  EXPECT_EQ(run_in_child([] { return std::string{}; }, seconds{10}).what, outcome::ok);
  const auto refused = run_in_child([] { return std::string{"rotten"}; }, seconds{10});
  EXPECT_EQ(refused.what, outcome::refused);
  EXPECT_EQ(refused.message, "rotten");
  const auto thrown = run_in_child([]() -> std::string { throw storage_error{0, "thrown"}; }, seconds{10});
  EXPECT_EQ(thrown.what, outcome::refused);
  EXPECT_EQ(thrown.message, "thrown");
  const auto crash = []() -> std::string {
    ::kill(::getpid(), SIGKILL);
    return {};
  };
  EXPECT_EQ(run_in_child(crash, seconds{10}).what, outcome::crashed);
  const auto hang = []() -> std::string {
    ::pause();
    return {};
  };
  EXPECT_EQ(run_in_child(hang, milliseconds{50}).what, outcome::timed_out);
  EXPECT_EQ(run_in_child([] { return std::string(1 << 20, 'x'); }, seconds{10}).message.size(), 4096u);
}

} // namespace
} // namespace swarm::lmdb
