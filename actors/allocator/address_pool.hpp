// The addresses of one network: which are taken, which comes next.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "messages/ipv4.hpp"
#include "messages/objects.pb.h"

namespace swarm::allocator {

/// Hands out addresses in ascending order and begins again at the end, as Swarm does: an address that was given back is
/// not used again before all others, so that nobody who still remembers it meets somebody else there.
class address_pool {
public:
  explicit address_pool(const Network& network);

  /// The next free one, which is then taken; nullopt when there is none.
  [[nodiscard]] std::optional<ipv4> take();
  /// Marks one as taken; the next take() goes on behind it.
  void hold(ipv4 address);
  /// False when it was not taken.
  bool release(ipv4 address);

  /// "10.0.1.5/24"; an address of none of the subnets gets /32.
  [[nodiscard]] std::string text_of(ipv4 address) const;
  /// "10.0.1.0/24, 10.0.9.0/24", for people.
  [[nodiscard]] std::string subnets() const;
  [[nodiscard]] std::size_t taken() const { return taken_.size(); }

private:
  struct block {
    ipv4_subnet subnet;
    ipv4 first = 0; ///< of what may be given
    ipv4 last = 0;
    ipv4 next = 0;
  };
  [[nodiscard]] std::optional<ipv4> free_between(ipv4 from, ipv4 to) const;

  std::vector<block> blocks_;
  std::set<ipv4> reserved_; // gateways and auxiliary addresses
  std::set<ipv4> taken_;
};

} // namespace swarm::allocator
