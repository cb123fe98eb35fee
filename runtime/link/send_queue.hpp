// Frames that wait to be sent on one link, in classes: what must never wait, what is usual, and bulk. Bounded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace swarm::link {

/// urgent: heartbeats, votes, acknowledgements. Frames of one class keep their order, classes overtake each other.
enum class priority : std::uint8_t { urgent, normal, bulk };
inline constexpr std::size_t priorities = 3;

struct queue_bound {
  std::size_t bytes = 0;
  std::size_t frames = 0;
};

/// Not thread-safe.
class send_queue {
public:
  explicit send_queue(std::array<queue_bound, priorities> bounds) : bounds_{bounds} {}

  /// All of them or none: false when the class is full. What is larger than the bound goes into an empty class.
  [[nodiscard]] bool push(priority of, std::vector<std::string> frames);
  /// Urgent first; then `normal_per_bulk` normal ones to each of bulk, so that neither starves. False when empty.
  [[nodiscard]] bool pop(std::string& out);

  [[nodiscard]] bool empty() const;
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::size_t frames() const;
  void clear();

  static constexpr unsigned normal_per_bulk = 4;

private:
  struct lane {
    std::deque<std::string> frames;
    std::size_t bytes = 0;
  };
  std::array<queue_bound, priorities> bounds_;
  std::array<lane, priorities> lanes_;
  unsigned normal_run_ = 0;
};

} // namespace swarm::link
