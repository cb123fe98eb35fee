// Performs the docker core's calls on the engine's socket. Deadlines on everything, no decisions.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "drivers/docker/docker_events.hpp"
#include "runtime/http/client.hpp"

namespace swarm::docker {

/// The answers come as events on an I/O thread, one for each call, also when the engine is not there.
class engine_client {
public:
  using sink = std::function<void(driver_event)>;

  engine_client(io_threads& io, std::string socket_path, sink deliver);
  /// Ends everything; nothing is delivered afterwards.
  ~engine_client();

  /// `prefix` is "/v1.41"; it stands before every target but /_ping, which must work at any version.
  void call(const make_call& what, const std::string& prefix);
  void pull(const start_pull& what, const std::string& prefix);
  void cancel(call_id pull);
  void events(const open_events& what, const std::string& prefix);
  [[nodiscard]] http::client& raw() { return *client_; }

private:
  struct shared;
  std::shared_ptr<shared> shared_;
  std::unique_ptr<http::client> client_;
};

/// A finished call as the core wants to see it.
[[nodiscard]] answer to_answer(const http::client_error& error, const http::response& response);

/// Only one swarm-node may use an engine (W16): two would each take the other's containers for leftovers. Held through
/// a lock file beside the engine's socket, so that it ends with the process.
class engine_lock {
public:
  explicit engine_lock(std::string socket_path);
  ~engine_lock();
  engine_lock(const engine_lock&) = delete;
  engine_lock& operator=(const engine_lock&) = delete;

  enum class outcome : std::uint8_t { held, taken, impossible };
  /// `impossible`: the folder cannot be written; there is no protection then.
  outcome acquire();
  /// Who has it, for people.
  [[nodiscard]] std::string holder() const;

private:
  std::string path_;
  int fd_ = -1;
};

} // namespace swarm::docker
