// Decides whether an image must be pulled before a container is created from it, once for all tasks that want it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "drivers/docker/docker_events.hpp"
#include "drivers/docker/engine_map.hpp"

namespace swarm::docker {

struct image_options {
  bool prefer_offline = false;              ///< DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1: what is here is good enough
  duration fresh = seconds{30};             ///< a verdict "it is here" is not asked for again
  duration registry_patience = seconds{2};  ///< for an image that is here: a registry silent for longer is not waited for
  duration registry_rest = seconds{60};     ///< and is left alone for this long
  duration pull_head = seconds{120};        ///< for an image that is not here
  duration refusal_rest = seconds{10};      ///< after a registry said no to this image
  duration call_deadline = seconds{10};
};

/// Swarm always tries to pull, and ignores the failure when the image is here. With an unreachable registry that costs
/// each task 20 seconds. Here one look and one pull serve all tasks that want an image at about the same time, an image
/// that is here waits only briefly, and what a registry failed to do is remembered.
///
///   idle ─1─► looking ─2─► ready
///                 └──3───► pulling ─4─► ready | missing
///   1 first wish   2 here, and: a digest, prefer_offline, or the registry is resting   3 otherwise   4 its end
class image_core {
public:
  explicit image_core(image_options opts = {}) : opts_{opts} {}

  enum class verdict : std::uint8_t { ready, wait, missing };
  /// `waiter` is told by settled() when the verdict is wait.
  verdict want(instant now, const std::string& image, const std::string& auth, const std::string& waiter,
               call_id& next_call, effects& out);
  /// The waiter no longer waits; a pull nobody waits for is cancelled.
  void leave(const std::string& waiter, effects& out);
  /// Create said that it is not here after all.
  void forget(const std::string& image);

  [[nodiscard]] bool owns(call_id call) const { return calls_.contains(call); }
  void step(instant now, const call_ended& ev, call_id& next_call, effects& out);
  void step(instant now, const pull_printed& ev);
  void step(instant now, const pull_ended& ev);
  /// Forgets what has not been asked for in a long time.
  void tidy(instant now);

  struct verdict_for {
    std::string waiter;
    failure error; ///< ok: create it
  };
  /// Verdicts since the last call.
  [[nodiscard]] std::vector<verdict_for> settled() { return std::exchange(settled_, {}); }
  [[nodiscard]] std::size_t pulls() const;

private:
  using key = std::pair<std::string, std::string>; // reference, auth
  enum class phase : std::uint8_t { idle, looking, pulling };
  struct entry {
    phase at = phase::idle;
    image_name name;
    bool here = false;
    instant asked{};
    instant ready_until{};
    instant refused_until{};
    std::string refusal;
    std::string pull_error;
    call_id call = 0;
    std::vector<std::string> waiters; // in order of arrival
  };
  void look(const key& k, entry& e, call_id& next_call, effects& out);
  void looked(instant now, const key& k, entry& e, const answer& from, call_id& next_call, effects& out);
  void pull(const key& k, entry& e, call_id& next_call, effects& out);
  void settle(instant now, entry& e, const failure& error);

  image_options opts_;
  std::map<key, entry> images_;
  std::map<call_id, key> calls_;
  std::map<std::string, instant> resting_; // registries, until when
  std::vector<verdict_for> settled_;
};

} // namespace swarm::docker
