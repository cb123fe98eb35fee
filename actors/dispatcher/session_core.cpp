// Registration, health and the node rows to be written.
#include "actors/dispatcher/session_core.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "runtime/check.hpp"
#include "runtime/ids.hpp"

namespace swarm::dispatcher {

namespace {

constexpr std::size_t command_bytes_max = 1'300'000;
constexpr std::size_t message_bytes_max = 1'000;
constexpr duration retry_first = milliseconds{200};
constexpr duration retry_max = seconds{5};

bool is_same(const google::protobuf::Message& a, const google::protobuf::Message& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

} // namespace

void session_core::load(timestamp now, const StoreSnapshot& snapshot) {
  if (const auto period = snapshot.cluster().spec().dispatcher().heartbeat_period(); period > 0)
    heartbeats_.set_period(duration{period});
  for (const auto& removed : snapshot.cluster().removed_nodes())
    removed_.insert(removed.node_id());
  for (const auto& node : snapshot.nodes())
    learn(now, node);
}

void session_core::apply(timestamp now, const EventBatch& batch) {
  for (const auto& event : batch.clusters())
    if (const auto period = event.cluster().spec().dispatcher().heartbeat_period(); period > 0)
      heartbeats_.set_period(duration{period});
  for (const auto& event : batch.nodes()) {
    const auto& id = event.node().id();
    if (event.kind() != CHANGE_KIND_REMOVED) {
      learn(now, event.node());
      continue;
    }
    nodes_.erase(id);
    heartbeats_.forget(id);
    to_write_.erase(id);
    removed_.insert(id);
  }
}

void session_core::learn(timestamp now, const Node& node) {
  auto& e = nodes_[node.id()];
  e.stored = node;
  e.exists = true;
  removed_.erase(node.id());
  if (e.session.empty() && node.status().state() != NODE_STATE_DOWN)
    heartbeats_.expect(now.now, node.id());
  mark(node.id(), e);
}

void session_core::mark(const std::string& id, entry& e) {
  if (!e.has_known)
    return;
  if (e.exists && is_same(e.stored.status(), e.known.status()) && is_same(e.stored.description(), e.known.description()))
    to_write_.erase(id);
  else
    to_write_.insert(id);
}

void session_core::set_health(entry& e, bool healthy, const std::string& message) {
  auto& status = *e.known.mutable_status();
  status.set_state(healthy ? NODE_STATE_READY : NODE_STATE_DISCONNECTED);
  status.set_message(healthy ? "" : "engine unavailable: " + message.substr(0, message_bytes_max));
}

session_core::registration session_core::add(timestamp now, const RegisterNode& request) {
  registration out;
  const auto& id = request.node_id();
  if (!node_id{id}) {
    out.refused = {errc::permission_denied, "node id \"" + id.substr(0, 64) + "\" is invalid"};
    return out;
  }
  if (removed_.contains(id)) {
    out.refused = {errc::permission_denied, "node " + id + " was removed from the swarm"};
    return out;
  }
  auto& e = nodes_[id];
  auto& times = e.registrations;
  while (!times.empty() && times.front() + registration_window <= now.now)
    times.pop_front();
  if (times.size() >= registrations_max) {
    out.refused = {errc::resource_exhausted, "node " + id + " exceeded rate limit count of registrations"};
    return out;
  }
  times.push_back(now.now);
  e.session = id128::random(rng_).str();
  e.period = heartbeats_.period();
  e.has_known = true;
  *e.known.mutable_description() = request.description();
  e.known.mutable_status()->set_addr(request.addr());
  set_health(e, request.driver_healthy(), request.driver_message());
  heartbeats_.beat(now.now, id);
  mark(id, e);
  out.reply.set_session_id(e.session);
  out.reply.set_heartbeat_period(heartbeats_.period().count());
  return out;
}

bool session_core::is_current(const std::string& node, const std::string& session) const {
  const auto it = nodes_.find(node);
  return it != nodes_.end() && !session.empty() && it->second.session == session;
}

std::string session_core::session_of(const std::string& node) const {
  const auto it = nodes_.find(node);
  return it == nodes_.end() ? std::string{} : it->second.session;
}

bool session_core::beat(timestamp now, const NodeHeartbeat& heartbeat) {
  if (!is_current(heartbeat.node_id(), heartbeat.session_id()))
    return false;
  auto& e = nodes_[heartbeat.node_id()];
  if (e.period != heartbeats_.period())
    return false;
  heartbeats_.beat(now.now, heartbeat.node_id());
  const bool was_healthy = e.known.status().state() == NODE_STATE_READY;
  if (was_healthy == heartbeat.driver_healthy() && was_healthy)
    return true;
  set_health(e, heartbeat.driver_healthy(), heartbeat.driver_message());
  mark(heartbeat.node_id(), e);
  return true;
}

bool session_core::describe(const UpdateNodeDescription& request) {
  if (!is_current(request.node_id(), request.session_id()))
    return false;
  auto& e = nodes_[request.node_id()];
  *e.known.mutable_description() = request.description();
  mark(request.node_id(), e);
  return true;
}

std::vector<std::string> session_core::expire(timestamp now) {
  std::vector<std::string> out;
  for (const auto& silent : heartbeats_.expire(now.now)) {
    const auto it = nodes_.find(silent.node);
    if (it == nodes_.end())
      continue;
    auto& e = it->second;
    if (!e.has_known) {
      e.known = e.stored;
      e.has_known = true;
    }
    e.known.mutable_status()->set_state(NODE_STATE_DOWN);
    e.known.mutable_status()->set_message(silent.unknown ? "heartbeat failure for node in \"unknown\" state"
                                                         : "heartbeat failure");
    e.session.clear();
    mark(silent.node, e);
    out.push_back(silent.node);
  }
  return out;
}

std::optional<Command> session_core::next_command(timestamp now) {
  if (in_flight_ || to_write_.empty() || (retry_at_ && now.now < *retry_at_))
    return std::nullopt;
  retry_at_.reset();
  Command out;
  out.set_machine_version(1);
  out.set_proposed_at(now.wall);
  std::size_t bytes = 0;
  while (!to_write_.empty() && bytes < command_bytes_max) {
    const auto id = *to_write_.begin();
    to_write_.erase(to_write_.begin());
    const auto& e = nodes_[id];
    auto& put = *out.add_actions()->mutable_put_node();
    put.set_observed_only(true);
    auto& node = *put.mutable_node();
    node = e.stored; // what is not ours to say stays
    node.set_id(id);
    if (!e.exists) {
      node.mutable_spec()->set_role(NODE_ROLE_WORKER);
      node.mutable_spec()->set_availability(NODE_AVAILABILITY_ACTIVE);
    }
    *node.mutable_description() = e.known.description();
    *node.mutable_status() = e.known.status();
    bytes += put.ByteSizeLong();
    writing_[id] = node;
  }
  in_flight_ = true;
  return out;
}

void session_core::written(timestamp now, const failure& outcome) {
  SWARM_CHECK(in_flight_);
  in_flight_ = false;
  for (auto& [id, node] : std::exchange(writing_, {})) {
    const auto it = nodes_.find(id);
    if (it == nodes_.end())
      continue;
    auto& e = it->second;
    if (outcome.ok()) { // the event may still be on its way, but this is what the store has
      e.exists = true;
      e.stored.mutable_description()->Swap(node.mutable_description());
      e.stored.mutable_status()->Swap(node.mutable_status());
    }
    mark(id, e);
  }
  if (outcome.ok()) {
    refusals_ = 0;
    return;
  }
  auto pause = retry_first;
  for (unsigned i = 0; i < refusals_ && pause < retry_max; ++i)
    pause *= 2;
  ++refusals_;
  retry_at_ = now.now + std::min(pause, retry_max);
}

std::size_t session_core::sessions() const {
  return static_cast<std::size_t>(std::count_if(nodes_.begin(), nodes_.end(), [](const auto& entry) {
    return !entry.second.session.empty();
  }));
}

std::string session_core::dump() const {
  std::string out = "nodes=" + std::to_string(nodes_.size()) + " sessions=" + std::to_string(sessions()) +
                    " to_write=" + std::to_string(to_write_.size()) + (in_flight_ ? " writing" : "") + "\n";
  constexpr std::size_t shown_max = 500;
  std::size_t shown = 0;
  for (const auto& [id, e] : nodes_) {
    if (++shown > shown_max)
      return out + "…\n";
    out += id + " stored=" + NodeState_Name(e.stored.status().state()) + (e.session.empty() ? " no session" : " session") + "\n";
  }
  return out;
}

} // namespace swarm::dispatcher
