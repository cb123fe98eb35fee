// Stand-ins for actors of another node: any typed handle, made from its clauses. Callers do not know the difference.
#pragma once

#include <memory>
#include <string>
#include <type_traits>

#include "actors/links/role_table.hpp"
#include "messages/interfaces.hpp"
#include "runtime/link/directory.hpp"
#include "runtime/observed.hpp"

namespace swarm::links {

struct proxy_options {
  std::string node_id;  ///< the peer's
  std::string to;       ///< what the actor is called there, see role_table
  std::chrono::milliseconds deadline{20'000}; ///< of each question; the asker's own may be shorter
};

struct proxy_state {
  static inline const char* name = "proxy";
  std::uint64_t asked = 0;
  std::uint64_t lost = 0; ///< tells for which there was no link
  proxy_options opts;
  std::shared_ptr<link::directory> directory;
};

namespace proxy {

[[nodiscard]] inline failure no_link(const proxy_options& o) { return {errc::unavailable, "there is no link to node " + o.node_id}; }

template <class Message>
link::outgoing_tell tell_of(const link_type& row, const Message& message) {
  return {std::string{row.to}, std::string{row.type}, message.SerializeAsString(),
          static_cast<link::priority>(urgency_of(message)), row.loss_is_fine};
}

template <class Self, class Message>
void forward_tell(Self* self, const Message& message) {
  auto& st = self->state;
  const auto* const row = find_link_type(st.opts.to, Message::descriptor()->name());
  const auto link = row ? st.directory->find(st.opts.node_id) : std::nullopt;
  if (link)
    caf::anon_send(link->actor, tell_of(*row, message));
  else
    ++st.lost;
}

template <class Reply>
bool deliver(caf::response_promise& asker, const std::string& payload) {
  Reply reply;
  if (!reply.ParseFromString(payload))
    return false;
  asker.deliver(std::move(reply));
  return true;
}

template <class Reply, class Self, class Message>
caf::result<Reply> forward_ask(Self* self, const Message& message, caf::strong_actor_ptr inbox = nullptr) {
  auto& st = self->state;
  const auto* const row = find_link_type(st.opts.to, Message::descriptor()->name());
  if (!row)
    return to_error({errc::unimplemented, Message::descriptor()->name() + " is not carried between nodes"});
  const auto link = st.directory->find(st.opts.node_id);
  if (!link)
    return to_error(no_link(st.opts));
  ++st.asked;
  auto promise = self->template make_response_promise<Reply>();
  promise.delegate(link->actor, link::outgoing_ask{st.opts.to, std::string{row->type}, message.SerializeAsString(),
                                                   std::string{row->reply}, deliver<Reply>, st.opts.deadline, std::move(inbox)});
  return promise;
}

template <class Self, class Message>
void forward_stream(Self* self, const Message& message, const log_sink& sink) {
  auto& st = self->state;
  const auto* const row = find_link_type(st.opts.to, Message::descriptor()->name());
  const auto link = row ? st.directory->find(st.opts.node_id) : std::nullopt;
  if (link) {
    caf::anon_send(link->actor, link::outgoing_stream{tell_of(*row, message), message.subscription(),
                                                  caf::actor_cast<caf::strong_actor_ptr>(sink)});
    return;
  }
  LogChunk end;
  end.set_subscription(message.subscription());
  end.set_node_id(st.opts.node_id);
  end.set_end(true);
  end.set_error(no_link(st.opts).message);
  self->send(sink, std::move(end));
}

// One handler per clause. What is local by nature (EventBatch, ticks, subscriptions) is ignored or refused.
template <class Clause>
struct clause;

template <class Message>
struct clause<caf::typed_mpi<caf::detail::type_list<Message>, caf::output_tuple<void>>> {
  template <class Self>
  static auto handler(Self* self) {
    return [self](const Message& message) {
      if constexpr (std::is_base_of_v<google::protobuf::Message, Message>)
        forward_tell(self, message);
      else
        ++self->state.lost;
    };
  }
};
template <class Message, class Reply>
struct clause<caf::typed_mpi<caf::detail::type_list<Message>, caf::output_tuple<Reply>>> {
  template <class Self>
  static auto handler(Self* self) {
    return [self](const Message& message) -> caf::result<Reply> {
      if constexpr (std::is_same_v<Message, ReadStatus>) {
        auto status = self->base_status(message);
        (*status.mutable_facts())["asked"] = std::to_string(self->state.asked);
        (*status.mutable_facts())["lost"] = std::to_string(self->state.lost);
        return status;
      } else {
        return forward_ask<Reply>(self, message);
      }
    };
  }
};
template <class First, class Second, class Reply>
struct clause<caf::typed_mpi<caf::detail::type_list<First, Second>, caf::output_tuple<Reply>>> {
  template <class Self>
  static auto handler(Self* self) {
    if constexpr (std::is_same_v<Second, agent_inbox>)
      return [self](const First& message, const Second& inbox) -> caf::result<Reply> {
        return forward_ask<Reply>(self, message, caf::actor_cast<caf::strong_actor_ptr>(inbox));
      };
    else if constexpr (std::is_same_v<Second, log_sink>)
      return [self](const First& message, const Second& sink) { forward_stream(self, message, sink); };
    else if constexpr (std::is_void_v<Reply>)
      return [self](const First&, const Second&) { ++self->state.lost; };
    else
      return [](const First&, const Second&) -> caf::result<Reply> {
        return to_error({errc::unimplemented, "not carried between nodes"});
      };
  }
};

template <class Handle, class Self, class... Clauses>
typename Handle::behavior_type behavior_of(Self* self, caf::detail::type_list<Clauses...>) {
  return typename Handle::behavior_type{clause<Clauses>::handler(self)...};
}

} // namespace proxy

/// `Handle`, and able to tell its own state, as every actor is.
template <class Handle, class Clauses = typename Handle::signatures>
struct with_status;
template <class Handle, class... Clauses>
struct with_status<Handle, caf::detail::type_list<Clauses...>> {
  static constexpr bool has = (std::is_same_v<Clauses, status_clause> || ...);
  using type = typename std::conditional_t<has, caf::typed_actor<Clauses...>, caf::typed_actor<Clauses..., status_clause>>;
};
template <class Handle>
using proxy_interface = typename with_status<Handle>::type;

/// Speaks for the actor that node `opts.node_id` calls `opts.to`. Questions fail with unavailable while there is no link
/// to that node and when it goes down; of tells, those are lost. It stays when the link goes and comes.
template <class Handle>
typename proxy_interface<Handle>::behavior_type run_proxy(observed_ptr<proxy_interface<Handle>, proxy_state> self,
                                                          std::shared_ptr<link::directory> directory, proxy_options opts) {
  self->state.opts = std::move(opts);
  self->state.directory = std::move(directory);
  self->set_label("proxy/" + self->state.opts.to + "/" + self->state.opts.node_id);
  return proxy::behavior_of<proxy_interface<Handle>>(self, typename proxy_interface<Handle>::signatures{});
}

struct raft_peers_state {
  static inline const char* name = "raft_peers";
  std::uint64_t lost = 0;
  std::shared_ptr<link::directory> directory;
};
/// To whichever node has the raft id, straight to its connection; lost when there is no link or its queue is full.
using raft_carrier = proxy_interface<raft_peers>;
raft_carrier::behavior_type carry_raft(observed_ptr<raft_carrier, raft_peers_state> self, std::shared_ptr<link::directory> directory);

} // namespace swarm::links
