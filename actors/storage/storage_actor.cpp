// Queues requests, writes them together, answers, and looks after the file.
#include "actors/storage/storage_actor.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/crypto/bytes.hpp"
#include "runtime/log.hpp"
#include "runtime/thread_priority.hpp"

namespace swarm::storage {

namespace {

using self_ptr = observed_ptr<storage_actor, storage_state>;

constexpr std::string_view actor_label = "storage";
constexpr std::uint64_t measure_bytes = 1u << 20; // how much may be written before the usage is looked at again

template <class Self>
instant now(Self* self) { return instant{std::chrono::duration_cast<duration>(now_of(self))}; }

void refuse_waiting(std::vector<storage_state::waiting>& waiting, const failure& why) {
  for (auto& each : waiting)
    if (each.promise.pending())
      each.promise.deliver(to_error(why));
  waiting.clear();
}

// After this the mailbox is closed: CAF answers whatever is in it, and all that comes later.
void stop_for_good(self_ptr self, const failure& why) {
  log::error(actor_label, "storage_failed", {{"error", why.message}});
  refuse_waiting(self->state.appends, why);
  for (const auto& [id, reader] : self->state.readers)
    self->send_exit(reader, caf::exit_reason::user_shutdown);
  self->quit(to_error(why));
}

void look_at_usage(self_ptr self) {
  auto& st = self->state;
  st.usage = st.disk->usage();
  st.unmeasured_bytes = 0;
  const bool pressure =
      st.usage.map_percent() >= st.opts.pressure_percent || st.usage.disk_free_bytes < st.opts.disk_reserve_bytes;
  if (pressure != st.pressure) {
    st.pressure = pressure;
    log::write(pressure ? log::level::warn : log::level::info, actor_label, pressure ? "nearly_full" : "room_again",
               {{"map_percent", st.usage.map_percent()}, {"disk_free_bytes", st.usage.disk_free_bytes}});
  }
  // A small file is all free list and tells nothing.
  const bool bloat =
      st.usage.file_bytes > (256u << 20) && st.usage.file_bytes / st.usage.live_bytes >= st.opts.bloat_factor;
  if (bloat && !st.bloat_told)
    log::warn(actor_label, "file_much_larger_than_content",
              {{"file_bytes", st.usage.file_bytes}, {"live_bytes", st.usage.live_bytes}});
  st.bloat_told = bloat;
}

// A sync that so many new entries were waiting for.
void count_sync(storage_state& st, std::size_t entries, std::chrono::steady_clock::time_point begin) {
  auto& c = st.counters;
  ++c.commits;
  c.entries += entries;
  c.entries_per_commit_max = std::max<std::uint64_t>(c.entries_per_commit_max, entries);
  const auto took = std::chrono::steady_clock::now() - begin;
  st.commit_us.add(static_cast<std::uint64_t>(std::chrono::duration_cast<microseconds>(took).count()));
}

void wake_up(self_ptr self, wake how);

void answer(self_ptr self, std::vector<storage_state::waiting>& batch) {
  const auto& st = self->state;
  Appended done;
  done.set_last_log_index(st.disk->at().last.log_index());
  done.set_pressure(st.pressure);
  for (auto& each : batch)
    if (each.promise.pending())
      each.promise.deliver(done);
}

// One transaction for all that is queued or journaled; then, and only then, the answers. False when that was the end.
bool write_queue(self_ptr self) {
  auto& st = self->state;
  auto batch = std::exchange(st.appends, {});
  const auto saves = std::exchange(st.saves, {});
  st.core.taken(take::everything);
  std::size_t entries = 0;
  std::vector<operation> operations;
  operations.reserve(batch.size() + saves.size());
  for (const auto& each : batch) {
    operations.emplace_back(&each.request);
    entries += static_cast<std::size_t>(each.request.entries_size());
  }
  for (const auto& each : saves) // what they have applied is in the log, or among the entries before them
    operations.emplace_back(&each);
  try {
    const auto begin = std::chrono::steady_clock::now();
    const auto report = st.disk->commit(operations);
    count_sync(st, entries, begin);
    st.counters.rows += report.rows;
    st.counters.bytes += report.bytes;
    st.counters.compacted += report.removed;
    st.unmeasured_bytes += report.bytes;
    if (st.pressure || report.removed > 0 || st.unmeasured_bytes >= std::min(measure_bytes, st.usage.map_bytes / 100))
      look_at_usage(self);
    if (report.compaction_left)
      wake_up(self, st.core.unfinished(now(self)));
  } catch (const lmdb::storage_error& e) {
    refuse_waiting(batch, e.as_failure());
    stop_for_good(self, e.as_failure());
    return false;
  }
  answer(self, batch);
  return true;
}

// The appends that wait as one, unless one of them replaces entries.
std::optional<Append> as_one(const std::vector<storage_state::waiting>& batch) {
  Append out;
  for (const auto& [request, promise] : batch) {
    const auto& entries = request.entries();
    if (!entries.empty() && !out.entries().empty() && entries[0].log_index() != out.entries().rbegin()->log_index() + 1)
      return std::nullopt;
    out.mutable_entries()->MergeFrom(entries);
    if (request.has_hard_state())
      *out.mutable_hard_state() = request.hard_state();
    out.set_truncate_before(std::max(out.truncate_before(), request.truncate_before()));
  }
  return out;
}

// The appends that wait go into the journal, where the next transaction takes them from. False when that was the end.
bool write_appends(self_ptr self) {
  auto& st = self->state;
  try {
    const auto begin = std::chrono::steady_clock::now();
    auto several = st.appends.size() > 1 ? as_one(st.appends) : std::nullopt;
    auto* const request = several ? &*several : st.appends.size() == 1 ? &st.appends.front().request : nullptr;
    const auto entries = request == nullptr ? 0 : static_cast<std::size_t>(request->entries_size());
    if (request == nullptr || !st.disk->journal(*request))
      return write_queue(self);
    count_sync(st, entries, begin);
    ++st.counters.journaled;
  } catch (const lmdb::storage_error& e) {
    stop_for_good(self, e.as_failure());
    return false;
  }
  auto batch = std::exchange(st.appends, {});
  st.core.taken(take::appends);
  wake_up(self, st.core.unfinished(now(self)));
  answer(self, batch);
  return true;
}

bool write_rest(self_ptr self) {
  const auto& st = self->state;
  return (st.appends.empty() && st.saves.empty() && !st.disk->has_journaled()) || write_queue(self);
}

void wake_up(self_ptr self, wake how) {
  switch (how) {
  case wake::none: return;
  case wake::soon: self->send(self, flush_atom_v); return;
  case wake::later: self->delayed_send(self, self->state.core.idle_delay(), flush_atom_v); return;
  case wake::at_once: write_queue(self); return;
  }
}

void scrub_slice(self_ptr self) {
  auto& st = self->state;
  if (st.scrub_from.table == 0 && st.scrub_from.last_key.empty()) { // between two passes
    if (now(self) < st.scrub_at)
      return;
    st.scrub_at = now(self) + st.opts.scrub_period;
  }
  const auto report = st.disk->scrub(st.scrub_from, st.opts.scrub_slice_bytes);
  st.counters.scrubbed_values += report.values;
  st.counters.scrub_passes += report.finished ? 1 : 0;
  if (report.damaged_count > 0)
    throw lmdb::storage_error{0, "the scrub found damaged values: " + std::to_string(report.damaged_count) +
                                     ", first " + report.damaged.front()};
}

void keep_house(self_ptr self) {
  auto& st = self->state;
  st.housekeeping_at = now(self) + st.opts.housekeeping_period;
  self->delayed_send(self, st.opts.housekeeping_period, flush_atom_v);
  try {
    if (const auto dead = st.disk->check_readers(); dead > 0)
      log::warn(actor_label, "dead_readers_cleared", {{"count", dead}});
    scrub_slice(self);
    look_at_usage(self);
  } catch (const lmdb::storage_error& e) {
    stop_for_good(self, e.as_failure());
  }
}

void flush(self_ptr self) {
  auto& st = self->state;
  const auto what = st.core.flush(now(self));
  if ((what == take::everything && !write_queue(self)) || (what == take::appends && !write_appends(self)))
    return;
  st.core.check_invariants();
  if (now(self) >= st.housekeeping_at)
    keep_house(self);
}

// -- SNAPSHOT READER --------------------------------------------------------------------------------------------------

using reader_ptr = observed_ptr<snapshot_reader_actor, snapshot_reader_state>;

caf::result<InstallSnapshot> read_chunk(reader_ptr self, const ReadSnapshotChunk& request) {
  auto& st = self->state;
  st.asked = now(self);
  try {
    auto chunk = st.source->read(request.chunk());
    if (!chunk)
      return to_error({errc::not_found, "chunk " + std::to_string(request.chunk()) + " of the snapshot cannot be read out of order"});
    ++st.chunks;
    return std::move(*chunk);
  } catch (const lmdb::storage_error& e) {
    log::error(self->label(), "snapshot_unreadable", {{"error", e.what()}});
    self->quit(to_error(e.as_failure()));
    return to_error(e.as_failure());
  }
}

void check_age(reader_ptr self) {
  auto& st = self->state;
  const auto at = now(self);
  if (at - st.asked >= st.opts.idle_max || at - st.opened >= st.opts.open_max)
    self->quit();
  else
    self->delayed_send(self, st.opts.tick, tick_atom_v);
}

/// On a thread of its own, so that the writer never waits for it. Ends by itself when nobody asks, when it has been open for
/// too long, at the first damaged value, and with STORAGE.
snapshot_reader_actor::behavior_type snapshot_reader(reader_ptr self, std::shared_ptr<std::unique_ptr<snapshot_source>> source,
                                                     snapshot_reader_options opts, const caf::actor_addr& storage) {
  auto& st = self->state;
  st.opts = opts;
  st.source = std::move(*source);
  st.opened = st.asked = now(self);
  self->monitor(storage);
  self->set_down_handler([self](const caf::down_msg&) { self->quit(); });
  self->delayed_send(self, opts.tick, tick_atom_v);
  return {
      [self](const ReadSnapshotChunk& request) { return read_chunk(self, request); },
      [self](tick_atom) { check_age(self); },
      [self](const ReadStatus& request) {
        auto& st = self->state;
        auto out = self->base_status(request);
        auto& facts = *out.mutable_facts();
        facts["last_included_index"] = std::to_string(st.source->meta().last_included_index());
        facts["chunks"] = std::to_string(st.chunks);
        return out;
      },
  };
}

// -- snapshots ------------------------------------------------------------------------------------------------------

caf::result<InstallSnapshot> read_snapshot(self_ptr self, const ReadSnapshotChunk& request) {
  auto& st = self->state;
  if (request.snapshot_id() != 0) {
    const auto it = st.readers.find(request.snapshot_id());
    if (it == st.readers.end())
      return to_error({errc::not_found, "the snapshot is not open any more"});
    return self->delegate(it->second, request);
  }
  if (st.stopping || st.readers.size() >= st.opts.snapshots_max)
    return to_error({errc::resource_exhausted, std::to_string(st.readers.size()) + " snapshots are being read; try again"});
  // What STORE has applied and not yet seen written belongs to the snapshot.
  if (!write_rest(self))
    return to_error({errc::storage_failed, "the disk has failed"});
  const auto id = crypto::random_u64() | 1;
  try {
    const auto source = std::make_shared<std::unique_ptr<snapshot_source>>(std::make_unique<snapshot_source>(st.disk, id));
    const auto reader = st.opts.reader_threads ? self->spawn<caf::detached>(snapshot_reader, source, st.opts.reader, self->address())
                                               : self->spawn(snapshot_reader, source, st.opts.reader, self->address());
    self->monitor(reader);
    st.readers.emplace(id, reader);
    ++st.counters.snapshots_opened;
    return self->delegate(reader, request);
  } catch (const lmdb::storage_error& e) {
    stop_for_good(self, e.as_failure());
    return to_error(e.as_failure());
  }
}

caf::result<SnapshotChunkStored> install_chunk(self_ptr self, const InstallSnapshot& chunk) {
  auto& st = self->state;
  // In the order of sending: RAFT's terms and entries first.
  if (!write_rest(self))
    return to_error({errc::storage_failed, "the disk has failed"});
  if (st.pressure) {
    ++st.counters.chunks_refused;
    return to_error({errc::resource_exhausted, "the database is nearly full: no room for a snapshot beside the state"});
  }
  try {
    if (const auto bad = st.disk->install(chunk); !bad.ok()) {
      ++st.counters.chunks_refused;
      log::warn(actor_label, "snapshot_refused", {{"error", bad.message}});
      return to_error(bad);
    }
    look_at_usage(self);
  } catch (const lmdb::storage_error& e) {
    stop_for_good(self, e.as_failure());
    return to_error(e.as_failure());
  }
  ++st.counters.chunks_installed;
  SnapshotChunkStored done;
  done.set_snapshot_id(chunk.snapshot_id());
  done.set_chunk(chunk.chunk());
  return done;
}

// -- the end --------------------------------------------------------------------------------------------------------

void stop_in_order(self_ptr self, const caf::error& reason) {
  auto& st = self->state;
  if (!st.readers.empty()) {
    if (!st.stopping)
      for (const auto& [id, reader] : st.readers)
        self->send_exit(reader, caf::exit_reason::user_shutdown);
    st.stopping = reason;
    return;
  }
  if (!write_rest(self))
    return;
  try {
    st.disk->mark_clean();
    self->quit(reason);
  } catch (const lmdb::storage_error& e) {
    stop_for_good(self, e.as_failure());
  }
}

void forget_reader(self_ptr self, const caf::actor_addr& who) {
  auto& st = self->state;
  std::erase_if(st.readers, [&](const auto& entry) { return entry.second.address() == who; });
  if (st.stopping && st.readers.empty())
    stop_in_order(self, *st.stopping);
}

ActorStatus status(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  const auto& c = st.counters;
  const auto& at = st.disk->at();
  auto out = self->base_status(request);
  auto& facts = *out.mutable_facts();
  const auto number = [&](const char* key, std::uint64_t value) { facts[key] = std::to_string(value); };
  number("commits", c.commits);
  number("journaled", c.journaled);
  number("appends", c.appends);
  number("saves", c.saves);
  number("entries", c.entries);
  number("rows", c.rows);
  number("bytes", c.bytes);
  number("compacted", c.compacted);
  number("entries_per_commit_x100", c.commits == 0 ? 0 : c.entries * 100 / c.commits);
  number("entries_per_commit_max", c.entries_per_commit_max);
  number("commit_us_p50", st.commit_us.percentile(50));
  number("commit_us_p99", st.commit_us.percentile(99));
  number("commit_us_max", st.commit_us.max());
  number("first_log_index", at.compacted.log_index() + 1);
  number("last_log_index", at.last.log_index());
  number("applied_index", at.applied.log_index());
  number("term", at.hard.term());
  number("map_bytes", st.usage.map_bytes);
  number("map_percent", st.usage.map_percent());
  number("file_bytes", st.usage.file_bytes);
  number("live_bytes", st.usage.live_bytes);
  number("disk_free_bytes", st.usage.disk_free_bytes);
  number("scrub_passes", c.scrub_passes);
  number("scrubbed_values", c.scrubbed_values);
  number("snapshots_open", st.readers.size());
  number("snapshots_opened", c.snapshots_opened);
  number("chunks_installed", c.chunks_installed);
  number("chunks_refused", c.chunks_refused);
  facts["pressure"] = st.pressure ? "true" : "false";
  if (request.full())
    out.set_state(st.core.dump());
  return out;
}

} // namespace

storage_actor::behavior_type storage_writer(self_ptr self, std::shared_ptr<disk> disk, storage_options opts) {
  auto& st = self->state;
  st.opts = opts;
  if (opts.hurry)
    hurry_this_thread();
  st.disk = std::move(disk);
  st.core = commit_core{opts.commit};
  st.housekeeping_at = now(self) + opts.housekeeping_period;
  st.scrub_at = now(self) + opts.scrub_period;
  self->set_label(std::string{actor_label});
  look_at_usage(self);
  self->delayed_send(self, opts.housekeeping_period, flush_atom_v);
  self->set_exit_handler([self](caf::exit_msg& msg) { stop_in_order(self, msg.reason); });
  self->set_down_handler([self](caf::down_msg& msg) { forget_reader(self, msg.source); });
  return {
      [self](Append& request) -> caf::result<Appended> {
        auto& st = self->state;
        auto promise = self->make_response_promise<Appended>();
        ++st.counters.appends;
        const auto bytes = request.ByteSizeLong();
        st.appends.push_back({std::move(request), promise});
        wake_up(self, st.core.queued(now(self), true, bytes));
        return promise;
      },
      [self](SaveState& request) {
        auto& st = self->state;
        ++st.counters.saves;
        const auto bytes = request.ByteSizeLong();
        st.saves.push_back(std::move(request));
        wake_up(self, st.core.queued(now(self), false, bytes));
      },
      [self](const ReadSnapshotChunk& request) { return read_snapshot(self, request); },
      [self](const InstallSnapshot& chunk) { return install_chunk(self, chunk); },
      [self](flush_atom) { flush(self); },
      [self](const ReadStatus& request) { return status(self, request); },
  };
}

} // namespace swarm::storage
