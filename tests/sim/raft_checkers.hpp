// What must hold at every step of a simulated cluster, seen from above all its members.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/raft/raft_core.hpp"
#include "tests/sim/raft_disk.hpp"

namespace swarm::sim {

/// A property does not hold. The text begins with the property's name.
struct violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Numbers in comments are those of reference/reliability.md §5.10. All checks cost O(what is new).
class raft_checkers {
public:
  using disks = std::vector<std::pair<raft::raft_id, const disk_image*>>;

  /// Of every entry a member is about to write. `prev_term`: of the entry before the first.
  void on_write(raft::raft_id id, const std::vector<raft::entry_ptr>& entries, raft::term_number prev_term);
  /// After every step. `commit_before` and `config_before` are from before it.
  void after_step(const raft::core& member, raft::log_index commit_before, bool led_before,
                  const raft::configuration& config_before, const disks& all);
  /// When a message leaves its sender.
  void on_send(const RaftMessage& message, const disk_image& sender);
  /// When STORE has applied an entry.
  void on_apply(raft::raft_id id, const Entry& entry, std::uint64_t digest);
  void on_snapshot_installed(raft::raft_id id, const store_image& store);
  /// When a client is told that its write is done.
  void on_acknowledged(raft::log_index index, raft::term_number term);
  [[nodiscard]] raft::log_index highest_acknowledged() const { return highest_acknowledged_; }
  /// A read that was asked when `acknowledged` was the highest index told to any client is answered from `reflects`.
  void on_read(raft::raft_id id, raft::log_index acknowledged, raft::log_index reflects) const;
  /// At the end: nothing that was acknowledged is missing.
  void at_end(raft::log_index converged_on) const;

  [[nodiscard]] std::uint64_t committed_entries() const { return committed_.size(); }
  [[nodiscard]] std::uint64_t elections() const { return leaders_.size(); }

private:
  struct committed_entry {
    raft::term_number term = 0;
    raft::term_number in_term = 0; ///< term of the member that was first seen to know the commit
    std::uint64_t chain = 0;
  };
  struct position_hash {
    std::size_t operator()(const std::pair<raft::log_index, raft::term_number>& p) const {
      return p.first * 0x9e3779b97f4a7c15ull ^ p.second;
    }
  };
  [[nodiscard]] std::uint64_t chain_at(raft::log_index index, raft::term_number term) const;
  void check_leader(const raft::core& member);
  void check_commit(const raft::core& member, raft::log_index index, bool counted,
                    const std::vector<raft::configuration>& in_force, const disks& all);
  void check_membership_step(const raft::core& member, raft::log_index index);

  std::map<raft::term_number, raft::raft_id> leaders_;
  std::map<std::pair<raft::raft_id, raft::term_number>, raft::raft_id> votes_;
  std::unordered_map<std::pair<raft::log_index, raft::term_number>, std::uint64_t, position_hash> chains_;
  std::vector<committed_entry> committed_; ///< [0] is index 1
  std::vector<std::uint64_t> digests_;     ///< of the store after index 1, 2, ...; 0 = not seen
  std::vector<raft::raft_id> last_voters_;
  raft::log_index last_membership_ = 0;
  raft::log_index highest_acknowledged_ = 0;
};

[[nodiscard]] std::uint64_t mix(std::uint64_t a, std::uint64_t b);
[[nodiscard]] std::uint64_t hash_of(const Entry& entry);

} // namespace swarm::sim
