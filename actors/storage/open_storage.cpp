// The order of steps at a start: lock, key, check in a child, open, compare identity, bump the boot counter, verify.
#include "actors/storage/open_storage.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/crypto/atomic_file.hpp"
#include "runtime/crypto/key_file.hpp"
#include "runtime/lmdb/child_check.hpp"

namespace swarm::storage {

namespace fs = std::filesystem;

namespace {

void make_folder(const fs::path& directory) {
  std::error_code error;
  if (fs::is_directory(directory, error))
    return;
  fs::create_directories(directory, error);
  if (error)
    throw open_error{open_problem::failed, "cannot make " + directory.string() + ": " + error.message()};
  ::chmod(directory.c_str(), 0700);
  if (const auto failed = crypto::sync_directory(directory.parent_path()); !failed.ok())
    throw open_error{open_problem::failed, failed.message};
}

lmdb::owner_lock take_lock(const fs::path& directory) {
  try {
    return lmdb::owner_lock{directory / file::owner};
  } catch (const lmdb::storage_error& e) {
    throw open_error{e.code() == EWOULDBLOCK ? open_problem::in_use : open_problem::failed, e.what()};
  }
}

crypto::data_key load_or_make_key(const fs::path& directory, const open_options& opts) {
  const auto path = directory / file::data_key;
  auto found = crypto::load_data_key(path, opts.unlock_key);
  using status = crypto::key_file_status;
  switch (found.status) {
  case status::ok: return std::move(*found.key);
  case status::locked: throw open_error{open_problem::locked, found.message};
  case status::wrong_unlock_key: throw open_error{open_problem::wrong_unlock_key, found.message};
  case status::unsafe: throw open_error{open_problem::unsafe_key_file, found.message};
  case status::damaged: throw open_error{open_problem::damaged, found.message};
  case status::failed: throw open_error{open_problem::failed, found.message};
  case status::missing: break;
  }
  if (fs::exists(directory / file::database))
    throw open_error{open_problem::missing_key_file, found.message + ", but the database that it opens does"};
  auto key = crypto::data_key::generate();
  if (const auto failed = crypto::save_data_key(path, key, opts.unlock_key); !failed.ok())
    throw open_error{open_problem::failed, failed.message};
  return key;
}

void fill_new_database(lmdb::write_txn& txn, const crypto::sealer& key, const open_options& opts) {
  std::vector<lmdb::table> tables;
  for (const auto& name : table_names())
    tables.push_back(txn.create_table(name));
  StorageIdentity identity;
  identity.set_environment_id(crypto::random_bytes(16));
  identity.set_cluster_id(opts.cluster_id);
  identity.set_node_id(opts.node_id);
  identity.set_raft_id(opts.raft_id);
  const auto& meta = tables[meta_table];
  auto sealing = key.with_domain({});
  txn.put(meta, key::format, format_text);
  txn.put(meta, key::identity, sealing.seal(meta.name, key::identity, identity.SerializeAsString()));
}

void check_identity(const StorageIdentity& stored, const open_options& opts) {
  const auto compare = [](const std::string& what, const std::string& has, const std::string& wanted) {
    if (!wanted.empty() && has != wanted)
      throw open_error{open_problem::wrong_identity, "the storage belongs to " + what + ' ' + has + ", not " + wanted};
  };
  compare("cluster", stored.cluster_id(), opts.cluster_id);
  compare("node", stored.node_id(), opts.node_id);
  if (opts.raft_id != 0)
    compare("raft member", std::to_string(stored.raft_id()), std::to_string(opts.raft_id));
}

// A rotten page can abort whoever reads it, so somebody else reads first.
void check_in_child(const lmdb::environment_options& env, const crypto::sealer& key, const open_options& opts) {
  const auto result = lmdb::run_in_child(
      [&]() -> std::string {
        disk suspect{lmdb::environment::open_as_owners_child(env), key, env.file.parent_path()};
        suspect.verify();
        suspect.rehearse_boot();
        return {};
      },
      opts.check_deadline);
  using outcome = lmdb::child_result::outcome;
  switch (result.what) {
  case outcome::ok: return;
  case outcome::refused: throw open_error{open_problem::damaged, result.message};
  case outcome::crashed:
    throw open_error{open_problem::damaged, "the database is damaged beyond reading: " + result.message};
  case outcome::timed_out: throw open_error{open_problem::failed, "checking the database: " + result.message};
  }
}

// Returns true when the last stop was in order; from here on it was not, until mark_clean().
bool take_clean_mark(const fs::path& directory) {
  std::error_code error;
  const bool was_clean = fs::remove(directory / file::clean, error);
  if (error)
    throw open_error{open_problem::failed, "cannot remove the mark of a clean stop: " + error.message()};
  if (was_clean)
    if (const auto failed = crypto::sync_directory(directory); !failed.ok())
      throw open_error{open_problem::failed, failed.message};
  return was_clean;
}

void keep_ballast(const fs::path& directory, std::uint64_t bytes, std::vector<std::string>& notes) {
  const auto path = directory / file::ballast;
  struct statvfs disk {};
  if (bytes == 0 || ::statvfs(directory.c_str(), &disk) != 0)
    return;
  const auto free_bytes = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  std::error_code ignored;
  if (free_bytes < bytes) {
    if (fs::remove(path, ignored))
      notes.push_back("the disk is full: " + path.string() + " was given back; make room before it is needed again");
    return;
  }
  if (fs::exists(path, ignored) || free_bytes < 4 * bytes)
    return;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  const int code = fd < 0 ? errno : ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (fd >= 0)
    ::close(fd);
  if (code != 0)
    notes.push_back("cannot reserve " + path.string() + ": " + std::strerror(code));
}

recovered_state recover(const fs::path& directory, const open_options& opts) {
  recovered_state out;
  lmdb::environment_options env;
  env.file = directory / file::database;
  env.map_bytes = opts.map_bytes;
  auto lock = take_lock(directory);
  keep_ballast(directory, opts.ballast_bytes, out.notes);
  const crypto::sealer key{load_or_make_key(directory, opts), {}};
  const bool existed = fs::exists(env.file);
  out.was_clean = take_clean_mark(directory) || !existed;
  if (!out.was_clean)
    check_in_child(env, key, opts);
  lmdb::environment opened{env, std::move(lock), [&](lmdb::write_txn& txn) { fill_new_database(txn, key, opts); }};
  out.created = opened.created();
  out.notes.insert(out.notes.end(), opened.notes().begin(), opened.notes().end());
  try {
    out.storage = std::make_shared<disk>(std::move(opened), key, directory);
    check_identity(out.storage->identity(), opts);
    out.storage->open_journal(opts.journal_bytes);
    out.entries = out.storage->read_log();
  } catch (const lmdb::storage_error& e) {
    throw open_error{e.code() == 0 ? open_problem::damaged : open_problem::failed, e.what()};
  }
  out.boot_counter = out.storage->bump_boot_counter();
  out.identity = out.storage->identity();
  out.membership = out.storage->membership();
  const auto& at = out.storage->at();
  out.hard = at.hard;
  out.hard.set_commit_index(std::max(at.hard.commit_index(), at.applied.log_index()));
  out.applied = at.applied;
  out.compacted = at.compacted;
  return out;
}

} // namespace

recovered_state open_storage(const fs::path& directory, const open_options& opts) {
  try {
    make_folder(directory);
    return recover(directory, opts);
  } catch (const lmdb::storage_error& e) {
    throw open_error{open_problem::failed, e.what()};
  } catch (const fs::filesystem_error& e) {
    throw open_error{open_problem::failed, e.what()};
  }
}

} // namespace swarm::storage
