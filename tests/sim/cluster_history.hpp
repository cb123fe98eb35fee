// What the group of managers has committed, as one store that never fails, and any earlier state of it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/store/store_core.hpp"
#include "messages/raft.pb.h"

namespace swarm::sim {

/// The log is one: raft_checkers sees to that. So the state that a manager finds after a restart, or gets by a snapshot,
/// is the state after so many entries of it.
class cluster_history {
public:
  /// Hears what each entry has changed, once.
  std::function<void(std::uint64_t index, const EventBatch&)> listener;

  /// An entry is applied by some manager; the first one makes it known.
  void note(const Entry& entry);
  [[nodiscard]] std::uint64_t last() const { return entries_.size(); }
  [[nodiscard]] const Entry& at(std::uint64_t index) const { return entries_.at(index - 1); }
  /// Recovered from rows, as STORE does it, then entries. Precondition: index <= last().
  [[nodiscard]] std::unique_ptr<store::core> build(std::uint64_t index) const;
  [[nodiscard]] const store::core& truth() const { return truth_; }
  /// Of the state after `index`; 0 = not kept.
  [[nodiscard]] std::uint64_t digest_at(std::uint64_t index) const;

  /// One entry into one store.
  static store::applied apply(store::core& to, const Entry& entry);

private:
  static constexpr std::uint64_t checkpoint_every = 64;
  static constexpr std::uint64_t digest_every = 8;
  std::vector<Entry> entries_; ///< [0] is index 1
  store::core truth_;
  std::map<std::uint64_t, store::table_writes> checkpoints_;
  std::map<std::uint64_t, std::uint64_t> digests_;
};

} // namespace swarm::sim
