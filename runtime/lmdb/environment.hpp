// One LMDB file, opened in the only mode that survives power cuts, by one process at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "runtime/lmdb/error.hpp"

struct MDB_env;

namespace swarm::lmdb {

class write_txn;
class transaction;

/// Handle of a named table; valid as long as its environment.
struct table {
  unsigned dbi = 0;
  std::string name;
};

/// Held for as long as the environment is open for writing. A second process, or a second open in this process, gets a
/// storage_error that names the owner's process id. Goes away with the process, however it ends.
class owner_lock {
public:
  explicit owner_lock(const std::filesystem::path& file);
  ~owner_lock();
  owner_lock(owner_lock&& other) noexcept;
  owner_lock(const owner_lock&) = delete;
  owner_lock& operator=(const owner_lock&) = delete;
  owner_lock& operator=(owner_lock&&) = delete;

private:
  int fd_;
};

struct environment_options {
  std::filesystem::path file;            ///< LMDB adds "-lock" for its reader table
  std::uint64_t map_bytes = 32ULL << 30; ///< never changed while open: growing it under a reader is SIGBUS
  unsigned max_readers = 512;
  unsigned max_tables = 32;
};

struct usage {
  std::uint64_t map_bytes = 0;
  std::uint64_t file_bytes = 0; ///< never shrinks
  std::uint64_t live_bytes = 0; ///< pages in use by tables, without the free list
  std::uint64_t disk_free_bytes = 0;
  [[nodiscard]] unsigned map_percent() const {
    return map_bytes == 0 ? 0 : static_cast<unsigned>(live_bytes * 100 / map_bytes);
  }
};

/// Rules that this class enforces, with the fault that each prevents (LMDB 0.9.24):
/// sync mode (the others lose acknowledged commits at a power cut); MDB_NOTLS (actors change threads); the file is made
/// under another name, committed, synced, renamed, and the directory synced (a cut during creation leaves no
/// half-made file); no DUPSORT, no nested transactions (bugs fixed later); no fork while open.
class environment {
public:
  /// Makes the file when it does not exist: `first_commit` creates the tables in it. `lock` keeps other writers out.
  environment(const environment_options& opts, owner_lock lock, const std::function<void(write_txn&)>& first_commit);
  /// For looking only; needs no lock. The file must exist.
  static environment open_read_only(const environment_options& opts);
  /// For a child process that acts for the holder of the lock, to rehearse a transaction that it will not commit.
  static environment open_as_owners_child(const environment_options& opts);
  ~environment();
  environment(environment&& other) noexcept;
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;
  environment& operator=(environment&&) = delete;

  /// All must exist.
  [[nodiscard]] std::vector<table> open_tables(std::span<const std::string> names);

  /// Frees the slots of reader processes that died; pinned pages stay pinned until then. Returns how many.
  unsigned check_readers();

  [[nodiscard]] usage measure(const transaction& txn, std::span<const table> tables) const;

  [[nodiscard]] bool created() const { return created_; }
  /// Things an operator should know, e.g. a disk smaller than the map.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  [[nodiscard]] MDB_env* native() const { return env_; }

private:
  environment() = default;
  void open(const environment_options& opts, unsigned extra_flags);

  MDB_env* env_ = nullptr;
  std::vector<owner_lock> lock_; // at most one; none for those who only look
  std::filesystem::path directory_;
  bool created_ = false;
  std::vector<std::string> notes_;
};

} // namespace swarm::lmdb
