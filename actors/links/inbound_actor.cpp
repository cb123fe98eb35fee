// What a peer sends: one function per destination and type, made from the clauses of the handles in interfaces.hpp.
#include <algorithm>

#include "actors/links/link_actor.hpp"
#include "runtime/log.hpp"

namespace swarm::links {
namespace {

enum class taken : std::uint8_t { yes, malformed, refused };

struct incoming {
  const Envelope& envelope;
  const caf::strong_actor_ptr& destination;
};
using take_function = taken (*)(link_ptr, const incoming&);
struct take_entry {
  take_function take = nullptr;
  PeerRole allowed = PEER_ROLE_NONE;
  bool is_ask = false;
};
using take_table = std::map<std::pair<std::string, std::string>, take_entry>;

// Decodes and checks. The role of the peer has been checked before.
template <class Message>
taken admit(link_ptr self, const incoming& in, Message& out) {
  auto& st = self->state;
  if (!out.ParseFromString(in.envelope.payload()))
    return taken::malformed;
  if constexpr (std::is_same_v<Message, RaftMessage>) {
    // The number in the message must not be that of another member. One that is not known yet may be a new member's.
    const auto member = st.rules->nodes_by_number.find(out.from());
    if (member != st.rules->nodes_by_number.end() && member->second != st.node_id)
      return taken::refused;
  }
  if (may_send({st.role, st.node_id}, in.envelope.to(), out) != verdict::allowed)
    return taken::refused;
  if constexpr (std::is_same_v<Message, RaftMessage>)
    st.setup.directory->learn(out.from(), st.node_id);
  return taken::yes;
}

template <class Handle, class Message>
taken take_tell(link_ptr self, const incoming& in) {
  Message message;
  if (const auto result = admit(self, in, message); result != taken::yes)
    return result;
  self->send(caf::actor_cast<Handle>(in.destination), std::move(message));
  return taken::yes;
}

duration deadline_of(link_ptr self, const Envelope& ask) {
  const duration longest = self->state.setup.opts.serve_deadline;
  return ask.deadline() > 0 ? std::min(longest, duration{ask.deadline()}) : longest;
}

template <class Handle, class Message, class Reply, class... Extra>
taken take_ask(link_ptr self, const incoming& in, Extra... extra) {
  Message message;
  if (const auto result = admit(self, in, message); result != taken::yes)
    return result;
  auto& st = self->state;
  const auto id = in.envelope.request_id();
  const auto most = st.role == PEER_ROLE_ANYONE ? st.setup.opts.serving_strangers_max : st.setup.opts.serving_max;
  if (st.serving >= most) {
    reply_error(self, id, {errc::resource_exhausted, std::to_string(st.serving) + " questions of this peer are waiting"});
    return taken::yes;
  }
  if constexpr (std::is_same_v<Handle, control_actor>)
    log::info(self->label(), "passed_on", {{"type", in.envelope.type()}, {"by", st.node_id}});
  ++st.serving;
  const auto deadline = std::chrono::duration_cast<milliseconds>(deadline_of(self, in.envelope)) + milliseconds{1};
  self->request(caf::actor_cast<Handle>(in.destination), deadline, std::move(message), std::move(extra)...)
    .then(
      [self, id](const Reply& answer) {
        --self->state.serving;
        reply(self, id, answer);
      },
      [self, id](const caf::error& error) {
        --self->state.serving;
        reply_error(self, id, to_failure(error));
      });
  return taken::yes;
}

template <class Handle, class Message>
taken take_stream(link_ptr self, const incoming& in) {
  Message message;
  if (const auto result = admit(self, in, message); result != taken::yes)
    return result;
  const auto kind = std::is_same_v<Message, ReadTaskLogs> ? stream_kind::agent : stream_kind::logs;
  const auto local = self->state.streams->open({kind, message.subscription()});
  if (!local) {
    LogChunk end;
    end.set_subscription(message.subscription());
    end.set_node_id(self->state.setup.own_node_id);
    end.set_end(true);
    end.set_error("too many log streams");
    tell(self, kind == stream_kind::agent ? "logs" : "reader", end);
    return taken::yes;
  }
  message.set_subscription(*local);
  self->send(caf::actor_cast<Handle>(in.destination), std::move(message), caf::actor_cast<log_sink>(caf::actor{self}));
  return taken::yes;
}

// LogCredit and CancelLogs carry the number only.
template <class Handle, class Message>
taken take_stream_news(link_ptr self, const incoming& in) {
  Message message;
  if (const auto result = admit(self, in, message); result != taken::yes)
    return result;
  const auto kind = std::is_same_v<Handle, log_source> ? stream_kind::agent : stream_kind::logs;
  const auto local = self->state.streams->local({kind, message.subscription()});
  if (!local)
    return taken::yes;
  if constexpr (std::is_same_v<Message, CancelLogs>) {
    cancel_here(self, *local, kind);
  } else {
    message.set_subscription(*local);
    self->send(caf::actor_cast<Handle>(in.destination), std::move(message));
  }
  return taken::yes;
}

// Chunks go to whoever opened the stream, pushes to the inbox that has registered, hints to LINKS.
taken take_chunk(link_ptr self, const incoming& in) {
  LogChunk chunk;
  if (const auto result = admit(self, in, chunk); result != taken::yes)
    return result;
  chunk_arrived(self, in.envelope.to() == "logs" ? stream_kind::agent : stream_kind::logs, std::move(chunk));
  return taken::yes;
}

taken take_hint(link_ptr self, const incoming& in) {
  link::peer_hint news;
  if (const auto result = admit(self, in, news.hint); result != taken::yes)
    return result;
  if (const auto links = caf::actor_cast<caf::actor>(self->state.setup.links))
    self->send(links, std::move(news));
  return taken::yes;
}

taken take_registration(link_ptr self, const incoming& in) {
  return take_ask<dispatcher_actor, RegisterNode, NodeRegistered>(self, in, caf::actor_cast<agent_inbox>(caf::actor{self}));
}

// A handle's clauses of one message, if they are carried at all.
template <class Handle, class Clause>
struct clause {
  static void add(const std::string&, take_table&) {}
};
template <class Message>
bool carried(const std::string& to) {
  if constexpr (std::is_base_of_v<google::protobuf::Message, Message>)
    return find_link_type(to, Message::descriptor()->name()) != nullptr;
  else
    return false;
}
template <class Handle, class Message>
struct clause<Handle, caf::typed_mpi<caf::detail::type_list<Message>, caf::output_tuple<void>>> {
  static void add(const std::string& to, take_table& table) {
    if constexpr (std::is_base_of_v<google::protobuf::Message, Message>) {
      constexpr bool of_stream = std::is_same_v<Message, LogCredit> || std::is_same_v<Message, CancelLogs>;
      if (!carried<Message>(to))
        return;
      if constexpr (of_stream)
        table[{to, Message::descriptor()->name()}].take = take_stream_news<Handle, Message>;
      else
        table[{to, Message::descriptor()->name()}].take = take_tell<Handle, Message>;
    }
  }
};
template <class Handle, class Message, class Reply>
struct clause<Handle, caf::typed_mpi<caf::detail::type_list<Message>, caf::output_tuple<Reply>>> {
  static void add(const std::string& to, take_table& table) {
    if constexpr (std::is_base_of_v<google::protobuf::Message, Message>)
      if (carried<Message>(to))
        table[{to, Message::descriptor()->name()}].take = take_ask<Handle, Message, Reply>;
  }
};
template <class Handle, class Message>
struct clause<Handle, caf::typed_mpi<caf::detail::type_list<Message, log_sink>, caf::output_tuple<void>>> {
  static void add(const std::string& to, take_table& table) {
    table[{to, Message::descriptor()->name()}].take = take_stream<Handle, Message>;
  }
};

template <class Handle, class... Clauses>
void add_clauses(const std::string& to, take_table& table, caf::detail::type_list<Clauses...>) {
  (clause<Handle, Clauses>::add(to, table), ...);
}
template <class Handle>
void add_handle(const std::string& to, take_table& table) {
  add_clauses<Handle>(to, table, typename Handle::signatures{});
}

const take_table& table_of_all() {
  static const take_table table = [] {
    take_table t;
    add_handle<raft_actor>("raft", t);
    add_handle<dispatcher_actor>("dispatcher", t);
    add_handle<control_actor>("control", t);
    add_handle<ca_actor>("ca", t);
    add_handle<members_actor>("members", t);
    add_handle<logs_actor>("logs", t);
    add_handle<log_source>("agent", t);
    add_handle<agent_inbox>("agent", t);
    t[{"dispatcher", "RegisterNode"}].take = take_registration;
    t[{"logs", "LogChunk"}].take = take_chunk;
    t[{"reader", "LogChunk"}].take = take_chunk;
    t[{"links", "LeaderHint"}].take = take_hint;
    for (auto& [key, entry] : t) {
      const auto* const row = find_link_type(key.first, key.second);
      entry.allowed = row == nullptr ? PEER_ROLE_NONE : allowed_role_of(key.second);
      entry.is_ask = row != nullptr && !row->reply.empty();
    }
    return t;
  }();
  return table;
}

} // namespace

std::vector<std::pair<std::string, std::string>> delivered_types() {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [key, f] : table_of_all())
    out.push_back(key);
  return out;
}

