// Streams that outlive one answer: service logs and events. Each is an actor that ends with its client.
#include <deque>

#include "actors/gateway/gateway_actor.hpp"
#include "actors/gateway/log_frames.hpp"
#include "actors/gateway/swarm_events.hpp"
#include "actors/gateway/views.hpp"
#include "messages/docker_json.hpp"
#include "messages/json_value.hpp"

namespace swarm::gateway {

namespace {

/// What the I/O threads tell a session: the client has gone, there is room again, the engine has said something.
struct stream_notice {
  enum class what : std::uint8_t { closed, writable, engine_bytes, engine_end };
  what kind = what::closed;
  std::string bytes;
};

} // namespace

} // namespace swarm::gateway

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::gateway::stream_notice)

namespace swarm::gateway {

namespace {

using notice = stream_notice::what;

// Tells `actor` about its exchange until either is gone.
template <class Handle>
void watch_close(http::exchange& exchange, const Handle& actor) {
  exchange.on_close([weak = caf::actor_cast<caf::actor_addr>(actor)] {
    if (auto strong = caf::actor_cast<caf::actor>(weak))
      caf::anon_send(strong, stream_notice{notice::closed, {}});
  });
}
template <class Handle>
void watch_room(http::exchange& exchange, const Handle& actor) {
  exchange.on_writable([weak = caf::actor_cast<caf::actor_addr>(actor)] {
    if (auto strong = caf::actor_cast<caf::actor>(weak))
      caf::anon_send(strong, stream_notice{notice::writable, {}});
  });
}

// -- logs ---------------------------------------------------------------------------------------------------------------

// Bytes of lines that LOGS may have on the way to us; what the client has not taken counts.
constexpr std::uint32_t log_window_bytes = 1 << 20;

struct log_state {
  static inline const char* name = "log_session";
  std::string service_id;
  node_root_actor root;
  std::shared_ptr<http::exchange> exchange;
  SubscribeLogs subscription;
  log_format format;
  struct pending_chunk {
    std::string bytes;
    std::uint32_t credit = 0;
  };
  std::deque<pending_chunk> pending; // bounded by the credit given
  bool ended = false;
};
using log_interface = log_sink::extend<caf::reacts_to<stream_notice>, status_clause>;
using log_ptr = observed_ptr<log_interface, log_state>;

void end_logs(log_ptr self) {
  CancelLogs cancel;
  cancel.set_subscription(self->state.subscription.subscription());
  self->send(self->state.root, cancel);
  self->quit();
}

void pump_logs(log_ptr self) {
  auto& st = self->state;
  std::uint32_t credit = 0;
  while (!st.pending.empty()) {
    const auto result = st.exchange->write(st.pending.front().bytes);
    if (result == http::write_result::closed)
      return end_logs(self);
    if (result == http::write_result::backpressure) {
      watch_room(*st.exchange, log_interface{self});
      break;
    }
    credit += st.pending.front().credit;
    st.pending.pop_front();
  }
  if (credit > 0 && !st.ended) {
    LogCredit grant;
    grant.set_subscription(st.subscription.subscription());
    grant.set_bytes(credit);
    self->send(st.root, grant);
  }
  if (st.ended && st.pending.empty()) {
    st.exchange->finish();
    self->quit();
  }
}

void take_chunk(log_ptr self, const LogChunk& chunk) {
  auto& st = self->state;
  log_state::pending_chunk out;
  for (const auto& line : chunk.lines()) {
    if ((line.stream() == 2 && !st.subscription.stderr()) || (line.stream() != 2 && !st.subscription.stdout()))
      continue;
    append_line(out.bytes, line, st.format, chunk.node_id(), st.service_id, chunk.task_id());
  }
  for (const auto& line : chunk.lines())
    out.credit += static_cast<std::uint32_t>(line.data().size());
  if (chunk.end() && !chunk.error().empty() && !st.format.raw)
    append_frame(out.bytes, 3, "Error grabbing logs: rpc error: code = Unknown desc = " + chunk.error());
  st.ended = st.ended || chunk.end();
  if (!out.bytes.empty() || out.credit > 0)
    st.pending.push_back(std::move(out));
  pump_logs(self);
}

log_interface::behavior_type log_session_actor(log_ptr self, node_root_actor root, std::shared_ptr<http::exchange> exchange,
                                               SubscribeLogs subscription, std::string service_id, log_format format) {
  auto& st = self->state;
  st.root = std::move(root);
  st.exchange = std::move(exchange);
  st.subscription = std::move(subscription);
  st.subscription.set_subscription(self->id());
  st.service_id = std::move(service_id);
  st.format = format;
  self->set_label("gateway/logs/" + std::to_string(self->id()));
  watch_close(*st.exchange, log_interface{self});
  self->send(st.root, st.subscription, log_sink{log_interface{self}});
  LogCredit window;
  window.set_subscription(st.subscription.subscription());
  window.set_bytes(log_window_bytes);
  self->send(st.root, window);
  return {
    [self](const LogChunk& chunk) { take_chunk(self, chunk); },
    [self](const stream_notice& n) {
      if (n.kind == notice::closed)
        end_logs(self);
      else
        pump_logs(self);
    },
    [self](const ReadStatus& request) {
      auto status = self->base_status(request);
      (*status.mutable_facts())["pending_chunks"] = std::to_string(self->state.pending.size());
      return status;
    },
  };
}

// -- events ---------------------------------------------------------------------------------------------------------------

// Lines that may wait for a client that reads slowly; above, it is cut: an event stream with holes is worse than none.
constexpr std::size_t event_backlog_max = 4096;

struct event_state {
  static inline const char* name = "event_session";
  std::string partial; // the engine's last line, not complete yet
  node_root_actor root;
  shared_options options;
  api_call call;
  std::map<std::string, std::vector<std::string>> filters;
  std::shared_ptr<http::client_stream> engine;
  std::deque<std::string> pending;
  bool bounded = false; // `until` was given: the stream ends with the engine's
  bool ended = false;
};
using event_interface = store_subscriber::extend<caf::reacts_to<stream_notice>, caf::reacts_to<tick_atom>, status_clause>;
using event_ptr = observed_ptr<event_interface, event_state>;

void end_events(event_ptr self) {
  if (self->state.engine)
    self->state.engine->cancel();
  self->quit();
}

void pump_events(event_ptr self) {
  auto& st = self->state;
  while (!st.pending.empty()) {
    const auto result = st.call.exchange->write(st.pending.front());
    if (result == http::write_result::closed)
      return end_events(self);
    if (result == http::write_result::backpressure) {
      if (st.pending.size() > event_backlog_max) {
        st.call.exchange->abort();
        return end_events(self);
      }
      watch_room(*st.call.exchange, event_interface{self});
      break;
    }
    st.pending.pop_front();
  }
  if (st.engine)
    st.engine->resume();
  if (st.ended && st.pending.empty()) {
    st.call.exchange->finish();
    end_events(self);
  }
}

void take_engine_bytes(event_ptr self, const std::string& bytes) {
  auto& st = self->state;
  st.partial += bytes;
  const auto last = st.partial.rfind('\n');
  if (last == std::string::npos)
    return;
  st.pending.push_back(st.partial.substr(0, last + 1));
  st.partial.erase(0, last + 1);
  pump_events(self);
}

void take_batch(event_ptr self, const EventBatch& batch) {
  auto& st = self->state;
  std::string lines;
  for (const auto& event : swarm_events(batch))
    if (passes(event, st.filters))
      lines += to_json(event, {st.call.where.api_minor}) + '\n';
  if (lines.empty())
    return;
  st.pending.push_back(std::move(lines));
  pump_events(self);
}

void follow_engine(event_ptr self) {
  auto& st = self->state;
  if (!st.options->engine)
    return;
  http::client_request request;
  request.target = engine_target(st.call.request->target, st.options->engine_minor);
  http::stream_callbacks callbacks;
  const auto weak = caf::actor_cast<caf::actor_addr>(event_interface{self});
  const auto tell = [weak](notice kind, std::string bytes) {
    if (auto strong = caf::actor_cast<caf::actor>(weak))
      caf::anon_send(strong, stream_notice{kind, std::move(bytes)});
  };
  callbacks.on_headers = [](const http::response_head&) {};
  callbacks.on_chunk = [tell](std::string_view bytes) {
    tell(notice::engine_bytes, std::string{bytes});
    return false; // one piece at a time: resume() comes when the client has taken it
  };
  callbacks.on_end = [tell](const http::client_error&) { tell(notice::engine_end, {}); };
  st.engine = st.options->engine->stream(std::move(request), self->state.options->request_deadline, std::move(callbacks));
}

constexpr std::chrono::milliseconds store_retry{50};

// While this node is no manager there are no events of swarm scope; it may become one, and one again. NODE ROOT keeps the
// subscription until then, or until it has waited too long: it is said again at once, lest the first event be missed.
void follow_store(event_ptr self) {
  self->request(self->state.root, self->state.options->request_deadline, subscribe_atom::value, store_subscriber{event_interface{self}})
    .then([self](const StoreSnapshot&) { self->monitor(self->current_sender()); },
          [self](const caf::error& error) {
            if (to_failure(error).code == errc::deadline_exceeded)
              return follow_store(self);
            self->delayed_send(self, store_retry, tick_atom::value);
          });
}

event_interface::behavior_type event_session_actor(event_ptr self, node_root_actor root, shared_options options, api_call call) {
  auto& st = self->state;
  st.root = std::move(root);
  st.options = std::move(options);
  st.call = std::move(call);
  self->set_label("gateway/events/" + std::to_string(self->id()));
  const auto& query = st.call.request->query;
  if (const auto it = query.find("filters"); it != query.end())
    if (auto f = parse_filters(it->second, st.filters); !f.ok()) {
      st.call.exchange->reply_error(400, f.message);
      self->quit();
    }
  st.bounded = query.count("until") > 0;
  st.call.exchange->begin_stream(200, common_headers("application/json"));
  watch_close(*st.call.exchange, event_interface{self});
  follow_engine(self);
  self->set_down_handler([self](caf::down_msg&) { follow_store(self); });
  follow_store(self);
  return {
    [self](const EventBatch& batch) { take_batch(self, batch); },
    [self](const stream_notice& n) {
      switch (n.kind) {
        case notice::closed: return end_events(self);
        case notice::writable: return pump_events(self);
        case notice::engine_bytes:
          take_engine_bytes(self, n.bytes);
          if (self->state.engine && self->state.pending.empty())
            self->state.engine->resume();
          return;
        case notice::engine_end:
          // Without the engine the stream goes on with the swarm's events, unless the client asked for an end.
          self->state.engine.reset();
          self->state.ended = self->state.bounded;
          return pump_events(self);
      }
    },
    [self](tick_atom) { follow_store(self); },
    [self](const ReadStatus& request) { return self->base_status(request); },
  };
}

} // namespace

void spawn_log_session(caf::actor_system& system, node_root_actor root, api_call call, SubscribeLogs subscription,
                       std::string service_id, bool raw) {
  const log_format format{bool_value(query(call, "timestamps")), bool_value(query(call, "details")), raw};
  auto fields = common_headers(raw ? "application/vnd.docker.raw-stream" : "application/vnd.docker.multiplexed-stream");
  if (call.where.api_minor < 42)
    fields.remove("Content-Type");
  call.exchange->begin_stream(200, std::move(fields));
  system.spawn(log_session_actor, std::move(root), call.exchange, std::move(subscription), std::move(service_id), format);
}

void spawn_event_session(caf::actor_system& system, node_root_actor root, shared_options options, api_call call) {
  system.spawn(event_session_actor, std::move(root), std::move(options), std::move(call));
}

} // namespace swarm::gateway
