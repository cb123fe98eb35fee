// This node's database: log, hard state and state tables, written in transactions and verified when read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "actors/storage/append_journal.hpp"
#include "actors/storage/log_tables.hpp"
#include "messages/storage.pb.h"
#include "runtime/crypto/sealer.hpp"
#include "runtime/lmdb/transaction.hpp"

namespace swarm::storage {

/// One request of RAFT or STORE. The message must live until commit() has returned.
using operation = std::variant<const Append*, const SaveState*>;

struct commit_report {
  std::size_t entries = 0; ///< log entries written
  std::size_t rows = 0;    ///< state rows written or deleted
  std::size_t removed = 0; ///< log entries dropped by compaction
  std::size_t bytes = 0;   ///< plaintext of what was written
  bool compaction_left = false;
};

/// Where the log and the state stand on disk, journal included.
struct positions {
  LogPosition compacted; ///< the log starts after this
  LogPosition last;      ///< equals compacted when the log is empty
  LogPosition applied;
  HardState hard;
};

/// Where a scrub goes on; a fresh one starts at the beginning.
struct scrub_position {
  std::size_t table = 0;
  std::string last_key; ///< already verified; "" = start of the table
};
struct scrub_report {
  std::uint64_t values = 0;
  std::uint64_t bytes = 0;
  bool finished = false;
  std::vector<std::string> damaged; ///< "log/000000000000002a": at most 100 are listed, the rest counted
  std::uint64_t damaged_count = 0;
};

/// A snapshot on its way into the tables that are not in force.
struct incoming_snapshot {
  std::uint64_t id = 0; ///< 0 = none
  std::uint64_t next_chunk = 0;
  std::string chain;
  std::string meta; ///< serialized: every chunk must bring the same
};

/// SHA-256 over what came before a chunk and the chunk; `before` is chunk_chain_start() for the first one.
[[nodiscard]] std::string chunk_chain(std::string_view before, std::string_view data);
[[nodiscard]] std::string chunk_chain_start(const SnapshotMeta& meta);

class snapshot_source;

/// Wraps the environment. Every function throws lmdb::storage_error when the disk, LMDB or a tag fails; after that the
/// object may only be destroyed. Not thread-safe; may be handed to another thread between calls.
/// What RAFT and STORE ask for is checked (SWARM_CHECK): terms and applied never fall, the log has no gap, a committed
/// and applied entry is never replaced, one vote per term.
class disk {
public:
  disk(lmdb::environment env, const crypto::sealer& key, std::filesystem::path directory);
  disk(const disk&) = delete;
  disk& operator=(const disk&) = delete;

  /// Opens the journal and takes over what is in it. Until then journal() refuses everything.
  void open_journal(std::size_t bytes);
  /// Puts an append that goes on where the log ends on disk, and keeps it until the next commit() takes it into the tables.
  /// False when it does not go on there, or does not fit: commit() it.
  [[nodiscard]] bool journal(Append& request);
  [[nodiscard]] bool has_journaled() const { return !journaled_.empty(); }

  /// What is in the journal, and all operations, in one transaction, in order, and a row that several of them save once; returns when it is on disk. Afterwards, or with no operations at all,
  /// goes on with compaction, at most compaction_slice entries.
  commit_report commit(std::span<const operation> operations);

  /// Precondition: nothing is journaled. One chunk of another manager's state, in a transaction of its own; on disk when this returns. With the last one the
  /// state is the snapshot's, the log is empty and goes on behind it, and the hard state stays. A chunk that does not
  /// fit is refused (invalid_argument): the transfer is over, and the state in force is what it was.
  [[nodiscard]] failure install(const InstallSnapshot& chunk);

  /// Entry by entry from the first that is not compacted. Checks tags, contiguity, and that terms never fall.
  [[nodiscard]] std::vector<Entry> read_log() const;
  /// Every row of the state tables: table, key, plaintext. The views are valid during the call only.
  void visit_rows(const std::function<void(TableWrite::Table, std::string_view, std::string_view)>& each) const;
  /// Verifies the tags of the next `budget` bytes of values, without stopping at a damaged one.
  scrub_report scrub(scrub_position& from, std::uint64_t budget) const;

  /// Checks everything at once: all tags, the log chain, and that the positions fit. Throws at the first finding.
  void verify() const;

  [[nodiscard]] std::uint64_t bump_boot_counter();
  /// Does what bump_boot_counter() does, without the commit: a page that LMDB aborts on when it is to be changed shows.
  void rehearse_boot();
  [[nodiscard]] const positions& at() const { return at_; }
  [[nodiscard]] const StorageIdentity& identity() const { return identity_; }
  [[nodiscard]] Membership membership() const;
  [[nodiscard]] lmdb::usage usage() const;
  unsigned check_readers() { return env_.check_readers(); }
  /// From now on the next start may trust the file without the check in a child process. Nothing may be written after.
  void mark_clean();

  static constexpr std::size_t compaction_slice = 1000;

private:
  friend class snapshot_source;
  [[nodiscard]] const lmdb::table& object(std::size_t generation, std::size_t table) const {
    return tables_[object_table(generation, table)];
  }
  [[nodiscard]] failure check_chunk(const InstallSnapshot& chunk, SnapshotRows& rows) const;
  void switch_over(lmdb::write_txn& txn, positions& next, const SnapshotMeta& meta);
  [[nodiscard]] const lmdb::table& meta() const { return tables_[meta_table]; }
  [[nodiscard]] const lmdb::table& log() const { return tables_[log_table]; }
  [[nodiscard]] bool read(const lmdb::transaction& txn, std::string_view key, google::protobuf::MessageLite& out) const;
  void open_value(const lmdb::table& where, std::string_view key, std::string_view sealed, std::string& plain) const;
  void write(lmdb::write_txn& txn, const lmdb::table& where, std::string_view key, std::string_view plain,
             bool append = false);
  void write(lmdb::write_txn& txn, std::string_view key, const google::protobuf::MessageLite& record);
  [[nodiscard]] std::uint64_t term_at(const lmdb::transaction& txn, const positions& where, std::uint64_t index) const;
  std::uint64_t count_boot(lmdb::write_txn& txn);
  void load_positions();
  void append(lmdb::write_txn& txn, positions& next, const Append& request, commit_report& report);
  void take_journaled(lmdb::write_txn& txn, positions& next, commit_report& report);
  using row_writes = std::map<std::pair<TableWrite::Table, std::string_view>, const TableWrite*>; ///< the newest of each row
  void save(lmdb::write_txn& txn, positions& next, const SaveState& request, row_writes& rows);
  void write_rows(lmdb::write_txn& txn, const row_writes& rows, commit_report& report);
  void compact(lmdb::write_txn& txn, positions& next, commit_report& report);

  lmdb::environment env_;
  std::vector<lmdb::table> tables_;
  StorageIdentity identity_;
  crypto::sealer sealer_; // bound to the environment id
  std::filesystem::path directory_;
  positions at_;
  positions in_tables_; // without what is journaled
  std::unique_ptr<append_journal> journal_;
  std::uint64_t epoch_ = 0; // of the journal
  std::vector<Append> journaled_;
  std::size_t generation_ = 0; // in force
  incoming_snapshot incoming_;
  std::uint64_t truncate_before_ = 0;
  std::string scratch_; // serialized records on their way to the disk
};

} // namespace swarm::storage
