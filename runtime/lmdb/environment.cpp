// Opening, creating and measuring an LMDB file.
#include "runtime/lmdb/environment.hpp"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/lmdb/transaction.hpp"

namespace swarm::lmdb {

namespace fs = std::filesystem;

namespace {

constexpr MDB_dbi free_dbi = 0; // LMDB's own tables, see mdb_stat.c
constexpr MDB_dbi main_dbi = 1;
constexpr unsigned meta_pages = 2;
constexpr unsigned file_mode = 0600;

[[noreturn]] void fail_errno(std::string_view what, const fs::path& path) {
  const int code = errno;
  throw storage_error{code, std::string{what} + ' ' + path.string() + ": " + std::strerror(code)};
}

fs::path with_suffix(const fs::path& path, const char* suffix) {
  auto out = path;
  out += suffix;
  return out;
}

void sync_path(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0)
    fail_errno("cannot open", path);
  const bool synced = ::fsync(fd) == 0;
  const int code = errno;
  ::close(fd);
  errno = code;
  if (!synced)
    fail_errno("cannot sync", path);
}

MDB_env* open_native(const environment_options& opts, const fs::path& file, unsigned extra_flags) {
  MDB_env* env = nullptr;
  check(mdb_env_create(&env), "create environment", file.string());
  int rc = mdb_env_set_mapsize(env, opts.map_bytes);
  if (rc == 0)
    rc = mdb_env_set_maxreaders(env, opts.max_readers);
  if (rc == 0)
    rc = mdb_env_set_maxdbs(env, opts.max_tables);
  if (rc == 0)
    rc = mdb_env_open(env, file.c_str(), MDB_NOSUBDIR | MDB_NOTLS | extra_flags, file_mode);
  if (rc != 0) {
    mdb_env_close(env);
    check(rc, "open", file.string());
  }
  return env;
}

std::string in_gib(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1ULL << 30));
  return text;
}

} // namespace

void check(int rc, std::string_view what, std::string_view where) {
  if (rc != 0)
    throw storage_error{rc, std::string{what} + " in " + std::string{where} + ": " + mdb_strerror(rc)};
}

// -- owner_lock -----------------------------------------------------------------------------------------------------

// flock belongs to the open file description: a second open() in the same process conflicts too.
owner_lock::owner_lock(const fs::path& file)
    : fd_{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, file_mode)} {
  if (fd_ < 0)
    fail_errno("cannot open", file);
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int code = errno;
    char pid[24] = {};
    const auto size = ::pread(fd_, pid, sizeof pid - 1, 0);
    ::close(fd_);
    if (code != EWOULDBLOCK) {
      errno = code;
      fail_errno("cannot lock", file);
    }
    throw storage_error{code, "the storage in " + file.parent_path().string() + " is in use by process " +
                                  (size > 0 ? std::string{pid} : std::string{"(unknown)"})};
  }
  const auto pid = std::to_string(::getpid());
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const int code = errno;
    ::close(fd_);
    errno = code;
    fail_errno("cannot write", file);
  }
}

owner_lock::~owner_lock() {
  if (fd_ >= 0)
    ::close(fd_);
}

owner_lock::owner_lock(owner_lock&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}

// -- environment ----------------------------------------------------------------------------------------------------

namespace {

// See the class comment for the order of steps.
void create_file(const environment_options& opts, const std::function<environment()>& open_temporary,
                 const std::function<void(write_txn&)>& first_commit) {
  const auto temporary = with_suffix(opts.file, ".new");
  const auto readers = with_suffix(temporary, "-lock");
  fs::remove(temporary);
  fs::remove(readers);
  {
    const auto env = open_temporary();
    write_txn txn{env};
    first_commit(txn);
    txn.commit();
  }
  sync_path(temporary, O_RDWR);
  fs::remove(readers);
  if (std::rename(temporary.c_str(), opts.file.c_str()) != 0)
    fail_errno("cannot rename", temporary);
  sync_path(opts.file.parent_path(), O_RDONLY | O_DIRECTORY);
}

} // namespace

environment::environment(const environment_options& opts, owner_lock lock,
                         const std::function<void(write_txn&)>& first_commit) {
  lock_.push_back(std::move(lock));
  std::error_code ignored;
  if (!fs::exists(opts.file, ignored)) {
    create_file(
        opts,
        [&] {
          auto temporary = opts;
          temporary.file = with_suffix(opts.file, ".new");
          environment env;
          env.open(temporary, 0);
          return env;
        },
        first_commit);
    created_ = true;
  }
  open(opts, 0);
  check_readers();
}

environment environment::open_read_only(const environment_options& opts) {
  environment env;
  env.open(opts, MDB_RDONLY);
  return env;
}

environment environment::open_as_owners_child(const environment_options& opts) {
  environment env;
  env.open(opts, 0);
  return env;
}

void environment::open(const environment_options& opts, unsigned extra_flags) {
  directory_ = opts.file.parent_path();
  env_ = open_native(opts, opts.file, extra_flags);
  struct statvfs disk {};
  if (::statvfs(directory_.c_str(), &disk) == 0) {
    const auto size = static_cast<std::uint64_t>(disk.f_blocks) * disk.f_frsize;
    if (size < opts.map_bytes)
      notes_.push_back("the storage may grow to " + in_gib(opts.map_bytes) + " but its disk holds " + in_gib(size));
  }
}

environment::~environment() {
  if (env_ != nullptr)
    mdb_env_close(env_);
}

environment::environment(environment&& other) noexcept
    : env_{std::exchange(other.env_, nullptr)}, lock_{std::move(other.lock_)},
      directory_{std::move(other.directory_)}, created_{other.created_}, notes_{std::move(other.notes_)} {}

std::vector<table> environment::open_tables(std::span<const std::string> names) {
  // Handles survive only a transaction that is committed, reading ones included.
  MDB_txn* txn = nullptr;
  check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn), "begin", "open_tables");
  std::vector<table> out;
  for (const auto& name : names) {
    MDB_dbi dbi = 0;
    if (const int rc = mdb_dbi_open(txn, name.c_str(), 0, &dbi); rc != 0) {
      mdb_txn_abort(txn);
      check(rc, "open table", name);
    }
    out.push_back({dbi, name});
  }
  check(mdb_txn_commit(txn), "commit", "open_tables");
  return out;
}

unsigned environment::check_readers() {
  int dead = 0;
  check(mdb_reader_check(env_, &dead), "check", "reader table");
  return static_cast<unsigned>(dead);
}

usage environment::measure(const transaction& txn, std::span<const table> tables) const {
  MDB_envinfo info{};
  check(mdb_env_info(env_, &info), "read", "environment info");
  std::uint64_t pages = meta_pages;
  std::uint64_t page_size = 0;
  const auto add = [&](MDB_dbi dbi, std::string_view name) {
    MDB_stat stat{};
    check(mdb_stat(txn.native(), dbi, &stat), "stat", name);
    pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    page_size = stat.ms_psize;
  };
  add(free_dbi, "free list");
  add(main_dbi, "main table");
  for (const auto& each : tables)
    add(each.dbi, each.name);
  usage out;
  out.map_bytes = info.me_mapsize;
  out.file_bytes = (info.me_last_pgno + 1) * page_size;
  out.live_bytes = pages * page_size;
  struct statvfs disk {};
  if (::statvfs(directory_.c_str(), &disk) == 0)
    out.disk_free_bytes = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  return out;
}

} // namespace swarm::lmdb
