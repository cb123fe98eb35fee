// STORAGE: the actor that owns this node's disk. One transaction, one sync, for everything that is waiting; and beside
// it a SNAPSHOT READER for each snapshot that somebody reads.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "actors/storage/commit_core.hpp"
#include "actors/storage/disk.hpp"
#include "actors/storage/latency.hpp"
#include "actors/storage/snapshot_source.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"
#include "runtime/time.hpp"

namespace swarm::storage {

struct snapshot_reader_options {
  duration tick = seconds{1};
  duration idle_max = seconds{15};  ///< without a question; a receiver that was cut off asks again within that
  duration open_max = seconds{300}; ///< an open snapshot keeps its pages from being used again: the file grows meanwhile
};

struct snapshot_reader_state {
  static inline const char* name = "snapshot";
  snapshot_reader_options opts;
  std::unique_ptr<snapshot_source> source;
  instant opened;
  instant asked;
  std::uint64_t chunks = 0;
};

struct storage_options {
  commit_core::options commit;
  duration housekeeping_period = seconds{10}; ///< dead readers, the next slice of the scrub
  std::uint64_t scrub_slice_bytes = 1 << 20;  ///< per period: a full pass over 8 GB in a day, at 0.01 % of a core
  duration scrub_period = hours{24};          ///< between the starts of two passes
  unsigned pressure_percent = 80; ///< of the map; above it deletes can fail too, so the rest is for compaction
  std::uint64_t disk_reserve_bytes = 64 << 20; ///< pressure when less is free on the disk
  unsigned bloat_factor = 3;                   ///< file size / live size above which an operator is told
  std::size_t snapshots_max = 4;               ///< open at a time, each a SNAPSHOT READER with its own thread
  snapshot_reader_options reader;
  bool reader_threads = true;                  ///< false under a test coordinator, which has one thread
  bool hurry = false;                          ///< the writer has a thread of its own, and it goes before others
};

struct storage_counters {
  std::uint64_t commits = 0;   ///< syncs: of the journal and of transactions
  std::uint64_t journaled = 0; ///< of these: of the journal
  std::uint64_t appends = 0;
  std::uint64_t entries = 0;
  std::uint64_t saves = 0;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t compacted = 0;
  std::uint64_t entries_per_commit_max = 0;
  std::uint64_t scrub_passes = 0;
  std::uint64_t scrubbed_values = 0;
  std::uint64_t snapshots_opened = 0;
  std::uint64_t chunks_installed = 0;
  std::uint64_t chunks_refused = 0;
};

struct storage_state {
  static inline const char* name = "storage";

  struct waiting {
    Append request;
    caf::typed_response_promise<Appended> promise;
  };

  storage_options opts;
  std::shared_ptr<storage::disk> disk;
  commit_core core{commit_core::options{}};
  std::vector<waiting> appends;
  std::vector<SaveState> saves;
  storage_counters counters;
  latency commit_us;
  lmdb::usage usage;
  std::size_t unmeasured_bytes = 0; ///< written since the usage was looked at
  bool pressure = false;
  bool bloat_told = false;
  instant housekeeping_at;
  instant scrub_at;
  scrub_position scrub_from;
  std::map<std::uint64_t, snapshot_reader_actor> readers; ///< by snapshot id
  std::optional<caf::error> stopping;                     ///< the last reader's end lets go of the disk: then we end, too
};

/// See the STORAGE table in messages/interfaces.hpp. Spawn it detached: it blocks in fsync. It ends with
/// errc::storage_failed at the first error, and with the given reason when told to exit, after writing what is queued.
/// The database is closed when the actor has ended and nobody else holds `disk`.
storage_actor::behavior_type storage_writer(observed_ptr<storage_actor, storage_state> self, std::shared_ptr<disk> disk,
                                            storage_options opts);

} // namespace swarm::storage
