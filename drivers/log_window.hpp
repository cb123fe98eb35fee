// Lines on their way to one log reader: never more than it has granted.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "messages/driver.pb.h"

namespace swarm::driver {

/// Holds lines until there is credit for them. Whoever feeds it must stop while wants_more() is false: then what is
/// held stays near hold_bytes. Credit may be overdrawn by one line, so that a line above any window still passes.
class log_window {
public:
  static constexpr std::size_t hold_bytes = 256 * 1024;
  static constexpr std::size_t chunk_bytes = 64 * 1024;
  static constexpr int chunk_lines = 1000;
  static constexpr std::int64_t credit_max = 64 * 1024 * 1024;

  log_window(std::uint64_t subscription, std::string task_id)
    : subscription_{subscription}, task_id_{std::move(task_id)} {}

  void add(std::vector<LogLine> lines) {
    for (auto& line : lines) {
      held_ += line.data().size();
      lines_.push_back(std::move(line));
    }
  }
  /// Nothing more will be added.
  void end(std::string error) {
    ending_ = true;
    error_ = std::move(error);
  }
  void grant(std::uint32_t bytes) { credit_ = std::min<std::int64_t>(credit_ + bytes, credit_max); }

  /// The next chunk that may go now; the last one has `end` set and needs no credit beyond that of its lines.
  [[nodiscard]] std::optional<LogChunk> next() {
    if (ended_)
      return std::nullopt;
    LogChunk chunk;
    std::size_t size = 0;
    while (!lines_.empty() && credit_ > 0 && size < chunk_bytes && chunk.lines_size() < chunk_lines) {
      const auto bytes = lines_.front().data().size();
      size += bytes;
      held_ -= bytes;
      credit_ -= static_cast<std::int64_t>(bytes);
      *chunk.add_lines() = std::move(lines_.front());
      lines_.pop_front();
    }
    const auto last = ending_ && lines_.empty();
    if (chunk.lines().empty() && !last)
      return std::nullopt;
    chunk.set_subscription(subscription_);
    chunk.set_task_id(task_id_);
    if (last) {
      chunk.set_end(true);
      chunk.set_error(error_);
      ended_ = true;
    }
    return chunk;
  }
  [[nodiscard]] bool wants_more() const { return held_ < hold_bytes && lines_.size() < hold_bytes / 16; }
  [[nodiscard]] bool ended() const { return ended_; }

private:
  std::uint64_t subscription_;
  std::string task_id_;
  std::deque<LogLine> lines_;
  std::size_t held_ = 0;
  std::int64_t credit_ = 0;
  std::string error_;
  bool ending_ = false;
  bool ended_ = false;
};

} // namespace swarm::driver
