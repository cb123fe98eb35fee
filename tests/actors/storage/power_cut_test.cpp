// Power cuts and failing calls at every point: nothing acknowledged is lost, and the storage always opens.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>

#include "tests/actors/storage/disk_model.hpp"
#include "tests/actors/storage/storage_fixture.hpp"

namespace swarm::storage {
namespace {

namespace fs = std::filesystem;

std::string data_of(std::uint64_t index) {
  return "entry " + std::to_string(index) + std::string(index * 37 % 3000, 'x');
}

// Opens and writes: three appends into the journal, then a transaction, `commits` in all; acknowledges the last index of each.
// Throws where a call is made to fail.
std::uint64_t write_some(const fs::path& folder, const open_options& opts, int commits,
                         const std::function<void(std::uint64_t)>& acknowledged) {
  auto state = open_storage(folder, opts);
  auto& storage = *state.storage;
  for (int i = 0; i < commits; ++i) {
    Append request;
    const auto first = storage.at().last.log_index() + 1;
    for (auto index = first; index < first + 3; ++index)
      *request.add_entries() = entry(index, 1, data_of(index));
    request.mutable_hard_state()->set_term(1);
    if (i % 8 == 7)
      request.set_truncate_before(first - 6);
    if (i % 4 == 3 || !storage.journal(request)) {
      auto done = save(first - 1, first == 1 ? 0 : 1, {{"applied", std::to_string(first - 1)}});
      const operation both[] = {&request, &done};
      storage.commit(both);
    }
    acknowledged(storage.at().last.log_index());
  }
  return storage.at().last.log_index();
}

// What must hold after any accident.
void check(const fs::path& folder, const open_options& opts, std::uint64_t acknowledged, const std::string& where) {
  try {
    const auto state = open_storage(folder, opts);
    EXPECT_GE(state.storage->at().last.log_index(), acknowledged) << where;
    for (const auto& each : state.entries)
      EXPECT_EQ(each.data(), data_of(each.log_index())) << where;
    const auto all = rows(*state.storage);
    if (state.applied.log_index() > 0) {
      EXPECT_EQ(all, std::vector<std::string>{"applied=" + std::to_string(state.applied.log_index())}) << where;
    }
    const auto next = state.storage->at().last.log_index() + 1;
    commit(*state.storage, append(next, next, 1)); // and it can go on
  } catch (const open_error& e) {
    ADD_FAILURE() << where << ": " << e.what();
  }
}

TEST(storage_power_cut, every_image_opens_and_holds_all_that_was_acknowledged) {
  test::temp_dir dir;
  const auto opts = small_options();
  const auto folder = dir / "raft";
  fs::create_directory(folder);
  disk_model::start(folder);
  write_some(folder, opts, 40, [](std::uint64_t last) { disk_model::acknowledge(last); });
  disk_model::stop();
  const auto events = disk_model::events();
  ASSERT_GT(events, 150u) << "the model must see LMDB's writes and syncs";
  random_source rng{11};
  constexpr disk_model::loss losses[] = {disk_model::loss::all, disk_model::loss::none, disk_model::loss::random_pages,
                                         disk_model::loss::random_sectors};
  int images = 0;
  const auto try_cut = [&](std::size_t at, disk_model::loss how) {
    const auto image = disk_model::cut(at, how, rng, dir / "image");
    check(dir / "image", opts, image.acknowledged,
          "cut after event " + std::to_string(at) + " of " + std::to_string(events) + ", loss " +
              std::to_string(static_cast<int>(how)));
    ++images;
  };
  // The creation of the file, event by event, in every way; then samples of everything else.
  for (std::size_t at = 0; at <= 25; ++at)
    for (const auto how : losses)
      try_cut(at, how);
  for (int i = 0; i < 60; ++i)
    try_cut(rng.between(26, events), losses[rng.below(4)]);
  std::printf("power cuts: %zu events, %d images, all valid\n", events, images);
}

TEST(storage_power_cut, any_call_that_fails_is_an_error_and_the_acknowledged_stays) {
  const auto opts = small_options();
  int failures = 0;
  for (const int error : {EIO, ENOSPC}) {
    for (std::uint64_t nth = 1;; ++nth) {
      test::temp_dir dir;
      const auto folder = dir / "raft";
      fs::create_directory(folder);
      std::uint64_t acknowledged = 0;
      disk_model::start(folder);
      disk_model::fail_nth(nth, error);
      bool threw = false;
      try {
        write_some(folder, opts, 5, [&](std::uint64_t last) { acknowledged = last; });
      } catch (const std::runtime_error&) { // open_error or lmdb::storage_error
        threw = true;
      }
      const bool hit = disk_model::failed();
      disk_model::fail_nth(0, 0);
      disk_model::stop();
      EXPECT_EQ(threw, hit) << "call " << nth << " failed unnoticed";
      check(folder, opts, acknowledged, "call " + std::to_string(nth) + " fails with " + std::to_string(error));
      if (!hit)
        break;
      ++failures;
    }
  }
  EXPECT_GT(failures, 40);
  std::printf("failing calls: %d injected, all noticed, nothing acknowledged lost\n", failures);
}

} // namespace
} // namespace swarm::storage
