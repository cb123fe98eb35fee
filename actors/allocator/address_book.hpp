// Who holds which address of which network: services their virtual ones, tasks their own.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/allocator/address_pool.hpp"
#include "messages/objects.pb.h"

namespace swarm::allocator {

/// What is taken stays with its holder until the holder ends, whatever became of the Command that was to write it down: a
/// second attempt then says the same as the first, and the outcome of the first does not matter.
class address_book {
public:
  using address = std::pair<std::string, ipv4>; ///< network id

  void put(const Network& network);
  /// Its holders lose what they have of it.
  void remove(const std::string& network_id);
  [[nodiscard]] const Network* find(const std::string& network_id) const;

  /// What the holder has on that network, or gets now; "10.0.1.5/24". nullopt when no address is free.
  [[nodiscard]] std::optional<std::string> take(const std::string& holder, const std::string& network_id);
  /// The state says that the holder has this one.
  void hold(const std::string& holder, const std::string& network_id, std::string_view address);
  /// Keeps of the holder's addresses those on `networks`; true when others were given back.
  bool keep_only(const std::string& holder, const std::vector<std::string>& networks);
  /// True when the holder had some.
  bool release(const std::string& holder);

  /// "no free address in network web (10.0.1.0/24)".
  [[nodiscard]] std::string why_none(const std::string& network_id) const;
  void clear();
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;
  [[nodiscard]] std::size_t holders() const { return holders_.size(); }

private:
  struct entry {
    Network network;
    address_pool pool;
  };
  std::map<std::string, entry> networks_;
  std::map<std::string, std::vector<address>> holders_; // no empty ones
};

} // namespace swarm::allocator
