// STORAGE as an actor: what is grouped, when it is written, who is answered, and how it ends.
#include <gtest/gtest.h>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "actors/storage/storage_actor.hpp"
#include "tests/actors/storage/storage_fixture.hpp"

namespace swarm::storage {
namespace {

using texts = std::vector<std::string>;
using caf::scheduler::test_coordinator;

struct virtual_time : caf::actor_system_config {
  virtual_time() { set("scheduler.policy", caf::atom("testing")); }
};

struct storage_shell : ::testing::Test {
  test::temp_dir dir;
  open_options opts = small_options();
  storage_options actor_opts;
  virtual_time config;
  caf::actor_system system{config};
  test_coordinator& sched = dynamic_cast<test_coordinator&>(system.scheduler());
  caf::scoped_actor self{system};
  storage_actor actor;
  std::string down_reason;

  void SetUp() override {
    actor_opts.disk_reserve_bytes = 0; // a test machine's disk is not ours to judge
  }
  void start() {
    auto state = open_storage(dir / "raft", opts);
    actor = system.spawn(storage_writer, state.storage, actor_opts);
    self->monitor(actor);
    sched.run();
  }
  void stop() {
    if (!actor)
      return;
    self->send_exit(actor, caf::exit_reason::user_shutdown);
    sched.run();
    actor = nullptr;
  }
  void TearDown() override { stop(); }

