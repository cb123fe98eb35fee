// Records of the journal: there after a restart while they count, and never when they do not.
#include "actors/storage/append_journal.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/lmdb/error.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::storage {
namespace {

using texts = std::vector<std::string>;

struct append_journal_test : testing::Test {
  static constexpr std::size_t bytes = 8 * append_journal::block;
  test::temp_dir dir;
  std::filesystem::path path = dir / "journal";
  crypto::data_key key = crypto::data_key::generate();
  crypto::sealer sealing{key.copy(), "test"};

  texts read(std::uint64_t epoch) { return append_journal{path, bytes, sealing}.read(epoch); }
  void flip(std::size_t offset) {
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.seekg(static_cast<std::streamoff>(offset));
    const auto old = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(old ^ 1));
  }
};

TEST_F(append_journal_test, a_new_one_is_empty_private_and_has_its_size) {
  EXPECT_EQ(read(0), texts{});
  EXPECT_EQ(std::filesystem::file_size(path), bytes);
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0600});
}

TEST_F(append_journal_test, records_come_back_in_their_order_in_their_epoch_only) {
  const std::string large(append_journal::block, 'x');
  {
    append_journal journal{path, bytes, sealing};
    journal.write(7, "one");
    journal.write(7, large);
    journal.write(7, "");
    EXPECT_EQ(journal.records(), 3u);
  }
  EXPECT_EQ(read(7), (texts{"one", large, ""}));
  EXPECT_EQ(read(8), texts{});
  append_journal journal{path, bytes, sealing};
  journal.write(8, "new");
  EXPECT_EQ(read(8), texts{"new"}) << "older records behind it do not count";
}

TEST_F(append_journal_test, there_is_room_until_the_file_is_full_and_again_after_a_restart) {
  append_journal journal{path, bytes, sealing};
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(journal.has_room(1000));
    journal.write(1, std::string(1000, 'x'));
  }
  EXPECT_FALSE(journal.has_room(0));
  journal.restart();
  EXPECT_TRUE(journal.has_room(bytes - append_journal::block));
  EXPECT_FALSE(journal.has_room(bytes));
}

TEST_F(append_journal_test, a_last_record_that_was_cut_off_is_none) {
  {
    append_journal journal{path, bytes, sealing};
    journal.write(1, "one");
    journal.write(1, std::string(3000, 'x'));
  }
  flip(append_journal::block + 2000);
  EXPECT_EQ(read(1), texts{"one"});
}

TEST_F(append_journal_test, any_damage_to_a_record_with_a_good_one_behind_it_is_refused) {
  {
    append_journal journal{path, bytes, sealing};
    journal.write(1, "one");
    journal.write(1, "two");
    journal.write(1, "three");
  }
  const auto record = 20 + crypto::sealer::sealed_size(3);
  for (std::size_t at = 0; at < record; ++at) {
    flip(append_journal::block + at);
    EXPECT_THROW(read(1), lmdb::storage_error) << "byte " << at;
    flip(append_journal::block + at);
  }
  EXPECT_EQ(read(1), (texts{"one", "two", "three"}));
}

TEST_F(append_journal_test, records_of_another_key_or_environment_do_not_count) {
  append_journal{path, bytes, sealing}.write(1, "one");
  auto other = sealing.with_domain("other");
  EXPECT_EQ((append_journal{path, bytes, other}.read(1)), texts{});
  crypto::sealer stranger{crypto::data_key::generate(), "test"};
  EXPECT_EQ((append_journal{path, bytes, stranger}.read(1)), texts{});
}

TEST_F(append_journal_test, a_file_of_an_odd_size_is_damaged_and_an_existing_one_keeps_its_size) {
  append_journal{path, bytes, sealing}.write(1, "one");
  EXPECT_EQ((append_journal{path, 2 * bytes, sealing}.read(1)), texts{"one"});
  EXPECT_EQ(std::filesystem::file_size(path), bytes);
  std::filesystem::resize_file(path, bytes - 1);
  EXPECT_THROW(read(1), lmdb::storage_error);
}

} // namespace
} // namespace swarm::storage
