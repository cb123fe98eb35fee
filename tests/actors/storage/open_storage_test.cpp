// Starting: identity, keys, owners, clean and unclean stops, and every kind of damage.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "runtime/crypto/key_file.hpp"
#include "runtime/lmdb/child_check.hpp"
#include "runtime/random.hpp"
#include "tests/actors/storage/storage_fixture.hpp"

namespace swarm::storage {
namespace {

namespace fs = std::filesystem;
using texts = std::vector<std::string>;

std::string slurp(const fs::path& path) {
  std::ostringstream out;
  out << std::ifstream{path, std::ios::binary}.rdbuf();
  return out.str();
}

void poke(const fs::path& path, std::size_t offset, char byte) {
  std::fstream file{path, std::ios::binary | std::ios::in | std::ios::out};
  file.seekp(static_cast<std::streamoff>(offset)).put(byte);
}

struct open_storage_test : ::testing::Test {
  test::temp_dir dir;
  fs::path folder = dir / "raft";
  fs::path database = folder / file::database;
  open_options opts = small_options();

  // The reason for a refusal, with its text in `why`.
  std::optional<open_problem> refused() {
    try {
      static_cast<void>(open_storage(folder, opts));
      return std::nullopt;
    } catch (const open_error& e) {
      why = e.what();
      return e.problem();
    }
  }
  std::string why;

