// Two maps that say the same.
#include "actors/links/stream_core.hpp"

namespace swarm::links {

std::optional<std::uint64_t> stream_core::open(remote theirs) {
  if (by_local_.size() >= max_ || by_remote_.contains(theirs))
    return std::nullopt;
  const auto mine = next_++;
  by_local_.emplace(mine, theirs);
  by_remote_.emplace(theirs, mine);
  return mine;
}

std::optional<std::uint64_t> stream_core::local(remote theirs) const {
  const auto it = by_remote_.find(theirs);
  return it == by_remote_.end() ? std::nullopt : std::optional{it->second};
}

std::optional<stream_core::remote> stream_core::theirs(std::uint64_t local) const {
  const auto it = by_local_.find(local);
  return it == by_local_.end() ? std::nullopt : std::optional{it->second};
}

void stream_core::close(std::uint64_t local) {
  const auto it = by_local_.find(local);
  if (it == by_local_.end())
    return;
  by_remote_.erase(it->second);
  by_local_.erase(it);
}

std::vector<std::pair<std::uint64_t, stream_kind>> stream_core::all() const {
  std::vector<std::pair<std::uint64_t, stream_kind>> out;
  for (const auto& [mine, remote] : by_local_)
    out.emplace_back(mine, remote.kind);
  return out;
}

} // namespace swarm::links
