// The log in memory: everything from the compaction point on. The copy on disk is STORAGE's.
#pragma once

#include <deque>
#include <optional>

#include "actors/raft/types.hpp"

namespace swarm::raft {

/// Entries base+1 ... last without gaps. `base` is the last entry that was compacted away (0 at the very start); its
/// term is kept because log matching needs it.
class raft_log {
public:
  raft_log() = default;
  raft_log(log_index base_index, term_number base_term) : base_index_{base_index}, base_term_{base_term} {}

  [[nodiscard]] log_index base_index() const { return base_index_; }
  [[nodiscard]] term_number base_term() const { return base_term_; }
  [[nodiscard]] log_index first_index() const { return base_index_ + 1; }
  [[nodiscard]] log_index last_index() const { return base_index_ + entries_.size(); }
  [[nodiscard]] term_number last_term() const { return entries_.empty() ? base_term_ : entries_.back()->term(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  /// nullopt when compacted away or not there yet.
  [[nodiscard]] std::optional<term_number> term_at(log_index index) const;
  [[nodiscard]] bool matches(log_index index, term_number term) const { return term_at(index) == term; }
  /// Precondition: first_index() <= index <= last_index().
  [[nodiscard]] const entry_ptr& at(log_index index) const { return entries_[index - base_index_ - 1]; }
  /// Paper §5.4.1: a log that ends so is at least as up to date as this one.
  [[nodiscard]] bool is_up_to_date(log_index last, term_number term) const {
    return term > last_term() || (term == last_term() && last >= last_index());
  }

  struct position {
    log_index index = 0;
    term_number term = 0; ///< 0 when the index is compacted away
  };
  /// The last entry at or before `index` whose term is not above `term`: everything behind it cannot match a log
  /// that has `term` at `index`, so a whole term is skipped per round trip.
  [[nodiscard]] position last_not_above(log_index index, term_number term) const;

  /// Precondition: the entry's index is last_index() + 1.
  void append(entry_ptr entry);
  /// Drops index and everything behind it. Precondition: index > base_index().
  void truncate_from(log_index index);
  /// Forgets everything up to and including `index`. Precondition: base_index() <= index <= last_index().
  void compact_to(log_index index);
  /// Empties the log; the next entry is index + 1.
  void reset(log_index index, term_number term);

private:
  std::deque<entry_ptr> entries_;
  log_index base_index_ = 0;
  term_number base_term_ = 0;
  std::size_t bytes_ = 0;
};

} // namespace swarm::raft
