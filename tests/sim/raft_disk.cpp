// One simulated disk.
#include "tests/sim/raft_disk.hpp"

#include <algorithm>

#include "runtime/check.hpp"

namespace swarm::sim {

std::optional<raft::term_number> disk_image::term_at(raft::log_index index) const {
  if (index == base_index)
    return base_term;
  if (index < base_index || index > last_index())
    return std::nullopt;
  return entries[index - base_index - 1]->term();
}

bool sim_disk::start_sync() {
  if (syncing_ != 0)
    return false;
  const bool needed = std::any_of(queued_.begin(), queued_.end(),
                                  [](const disk_write& w) { return w.sequence != 0 || w.install_snapshot; });
  if (!needed)
    return false;
  syncing_ = queued_.size();
  return true;
}

std::vector<disk_write> sim_disk::finish_sync() {
  std::vector<disk_write> done;
  for (; syncing_ != 0; --syncing_) {
    apply(queued_.front());
    done.push_back(std::move(queued_.front()));
    queued_.pop_front();
  }
  return done;
}

void sim_disk::crash(random_source& rng) {
  auto survivors = rng.below(queued_.size() + 1);
  for (auto it = queued_.begin(); survivors > 0; ++it, --survivors)
    apply(*it);
  queued_.clear();
  syncing_ = 0;
}

void sim_disk::apply(const disk_write& what) {
  if (what.install_snapshot) {
    durable_.store = *what.store;
    durable_.base_index = what.store->applied_index;
    durable_.base_term = what.store->applied_term;
    durable_.entries.clear();
    return;
  }
  if (what.hard_state)
    durable_.hard_state = *what.hard_state;
  if (!what.entries.empty()) {
    const auto first = what.entries.front()->log_index();
    SWARM_CHECK(first > durable_.base_index && first <= durable_.last_index() + 1, "a write leaves a gap in the log");
    durable_.entries.resize(first - durable_.base_index - 1);
    durable_.entries.insert(durable_.entries.end(), what.entries.begin(), what.entries.end());
  }
  if (what.store)
    durable_.store = *what.store;
  if (what.truncate_before > durable_.base_index + 1) {
    const auto drop = what.truncate_before - 1 - durable_.base_index;
    SWARM_CHECK(drop <= durable_.entries.size(), "compaction beyond the end of the log");
    durable_.base_term = durable_.entries[drop - 1]->term();
    durable_.entries.erase(durable_.entries.begin(), durable_.entries.begin() + static_cast<std::ptrdiff_t>(drop));
    durable_.base_index += drop;
    SWARM_CHECK(durable_.store.applied_index >= durable_.base_index, "compaction beyond what is applied on disk");
  }
}

} // namespace swarm::sim
