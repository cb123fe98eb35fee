// SECRET PROVIDER's decisions: which plugin is asked when, in which steps, and what is made of its answers.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "drivers/plugin/plugin_locator.hpp"
#include "messages/errors.hpp"
#include "messages/secrets.pb.h"
#include "runtime/time.hpp"

namespace swarm::plugin {

struct core_options {
  bool has_engine = true; ///< which may run plugins itself
  std::string socket_dir = "/run/docker/plugins";
  duration deadline = seconds{10};       ///< of one fetch, from the question to the answer
  duration engine_deadline = seconds{3}; ///< an engine that hangs leaves time to look for sockets
  std::size_t running_per_driver = 32;   ///< so that a plugin that hangs keeps its own askers waiting only
  std::size_t running = 256;
  std::size_t waiting = 4096; ///< beyond: refused
};

using fetch_id = std::uint64_t;

/// How an HTTP call ended.
struct http_answer {
  int status = 0;
  std::string body = {};
  std::string problem = {}; ///< "" = there is an answer
  bool too_large = false;
};

// -- what the shell must do ---------------------------------------------------------------------------------------------
struct call_engine {
  fetch_id id = 0;
  std::string target;
  duration deadline{};
};
struct search {
  fetch_id id = 0;
  std::string name;
}; ///< among sockets and files
struct call_plugin {
  fetch_id id = 0;
  address at;
  std::string target;
  std::string body;
  duration deadline{};
};
struct reply {
  fetch_id id = 0;
  failure problem;
  SecretFetched answer;
}; ///< and forget the fetch
using effect = std::variant<call_engine, search, call_plugin, reply>;
using effects = std::vector<effect>;

///   waiting ─► (engine ─►) searching ─► activating ─► asking ─► reply
///                 └──── it runs the plugin ──────────────┘
///
/// As Docker does it: the engine's own plugins first, which are known to provide secrets; then sockets and files, where the
/// plugin has to say so. An engine that cannot be asked is as good as one without the plugin, but the error tells of it.
class core {
public:
  explicit core(core_options opts) : opts_{std::move(opts)} {}

  [[nodiscard]] effects add(instant now, fetch_id id, FetchSecret request);
  [[nodiscard]] effects engine_answered(instant now, fetch_id id, const http_answer& answer);
  /// not_found: there is none.
  [[nodiscard]] effects searched(instant now, fetch_id id, const failure& problem, const address& found);
  [[nodiscard]] effects plugin_answered(instant now, fetch_id id, const http_answer& answer);
  /// Answers whose time is over.
  [[nodiscard]] effects tick(instant now);
  [[nodiscard]] std::optional<instant> due() const;

  [[nodiscard]] std::size_t running() const { return running_; }
  [[nodiscard]] std::size_t waiting() const { return fetches_.size() - running_; }
  [[nodiscard]] std::uint64_t done() const { return done_; }
  [[nodiscard]] std::uint64_t failed() const { return failed_; }
  void check_invariants() const;
  [[nodiscard]] std::string dump() const;

private:
  enum class stage : std::uint8_t { waiting, engine, searching, activating, asking };
  struct fetch {
    FetchSecret request;
    stage at = stage::waiting;
    instant until{};
    address plugin;
    std::string note; ///< why the engine could not be asked
  };
  struct driver {
    std::deque<fetch_id> waiting;
    std::size_t running = 0;
  };
  fetch* find(fetch_id id, stage at);
  void start_waiting(instant now, effects& out);
  void ask_plugin(instant now, fetch_id id, fetch& f, stage next, effects& out) const;
  void end(instant now, fetch_id id, failure problem, SecretFetched answer, effects& out);

  core_options opts_;
  std::map<fetch_id, fetch> fetches_;
  std::map<std::string, driver> drivers_;
  std::set<std::pair<instant, fetch_id>> deadlines_;
  std::size_t running_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t failed_ = 0;
};

} // namespace swarm::plugin