  void fill() {
    auto state = open_storage(folder, opts);
    commit(*state.storage, append(1, 20, 1, "entry"));
    auto request = save(10, 1, {{"task-a", "running"}, {"task-b", std::string(9000, 'b')}});
    request.mutable_membership()->add_voters()->set_raft_id(7);
    commit(*state.storage, request);
  }
};

TEST_F(open_storage_test, a_new_storage_is_empty_private_and_knows_whose_it_is) {
  const auto state = open_storage(folder, opts);
  EXPECT_TRUE(state.created);
  EXPECT_TRUE(state.was_clean);
  EXPECT_EQ(state.boot_counter, 1u);
  EXPECT_EQ(state.identity.cluster_id(), "cluster");
  EXPECT_EQ(state.identity.node_id(), "node");
  EXPECT_EQ(state.identity.raft_id(), 7u);
  EXPECT_EQ(state.identity.environment_id().size(), 16u);
  EXPECT_TRUE(state.entries.empty());
  EXPECT_TRUE(rows(*state.storage).empty());
  for (const auto& path : {folder, database, folder / file::data_key, folder / file::owner}) {
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0) << path;
    EXPECT_EQ(info.st_mode & 077, 0u) << path;
  }
}

TEST_F(open_storage_test, the_boot_counter_rises_with_every_start) {
  for (std::uint64_t boot = 1; boot <= 4; ++boot)
    EXPECT_EQ(open_storage(folder, opts).boot_counter, boot);
}

TEST_F(open_storage_test, an_orderly_stop_is_remembered_once) {
  {
    auto state = open_storage(folder, opts);
    state.storage->mark_clean();
  }
  EXPECT_TRUE(open_storage(folder, opts).was_clean);
  EXPECT_FALSE(open_storage(folder, opts).was_clean);
}

TEST_F(open_storage_test, a_second_opener_is_refused) {
  const auto state = open_storage(folder, opts);
  EXPECT_EQ(refused(), open_problem::in_use);
  EXPECT_NE(why.find(std::to_string(::getpid())), std::string::npos) << why;
}

TEST_F(open_storage_test, another_cluster_or_node_is_refused_and_no_opinion_is_fine) {
  fill();
  opts.cluster_id = "other";
  EXPECT_EQ(refused(), open_problem::wrong_identity);
  opts.cluster_id.clear();
  opts.node_id = "other";
  EXPECT_EQ(refused(), open_problem::wrong_identity);
  opts.node_id.clear();
  opts.raft_id = 8;
  EXPECT_EQ(refused(), open_problem::wrong_identity);
  opts.raft_id = 0;
  EXPECT_EQ(refused(), std::nullopt);
}

TEST_F(open_storage_test, another_data_key_is_refused) {
  fill();
  ASSERT_TRUE(crypto::save_data_key(folder / file::data_key, crypto::data_key::generate(), nullptr).ok());
  EXPECT_EQ(refused(), open_problem::damaged);
  EXPECT_NE(why.find("data key is not the one"), std::string::npos) << why;
}

TEST_F(open_storage_test, a_database_without_its_key_is_never_given_a_new_one) {
  fill();
  fs::remove(folder / file::data_key);
  EXPECT_EQ(refused(), open_problem::missing_key_file);
  EXPECT_FALSE(fs::exists(folder / file::data_key));
  ASSERT_TRUE(fs::exists(database));
}

TEST_F(open_storage_test, a_key_that_others_can_read_is_refused) {
  fill();
  ::chmod((folder / file::data_key).c_str(), 0644);
  EXPECT_EQ(refused(), open_problem::unsafe_key_file);
}

TEST_F(open_storage_test, a_locked_storage_opens_with_its_unlock_key_only) {
  const auto unlock = crypto::secret_key::generate();
  const auto other = crypto::secret_key::generate();
  opts.unlock_key = &unlock;
  fill();
  opts.unlock_key = nullptr;
  EXPECT_EQ(refused(), open_problem::locked);
  opts.unlock_key = &other;
  EXPECT_EQ(refused(), open_problem::wrong_unlock_key);
  opts.unlock_key = &unlock;
  EXPECT_EQ(open_storage(folder, opts).entries.size(), 20u);
}

TEST_F(open_storage_test, plaintext_is_nowhere_in_the_files) {
  fill();
  for (const auto& each : fs::directory_iterator{folder}) {
    const auto bytes = slurp(each.path());
    EXPECT_EQ(bytes.find("entry1"), std::string::npos) << each.path();
    EXPECT_EQ(bytes.find("running"), std::string::npos) << each.path();
    EXPECT_EQ(bytes.find("bbbbbbbb"), std::string::npos) << each.path();
  }
}

TEST_F(open_storage_test, an_unknown_format_is_named_and_refused) {
  fill();
  const auto at = slurp(database).find(format_text);
  ASSERT_NE(at, std::string::npos);
  const auto bytes = slurp(database);
  for (auto next = at; next != std::string::npos; next = bytes.find(format_text, next + 1))
    poke(database, next + format_text.size() - 1, '9');
  EXPECT_EQ(refused(), open_problem::damaged);
  EXPECT_NE(why.find("format \"swarm-storage 9\""), std::string::npos) << why;
}

TEST_F(open_storage_test, every_flipped_byte_of_every_value_is_reported) {
  fill();
  std::vector<std::string> values;
  {
    auto env = lmdb::environment::open_read_only({database, opts.map_bytes});
    const auto tables = env.open_tables(table_names());
    const lmdb::read_txn txn{env};
    for (const auto& table : tables) {
      lmdb::cursor at{txn, table};
      for (bool found = at.first(); found; found = at.next())
        values.emplace_back(at.value());
    }
  }
  ASSERT_GE(values.size(), 26u);
  const auto bytes = slurp(database);
  const auto key = std::move(*crypto::load_data_key(folder / file::data_key, nullptr).key);
  const crypto::sealer sealer{key.copy(), {}};
  std::size_t flips = 0;
  for (const auto& value : values) {
    // Both the current copy and older ones (copy on write) carry these bytes: flip all of them.
    std::vector<std::size_t> copies;
    for (auto at = bytes.find(value); at != std::string::npos; at = bytes.find(value, at + 1))
      copies.push_back(at);
    ASSERT_FALSE(copies.empty());
    for (std::size_t i = 0; i < value.size(); i += 1 + value.size() / 30, ++flips) {
      for (const auto at : copies)
        poke(database, at + i, static_cast<char>(value[i] ^ 0x20));
      EXPECT_THROW((disk{lmdb::environment::open_read_only({database, opts.map_bytes}), sealer, folder}.verify()),
                   lmdb::storage_error)
          << "byte " << i << " of a value of " << value.size();
      for (const auto at : copies)
        poke(database, at + i, value[i]);
    }
  }
  EXPECT_EQ(refused(), std::nullopt); // all repaired again
  ::testing::Test::RecordProperty("flips", static_cast<int>(flips));
}

TEST_F(open_storage_test, the_scrub_lists_what_is_damaged_and_goes_on) {
  fill();
  const auto bytes = slurp(database);
  auto state = open_storage(folder, opts);
  scrub_position from;
  auto clean = state.storage->scrub(from, UINT64_MAX);
  EXPECT_TRUE(clean.finished);
  EXPECT_EQ(clean.damaged_count, 0u);
  // In slices: the same values, each once.
  std::uint64_t values = 0;
  for (bool finished = false; !finished;) {
    const auto slice = state.storage->scrub(from, 100);
    values += slice.values;
    finished = slice.finished;
  }
  EXPECT_EQ(values, clean.values);
  // Rot arrives while the file is open.
  std::string sealed;
  {
    auto env = lmdb::environment::open_read_only({database, opts.map_bytes});
    const std::vector<std::string> log{"log"};
    const auto table = env.open_tables(log)[0];
    sealed = *lmdb::read_txn{env}.get(table, lmdb::u64_key{5});
  }
  for (auto at = bytes.find(sealed); at != std::string::npos; at = bytes.find(sealed, at + 1))
    poke(database, at + 40, static_cast<char>(sealed[40] ^ 1));
  const auto report = state.storage->scrub(from, UINT64_MAX);
  EXPECT_EQ(report.damaged, (texts{"log/0000000000000005"}));
  EXPECT_EQ(report.values, clean.values);
  EXPECT_THROW(static_cast<void>(state.storage->read_log()), lmdb::storage_error);
}

TEST_F(open_storage_test, rot_anywhere_in_the_file_gives_the_true_content_or_an_error) {
  fill();
  texts true_log, true_rows;
  {
    const auto state = open_storage(folder, opts);
    true_log = log_texts(state.entries);
    true_rows = rows(*state.storage);
  }
  const auto good = slurp(database);
  random_source rng{20240611};
  int noticed = 0, crashed = 0;
  for (int round = 0; round < 80; ++round) {
    auto bad = good;
    const auto kind = rng.below(3);
    const auto page = rng.below(good.size() / 4096) * 4096;
    if (kind == 0)
      bad[rng.below(good.size())] ^= static_cast<char>(1 << rng.below(8));
    else if (kind == 1)
      std::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(page), 4096, '\0');
    else
      std::copy_n(good.begin() + static_cast<std::ptrdiff_t>(rng.below(good.size() / 4096) * 4096), 4096,
                  bad.begin() + static_cast<std::ptrdiff_t>(page));
    std::ofstream{database, std::ios::binary | std::ios::trunc} << bad;
    // In a child: opening after a check that passed must not be what crashes this test.
    const auto result = lmdb::run_in_child(
        [&]() -> std::string {
          try {
            const auto state = open_storage(folder, opts);
            return log_texts(state.entries) == true_log && rows(*state.storage) == true_rows ? "" : "wrong content";
          } catch (const open_error& e) {
            return std::string{"noticed: "} + e.what();
          } catch (const lmdb::storage_error& e) {
            return std::string{"noticed: "} + e.what();
          }
        },
        seconds{20});
    EXPECT_NE(result.what, lmdb::child_result::outcome::timed_out) << "round " << round;
    EXPECT_NE(result.message, "wrong content") << "round " << round << " kind " << kind << " page " << page;
    noticed += result.message.starts_with("noticed") ? 1 : 0;
    crashed += result.what == lmdb::child_result::outcome::crashed ? 1 : 0;
  }
  EXPECT_GT(noticed, 10);
  EXPECT_EQ(crashed, 0) << "the check in a child is there to turn crashes into refusals";
}

TEST_F(open_storage_test, the_ballast_is_reserved_and_given_back_when_the_disk_is_full) {
  opts.ballast_bytes = 1 << 20;
  {
    const auto state = open_storage(folder, opts);
    EXPECT_EQ(fs::file_size(folder / file::ballast), 1u << 20);
  }
  opts.ballast_bytes = 1ULL << 50; // more than any disk has free
  const auto state = open_storage(folder, opts);
  EXPECT_FALSE(fs::exists(folder / file::ballast));
  ASSERT_FALSE(state.notes.empty());
  EXPECT_NE(state.notes[0].find("given back"), std::string::npos);
}

TEST_F(open_storage_test, a_folder_that_cannot_be_made_is_an_error) {
  std::ofstream{dir / "raft"} << "a file";
  EXPECT_EQ(refused(), open_problem::failed);
}

} // namespace
} // namespace swarm::storage
