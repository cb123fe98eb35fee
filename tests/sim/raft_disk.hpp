// One simulated disk: what is durable, what is written and not yet synced, and what a crash leaves of that.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "actors/raft/events.hpp"
#include "runtime/random.hpp"

namespace swarm::sim {

/// What STORE holds: the digest stands for all tables.
struct store_image {
  raft::log_index applied_index = 0;
  raft::term_number applied_term = 0;
  std::uint64_t digest = 0;
  std::shared_ptr<const Membership> membership = std::make_shared<Membership>();
};

struct disk_image {
  HardState hard_state;
  raft::log_index base_index = 0;
  raft::term_number base_term = 0;
  std::vector<raft::entry_ptr> entries;
  store_image store;

  [[nodiscard]] raft::log_index last_index() const { return base_index + entries.size(); }
  [[nodiscard]] std::optional<raft::term_number> term_at(raft::log_index index) const;
};

/// One transaction: on disk as a whole or not at all.
struct disk_write {
  std::uint64_t sequence = 0; ///< of the core's ready; 0 = STORE's own, needs no sync of its own
  std::optional<HardState> hard_state;
  std::vector<raft::entry_ptr> entries;
  raft::log_index truncate_before = 0;
  std::optional<store_image> store;
  bool install_snapshot = false; ///< store replaces everything, the log becomes empty behind it
  std::uint64_t snapshot_id = 0;
  std::uint64_t chunk = 0;
};

class sim_disk {
public:
  [[nodiscard]] const disk_image& durable() const { return durable_; }
  [[nodiscard]] disk_image& durable() { return durable_; }
  void write(disk_write what) { queued_.push_back(std::move(what)); }
  /// True when something that must be synced is queued and no sync is running; the caller then calls finish_sync later.
  bool start_sync();
  /// Everything that was queued when the sync began is durable now; returned in order.
  std::vector<disk_write> finish_sync();
  /// Power is lost: any prefix of what was written may have reached the disk.
  void crash(random_source& rng);

private:
  void apply(const disk_write& what);
  disk_image durable_;
  std::deque<disk_write> queued_;
  std::size_t syncing_ = 0;
};

} // namespace swarm::sim
