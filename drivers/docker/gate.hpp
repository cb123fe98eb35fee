// Admits a bounded number of engine operations at a time, first come first served.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "runtime/time.hpp"

namespace swarm::docker {

/// The engine gains nothing from more than about eight creates and starts at once (performance.md B.1), and each one
/// more only makes all of them slower. A place that is held for longer than `lease` no longer counts: one stuck
/// container must not block the others (W03).
class gate {
public:
  struct options {
    std::size_t places = 8;
    std::size_t waiting_max = 20'000;
    duration lease = seconds{10};
  };
  explicit gate(options opts) : opts_{opts} {}

  enum class admission : std::uint8_t { now, later, full };
  /// `urgent` goes before all that are not: starting what is created comes before creating more.
  admission enter(instant now, const std::string& who, bool urgent) {
    if (inside_.size() < opts_.places) {
      inside_.insert_or_assign(who, now + opts_.lease);
      return admission::now;
    }
    if (urgent_.size() + waiting_.size() >= opts_.waiting_max)
      return admission::full;
    (urgent ? urgent_ : waiting_).push_back(who);
    return admission::later;
  }
  /// Gives up a place or the wait for one.
  void leave(const std::string& who) {
    if (inside_.erase(who) == 0) {
      std::erase(urgent_, who);
      std::erase(waiting_, who);
    }
  }
  /// Whoever may go in now; call until it is empty.
  std::optional<std::string> next(instant now) {
    if (inside_.size() >= opts_.places || (urgent_.empty() && waiting_.empty()))
      return std::nullopt;
    auto& from = urgent_.empty() ? waiting_ : urgent_;
    auto who = std::move(from.front());
    from.pop_front();
    inside_.insert_or_assign(who, now + opts_.lease);
    return who;
  }
  void expire(instant now) {
    std::erase_if(inside_, [&](const auto& item) { return item.second <= now; });
  }
  [[nodiscard]] std::size_t inside() const { return inside_.size(); }
  [[nodiscard]] std::size_t waiting() const { return urgent_.size() + waiting_.size(); }

private:
  options opts_;
  std::map<std::string, instant> inside_; // until when the place counts
  std::deque<std::string> urgent_;
  std::deque<std::string> waiting_;
};

} // namespace swarm::docker
