// LINK: the actor of one link. Checks and delivers what the peer sends; sends what is for it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/links/role_table.hpp"
#include "actors/links/stream_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/link/directory.hpp"
#include "runtime/observed.hpp"

namespace swarm::links {

struct link_options {
  std::size_t asks_max = 4096;             ///< questions to one peer that wait for its answer
  std::size_t serving_max = 1024;          ///< questions of one peer that wait for ours
  std::size_t serving_strangers_max = 4;   ///< the same of a peer without a certificate
  std::size_t streams_max = 1024;          ///< log streams that one peer may have open here, and we there
  std::chrono::milliseconds serve_deadline{60'000}; ///< for a question that names none, or a longer one
  std::chrono::milliseconds tick{500};     ///< how exactly questions expire; quiet links do not tick
};

struct link_setup {
  link::connection_ptr connection;
  std::shared_ptr<link::directory> directory;
  caf::actor_addr links;          ///< LINKS, which hears hints
  std::string own_node_id;
  std::uint64_t streams_from = 0; ///< first of the numbers for streams of this peer
  link_options opts;
};

struct link_state {
  static inline const char* name = "link";
  link_setup setup;
  std::string node_id;             ///< of the peer's certificate
  PeerRole role = PEER_ROLE_NONE;  ///< effective, of the batch that is being handled
  std::shared_ptr<const link::rules> rules;

  struct ask {
    caf::response_promise promise;
    std::string reply_type;
    bool (*deliver)(caf::response_promise& asker, const std::string& payload) = nullptr;
    instant expires{};
  };
  std::uint64_t next_request = 1;
  std::map<std::uint64_t, ask> asks;     ///< of ours, at the peer
  std::size_t serving = 0;               ///< of the peer's, here
  caf::strong_actor_ptr inbox;           ///< of the agent that has registered through this link
  std::unique_ptr<stream_core> streams;  ///< opened by the peer, here
  std::map<stream_core::remote, caf::strong_actor_ptr> readers; ///< opened by us, at the peer
  std::vector<std::pair<std::string, LogChunk>> broken; ///< ends that could not be queued yet, and whom they are for
  bool ticking = false;
  std::uint64_t refused = 0;
  std::uint64_t dropped = 0;
};
using link_ptr = observed_session<link_state>*;

/// Understands outgoing_ask, outgoing_tell, outgoing_stream, what an agent_inbox and a
/// log_sink take, LeaderHint (all for the peer), ReadStatus, and link_ended, with which it ends.
caf::behavior run_link(link_ptr self, link_setup setup);

/// Everything that a link delivers, as (to, type): for the comparison with role_table.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> delivered_types();

// -- between the sources of this actor -------------------------------------------------------------------------------------

/// Envelopes of one read. Checks, delivers, gives the bytes back to the connection.
void take_batch(link_ptr self, const std::vector<Envelope>& envelopes, std::size_t bytes);

void tell(link_ptr self, const std::string& to, const google::protobuf::Message& message);
void reply(link_ptr self, std::uint64_t request_id, const google::protobuf::Message& message);
void reply_error(link_ptr self, std::uint64_t request_id, const failure& why);
void give_up(link_ptr self, const failure& why);
/// A chunk of a stream that was opened at the peer.
void chunk_arrived(link_ptr self, stream_kind kind, LogChunk chunk);
/// The peer wants no more of a stream that it has opened here.
void cancel_here(link_ptr self, std::uint64_t local, stream_kind kind);

} // namespace swarm::links
