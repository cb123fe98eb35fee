// The door of a node: accepts links on one port and dials others, within limits.
#pragma once

#include <memory>
#include <string>

#include "runtime/io.hpp"
#include "runtime/link/connection.hpp"
#include "runtime/link/credentials.hpp"

namespace swarm::link {

struct dial_options {
  std::string addr;                ///< IP:PORT or HOST:PORT
  std::string expect_node_id;      ///< "" = whichever manager answers
  bool verify = true;              ///< false: the peer stays anonymous, and nothing it says may be believed
};

struct endpoint_stats {
  std::size_t connections = 0;
  std::size_t strangers = 0;       ///< of these: not (yet) known to be a node
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;       ///< over a limit
  std::uint64_t dialled = 0;
  std::uint64_t handshakes_failed = 0;
  std::uint64_t malformed = 0;
  std::uint64_t silent = 0;
  std::uint64_t stalled = 0;
  std::uint64_t frames_in = 0, frames_out = 0, bytes_in = 0, bytes_out = 0;
};

/// Thread-safe. A dialled peer must be a manager of the cluster; an accepted one may be any node of it, or show no
/// certificate at all and stay anonymous.
class endpoint {
public:
  endpoint(io_threads& io, std::shared_ptr<credential_store> who, events notify, limits lim = {});
  /// stop()
  ~endpoint();
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;

  /// Replaces an earlier listener. `bound` gets the address with the real port. invalid_argument: no address, or there
  /// are no credentials with a certificate and a root; unavailable: the address cannot be had.
  failure listen(const std::string& addr, std::string* bound = nullptr);
  void stop_listening();

  /// Returns at once; `up` or `down` follow, down at the latest after limits::handshake. Null when there are no
  /// credentials for it.
  connection_ptr dial(const dial_options& to);

  /// Closes everything; no event begins after it returns, unless called from an I/O thread.
  void stop();

  [[nodiscard]] endpoint_stats stats() const;

private:
  struct shared;
  class listener;
  io_threads& io_;
  std::shared_ptr<shared> shared_;
};

} // namespace swarm::link
