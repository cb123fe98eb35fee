// The log in memory.
#include "actors/raft/raft_log.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace swarm::raft {

std::optional<term_number> raft_log::term_at(log_index index) const {
  if (index == base_index_)
    return base_term_;
  if (index < base_index_ || index > last_index())
    return std::nullopt;
  return at(index)->term();
}

raft_log::position raft_log::last_not_above(log_index index, term_number term) const {
  for (index = std::min(index, last_index()); index > base_index_; --index)
    if (at(index)->term() <= term)
      return {index, at(index)->term()};
  if (index == base_index_ && base_term_ <= term)
    return {base_index_, base_term_};
  return {index, 0};
}

void raft_log::append(entry_ptr entry) {
  SWARM_CHECK(entry->log_index() == last_index() + 1);
  SWARM_CHECK(entry->term() >= last_term());
  bytes_ += entry_size(*entry);
  entries_.push_back(std::move(entry));
}

void raft_log::truncate_from(log_index index) {
  SWARM_CHECK(index > base_index_);
  while (last_index() >= index) {
    bytes_ -= entry_size(*entries_.back());
    entries_.pop_back();
  }
}

void raft_log::compact_to(log_index index) {
  SWARM_CHECK(index >= base_index_ && index <= last_index());
  while (base_index_ < index) {
    base_term_ = entries_.front()->term();
    bytes_ -= entry_size(*entries_.front());
    entries_.pop_front();
    ++base_index_;
  }
}

void raft_log::reset(log_index index, term_number term) {
  entries_.clear();
  bytes_ = 0;
  base_index_ = index;
  base_term_ = term;
}

} // namespace swarm::raft
