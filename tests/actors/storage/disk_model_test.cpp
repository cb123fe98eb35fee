// Takes the place of the C library's write, sync and rename calls in this test program, for LMDB too; and proves that
// it does.
#include "tests/actors/storage/disk_model.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/temp_dir.hpp"

namespace swarm::storage::disk_model {

namespace {

namespace fs = std::filesystem;

struct event {
  enum class kind : std::uint8_t { create, write, sync, rename, remove, sync_folder, acknowledge } what;
  std::string name;         // create, rename (from), remove
  std::string to;           // rename
  std::uint64_t file = 0;   // create, write, sync
  std::uint64_t offset = 0; // write
  std::string bytes;        // write
  bool durable = false;     // write on an O_DSYNC descriptor
  std::uint64_t number = 0; // acknowledge
};
using kind = event::kind;

struct model {
  bool on = false;
  std::string folder;
  std::vector<event> events;
  std::map<std::uint64_t, std::uint64_t> files; // inode -> number; forgotten when the inode may be used again
  std::uint64_t next_file = 1;
  std::uint64_t calls = 0, fail_at = 0;
  int error = 0;
  bool failed = false;
};
model m;

std::optional<std::string> path_of(int fd) {
  if (!m.on)
    return std::nullopt;
  char link[64], path[512];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const auto size = ::readlink(link, path, sizeof path);
  std::string out{path, size > 0 ? static_cast<std::size_t>(size) : 0};
  if (!out.starts_with(m.folder) || out.ends_with("-lock") || out.ends_with("owner"))
    return std::nullopt;
  return out;
}

// True when this call is the one that is to fail.
bool fails() {
  if (m.fail_at == 0 || ++m.calls != m.fail_at)
    return false;
  m.failed = true;
  errno = m.error;
  return true;
}

std::uint64_t file_of(int fd, const std::string& path) {
  struct stat info {};
  ::fstat(fd, &info);
  const auto [at, fresh] = m.files.try_emplace(info.st_ino, m.next_file);
  if (fresh)
    m.events.push_back({kind::create, fs::path{path}.filename(), {}, m.next_file++, 0, {}, false, 0});
  return at->second;
}

void forget(const char* path) {
  struct stat info {};
  if (::stat(path, &info) == 0)
    m.files.erase(info.st_ino);
}

void record_write(int fd, const std::string& path, std::uint64_t offset, std::string bytes) {
  const bool durable = (::fcntl(fd, F_GETFL) & O_DSYNC) != 0;
  const auto file = file_of(fd, path);
  m.events.push_back({kind::write, {}, {}, file, offset, std::move(bytes), durable, 0});
}

int record_sync(int fd, long call) {
  const auto path = path_of(fd);
  if (path && fails())
    return -1;
  const auto result = static_cast<int>(::syscall(call, fd));
  if (path && result == 0) {
    if (*path == m.folder)
      m.events.push_back({kind::sync_folder, {}, {}, 0, 0, {}, false, 0});
    else
      m.events.push_back({kind::sync, {}, {}, file_of(fd, *path), 0, {}, false, 0});
  }
  return result;
}

struct platter {
  std::map<std::uint64_t, std::string> content;            // by file: what surely is there
  std::map<std::uint64_t, std::vector<const event*>> open; // by file: writes not yet synced
  std::map<std::string, std::uint64_t> names;              // what the folder surely says
  std::vector<const event*> pending_names;
};

void apply_bytes(std::string& content, std::uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size())
    content.resize(offset + bytes.size(), '\0');
  std::copy(bytes.begin(), bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(offset));
}

void apply_name(std::map<std::string, std::uint64_t>& names, const event& e) {
  if (e.what == kind::create) {
    names[e.name] = e.file;
  } else if (const auto at = names.find(e.name); at != names.end()) {
    if (e.what == kind::rename)
      names[e.to] = at->second;
    names.erase(e.name);
  }
}

void lose_some(std::string& content, const std::vector<const event*>& writes, loss how, random_source& rng) {
  const std::size_t piece = how == loss::random_sectors ? 512 : 4096;
  for (const auto* const e : writes)
    for (std::size_t at = 0; at < e->bytes.size(); at += piece)
      if (how == loss::none || (how != loss::all && rng.chance(50)))
        apply_bytes(content, e->offset + at, std::string_view{e->bytes}.substr(at, piece));
}

} // namespace

void start(const fs::path& folder) {
  m = {};
  m.folder = folder.string();
  m.on = true;
}
void stop() { m.on = false; }
void acknowledge(std::uint64_t number) { m.events.push_back({kind::acknowledge, {}, {}, 0, 0, {}, false, number}); }
std::size_t events() { return m.events.size(); }
bool failed() { return m.failed; }
void fail_nth(std::uint64_t nth, int error) {
  m.calls = 0;
  m.fail_at = nth;
  m.error = error;
  m.failed = false;
}