namespace {

bool is_push(const std::string& type) {
  return type == "Assignments" || type == "TaskStatusAccepted" || type == "SessionInvalid" || type == "NodeOrders";
}

// Null: nobody here answers to that.
caf::strong_actor_ptr destination_of(link_ptr self, const Envelope& e) {
  auto& st = self->state;
  if (e.to() == "agent" && is_push(e.type()))
    return st.inbox;
  const auto it = st.rules->destinations.find(e.to());
  return it == st.rules->destinations.end() ? nullptr : it->second;
}

void absent(link_ptr self, const Envelope& e) {
  if (e.kind() == Envelope::KIND_ASK)
    return reply_error(self, e.request_id(), self->state.rules->absent);
  // An agent that goes on reporting to a node that leads no more must find another.
  if (e.to() == "dispatcher" && self->state.role != PEER_ROLE_ANYONE)
    tell(self, "agent", SessionInvalid{});
  ++self->state.dropped;
}

void refuse(link_ptr self, const Envelope& e, errc code, const std::string& why) {
  // Counted and, if asked, answered. The peer is not cut off for it: it may be of a release that knows more, or not have
  // heard yet that its role has changed.
  if (++self->state.refused == 1)
    log::warn(self->label(), "refused", {{"type", e.type().substr(0, 64)}, {"to", e.to().substr(0, 64)}, {"why", why}});
  if (e.kind() == Envelope::KIND_ASK)
    reply_error(self, e.request_id(), {code, e.type().substr(0, 64) + " is " + why});
}

void take_message(link_ptr self, const Envelope& e) {
  auto& st = self->state;
  const auto& table = table_of_all();
  const auto it = table.find({e.to(), e.type()});
  if (it == table.end() || it->second.is_ask != (e.kind() == Envelope::KIND_ASK))
    return refuse(self, e, errc::unimplemented, std::string{to_string(verdict::not_carried)});
  if (!role_suffices(st.role, it->second.allowed))
    return refuse(self, e, errc::permission_denied, std::string{to_string(verdict::not_permitted)});
  const bool own_business = e.type() == "LogChunk" || e.type() == "LeaderHint";
  const auto destination = own_business ? nullptr : destination_of(self, e);
  if (!own_business && !destination)
    return absent(self, e);
  switch (it->second.take(self, {e, destination})) {
    case taken::yes: return;
    case taken::refused: return refuse(self, e, errc::permission_denied, std::string{to_string(verdict::not_own_node)});
    case taken::malformed: return give_up(self, {errc::invalid_argument, "the peer's " + e.type() + " is malformed"});
  }
}

void take_answer(link_ptr self, const Envelope& e) {
  auto& st = self->state;
  const auto code = e.code() == 0 || e.code() > static_cast<std::uint32_t>(errc::storage_failed) ? errc::internal
                                                                                                : static_cast<errc>(e.code());
  const auto it = st.asks.find(e.request_id());
  if (it == st.asks.end())
    return; // too late
  auto ask = std::move(it->second);
  st.asks.erase(it);
  if (e.kind() == Envelope::KIND_ERROR)
    ask.promise.deliver(to_error({code, e.message()}));
  else if (e.type() != ask.reply_type || !role_suffices(st.role, allowed_role_of(e.type())))
    ask.promise.deliver(to_error({errc::internal, "node " + st.node_id + " answered with " + e.type().substr(0, 64)}));
  else if (!ask.deliver(ask.promise, e.payload()))
    ask.promise.deliver(to_error({errc::internal, "node " + st.node_id + " gave a malformed " + ask.reply_type}));
}

} // namespace

void take_batch(link_ptr self, const std::vector<Envelope>& envelopes, std::size_t bytes) {
  auto& st = self->state;
  st.rules = st.setup.directory->current();
  std::optional<NodeRole> replicated;
  if (const auto current = st.rules->roles.find(st.node_id); current != st.rules->roles.end())
    replicated = current->second == PEER_ROLE_MANAGER ? NODE_ROLE_MANAGER : NODE_ROLE_WORKER;
  const auto removed = !st.node_id.empty() && st.rules->removed.contains(st.node_id);
  st.role = effective_role(st.setup.connection->peer().role, replicated, removed);
  for (const auto& e : envelopes)
    if (e.kind() == Envelope::KIND_REPLY || e.kind() == Envelope::KIND_ERROR)
      take_answer(self, e);
    else if (e.kind() == Envelope::KIND_TELL || e.kind() == Envelope::KIND_ASK)
      take_message(self, e);
  st.setup.connection->consumed(bytes);
}

} // namespace swarm::links
