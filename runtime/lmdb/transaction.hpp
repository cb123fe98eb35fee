// Transactions, cursors and scans as values that clean up after themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <thread>

#include "runtime/lmdb/environment.hpp"

struct MDB_txn;
struct MDB_cursor;

namespace swarm::lmdb {

/// What reading and writing transactions share. Views into the map are valid until the transaction ends, and in a write
/// transaction only until the next change.
class transaction {
public:
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;
  [[nodiscard]] std::optional<std::string_view> get(const table& where, std::string_view key) const;
  [[nodiscard]] MDB_txn* native() const { return txn_; }

protected:
  transaction() = default;
  ~transaction();
  MDB_txn* txn_ = nullptr;
};

/// A consistent view. Keep it short: pages that it can see are not reused. May move between threads.
class read_txn : public transaction {
public:
  explicit read_txn(const environment& env);
};

/// The one writer. Nothing is kept unless commit() returns, and then it is on disk. Begin, use and commit on one
/// thread, else LMDB blocks every later writer: checked.
class write_txn : public transaction {
public:
  explicit write_txn(const environment& env);

  [[nodiscard]] table create_table(const std::string& name);
  void put(const table& where, std::string_view key, std::string_view value);
  /// Room for a value of `size` bytes, to be filled before the next call on this transaction. With `append`, the key
  /// must be greater than all others of the table: cheaper, and packs pages fully.
  [[nodiscard]] char* reserve(const table& where, std::string_view key, std::size_t size, bool append = false);
  /// False when there was no such key.
  bool erase(const table& where, std::string_view key);
  /// Removes every entry; the table stays. Works when the map is full, too.
  void clear(const table& where);
  void commit();

private:
  void check_thread() const;
  std::thread::id owner_;
};

/// Walks one table in key order (bytes compared as unsigned). Must not outlive its transaction.
class cursor {
public:
  cursor(const transaction& txn, const table& where);
  ~cursor();
  cursor(const cursor&) = delete;
  cursor& operator=(const cursor&) = delete;

  bool first();
  bool last();
  bool next();
  /// The first key that is not less than `key`.
  bool seek(std::string_view key);
  [[nodiscard]] std::string_view key() const { return key_; }
  [[nodiscard]] std::string_view value() const { return value_; }
  /// Removes the current entry (write transactions only); next() then gives its successor.
  void erase();

private:
  bool move(int operation, std::string_view key = {});
  MDB_cursor* cursor_ = nullptr;
  std::string_view table_;
  std::string_view key_, value_;
};

/// Calls `each(key, value)` for every key that starts with `prefix`, in order, until it returns false.
void scan_prefix(const transaction& txn, const table& where, std::string_view prefix,
                 const std::function<bool(std::string_view key, std::string_view value)>& each);

/// Unsigned numbers as keys: 8 bytes, big-endian, so that key order is number order.
class u64_key {
public:
  explicit u64_key(std::uint64_t value);
  [[nodiscard]] std::string_view view() const { return {bytes_, sizeof bytes_}; }
  operator std::string_view() const { return view(); } // NOLINT(google-explicit-constructor)
  /// nullopt when `key` is not 8 bytes long.
  static std::optional<std::uint64_t> parse(std::string_view key);

private:
  char bytes_[8];
};

} // namespace swarm::lmdb