image cut(std::size_t count, loss how, random_source& rng, const fs::path& target) {
  platter p;
  image out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& e = m.events[i];
    switch (e.what) {
    case kind::write:
      if (e.durable)
        apply_bytes(p.content[e.file], e.offset, e.bytes);
      else
        p.open[e.file].push_back(&e);
      break;
    case kind::sync:
      for (const auto* const w : p.open[e.file])
        apply_bytes(p.content[e.file], w->offset, w->bytes);
      p.open[e.file].clear();
      break;
    case kind::create:
    case kind::rename:
    case kind::remove: p.pending_names.push_back(&e); break;
    case kind::sync_folder:
      for (const auto* const n : p.pending_names)
        apply_name(p.names, *n);
      p.pending_names.clear();
      break;
    case kind::acknowledge:
      out.acknowledged = e.number;
      out.any = true;
      break;
    }
  }
  // A journalled folder loses its latest changes, never one in the middle.
  const auto kept = how == loss::all    ? 0
                    : how == loss::none ? p.pending_names.size()
                                        : rng.below(p.pending_names.size() + 1);
  for (std::size_t i = 0; i < kept; ++i)
    apply_name(p.names, *p.pending_names[i]);
  fs::remove_all(target);
  fs::create_directories(target);
  for (const auto& [name, file] : p.names) {
    auto content = p.content[file];
    lose_some(content, p.open[file], how, rng);
    std::ofstream{target / name, std::ios::binary} << content;
    fs::permissions(target / name, fs::perms::owner_read | fs::perms::owner_write);
  }
  return out;
}

} // namespace swarm::storage::disk_model

// -- the C library's names ------------------------------------------------------------------------------------------

namespace model_ns = swarm::storage::disk_model;

extern "C" {

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  const auto path = model_ns::path_of(fd);
  if (path && model_ns::fails())
    return -1;
  const auto done = ::syscall(SYS_pwrite64, fd, data, size, offset);
  if (path && done > 0)
    model_ns::record_write(fd, *path, static_cast<std::uint64_t>(offset),
                           {static_cast<const char*>(data), static_cast<std::size_t>(done)});
  return done;
}

ssize_t write(int fd, const void* data, size_t size) {
  const auto path = model_ns::path_of(fd);
  if (path && model_ns::fails())
    return -1;
  const auto offset = path ? ::syscall(SYS_lseek, fd, 0, SEEK_CUR) : 0;
  const auto done = ::syscall(SYS_write, fd, data, size);
  if (path && done > 0)
    model_ns::record_write(fd, *path, static_cast<std::uint64_t>(offset),
                           {static_cast<const char*>(data), static_cast<std::size_t>(done)});
  return done;
}

ssize_t writev(int fd, const iovec* parts, int count) {
  const auto path = model_ns::path_of(fd);
  if (path && model_ns::fails())
    return -1;
  const auto offset = path ? ::syscall(SYS_lseek, fd, 0, SEEK_CUR) : 0;
  const auto done = ::syscall(SYS_writev, fd, parts, count);
  if (path && done > 0) {
    std::string bytes;
    for (int i = 0; i < count; ++i)
      bytes.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    bytes.resize(static_cast<std::size_t>(done));
    model_ns::record_write(fd, *path, static_cast<std::uint64_t>(offset), std::move(bytes));
  }
  return done;
}

int fsync(int fd) { return model_ns::record_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return model_ns::record_sync(fd, SYS_fdatasync); }

int rename(const char* from, const char* to) noexcept {
  const bool ours = model_ns::m.on && std::string_view{from}.starts_with(model_ns::m.folder);
  if (ours && model_ns::fails())
    return -1;
  if (ours)
    model_ns::forget(to);
  const auto result = static_cast<int>(::syscall(SYS_rename, from, to));
  if (ours && result == 0)
    model_ns::m.events.push_back({model_ns::kind::rename,
                                  std::filesystem::path{from}.filename(),
                                  std::filesystem::path{to}.filename(),
                                  0,
                                  0,
                                  {},
                                  false,
                                  0});
  return result;
}

int unlink(const char* path) noexcept {
  const std::string_view name{path};
  const bool ours = model_ns::m.on && name.starts_with(model_ns::m.folder) && !name.ends_with("-lock");
  if (ours)
    model_ns::forget(path);
  const auto result = static_cast<int>(::syscall(SYS_unlink, path));
  if (ours && result == 0)
    model_ns::m.events.push_back(
        {model_ns::kind::remove, std::filesystem::path{path}.filename(), {}, 0, 0, {}, false, 0});
  return result;
}

} // extern "C"

// -- is the model a model? ------------------------------------------------------------------------------------------

namespace swarm::storage::disk_model {
namespace {

std::string slurp(const fs::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

TEST(disk_model, unsynced_bytes_are_lost_synced_ones_stay_and_names_need_the_folders_sync) {
  test::temp_dir dir;
  const auto folder = dir / "f";
  fs::create_directory(folder);
  start(folder);
  const int fd = ::open((folder / "a").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::pwrite(fd, "one", 3, 0), 3);
  ASSERT_EQ(::fsync(fd), 0);
  const auto without_name = events();
  const int root = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::fsync(root), 0);
  const auto with_name = events();
  acknowledge(5);
  ASSERT_EQ(::pwrite(fd, "two", 3, 0), 3);
  ASSERT_EQ(::rename((folder / "a").c_str(), (folder / "b").c_str()), 0);
  const auto all = events();
  stop();
  ::close(fd);
  ::close(root);
  random_source rng{1};
  EXPECT_FALSE(cut(without_name, loss::all, rng, dir / "image").any);
  EXPECT_TRUE(fs::is_empty(dir / "image"));
  cut(with_name, loss::all, rng, dir / "image");
  EXPECT_EQ(slurp(dir / "image" / "a"), "one");
  EXPECT_EQ(cut(all, loss::all, rng, dir / "image").acknowledged, 5u);
  EXPECT_EQ(slurp(dir / "image" / "a"), "one");
  cut(all, loss::none, rng, dir / "image");
  EXPECT_EQ(slurp(dir / "image" / "b"), "two");
  EXPECT_FALSE(fs::exists(dir / "image" / "a"));
}

} // namespace
} // namespace swarm::storage::disk_model
