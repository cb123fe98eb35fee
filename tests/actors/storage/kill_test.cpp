// kill -9 in the middle of writing: whatever was acknowledged is there, and the state fits the log exactly.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "runtime/random.hpp"
#include "tests/actors/storage/storage_fixture.hpp"

namespace swarm::storage {
namespace {

constexpr std::uint64_t slots = 50;

std::string data_of(std::uint64_t index) { return "entry " + std::to_string(index) + std::string(index % 700, 'x'); }

// Writes until it is killed; the last index goes into the pipe after journal() or commit() has returned.
[[noreturn]] void write_for_ever(const std::filesystem::path& folder, const open_options& opts, int ack) {
  auto state = open_storage(folder, opts);
  auto& storage = *state.storage;
  random_source rng{state.boot_counter};
  auto applied = state.applied.log_index();
  for (;;) {
    Append request;
    const auto first = storage.at().last.log_index() + 1;
    for (auto i = first; i < first + rng.between(1, 6); ++i)
      *request.add_entries() = entry(i, 1, data_of(i));
    request.mutable_hard_state()->set_term(1);
    if (rng.chance(10))
      request.set_truncate_before(applied > 20 ? applied - 20 : 0);
    if (rng.chance(70) && storage.journal(request)) {
      const auto last = storage.at().last.log_index();
      if (::write(ack, &last, sizeof last) != sizeof last)
        ::_exit(1);
      continue;
    }
    SaveState done;
    for (; applied < first - 1; ++applied) {
      auto& row = *done.add_writes();
      row.set_table(TableWrite::TABLE_TASK);
      row.set_key("slot" + std::to_string((applied + 1) % slots));
      row.set_value(std::to_string(applied + 1));
    }
    done.set_applied_index(applied);
    done.set_applied_term(applied == 0 ? 0 : 1);
    const operation both[] = {&request, &done};
    storage.commit(both);
    const auto last = storage.at().last.log_index();
    if (::write(ack, &last, sizeof last) != sizeof last)
      ::_exit(1);
  }
}

void check(const recovered_state& state, std::uint64_t acknowledged) {
  ASSERT_GE(state.storage->at().last.log_index(), acknowledged) << "an acknowledged entry is lost";
  for (const auto& each : state.entries)
    ASSERT_EQ(each.data(), data_of(each.log_index()));
  const auto applied = state.applied.log_index();
  std::uint64_t seen = 0;
  state.visit_rows([&](TableWrite::Table, std::string_view key, std::string_view value) {
    const auto slot = std::stoull(std::string{key.substr(4)});
    const auto expected = applied - (applied + slots - slot) % slots; // the last index of this slot up to applied
    EXPECT_EQ(value, std::to_string(expected)) << "applied and its data must move together";
    ++seen;
  });
  EXPECT_EQ(seen, std::min(applied, slots));
}

TEST(storage_kill, no_acknowledged_entry_is_lost_in_thirty_kills) {
  test::temp_dir dir;
  const auto opts = small_options();
  random_source rng{7};
  std::uint64_t acknowledged = 0;
  std::uint64_t commits = 0;
  for (int round = 0; round < 30; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const auto child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      write_for_ever(dir / "raft", opts, ends[1]);
    }
    ::close(ends[1]);
    std::uint64_t last = 0;
    bool first = true;
    while (::read(ends[0], &last, sizeof last) == sizeof last) {
      acknowledged = std::max(acknowledged, last);
      ++commits;
      if (first) {
        ::usleep(static_cast<useconds_t>(rng.between(500, 60'000)));
        ::kill(child, SIGKILL);
        first = false;
      }
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer must run until it is killed";
    const auto state = open_storage(dir / "raft", opts);
    EXPECT_FALSE(state.was_clean);
    check(state, acknowledged);
    if (HasFatalFailure())
      return;
  }
  std::printf("kill -9: 30 kills, %llu acknowledged commits, %llu entries, 0 lost\n",
              static_cast<unsigned long long>(commits), static_cast<unsigned long long>(acknowledged));
}

} // namespace
} // namespace swarm::storage
