// GATEWAY's workers: each turns API requests into messages to NODE ROOT and the answers into HTTP.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "actors/gateway/api_error.hpp"
#include "actors/gateway/route.hpp"
#include "messages/docker_json.hpp"
#include "messages/interfaces.hpp"
#include "runtime/http/client.hpp"
#include "runtime/http/exchange.hpp"
#include "runtime/observed.hpp"

namespace swarm::gateway {

/// One request on its way to a worker. The exchange may be answered from any thread.
struct api_call {
  std::shared_ptr<http::exchange> exchange;
  std::shared_ptr<http::request> request;
  route where;
};

/// What every worker shares. Filled before the first request, constant afterwards but for engine_minor.
struct gateway_options {
  std::string engine_socket;              ///< path; "" = this host runs without an engine
  std::shared_ptr<http::client> engine;   ///< null without an engine
  std::atomic<std::uint32_t> engine_minor{0}; ///< the engine's newest API 1.NN; 0 = not known yet
  std::chrono::milliseconds request_deadline{20'000}; ///< for an answer from the swarm (Swarm's swarmRequestTimeout)
  std::string host_info;                  ///< GET /info without an engine: a JSON object without Swarm
  std::string version = "0.1.0";          ///< of swarm-node
};
using shared_options = std::shared_ptr<gateway_options>;

/// GATEWAY WORKER — answers API requests; several of them share the load.        actors/gateway
/// | from     | message  | meaning              | reply | errors |
/// |----------|----------|----------------------|-------|--------|
/// | I/O      | api_call | one request with its body | –  | –      |
using gateway_worker = caf::typed_actor<caf::reacts_to<api_call>, status_clause>;

struct gateway_state {
  static inline const char* name = "gateway";
  // Not a handle first: CAF would take a state that a handle could be made from for one that wants its actor.
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;
  node_root_actor root;
  shared_options options;
};

// -- what the handlers of several files share -----------------------------------------------------------------------------

using worker_ptr = observed_ptr<gateway_worker, gateway_state>;
using call_ptr = std::shared_ptr<api_call>;

[[nodiscard]] std::string_view query(const api_call& call, const std::string& key);
[[nodiscard]] api_minor minor_of(const api_call& call);
void answer_json(const api_call& call, int status, std::string json);
void answer_empty(const api_call& call, int status);
void answer_error(worker_ptr self, const api_call& call, const api_error& e);
/// An error that came back instead of an answer.
void answer_lost(worker_ptr self, const api_call& call, const caf::error& err);
/// False when it was refused, and the client knows.
bool written_ok(worker_ptr self, const api_call& call, const Written& written);

/// Asks NODE ROOT; `ok` gets the answer, errors go to the client.
template <class Reply, class Request, class F>
void ask(worker_ptr self, call_ptr call, Request request, F ok) {
  self->request(self->state.root, self->state.options->request_deadline, std::move(request))
    .then([ok = std::move(ok)](const Reply& reply) mutable { ok(reply); },
          [self, call](const caf::error& err) { answer_lost(self, *call, err); });
}

/// Networks: those of swarm scope and those of the engine (networks_actor.cpp).
void handle_network_routes(worker_ptr self, const call_ptr& call);

/// Answers a refusal that says that this network is not there; in other words when the engine has one of that name.
void answer_missing_network(worker_ptr self, const call_ptr& call, const Written& refused, const std::string& name);

gateway_worker::behavior_type gateway_worker_actor(observed_ptr<gateway_worker, gateway_state> self,
                                                   node_root_actor root, shared_options options);

/// Streams that outlive one answer have an actor of their own; it ends with its client.
void spawn_log_session(caf::actor_system& system, node_root_actor root, api_call call, SubscribeLogs subscription,
                       std::string service_id, bool raw);
void spawn_event_session(caf::actor_system& system, node_root_actor root, shared_options options, api_call call);

/// The fields that every answer carries.
[[nodiscard]] http::headers common_headers(const char* content_type);

} // namespace swarm::gateway

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::gateway::api_call)
