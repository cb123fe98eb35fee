// The state tables as of one moment, in chunks, read beside the writer.
#pragma once

#include <memory>
#include <optional>

#include "actors/storage/disk.hpp"

namespace swarm::storage {

/// Holds one read transaction: the pages it can see are not reused while it lives. Constructed on the thread that writes,
/// used on any one thread after that. Keeps the disk open.
class snapshot_source {
public:
  static constexpr std::size_t chunk_bytes = 1 << 20;

  snapshot_source(std::shared_ptr<const disk> from, std::uint64_t id, std::size_t bytes_per_chunk = chunk_bytes);

  [[nodiscard]] const SnapshotMeta& meta() const { return meta_; }
  /// Chunk 0 (starts over), the one read last, or the one behind it; nullopt for any other. Throws lmdb::storage_error
  /// when a value is damaged.
  [[nodiscard]] std::optional<InstallSnapshot> read(std::uint64_t chunk);

private:
  void rewind();
  bool advance();
  [[nodiscard]] InstallSnapshot next_chunk();

  std::shared_ptr<const disk> disk_;
  crypto::sealer sealer_;
  lmdb::read_txn txn_;
  std::uint64_t id_;
  std::size_t chunk_bytes_;
  SnapshotMeta meta_;
  std::size_t generation_ = 0;
  std::size_t table_ = 0;
  std::optional<lmdb::cursor> at_;
  bool more_ = false; // the cursor is at a row that no chunk has
  std::optional<InstallSnapshot> last_;
};

} // namespace swarm::storage
