// When what was proposed goes to STORAGE: one write at a time, and under load with a pause between two.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "runtime/time.hpp"

namespace swarm::raft {

/// A write costs nearly the same for one entry and for twenty, and so does what follows it: a message to each member, a step of
/// the store, a batch of events. What comes while STORAGE writes gathers into the next write by itself. When several proposers
/// were served by a write, their next proposals are under way: the next write then waits for a crowd, as PostgreSQL's
/// commit_delay does when there are commit_siblings. How large a crowd is learned: one more entry each time that it has
/// come together a few times in a row, as many as have come when waiting for longer was in vain. A proposer that is alone
/// waits once at most, when the others have just gone.
class append_pacer {
public:
  struct options {
    std::size_t in_flight_max = 1;                   ///< writes at a time
    std::size_t few = 2;                             ///< entries in a write after which the next one does not wait
    std::size_t enough = 16;                         ///< no crowd need be larger
    std::size_t fills_to_grow = 8;                   ///< crowds that come together before a larger one is waited for
    duration pause_max = milliseconds{3};            ///< and never longer than three times what the last write took
    duration look_again = milliseconds{3};           ///< a timer for each pause would cost more than the late ones gain
  };

  explicit append_pacer(options opts) : opts_{opts}, crowd_{opts.few + 1} {}
  append_pacer() : append_pacer{options{}} {}

  /// A write of so many entries was handed to STORAGE.
  void began(instant now, std::size_t entries);
  /// The oldest write is on disk. Precondition: there is one.
  void ended(instant now);

  /// Whether `gathered` commands are to be written now.
  [[nodiscard]] bool may_begin(instant now, std::size_t gathered) const;
  /// When to ask again if nothing else happens, a while after the pause: whoever proposes next asks anyway. Nothing when the
  /// end of a write will tell.
  [[nodiscard]] std::optional<instant> ask_again(instant now) const;

  [[nodiscard]] std::size_t in_flight() const { return writes_.size(); }
  [[nodiscard]] std::size_t crowd() const { return crowd_; }

private:
  struct write {
    instant began;
    std::size_t entries;
  };
  options opts_;
  std::deque<write> writes_;
  instant pause_until_;
  bool pausing_ = false;   // the write before was one for several
  std::size_t crowd_;      // entries to wait for
  std::size_t fills_ = 0;
};

} // namespace swarm::raft
