// The engine's log stream as lines: stdcopy frames or, with a TTY, raw text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "messages/driver.pb.h"

namespace swarm::docker {

/// Fed with the body of GET /containers/ID/logs?timestamps=1&details=1 in pieces of any size. What it holds is bounded:
/// a frame above frame_bytes_max or with a broken header is an error, and nothing is read after one.
///   frame: [0|1|2|3, 0, 0, 0, length (4 bytes, big-endian)] payload;  payload: time SP details SP line
class log_demux {
public:
  static constexpr std::size_t frame_bytes_max = 1024 * 1024;
  static constexpr std::size_t raw_line_bytes_max = 64 * 1024;

  explicit log_demux(bool tty) : tty_{tty} {}

  void feed(std::string_view bytes, std::vector<LogLine>& out);
  /// The stream is over: a raw line without newline is a line too; a frame that was cut is dropped.
  void finish(std::vector<LogLine>& out);
  /// What the engine said in a system frame, or what is wrong with its frames; "" when all is well.
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] std::size_t held_bytes() const { return buffer_.size(); }

private:
  void feed_frames(std::vector<LogLine>& out);
  void feed_raw(std::vector<LogLine>& out);
  [[nodiscard]] LogLine line_of(std::uint32_t stream, std::string_view payload) const;

  bool tty_;
  bool broken_ = false;
  std::string buffer_;
  std::string error_;
};

} // namespace swarm::docker
