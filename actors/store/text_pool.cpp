// Reference counting of shared texts.
#include "actors/store/text_pool.hpp"

#include "runtime/check.hpp"

namespace swarm::store {

text_pool::text_pool() : entries_(1) {}

symbol text_pool::acquire(std::string_view text) {
  if (text.empty())
    return 0;
  if (const auto it = index_.find(text); it != index_.end()) {
    ++entries_[it->second].references;
    return it->second;
  }
  symbol s = 0;
  if (free_.empty()) {
    s = static_cast<symbol>(entries_.size());
    entries_.emplace_back();
  } else {
    s = free_.back();
    free_.pop_back();
  }
  entries_[s].text = text;
  entries_[s].references = 1;
  index_.emplace(entries_[s].text, s);
  return s;
}

void text_pool::release(symbol s) {
  if (s == 0)
    return;
  auto& e = entries_[s];
  SWARM_CHECK(e.references > 0);
  if (--e.references > 0)
    return;
  index_.erase(e.text);
  std::string{}.swap(e.text);
  free_.push_back(s);
}

symbol text_pool::find(std::string_view text) const {
  const auto it = index_.find(text);
  return it == index_.end() ? 0 : it->second;
}

std::size_t text_pool::bytes() const {
  std::size_t sum = entries_.size() * sizeof(entry) + free_.capacity() * sizeof(symbol)
                    + index_.bucket_count() * (sizeof(std::pair<std::string_view, symbol>) + 1);
  for (const auto& e : entries_)
    if (e.text.capacity() > 15)
      sum += e.text.capacity() + 1;
  return sum;
}

} // namespace swarm::store