  auto ask(const Append& request) { return self->request(actor, caf::infinite, request); }
  template <class Handle>
  Appended answer(Handle& handle) {
    Appended out;
    handle.receive([&](const Appended& done) { out = done; },
                   [](const caf::error& err) { ADD_FAILURE() << caf::to_string(err); });
    return out;
  }
  template <class Handle>
  errc refusal(Handle& handle) {
    auto out = errc::ok;
    handle.receive([](const Appended&) { ADD_FAILURE() << "must be refused"; },
                   [&](const caf::error& err) {
                     out = err.category() == caf::atom("swarm") ? static_cast<errc>(err.code()) : errc::unavailable;
                   });
    return out;
  }
  std::string fact(const std::string& key) {
    std::string out;
    auto handle = self->request(actor, caf::infinite, ReadStatus{});
    sched.run();
    handle.receive([&](const ActorStatus& status) { out = status.facts().at(key); },
                   [](const caf::error& err) { ADD_FAILURE() << caf::to_string(err); });
    return out;
  }
  bool ended_with_storage_failed() {
    bool out = false;
    self->receive([&](const caf::down_msg& down) {
      out = down.reason.category() == caf::atom("swarm") &&
            down.reason.code() == static_cast<std::uint8_t>(errc::storage_failed);
    });
    actor = nullptr;
    return out;
  }
};

TEST_F(storage_shell, everything_that_waits_is_one_commit_and_all_are_answered) {
  start();
  std::vector<decltype(ask(Append{}))> handles;
  for (std::uint64_t i = 1; i <= 100; ++i)
    handles.push_back(ask(append(i, i, 1)));
  sched.run();
  for (auto& handle : handles)
    EXPECT_EQ(answer(handle).last_log_index(), 100u);
  EXPECT_EQ(fact("commits"), "1");
  EXPECT_EQ(fact("entries"), "100");
  EXPECT_EQ(fact("entries_per_commit_max"), "100");
  EXPECT_EQ(fact("last_log_index"), "100");
}

TEST_F(storage_shell, nobody_is_answered_before_the_commit) {
  start();
  auto handle = ask(append(1, 1, 1));
  sched.run_once(); // Append is queued; its flush is in the mailbox
  EXPECT_TRUE(self->mailbox().empty());
  sched.run();
  EXPECT_EQ(answer(handle).last_log_index(), 1u);
}

TEST_F(storage_shell, a_save_waits_fifty_milliseconds_or_for_many_others) {
  actor_opts.commit.saves_bytes = 1000;
  start();
  auto first = ask(append(1, 3, 1));
  sched.run();
  answer(first);
  self->send(actor, save(1, 1, {{"a", "1"}}));
  auto second = ask(append(4, 4, 1));
  sched.run();
  answer(second);
  EXPECT_EQ(fact("commits"), "2");
  EXPECT_EQ(fact("applied_index"), "0") << "the append does not take it along";
  sched.advance_time(milliseconds{49});
  sched.run();
  EXPECT_EQ(fact("commits"), "2");
  sched.advance_time(milliseconds{1});
  sched.run();
  EXPECT_EQ(fact("commits"), "3");
  EXPECT_EQ(fact("applied_index"), "1");
  self->send(actor, save(2, 1, {{"a", std::string(500, '2')}}));
  self->send(actor, save(3, 1, {{"a", std::string(500, '3')}}));
  auto third = ask(append(5, 5, 1));
  sched.run();
  answer(third);
  EXPECT_EQ(fact("commits"), "4");
  EXPECT_EQ(fact("applied_index"), "3");
  sched.advance_time(milliseconds{100});
  sched.run();
  EXPECT_EQ(fact("commits"), "4"); // nothing was left for the delayed flush
}

TEST_F(storage_shell, a_suffix_replaced_within_one_batch_ends_as_the_last_request_says) {
  start();
  auto a = ask(append(1, 5, 1));
  auto b = ask(append(3, 4, 2, "new"));
  sched.run();
  EXPECT_EQ(answer(a).last_log_index(), 4u);
  EXPECT_EQ(answer(b).last_log_index(), 4u);
  stop();
  EXPECT_EQ(log_texts(open_storage(dir / "raft", opts).entries),
            (texts{"1@1 data1", "2@1 data2", "3@2 new3", "4@2 new4"}));
}

TEST_F(storage_shell, compaction_is_finished_in_slices_while_idle) {
  start();
  auto a = ask(append(1, 3500, 1));
  self->send(actor, save(3400, 1, {}));
  Append truncate;
  truncate.set_truncate_before(3301);
  auto b = ask(truncate);
  sched.run();
  answer(a);
  answer(b);
  EXPECT_EQ(fact("first_log_index"), "1") << "what is not saved is in the log only";
  sched.advance_time(milliseconds{50});
  sched.run();
  EXPECT_EQ(fact("first_log_index"), "1001");
  for (int i = 0; i < 3; ++i) {
    sched.advance_time(milliseconds{50});
    sched.run();
  }
  EXPECT_EQ(fact("first_log_index"), "3301");
  EXPECT_EQ(fact("compacted"), "3300");
}

TEST_F(storage_shell, a_queue_of_many_bytes_is_written_before_it_grows_further) {
  actor_opts.commit.bytes_max = 10'000;
  start();
  std::vector<decltype(ask(Append{}))> handles;
  for (std::uint64_t i = 1; i <= 30; ++i)
    handles.push_back(ask(append(i, i, 1, std::string(1000, 'x'))));
  sched.run();
  for (auto& handle : handles)
    answer(handle);
  EXPECT_EQ(fact("commits"), "3");
}

TEST_F(storage_shell, an_exit_writes_what_is_queued_and_marks_the_stop_as_clean) {
  start();
  auto first = ask(append(1, 2, 1));
  sched.run();
  answer(first);
  self->send(actor, save(2, 1, {{"k", "v"}}));
  stop();
  const auto state = open_storage(dir / "raft", opts);
  EXPECT_TRUE(state.was_clean);
  EXPECT_EQ(state.applied.log_index(), 2u);
  EXPECT_EQ(rows(*state.storage), (texts{"k=v"}));
}

TEST_F(storage_shell, a_kill_is_not_a_clean_stop) {
  start();
  self->send_exit(actor, caf::exit_reason::kill);
  sched.run();
  actor = nullptr;
  EXPECT_FALSE(open_storage(dir / "raft", opts).was_clean);
}

TEST_F(storage_shell, after_an_error_everyone_is_refused_and_the_actor_ends) {
  opts.map_bytes = 1u << 20;
  start();
  auto small = ask(append(1, 1, 1));
  sched.run();
  answer(small);
  auto a = ask(append(2, 2, 1));
  auto big = ask(append(3, 3, 1, std::string(2 << 20, 'x')));
  auto c = ask(append(4, 4, 1));
  sched.run();
  EXPECT_EQ(refusal(a), errc::storage_failed); // one transaction: all or nothing
  EXPECT_EQ(refusal(big), errc::storage_failed);
  EXPECT_EQ(refusal(c), errc::storage_failed);
  auto late = ask(append(2, 2, 1));
  sched.run();
  EXPECT_NE(refusal(late), errc::ok);
  EXPECT_TRUE(ended_with_storage_failed());
  const auto state = open_storage(dir / "raft", opts);
  EXPECT_FALSE(state.was_clean);
  EXPECT_EQ(log_texts(state.entries), (texts{"1@1 data1"}));
}

TEST_F(storage_shell, a_map_that_is_four_fifths_full_is_told_with_each_answer) {
  opts.map_bytes = 1u << 20;
  opts.journal_bytes = 16u << 10;
  start();
  std::uint64_t index = 0;
  bool pressure = false;
  while (!pressure && index < 1000) {
    ++index;
    auto handle = ask(append(index, index, 1, std::string(8000, 'x')));
    sched.run();
    pressure = answer(handle).pressure();
  }
  EXPECT_TRUE(pressure);
  EXPECT_EQ(fact("pressure"), "true");
  self->send(actor, save(index, 1, {})); // what makes room still works
  sched.run();
  sched.advance_time(milliseconds{50});
  Append truncate;
  truncate.set_truncate_before(index);
  auto handle = ask(truncate);
  sched.run();
  answer(handle);
  sched.advance_time(milliseconds{50});
  sched.run();
  EXPECT_EQ(fact("pressure"), "false");
  auto next = ask(append(index + 1, index + 1, 1));
  sched.run();
  EXPECT_FALSE(answer(next).pressure());
}

TEST_F(storage_shell, a_disk_without_room_is_pressure_too) {
  actor_opts.disk_reserve_bytes = UINT64_MAX;
  start();
  auto handle = ask(append(1, 1, 1));
  sched.run();
  EXPECT_TRUE(answer(handle).pressure());
}

TEST_F(storage_shell, the_scrub_passes_in_slices_and_its_finding_ends_the_actor) {
  actor_opts.scrub_slice_bytes = 2000;
  actor_opts.scrub_period = minutes{1};
  start();
  auto handle = ask(append(1, 50, 1));
  sched.run();
  answer(handle);
  EXPECT_EQ(fact("scrubbed_values"), "0");
  for (int i = 0; i < 12; ++i) {
    sched.advance_time(seconds{10});
    sched.run();
  }
  EXPECT_EQ(fact("scrub_passes"), "1");
  EXPECT_GE(std::stoi(fact("scrubbed_values")), 50);
  // Rot in a value that nothing but the scrub will read.
  const auto database = dir / "raft" / file::database;
  std::ostringstream bytes;
  bytes << std::ifstream{database, std::ios::binary}.rdbuf();
  std::string sealed;
  {
    auto env = lmdb::environment::open_read_only({database, opts.map_bytes});
    const texts log{"log"};
    const auto table = env.open_tables(log)[0];
    sealed = *lmdb::read_txn{env}.get(table, lmdb::u64_key{7});
  }
  const auto at = bytes.str().find(sealed);
  ASSERT_NE(at, std::string::npos);
  std::fstream{database, std::ios::binary | std::ios::in | std::ios::out}
      .seekp(static_cast<std::streamoff>(at) + 30)
      .put('\x55');
  for (int i = 0; i < 12; ++i) {
    sched.advance_time(seconds{10});
    sched.run();
  }
  EXPECT_TRUE(ended_with_storage_failed());
}

// -- a real thread --------------------------------------------------------------------------------------------------

// Not a gate: figures for the reader.
TEST(storage_speed, entries_per_second_by_batch_and_by_waiting_requests) {
  test::temp_dir dir;
  auto opts = small_options();
  opts.map_bytes = 4ULL << 30;
  auto state = open_storage(dir / "raft", opts);
  auto& storage = *state.storage;
  const std::string payload(512, 'p');
  std::uint64_t index = 0;
  for (const std::uint64_t batch : {1u, 16u, 256u}) {
    latency us;
    const auto begin = std::chrono::steady_clock::now();
    auto spent = begin - begin;
    std::uint64_t entries = 0;
    for (; spent < std::chrono::milliseconds{400}; entries += batch, index += batch) {
      const auto from = std::chrono::steady_clock::now();
      commit(storage, append(index + 1, index + batch, 1, payload));
      us.add(static_cast<std::uint64_t>(
          std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - from).count()));
      spent = std::chrono::steady_clock::now() - begin;
    }
    std::printf("disk: batch %3llu: %8.0f entries/s, commit p50 %llu us p99 %llu us\n",
                static_cast<unsigned long long>(batch),
                static_cast<double>(entries) / std::chrono::duration<double>(spent).count(),
                static_cast<unsigned long long>(us.percentile(50)), static_cast<unsigned long long>(us.percentile(99)));
  }
  caf::actor_system_config config;
  caf::actor_system system{config};
  storage_options actor_opts;
  const auto actor = system.spawn<caf::detached>(storage_writer, state.storage, actor_opts);
  state = {};
  caf::scoped_actor self{system};
  for (const std::uint64_t waiting : {1u, 16u, 256u}) {
    const auto begin = std::chrono::steady_clock::now();
    auto spent = begin - begin;
    std::uint64_t done = 0;
    for (; spent < std::chrono::milliseconds{400}; spent = std::chrono::steady_clock::now() - begin) {
      for (std::uint64_t i = 0; i < waiting; ++i, ++index)
        self->send(actor, append(index + 1, index + 1, 1, payload));
      for (std::uint64_t i = 0; i < waiting; ++i, ++done)
        self->receive([](const Appended&) {}, caf::after(std::chrono::seconds{10}) >> [] { FAIL() << "no answer"; });
    }
    std::printf("actor: %3llu requests waiting: %8.0f entries/s\n", static_cast<unsigned long long>(waiting),
                static_cast<double>(done) / std::chrono::duration<double>(spent).count());
  }
  self->send_exit(actor, caf::exit_reason::user_shutdown);
  self->wait_for(actor);
}

} // namespace
} // namespace swarm::storage
