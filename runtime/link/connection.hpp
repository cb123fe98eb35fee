// One link to one peer, as its users see it: who is there, send, receive, close.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "messages/errors.hpp"
#include "messages/link.pb.h"
#include "runtime/link/identity.hpp"
#include "runtime/link/send_queue.hpp"

namespace swarm::link {

struct limits {
  std::size_t frame_bytes = (4 << 20) + (64 << 10);      ///< of one frame from a peer with a certificate
  std::size_t message_bytes = 64 << 20;                  ///< of a payload, in however many frames: from a manager, and to anybody
  std::size_t message_bytes_of_workers = 8 << 20;        ///< the same from a worker
  std::size_t stranger_frame_bytes = 64 << 10;           ///< before LinkHello, and from peers without a certificate
  std::array<queue_bound, priorities> send_queues{{{4 << 20, 16384}, {32 << 20, 65536}, {8 << 20, 4096}}};
  std::size_t unread_bytes = 4 << 20;                    ///< received but not consumed(): more is left with the kernel
  duration connect = milliseconds{1500};                 ///< from the first SYN to the answer: a lost one is sent again after 1 s
  duration handshake = seconds{5};                       ///< from the first SYN to both hellos
  duration stranger_life = seconds{30};                  ///< of a link without a certificate
  duration silence = seconds{6};                         ///< a peer that says nothing for so long is gone
  duration silence_of_managers = seconds{1};             ///< between two managers
  duration stall = seconds{10};                          ///< a peer that takes nothing for so long is gone
  std::size_t connections = 10'000;
  std::size_t strangers = 1024;                          ///< accepted and not (yet) proved to be a node
  std::size_t strangers_per_address = 64;
};

enum class sent : std::uint8_t { queued, full, closed };

/// Thread-safe. Frames of one priority arrive in the order in which they were sent, each at most once; what had not
/// arrived when the link went down is lost.
class connection {
public:
  /// The envelopes of one read, with the bytes that consumed() gives back.
  using receiver = std::function<void(std::vector<Envelope>&& batch, std::size_t bytes)>;

  virtual ~connection() = default;

  /// Unique in this process.
  [[nodiscard]] virtual std::uint64_t id() const = 0;
  [[nodiscard]] virtual bool dialled() const = 0;
  /// IP:PORT as dialled, or as the peer came from.
  [[nodiscard]] virtual const std::string& addr() const = 0;
  /// These two from `up` on.
  [[nodiscard]] virtual const identity& peer() const = 0;
  [[nodiscard]] virtual const LinkHello& hello() const = 0;
  /// From `down` on: the peer's end vanished without a word, as when its process is killed. False when either end closed
  /// the link in order, and after silence.
  [[nodiscard]] virtual bool broke_off() const = 0;

  /// full: this priority's queue is, or the message is larger than one may be; nothing was taken.
  virtual sent send(priority of, const Envelope& envelope) = 0;
  /// Nothing is read from a link before this is called; once. `to` runs on an I/O thread, never twice at a time.
  virtual void receive(receiver to) = 0;
  /// The receiver has dealt with so many bytes.
  virtual void consumed(std::size_t bytes) = 0;
  /// Asynchronous; `down` follows with this reason unless the link was going down already. What is queued is dropped.
  virtual void close(failure why) = 0;
};
using connection_ptr = std::shared_ptr<connection>;

/// Called on I/O threads; must not block. For one connection never two at a time.
struct events {
  /// Both hellos are exchanged: the peer is known and may be sent to.
  std::function<void(const connection_ptr&)> up;
  /// Last call for this connection. For a dialled one also when it never was up.
  std::function<void(const connection_ptr&, const failure& why)> down;
};

} // namespace swarm::link
