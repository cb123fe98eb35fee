// JOURNAL, see journal_actor.hpp.
#include "actors/agent/journal_actor.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include "runtime/crypto/atomic_file.hpp"
#include "runtime/log.hpp"

namespace swarm::agent {
namespace {

using self_ptr = observed_ptr<journal_actor, journal_state>;

constexpr std::size_t file_bytes_max = 512 * 1024 * 1024;

bool write_all(int fd, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

int open_file(const std::string& path, int flags) {
  return ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

bool replace(journal_state& st) {
  const auto fresh = st.path + ".new";
  const auto fd = open_file(fresh, O_CREAT | O_TRUNC);
  if (fd < 0)
    return false;
  if (!write_all(fd, st.gathered) || ::fdatasync(fd) != 0 || ::rename(fresh.c_str(), st.path.c_str()) != 0) {
    ::close(fd);
    return false;
  }
  if (st.fd >= 0)
    ::close(st.fd);
  st.fd = fd; // the next append continues in it
  return crypto::sync_directory(std::filesystem::path{st.path}.parent_path()).ok();
}

bool append(journal_state& st) {
  if (st.fd < 0)
    st.fd = open_file(st.path, O_CREAT | O_APPEND);
  return st.fd >= 0 && write_all(st.fd, st.gathered);
}

bool sync(journal_state& st) {
  ++st.syncs;
  if (st.fd < 0)
    st.fd = open_file(st.path, O_APPEND); // what an agent before this one has left
  return st.fd >= 0 && ::fdatasync(st.fd) == 0;
}

void log_failure(self_ptr self, const std::string& reason) {
  const auto& path = self->state.path;
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::path{path}.parent_path(), ignored))
    log::info(self->label(), "journal_folder_gone", {{"path", path}}); // the swarm was left
  else
    log::error(self->label(), "journal_failed", {{"path", path}, {"error", reason}});
}

// The file is short of what happened; it must not be trusted after a restart.
void give_up(self_ptr self) {
  auto& st = self->state;
  const std::string reason = std::strerror(errno);
  if (!std::exchange(st.failing, true))
    log_failure(self, reason);
  if (st.fd >= 0)
    ::close(st.fd);
  st.fd = -1;
  ::unlink(st.path.c_str());
  (void)crypto::sync_directory(std::filesystem::path{st.path}.parent_path());
}

void write(self_ptr self) {
  auto& st = self->state;
  const auto ok = st.replaces ? replace(st) : append(st);
  st.gathered.clear();
  st.replaces = false;
  ++st.writes;
  if (!ok)
    return give_up(self);
  if (std::exchange(st.failing, false))
    log::info(self->label(), "journal_written_again", {{"path", st.path}});
}

void flush(self_ptr self) {
  auto& st = self->state;
  st.flushing = false;
  if (!st.gathered.empty())
    write(self);
  if (st.waiting.empty())
    return;
  if (!st.failing && !sync(st))
    give_up(self);
  for (auto& promise : std::exchange(st.waiting, {}))
    promise.deliver(!st.failing);
}

void flush_soon(self_ptr self) {
  if (!std::exchange(self->state.flushing, true))
    self->send(self, flush_atom_v);
}

void gather(self_ptr self, const std::string& bytes, bool replaces) {
  auto& st = self->state;
  if (replaces) {
    st.gathered = bytes;
    st.replaces = true;
  } else if (!st.failing || st.replaces) {
    st.gathered += bytes; // without a whole file before it, an addition means nothing
  }
  flush_soon(self);
}

} // namespace

std::string read_journal(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error || size > file_bytes_max)
    return {};
  std::ifstream in{path, std::ios::binary};
  std::ostringstream out;
  out << in.rdbuf();
  return in.good() || in.eof() ? out.str() : std::string{};
}

journal_state::~journal_state() {
  if (fd >= 0)
    ::close(fd);
}

journal_actor::behavior_type journal_file(self_ptr self, std::string path) {
  self->state.path = std::move(path);
  self->set_label("agent/journal");
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path{self->state.path}.parent_path(), ignored);
  return {
    [self](append_atom, const std::string& bytes) { gather(self, bytes, false); },
    [self](replace_atom, const std::string& bytes) { gather(self, bytes, true); },
    [self](sync_atom) {
      auto promise = self->make_response_promise<bool>();
      self->state.waiting.push_back(promise);
      flush_soon(self);
      return promise;
    },
    [self](flush_atom) { flush(self); },
    [self](const ReadStatus& request) {
      auto status = self->base_status(request);
      (*status.mutable_facts())["writes"] = std::to_string(self->state.writes);
      (*status.mutable_facts())["syncs"] = std::to_string(self->state.syncs);
      (*status.mutable_facts())["failing"] = self->state.failing ? "true" : "false";
      return status;
    },
  };
}

} // namespace swarm::agent
