// A file that appends go to before they go into the database: one write and one sync instead of a transaction's two.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/crypto/sealer.hpp"

namespace swarm::storage {

/// Records of one epoch from the start of the file, each on disk before the next one is written. The database knows the
/// epoch in force and moves on to the next one with the transaction that takes the records over; then the file is written from
/// its start again. So a record counts while its epoch is the database's, and what is left of earlier epochs never does.
///
/// Record, at a multiple of `block` (no page that holds an older record is ever written again), numbers big-endian:
/// epoch (8) ‖ sequence in the epoch (8) ‖ length of what follows (4) ‖ sealed bytes, with epoch and sequence as the key.
/// The file has its full size from the beginning, so that a sync has no metadata to write.
///
/// Throws lmdb::storage_error when a call fails; then the object may only be destroyed. Not thread-safe.
class append_journal {
public:
  static constexpr std::size_t block = 4096;
  static constexpr std::size_t bytes_default = 1u << 20;

  /// Makes a file of `bytes`, a multiple of `block`, if there is none. `sealing` must outlive the journal.
  append_journal(const std::filesystem::path& path, std::size_t bytes, crypto::sealer& sealing);
  ~append_journal();
  append_journal(const append_journal&) = delete;
  append_journal& operator=(const append_journal&) = delete;

  /// The records of this epoch. The last one may be missing if it was not acknowledged; a damaged one with a good one behind
  /// it is refused.
  [[nodiscard]] std::vector<std::string> read(std::uint64_t epoch) const;

  [[nodiscard]] bool has_room(std::size_t plain_bytes) const;
  /// On disk when it returns. Precondition: has_room().
  void write(std::uint64_t epoch, std::string_view plain);
  /// The database has taken over everything; the next record begins the next epoch.
  void restart();
  [[nodiscard]] std::uint64_t records() const { return sequence_; }

private:
  [[noreturn]] void fail(const char* what, int error) const;

  std::string path_;
  std::size_t bytes_ = 0;
  crypto::sealer& sealing_;
  int fd_ = -1;
  std::size_t offset_ = 0;     ///< of the next record
  std::uint64_t sequence_ = 0; ///< of the next record
  std::string scratch_;
};

} // namespace swarm::storage
