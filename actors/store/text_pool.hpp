// Texts that many rows share, each kept once and counted: ids of services and nodes, status messages.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace swarm::store {

/// Stands for a text of one pool; 0 is the empty text.
using symbol = std::uint32_t;

/// Symbols of freed texts are used again, so they order nothing and never leave the process.
class text_pool {
public:
  text_pool();
  text_pool(const text_pool&) = delete;
  text_pool& operator=(const text_pool&) = delete;

  /// The text's symbol with one more reference.
  symbol acquire(std::string_view text);
  void release(symbol s);
  /// 0 when nobody holds the text.
  [[nodiscard]] symbol find(std::string_view text) const;
  [[nodiscard]] const std::string& text(symbol s) const { return entries_[s].text; }
  [[nodiscard]] std::uint32_t references(symbol s) const { return entries_[s].references; }
  /// One more than the largest symbol ever given.
  [[nodiscard]] std::size_t limit() const { return entries_.size(); }
  [[nodiscard]] std::size_t bytes() const;

private:
  struct entry {
    std::string text;
    std::uint32_t references = 0;
  };
  std::deque<entry> entries_; // addresses stay: the index's keys point into them
  std::vector<symbol> free_;
  boost::unordered_flat_map<std::string_view, symbol> index_;
};

} // namespace swarm::store
