// What goes out on a link, its log streams, and its end. What comes in: inbound_actor.cpp.
#include "actors/links/link_actor.hpp"

#include <algorithm>

#include "runtime/log.hpp"

namespace swarm::links {

namespace {

struct batch {
  std::vector<Envelope> envelopes;
  std::size_t bytes = 0;
};

} // namespace
} // namespace swarm::links

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::links::batch)

namespace swarm::links {
namespace {

instant now(link_ptr self) { return instant{std::chrono::duration_cast<duration>(now_of(self))}; }

// -- to the peer -----------------------------------------------------------------------------------------------------------

void arm(link_ptr self) {
  if (!std::exchange(self->state.ticking, true))
    self->delayed_send(self, self->state.setup.opts.tick, tick_atom_v);
}

link::sent put(link_ptr self, link::priority of, const Envelope& envelope) {
  return self->state.setup.connection->send(of, envelope);
}

} // namespace

void give_up(link_ptr self, const failure& why) { self->state.setup.connection->close(why); }

void tell(link_ptr self, const std::string& to, const google::protobuf::Message& message) {
  const auto* const row = find_link_type(to, message.GetDescriptor()->name());
  Envelope envelope;
  envelope.set_to(to);
  envelope.set_type(message.GetDescriptor()->name());
  envelope.set_payload(message.SerializeAsString());
  if (put(self, static_cast<link::priority>(urgency_of(message)), envelope) != link::sent::full)
    return;
  ++self->state.dropped;
  if (row == nullptr || !row->loss_is_fine)
    give_up(self, {errc::resource_exhausted, "the queue of messages to this peer is full"});
}

void reply_error(link_ptr self, std::uint64_t request_id, const failure& why) {
  Envelope answer;
  answer.set_kind(Envelope::KIND_ERROR);
  answer.set_request_id(request_id);
  answer.set_code(static_cast<std::uint32_t>(why.code));
  answer.set_message(why.message);
  if (put(self, link::priority::normal, answer) == link::sent::full)
    ++self->state.dropped; // the asker's deadline tells it
}

void reply(link_ptr self, std::uint64_t request_id, const google::protobuf::Message& message) {
  Envelope answer;
  answer.set_kind(Envelope::KIND_REPLY);
  answer.set_request_id(request_id);
  answer.set_type(message.GetDescriptor()->name());
  answer.set_payload(message.SerializeAsString());
  if (put(self, link::priority::normal, answer) == link::sent::full)
    reply_error(self, request_id, {errc::resource_exhausted, "the answer (" + std::to_string(answer.payload().size()) +
                                                                 " bytes) does not fit into what may wait for this peer"});
}

namespace {

failure put_ask(link_ptr self, const link::outgoing_ask& what, std::uint64_t request_id) {
  auto& st = self->state;
  if (st.asks.size() >= st.setup.opts.asks_max)
    return {errc::resource_exhausted, std::to_string(st.asks.size()) + " questions to node " + st.node_id + " are waiting"};
  Envelope envelope;
  envelope.set_kind(Envelope::KIND_ASK);
  envelope.set_request_id(request_id);
  envelope.set_to(what.to);
  envelope.set_type(what.type);
  envelope.set_payload(what.payload);
  envelope.set_deadline(what.deadline.count());
  switch (put(self, link::priority::normal, envelope)) {
    case link::sent::closed: return {errc::unavailable, "the link to node " + st.node_id + " is down"};
    case link::sent::full: return {errc::resource_exhausted, "the queue of messages to node " + st.node_id + " is full"};
    case link::sent::queued: break;
  }
  return {};
}

caf::response_promise ask_peer(link_ptr self, const link::outgoing_ask& what) {
  auto& st = self->state;
  auto promise = self->make_response_promise();
  const auto request_id = st.next_request++;
  if (const auto why = put_ask(self, what, request_id); !why.ok()) {
    promise.deliver(to_error(why));
    return promise;
  }
  if (what.inbox)
    st.inbox = what.inbox;
  st.asks.emplace(request_id, link_state::ask{promise, what.reply_type, what.deliver, now(self) + what.deadline});
  arm(self);
  return promise;
}

void tell_peer(link_ptr self, const link::outgoing_tell& what) {
  Envelope envelope;
  envelope.set_to(what.to);
  envelope.set_type(what.type);
  envelope.set_payload(what.payload);
  if (put(self, what.urgency, envelope) != link::sent::full)
    return;
  ++self->state.dropped;
  if (!what.loss_is_fine)
    give_up(self, {errc::resource_exhausted, "the queue of messages to this peer is full"});
}

// -- log streams -----------------------------------------------------------------------------------------------------------

void end_reader(link_ptr self, const caf::strong_actor_ptr& sink, std::uint64_t number, const std::string& why) {
  LogChunk end;
  end.set_subscription(number);
  end.set_node_id(self->state.node_id);
  end.set_end(true);
  end.set_error(why);
  self->send(caf::actor_cast<log_sink>(sink), std::move(end));
}

void open_reader(link_ptr self, const link::outgoing_stream& what) {
  auto& st = self->state;
  const stream_core::remote key{what.open.to == "agent" ? stream_kind::agent : stream_kind::logs, what.number};
  if (st.readers.size() >= st.setup.opts.streams_max)
    return end_reader(self, what.sink, what.number, "too many log streams from node " + st.node_id);
  st.readers.insert_or_assign(key, what.sink);
  self->monitor(caf::actor_cast<caf::actor>(what.sink));
  tell_peer(self, what.open);
}

// A chunk of a stream that we opened at the peer.
} // namespace

void chunk_arrived(link_ptr self, stream_kind kind, LogChunk chunk) {
  auto& st = self->state;
  const auto it = st.readers.find({kind, chunk.subscription()});
  if (it == st.readers.end())
    return;
  const auto sink = caf::actor_cast<log_sink>(it->second);
  if (chunk.end())
    st.readers.erase(it);
  self->send(sink, std::move(chunk));
}

void cancel_here(link_ptr self, std::uint64_t local, stream_kind kind) {
  auto& st = self->state;
  CancelLogs cancel;
  cancel.set_subscription(local);
  const auto& here = st.setup.directory->current()->destinations;
  if (const auto it = here.find(kind == stream_kind::agent ? "agent" : "logs"); it != here.end()) {
    if (kind == stream_kind::agent)
      self->send(caf::actor_cast<log_source>(it->second), std::move(cancel));
    else
      self->send(caf::actor_cast<logs_actor>(it->second), std::move(cancel));
  }
  st.streams->close(local);
}

namespace {

// A chunk of a stream that the peer opened here: back to its own number.
void chunk_to_peer(link_ptr self, LogChunk chunk) {
  auto& st = self->state;
  const auto local = chunk.subscription();
  const auto theirs = st.streams->theirs(local);
  if (!theirs)
    return;
  const auto* const to = theirs->kind == stream_kind::agent ? "logs" : "reader";
  chunk.set_subscription(theirs->number);
  if (theirs->kind == stream_kind::agent)
    chunk.set_node_id(st.setup.own_node_id);
  Envelope envelope;
  envelope.set_to(to);
  envelope.set_type("LogChunk");
  envelope.set_payload(chunk.SerializeAsString());
  if (put(self, link::priority::bulk, envelope) == link::sent::full) {
    // Lines are lost, so the stream must not go on as if they had not been.
    ++st.dropped;
    cancel_here(self, local, theirs->kind);
    chunk.clear_lines();
    chunk.set_end(true);
    chunk.set_error("the link to the reader is too slow");
    st.broken.emplace_back(to, std::move(chunk));
    arm(self);
    return;
  }
  if (chunk.end())
    st.streams->close(local);
}

void send_broken(link_ptr self) {
  auto& st = self->state;
  std::erase_if(st.broken, [&](const auto& entry) {
    Envelope envelope;
    envelope.set_to(entry.first);
    envelope.set_type("LogChunk");
    envelope.set_payload(entry.second.SerializeAsString());
    return put(self, link::priority::normal, envelope) != link::sent::full;
  });
}

// -- the end ---------------------------------------------------------------------------------------------------------------

void link_lost(link_ptr self, const failure& why) {
  auto& st = self->state;
  const auto peer = st.node_id.empty() ? st.setup.connection->addr() : "node " + st.node_id;
  const failure lost{errc::unavailable, "the link to " + peer + " is down: " + why.message};
  for (auto& [id, ask] : st.asks)
    ask.promise.deliver(to_error(lost));
  st.asks.clear();
  for (const auto& [key, sink] : st.readers)
    end_reader(self, sink, key.number, lost.message);
  for (const auto& [local, kind] : st.streams->all())
    cancel_here(self, local, kind);
  if (st.inbox)
    self->send(caf::actor_cast<agent_inbox>(st.inbox), SessionInvalid{});
  self->quit();
}

void reader_gone(link_ptr self, const caf::down_msg& down) {
  auto& st = self->state;
  std::erase_if(st.readers, [&](const auto& entry) {
    if (caf::actor_cast<caf::actor_addr>(entry.second) != down.source)
      return false;
    CancelLogs cancel;
    cancel.set_subscription(entry.first.number);
    tell(self, entry.first.kind == stream_kind::agent ? "agent" : "logs", cancel);
    return true;
  });
}

void tick(link_ptr self) {
  auto& st = self->state;
  st.ticking = false;
  const auto at = now(self);
  for (auto it = st.asks.begin(); it != st.asks.end();)
    if (it->second.expires <= at) {
      it->second.promise.deliver(to_error({errc::deadline_exceeded, "no answer from node " + st.node_id + " in time"}));
      it = st.asks.erase(it);
    } else {
      ++it;
    }
  send_broken(self);
  if (!st.asks.empty() || !st.broken.empty())
    arm(self);
}

ActorStatus status_of(link_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  const auto& connection = *st.setup.connection;
  facts["peer"] = st.node_id;
  facts["addr"] = connection.addr();
  facts["dialled"] = connection.dialled() ? "true" : "false";
  facts["role"] = PeerRole_Name(connection.peer().role);
  facts["protocol"] = std::to_string(connection.hello().major()) + "." + std::to_string(connection.hello().minor());
  facts["asks"] = std::to_string(st.asks.size());
  facts["serving"] = std::to_string(st.serving);
  facts["streams"] = std::to_string(st.streams->size() + st.readers.size());
  facts["refused"] = std::to_string(st.refused);
  facts["dropped"] = std::to_string(st.dropped);
  return status;
}

void begin(link_ptr self, link_setup setup) {
  auto& st = self->state;
  st.setup = std::move(setup);
  st.node_id = st.setup.connection->peer().node_id;
  st.streams = std::make_unique<stream_core>(st.setup.streams_from, st.setup.opts.streams_max);
  self->set_label("link/" + (st.node_id.empty() ? st.setup.connection->addr() : st.node_id));
  self->set_down_handler([self](caf::down_msg& down) { reader_gone(self, down); });
  self->set_exit_handler([self](caf::exit_msg&) { link_lost(self, {errc::unavailable, "this node keeps no links any more"}); });
  st.setup.connection->receive([to = self->address(), weak = std::weak_ptr{st.setup.connection}](
                                   std::vector<Envelope>&& envelopes, std::size_t bytes) {
    if (const auto actor = caf::actor_cast<caf::actor>(to))
      caf::anon_send(actor, batch{std::move(envelopes), bytes});
    else if (const auto connection = weak.lock())
      connection->close({errc::unavailable, "nobody speaks for this link any more"});
  });
}

} // namespace

caf::behavior run_link(link_ptr self, link_setup setup) {
  begin(self, std::move(setup));
  return {
    [self](const batch& what) { take_batch(self, what.envelopes, what.bytes); },
    [self](const link::outgoing_ask& what) { return ask_peer(self, what); },
    [self](const link::outgoing_tell& what) { tell_peer(self, what); },
    [self](const link::outgoing_stream& what) { open_reader(self, what); },
    [self](const Assignments& m) { tell(self, "agent", m); },
    [self](const TaskStatusAccepted& m) { tell(self, "agent", m); },
    [self](const SessionInvalid& m) { tell(self, "agent", m); },
    [self](const NodeOrders& m) { tell(self, "agent", m); },
    [self](const LogChunk& m) { chunk_to_peer(self, m); },
    [self](const LeaderHint& m) { tell(self, "links", m); },
    [self](const link::link_ended& end) { link_lost(self, end.why); },
    [self](tick_atom) { tick(self); },
    [self](const ReadStatus& request) { return status_of(self, request); },
  };
}

} // namespace swarm::links
