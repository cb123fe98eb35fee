// LMDB calls behind transactions and cursors.
#include "runtime/lmdb/transaction.hpp"

#include <lmdb.h>

#include <utility>

#include "runtime/check.hpp"

namespace swarm::lmdb {

namespace {
MDB_val to_val(std::string_view s) { return {s.size(), const_cast<char*>(s.data())}; }
std::string_view to_view(const MDB_val& v) { return {static_cast<const char*>(v.mv_data), v.mv_size}; }
} // namespace

transaction::~transaction() {
  if (txn_ != nullptr)
    mdb_txn_abort(txn_);
}

std::optional<std::string_view> transaction::get(const table& where, std::string_view key) const {
  auto k = to_val(key);
  MDB_val v{};
  const int rc = mdb_get(txn_, where.dbi, &k, &v);
  if (rc == MDB_NOTFOUND)
    return std::nullopt;
  check(rc, "get", where.name);
  return to_view(v);
}

read_txn::read_txn(const environment& env) {
  check(mdb_txn_begin(env.native(), nullptr, MDB_RDONLY, &txn_), "begin", "read transaction");
}

write_txn::write_txn(const environment& env) : owner_{std::this_thread::get_id()} {
  check(mdb_txn_begin(env.native(), nullptr, 0, &txn_), "begin", "write transaction");
}

void write_txn::check_thread() const {
  SWARM_CHECK(owner_ == std::this_thread::get_id(), "a write transaction belongs to the thread that began it");
  SWARM_CHECK(txn_ != nullptr, "the transaction has ended");
}

table write_txn::create_table(const std::string& name) {
  check_thread();
  MDB_dbi dbi = 0;
  check(mdb_dbi_open(txn_, name.c_str(), MDB_CREATE, &dbi), "create table", name);
  return {dbi, name};
}

void write_txn::put(const table& where, std::string_view key, std::string_view value) {
  check_thread();
  auto k = to_val(key);
  auto v = to_val(value);
  check(mdb_put(txn_, where.dbi, &k, &v, 0), "put", where.name);
}

char* write_txn::reserve(const table& where, std::string_view key, std::size_t size, bool append) {
  check_thread();
  auto k = to_val(key);
  MDB_val v{size, nullptr};
  check(mdb_put(txn_, where.dbi, &k, &v, MDB_RESERVE | (append ? MDB_APPEND : 0u)), "put", where.name);
  return static_cast<char*>(v.mv_data);
}

bool write_txn::erase(const table& where, std::string_view key) {
  check_thread();
  auto k = to_val(key);
  const int rc = mdb_del(txn_, where.dbi, &k, nullptr);
  if (rc == MDB_NOTFOUND)
    return false;
  check(rc, "delete", where.name);
  return true;
}

void write_txn::clear(const table& where) {
  check_thread();
  check(mdb_drop(txn_, where.dbi, 0), "clear", where.name);
}

void write_txn::commit() {
  check_thread();
  // LMDB frees the transaction whether or not the commit succeeds.
  check(mdb_txn_commit(std::exchange(txn_, nullptr)), "commit", "write transaction");
}

cursor::cursor(const transaction& txn, const table& where) : table_{where.name} {
  check(mdb_cursor_open(txn.native(), where.dbi, &cursor_), "open cursor", table_);
}

cursor::~cursor() { mdb_cursor_close(cursor_); }

bool cursor::move(int operation, std::string_view key) {
  auto k = to_val(key);
  MDB_val v{};
  const int rc = mdb_cursor_get(cursor_, &k, &v, static_cast<MDB_cursor_op>(operation));
  if (rc == MDB_NOTFOUND)
    return false;
  check(rc, "move cursor", table_);
  key_ = to_view(k);
  value_ = to_view(v);
  return true;
}

bool cursor::first() { return move(MDB_FIRST); }
bool cursor::last() { return move(MDB_LAST); }
bool cursor::next() { return move(MDB_NEXT); }
bool cursor::seek(std::string_view key) { return key.empty() ? first() : move(MDB_SET_RANGE, key); }
void cursor::erase() { check(mdb_cursor_del(cursor_, 0), "delete at cursor", table_); }

void scan_prefix(const transaction& txn, const table& where, std::string_view prefix,
                 const std::function<bool(std::string_view, std::string_view)>& each) {
  cursor at{txn, where};
  for (bool found = at.seek(prefix); found && at.key().starts_with(prefix); found = at.next())
    if (!each(at.key(), at.value()))
      return;
}

u64_key::u64_key(std::uint64_t value) {
  for (std::size_t i = 0; i < sizeof bytes_; ++i)
    bytes_[i] = static_cast<char>(value >> (56 - 8 * i));
}

std::optional<std::uint64_t> u64_key::parse(std::string_view key) {
  if (key.size() != sizeof bytes_)
    return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : key)
    value = (value << 8) | static_cast<unsigned char>(c);
  return value;
}

} // namespace swarm::lmdb
