// LOGS: brings the log lines of many tasks to one reader. Decisions: logs_core.hpp.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "actors/logs/logs_core.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::logs {

/// How a node's agent is asked: this host's directly, others through a stand-in.
using source_finder = std::function<log_source(const std::string& node_id)>;

struct logs_options {
  std::size_t readers_max = 256;                 ///< more are refused in their stream
  std::chrono::milliseconds tick{500};           ///< how exactly a silent node is noticed
  std::chrono::seconds store_deadline{20};
};

struct logs_state {
  static inline const char* name = "logs";
  std::uint64_t next_stream = 1;
  logs_options opts;
  source_finder source_of;
  std::map<std::string, log_source> nodes;
  task_places tasks;
  struct subscription {
    reader core;
    log_sink sink;
  };
  std::map<std::uint64_t, std::unique_ptr<subscription>> readers; ///< by the reader's own number
  bool loaded = false;
  bool ticking = false;
};

/// See the LOGS table in messages/interfaces.hpp. Ends with an error when STORE does not answer.
logs_actor::behavior_type log_broker(observed_ptr<logs_actor, logs_state> self, logs_options opts, store_actor store,
                                     source_finder source_of);

} // namespace swarm::logs
