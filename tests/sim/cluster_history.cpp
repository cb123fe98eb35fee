// The committed log and the states it leads to.
#include "tests/sim/cluster_history.hpp"

#include "runtime/check.hpp"

namespace swarm::sim {

store::applied cluster_history::apply(store::core& to, const Entry& entry) {
  Command command;
  if (entry.type() == ENTRY_TYPE_COMMAND && command.ParseFromString(entry.data()))
    return to.apply(entry.log_index(), std::move(command));
  to.skip(entry.log_index());
  return {};
}

void cluster_history::note(const Entry& entry) {
  if (entry.log_index() <= last())
    return;
  SWARM_CHECK(entry.log_index() == last() + 1, "an entry was applied before the one before it");
  entries_.push_back(entry);
  const auto done = apply(truth_, entry);
  if (last() % checkpoint_every == 0)
    checkpoints_[last()] = truth_.rows();
  if (last() % digest_every == 0)
    digests_[last()] = truth_.digest();
  if (listener)
    listener(last(), done.events);
}

std::unique_ptr<store::core> cluster_history::build(std::uint64_t index) const {
  SWARM_CHECK(index <= last());
  auto out = std::make_unique<store::core>();
  auto at = checkpoints_.upper_bound(index);
  std::uint64_t from = 0;
  if (at != checkpoints_.begin()) {
    --at;
    from = at->first;
    for (const auto& row : at->second) {
      const auto bad = out->load(row.table(), row.key(), row.value());
      SWARM_CHECK(bad.ok(), bad.message);
    }
    const auto bad = out->loaded(from);
    SWARM_CHECK(bad.ok(), bad.message);
  }
  for (auto i = from + 1; i <= index; ++i)
    (void)apply(*out, this->at(i));
  return out;
}

std::uint64_t cluster_history::digest_at(std::uint64_t index) const {
  const auto it = digests_.find(index);
  return it == digests_.end() ? 0 : it->second;
}

} // namespace swarm::sim
