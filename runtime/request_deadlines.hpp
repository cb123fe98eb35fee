// Deadlines of one actor's requests. CAF tells its clock's thread of each request and of each answer, and every time that
// thread wakes; with deadlines far away and answers near, that was a sixth of the processor time of a write. Here at most
// one timeout is set at a time, for the earliest deadline, and requests that were answered are forgotten on the way.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/time.hpp"

namespace swarm {

/// Not thread-safe: the actor's own. Memory: 16 bytes per open request, and as much again (at least 16 entries) for
/// those that were answered.
class request_deadlines {
public:
  /// The moment at which expired() must be called, if that is not known already.
  template <class IsOpen>
  [[nodiscard]] std::optional<instant> add(std::uint64_t request, instant due, IsOpen&& is_open) {
    if (entries_.size() >= prune_at_)
      prune(is_open);
    entries_.push_back({request, due});
    return look_at(due);
  }

  struct look {
    std::vector<std::uint64_t> late;
    std::optional<instant> again; ///< when expired() must be called next
  };
  template <class IsOpen>
  [[nodiscard]] look expired(instant now, IsOpen&& is_open) {
    look out;
    armed_.reset();
    prune(is_open);
    const auto late = std::stable_partition(entries_.begin(), entries_.end(), [&](const entry& e) { return e.due > now; });
    for (auto it = late; it != entries_.end(); ++it)
      out.late.push_back(it->request);
    entries_.erase(late, entries_.end());
    if (const auto first = std::min_element(entries_.begin(), entries_.end(), [](auto& a, auto& b) { return a.due < b.due; });
        first != entries_.end())
      out.again = look_at(first->due);
    return out;
  }

private:
  static constexpr std::size_t prune_min = 16;
  struct entry {
    std::uint64_t request;
    instant due;
  };

  std::optional<instant> look_at(instant due) {
    if (armed_ && *armed_ <= due)
      return std::nullopt;
    return armed_ = due;
  }
  template <class IsOpen>
  void prune(IsOpen&& is_open) {
    std::erase_if(entries_, [&](const entry& e) { return !is_open(e.request); });
    prune_at_ = std::max(prune_min, 2 * entries_.size());
  }

  std::vector<entry> entries_;
  std::size_t prune_at_ = prune_min;
  std::optional<instant> armed_;
};

} // namespace swarm
