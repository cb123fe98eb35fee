// The log of one task: records appended by its shim, read by the driver, rotated by size.
// Record: stream (1 byte: 1 stdout, 2 stderr) ‖ wall ns (8, little-endian) ‖ length (4, little-endian) ‖ bytes.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "messages/driver.pb.h"

namespace swarm::process {

inline constexpr std::size_t log_line_bytes_max = 16 * 1024; ///< longer lines are cut into pieces, as Docker does
inline constexpr std::size_t log_record_header_bytes = 13;

/// Appends lines; when the file is full it becomes log.1, log.1 becomes log.2 … and the oldest goes.
class log_writer {
public:
  log_writer(std::string path, std::int64_t max_bytes, std::uint32_t max_files);
  ~log_writer();
  log_writer(const log_writer&) = delete;
  log_writer& operator=(const log_writer&) = delete;

  /// Bytes as they come from a pipe; complete lines are written at once, the rest waits for its end.
  void feed(int stream, std::string_view bytes, std::int64_t wall_ns);
  /// A terminal's bytes are not lines: written as they come.
  void feed_raw(std::string_view bytes, std::int64_t wall_ns);
  /// What was left without a newline.
  void finish(std::int64_t wall_ns);

private:
  void append(int stream, std::string_view line, std::int64_t wall_ns);
  void rotate();
  void open();

  std::string path_;
  std::int64_t max_bytes_;
  std::uint32_t max_files_;
  int fd_ = -1;
  std::int64_t size_ = 0;
  std::string partial_[3];
};

/// Reads all files from the oldest record on, then follows the newest across rotations.
class log_reader {
public:
  explicit log_reader(std::string path);
  ~log_reader();
  log_reader(const log_reader&) = delete;
  log_reader& operator=(const log_reader&) = delete;

  /// Begins at the last `lines` records (-1: all) not older than `since`.
  void seek(std::int64_t lines, std::int64_t since);
  /// The next record; false when there is none now. A damaged tail (torn by a crash) ends the reading of that file.
  bool next(LogLine& out);

private:
  bool open_next_file();
  bool read_exact(char* to, std::size_t n, bool& at_end);

  std::string path_;
  int fd_ = -1;
  std::uint64_t inode_ = 0;
  std::int64_t offset_ = 0;
  std::int64_t since_ = 0;
  std::deque<std::string> older_; ///< files still to be read before `path_`, oldest first
  std::uint64_t skip_ = 0;        ///< records before the tail
};

} // namespace swarm::process
