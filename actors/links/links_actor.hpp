// LINKS: every link of this host, kept up, told of, and handed to an actor of its own. Decisions: peers_core.hpp.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "actors/links/peers_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/link/directory.hpp"
#include "runtime/link/endpoint.hpp"
#include "runtime/observed.hpp"

namespace swarm::links {

/// From the I/O threads: a connection is up, or has ended.
struct link_news {
  link::connection_ptr connection;
  bool up = false;
  failure why;
};
struct links_options {
  peers_options peers;
  link::limits limits;
  std::uint64_t seed = 0;
  /// Spawns a LINK that is linked to its parent; links_sup.hpp fills it in. Streams of its peer are numbered from the last.
  std::function<caf::actor(caf::local_actor* parent, link::connection_ptr, std::string own_node_id, std::uint64_t)> spawn_link;
};

using links_interface = links_actor::extend<caf::reacts_to<link_news>, caf::reacts_to<link::peer_hint>>;

struct links_state {
  static inline const char* name = "links";
  links_options opts;
  std::shared_ptr<link::credential_store> credentials;
  std::shared_ptr<link::directory> directory;
  std::unique_ptr<peers_core> peers;
  std::map<std::uint64_t, link::open_link> open; ///< every link that is up, also those of strangers
  std::set<link_listener> listeners;
  LeaderHint leader;
  std::optional<instant> armed;
  std::uint64_t refused = 0;
  std::uint64_t streams_from = std::uint64_t{1} << 63; ///< numbers that nobody else uses
  std::unique_ptr<link::endpoint> endpoint; ///< last: nothing calls in when the rest is gone
};

/// See the LINKS table in messages/interfaces.hpp. `io` outlives the actor. The directory is emptied at the end.
links_interface::behavior_type keep_links(observed_ptr<links_interface, links_state> self, io_threads* io,
                                          std::shared_ptr<link::credential_store> credentials,
                                          std::shared_ptr<link::directory> directory, links_options opts);

} // namespace swarm::links

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::links::link_news)
