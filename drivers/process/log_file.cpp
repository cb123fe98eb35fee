// Log records on disk.
#include "drivers/process/log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace swarm::process {

namespace {

void put_le(char* to, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i)
    to[i] = static_cast<char>((value >> (8 * i)) & 0xff);
}

std::uint64_t get_le(const char* from, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(from[i])) << (8 * i);
  return value;
}

std::string rotated_name(const std::string& path, std::uint32_t n) { return path + '.' + std::to_string(n); }

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

} // namespace

log_writer::log_writer(std::string path, std::int64_t max_bytes, std::uint32_t max_files)
  : path_{std::move(path)}, max_bytes_{std::max<std::int64_t>(max_bytes, 4096)}, max_files_{std::max(1u, max_files)} {
  open();
}

log_writer::~log_writer() {
  if (fd_ >= 0)
    ::close(fd_);
}

void log_writer::open() {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat st{};
  size_ = fd_ >= 0 && ::fstat(fd_, &st) == 0 ? st.st_size : 0;
}

void log_writer::rotate() {
  if (fd_ >= 0)
    ::close(fd_);
  if (max_files_ == 1) {
    ::unlink(path_.c_str());
  } else {
    for (auto n = max_files_ - 1; n > 1; --n)
      ::rename(rotated_name(path_, n - 1).c_str(), rotated_name(path_, n).c_str());
    ::rename(path_.c_str(), rotated_name(path_, 1).c_str());
  }
  open();
}

void log_writer::append(int stream, std::string_view line, std::int64_t wall_ns) {
  if (size_ + static_cast<std::int64_t>(line.size()) > max_bytes_ && size_ > 0)
    rotate();
  if (fd_ < 0)
    return; // the disk refuses: the task goes on without its log
  std::string record(log_record_header_bytes, '\0');
  record[0] = static_cast<char>(stream);
  put_le(record.data() + 1, static_cast<std::uint64_t>(wall_ns), 8);
  put_le(record.data() + 9, line.size(), 4);
  record += line;
  // One write per record: a reader never sees half of one, unless the disk is full.
  if (const auto n = ::write(fd_, record.data(), record.size()); n > 0)
    size_ += n;
}

void log_writer::feed(int stream, std::string_view bytes, std::int64_t wall_ns) {
  auto& partial = partial_[stream];
  partial += bytes;
  std::size_t begin = 0;
  for (;;) {
    const auto newline = partial.find('\n', begin);
    if (newline != std::string::npos && newline - begin < log_line_bytes_max) {
      append(stream, std::string_view{partial}.substr(begin, newline - begin + 1), wall_ns);
      begin = newline + 1;
    } else if (partial.size() - begin >= log_line_bytes_max) {
      append(stream, std::string_view{partial}.substr(begin, log_line_bytes_max), wall_ns);
      begin += log_line_bytes_max;
    } else {
      break;
    }
  }
  partial.erase(0, begin);
}

void log_writer::feed_raw(std::string_view bytes, std::int64_t wall_ns) { append(1, bytes, wall_ns); }

void log_writer::finish(std::int64_t wall_ns) {
  for (const int stream : {1, 2}) {
    if (!partial_[stream].empty())
      append(stream, partial_[stream], wall_ns);
    partial_[stream].clear();
  }
}

log_reader::log_reader(std::string path) : path_{std::move(path)} {
  for (std::uint32_t n = 1; exists(rotated_name(path_, n)); ++n)
    older_.push_front(rotated_name(path_, n));
}

log_reader::~log_reader() {
  if (fd_ >= 0)
    ::close(fd_);
}

void log_reader::seek(std::int64_t lines, std::int64_t since) {
  since_ = since;
  if (lines < 0)
    return;
  log_reader counter{path_};
  counter.since_ = since;
  std::uint64_t total = 0;
  for (LogLine line; counter.next(line);)
    ++total;
  skip_ = total > static_cast<std::uint64_t>(lines) ? total - static_cast<std::uint64_t>(lines) : 0;
}

bool log_reader::open_next_file() {
  if (fd_ >= 0 && older_.empty()) {
    // Rotated away under us: what we have open is complete now, the name has a new file.
    struct stat st{};
    if (::stat(path_.c_str(), &st) != 0 || st.st_ino == inode_)
      return false;
  }
  std::string path = path_;
  if (!older_.empty()) {
    path = older_.front();
    older_.pop_front();
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return !older_.empty() && open_next_file();
  if (fd_ >= 0)
    ::close(fd_);
  fd_ = fd;
  struct stat st{};
  ::fstat(fd_, &st);
  inode_ = st.st_ino;
  offset_ = 0;
  return true;
}

bool log_reader::read_exact(char* to, std::size_t n, bool& at_end) {
  std::size_t done = 0;
  while (done < n) {
    const auto got = ::pread(fd_, to + done, n - done, offset_ + static_cast<std::int64_t>(done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      at_end = true;
      return false;
    }
    done += static_cast<std::size_t>(got);
  }
  return true;
}

bool log_reader::next(LogLine& out) {
  for (;;) {
    if (fd_ < 0 && !open_next_file())
      return false;
    std::array<char, log_record_header_bytes> header{};
    bool at_end = false;
    std::string data;
    bool whole = read_exact(header.data(), header.size(), at_end);
    if (whole) {
      const auto length = get_le(header.data() + 9, 4);
      if (length > log_line_bytes_max * 8)
        whole = false; // not a record: a torn tail
      else {
        data.resize(length);
        offset_ += log_record_header_bytes;
        whole = read_exact(data.data(), length, at_end);
        offset_ -= log_record_header_bytes;
      }
    }
    if (!whole) {
      if (!open_next_file())
        return false;
      continue;
    }
    offset_ += static_cast<std::int64_t>(log_record_header_bytes + data.size());
    const auto at = static_cast<std::int64_t>(get_le(header.data() + 1, 8));
    if (at < since_)
      continue;
    if (skip_ > 0) {
      --skip_;
      continue;
    }
    out.set_stream(static_cast<std::uint32_t>(header[0]));
    out.set_timestamp(at);
    out.set_data(std::move(data));
    return true;
  }
}

} // namespace swarm::process
