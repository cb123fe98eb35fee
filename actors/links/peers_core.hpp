// Which links this node keeps up: whom to dial and when, and which of two links to one peer stays.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "messages/errors.hpp"
#include "messages/link.pb.h"
#include "runtime/random.hpp"
#include "runtime/time.hpp"

namespace swarm::links {

struct peers_options {
  duration backoff_min = milliseconds{100};
  duration backoff_max = seconds{8};
  duration backoff_max_of_managers = seconds{1}; ///< between managers: they are few, and a group without links has no leader
  /// A link that held for so long was a good one: the next dial after it comes at once. After one that flaps the back-off
  /// goes on growing, up to so many doublings; one that ends as soon as it is up (refused) counts as a failed dial.
  duration good_after = seconds{5};
  duration flaps_after = seconds{1};
  unsigned flapping_max = 3;
  /// Two links in opposite directions that begin within this time were dialled at once; later, the newer one comes from
  /// a peer that knows the older one to be dead.
  duration duplicate_window = seconds{3};
  std::size_t targets_max = 256;
};

// -- what the shell must do, in this order -----------------------------------------------------------------------------
struct dial {
  std::string key;     ///< of the target: dialling() and dial_failed() name it
  std::string node_id; ///< expected; "" = any manager
  std::string addr;
  bool operator==(const dial&) const = default;
};
struct hang_up {
  std::uint64_t link = 0;
  failure why;
  bool operator==(const hang_up&) const = default;
};
/// This link is the one with its node from now on.
struct adopt {
  std::uint64_t link = 0;
  bool operator==(const adopt&) const = default;
};
struct report {
  LinkChanged what;
};
using effect = std::variant<dial, hang_up, adopt, report>;
using effects = std::vector<effect>;

/// Links are known by a number that is never used twice. One link per peer; a peer without a certificate is no peer.
class peers_core {
public:
  struct link {
    std::uint64_t id = 0;
    std::string node_id;
    std::string addr;
    NodeRole role = NODE_ROLE_UNSPECIFIED;
    bool dialled = false;
  };

  peers_core(peers_options opts, std::uint64_t seed) : opts_{opts}, backoff_max_{opts.backoff_max}, rng_{seed} {}

  /// Keeps a link to the node up, or to whoever answers at addr. A new address of a known node replaces the old one.
  effects connect(instant now, const std::string& node_id, const std::string& addr);
  /// Gives the target up and hangs up what was dialled for it.
  effects forget(const std::string& node_id, const std::string& addr);

  /// The dial of this target has become this link, which is not up yet.
  void dialling(const std::string& key, std::uint64_t link);
  void dial_failed(instant now, const std::string& key, const failure& why);

  /// This node is a manager, or no longer.
  void among_managers(bool yes) { backoff_max_ = yes ? opts_.backoff_max_of_managers : opts_.backoff_max; }

  effects up(instant now, const std::string& own_node_id, link with);
  effects down(instant now, std::uint64_t link, const failure& why, bool broke_off = false);
  /// Hangs up on this node.
  effects refuse(const std::string& node_id, const failure& why);
  effects tick(instant now);

  [[nodiscard]] std::optional<instant> next_due() const;
  [[nodiscard]] std::vector<LinkChanged> links() const;
  [[nodiscard]] std::size_t size() const { return links_.size(); }
  [[nodiscard]] std::string dump() const;

private:
  struct target {
    std::string node_id;  ///< asked for, or learned from the peer
    std::string addr;
    bool by_addr = false; ///< node_id was not asked for
    std::uint64_t link = 0;
    unsigned failures = 0;
    instant due{};
    std::string last_error;
  };
  struct entry {
    link what;
    instant since{};
  };
  void retry(instant now, target& t, const failure& why);
  void dial_due(instant now, effects& out);
  [[nodiscard]] bool satisfied(const target& t) const;
  [[nodiscard]] bool keep_old(instant now, const entry& old, const link& fresh, const std::string& own) const;
  static LinkChanged news(const link& about, bool up, const std::string& reason);

  peers_options opts_;
  duration backoff_max_;
  random_source rng_;
  std::map<std::string, target> targets_; ///< by node id, or by "@" and the address
  std::map<std::string, entry> links_;    ///< by node id
};

} // namespace swarm::links
