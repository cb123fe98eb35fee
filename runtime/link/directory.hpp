// What the actors around links share: which link leads to a node, who answers here, and who is who. Thread-safe.
#pragma once

#include <caf/all.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "messages/errors.hpp"
#include "runtime/link/connection.hpp"

namespace swarm::link {

/// A link that is up and the actor that speaks for it.
struct open_link {
  connection_ptr connection;
  caf::actor actor;
};

/// Replaced as a whole: readers see one state of it.
struct rules {
  failure absent{errc::unavailable, "this node does not do that"};
  std::map<std::string, caf::strong_actor_ptr> destinations; ///< by the name that envelopes use
  std::map<std::string, PeerRole> roles;                     ///< as replicated; a node that is missing is what its certificate says
  std::set<std::string> removed;
  std::map<std::uint64_t, std::string> nodes_by_number;      ///< members of a group, by the numbers they use there
};

/// LINKS writes, everybody reads. A lock for a map look-up instead of a message through LINKS: each heartbeat and each
/// entry of the log would wait there twice.
class directory {
public:
  void adopt(const std::string& node_id, open_link with) {
    const std::lock_guard lock{mutex_};
    links_.insert_or_assign(node_id, std::move(with));
  }
  /// Unless another link has taken its place.
  void drop(const std::string& node_id, std::uint64_t link) {
    const std::lock_guard lock{mutex_};
    if (const auto it = links_.find(node_id); it != links_.end() && it->second.connection->id() == link)
      links_.erase(it);
  }
  [[nodiscard]] std::optional<open_link> find(const std::string& node_id) const {
    const std::lock_guard lock{mutex_};
    const auto it = links_.find(node_id);
    return it == links_.end() ? std::nullopt : std::optional{it->second};
  }
  /// nullopt: number unknown, or no link.
  [[nodiscard]] std::optional<open_link> find_number(std::uint64_t number) const {
    const auto now = current();
    if (const auto it = now->nodes_by_number.find(number); it != now->nodes_by_number.end())
      return find(it->second);
    std::string node_id;
    {
      const std::lock_guard lock{mutex_};
      const auto it = learned_.find(number);
      if (it == learned_.end())
        return std::nullopt;
      node_id = it->second;
    }
    return find(node_id);
  }
  /// Where a number was heard from. Used for those that no membership names: a new member must answer its leader before it
  /// knows the group.
  void learn(std::uint64_t number, const std::string& node_id) {
    const std::lock_guard lock{mutex_};
    if (learned_.size() >= learned_max && !learned_.contains(number))
      learned_.clear();
    learned_.insert_or_assign(number, node_id);
  }

  [[nodiscard]] std::shared_ptr<const rules> current() const {
    const std::lock_guard lock{mutex_};
    return rules_;
  }
  /// Changes a copy and puts it in place. One writer at a time: LINKS.
  template <class F>
  void change(F f) {
    auto next = std::make_shared<rules>(*current());
    f(*next);
    const std::lock_guard lock{mutex_};
    rules_ = std::move(next);
  }
  /// No handles are left behind: actors that are in here know the directory.
  void clear() {
    const std::lock_guard lock{mutex_};
    links_.clear();
    learned_.clear();
    rules_ = std::make_shared<rules>();
  }

private:
  static constexpr std::size_t learned_max = 256;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::string> learned_;
  std::map<std::string, open_link> links_;
  std::shared_ptr<const rules> rules_ = std::make_shared<rules>();
};

// -- to the actor of a link ----------------------------------------------------------------------------------------------

/// Answered like the message itself, or with an error; at the latest after `deadline`. Delegated to the LINK, so that the
/// answer goes straight to the asker: by way of a third actor it could be overtaken by what the peer pushes after it.
struct outgoing_ask {
  std::string to;
  std::string type;
  std::string payload;
  std::string reply_type;
  /// Decodes the answer and delivers it; false when it is malformed.
  bool (*deliver)(caf::response_promise& asker, const std::string& payload) = nullptr;
  duration deadline{};
  caf::strong_actor_ptr inbox; ///< gets what the peer pushes to "agent" from now on; usually null
};
struct outgoing_tell {
  std::string to;
  std::string type;
  std::string payload;
  priority urgency = priority::normal;
  bool loss_is_fine = false;
};
/// A stream of chunks is opened at the peer: they go to `sink` until one says end, or the link is down.
struct outgoing_stream {
  outgoing_tell open;
  std::uint64_t number = 0;
  caf::strong_actor_ptr sink;
};
/// The connection is gone. Not a bare caf::error: CAF ends an actor that gets one as a message.
struct link_ended {
  failure why;
};

// -- from the actor of a link ----------------------------------------------------------------------------------------------

/// A peer says who leads.
struct peer_hint {
  LeaderHint hint;
};

} // namespace swarm::link

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::link::outgoing_ask)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::link::outgoing_tell)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::link::outgoing_stream)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::link::peer_hint)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::link::link_ended)
