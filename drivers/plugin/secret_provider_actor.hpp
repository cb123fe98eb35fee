// SECRET PROVIDER — asks plugins of this host for the values of secrets. Decisions: secret_provider_core.hpp.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drivers/plugin/secret_provider_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/http/client.hpp"
#include "runtime/observed.hpp"

namespace swarm::plugin {

struct provider_options {
  std::string engine_socket; ///< "" = no engine that could run plugins
  core_options core;
  std::vector<std::string> spec_dirs{"/etc/docker/plugins", "/usr/lib/docker/plugins"};
};

/// From the I/O threads: how a call of a fetch ended. Never printed: its body may hold a secret.
struct call_ended {
  fetch_id id = 0;
  bool by_engine = false;
  http_answer answer;
};

/// See the SECRET PROVIDER table in messages/interfaces.hpp.
using provider_interface = secret_provider_actor::extend<caf::reacts_to<call_ended>, caf::reacts_to<tick_atom>>;

struct provider_state {
  static inline const char* name = "secrets";
  provider_options opts;
  io_threads* io = nullptr;
  std::unique_ptr<core> decisions;
  std::map<fetch_id, caf::typed_response_promise<SecretFetched>> promises;
  fetch_id last_id = 0;
  instant next_tick = instant::max();
  std::shared_ptr<http::client> engine;
  std::map<fetch_id, std::unique_ptr<http::client>> clients; ///< of a plugin: one for each fetch, gone with it
};

/// Detached: it looks at files, and waits for connections to close.
provider_interface::behavior_type secret_provider(observed_ptr<provider_interface, provider_state> self,
                                                  provider_options opts, io_threads* io);

} // namespace swarm::plugin

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::plugin::call_ended)
