// A link's socket from connect or accept to the end: TLS, hellos, frames both ways, keepalive. Internal: includes Asio.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "runtime/http/transport.hpp"
#include "runtime/link/address.hpp"
#include "runtime/link/connection.hpp"
#include "runtime/link/frame.hpp"
#include "runtime/link/tls.hpp"

namespace swarm::link {

/// Shared by the sessions of one endpoint.
struct counters {
  std::atomic<std::uint64_t> frames_in{0}, frames_out{0}, bytes_in{0}, bytes_out{0};
  std::atomic<std::uint64_t> handshakes_failed{0}, malformed{0}, silent{0}, stalled{0};
};

struct session_setup {
  std::uint64_t id = 0;
  std::string addr;
  std::shared_ptr<const tls_identity> tls;
  handshake_check check;
  limits lim;
  std::shared_ptr<const events> notify;
  std::shared_ptr<counters> count;
  /// The endpoint's bookkeeping: the peer has proved to be a node; the session is over.
  std::function<void()> known;
  std::function<void()> ended;
};

class session final : public connection, public std::enable_shared_from_this<session> {
public:
  /// Accepting: takes the connected socket.
  session(boost::asio::io_context& context, session_setup setup, int fd);
  /// Dialling; `setup.addr` may name a host.
  session(boost::asio::io_context& context, session_setup setup);
  void start();

  std::uint64_t id() const override { return setup_.id; }
  bool dialled() const override { return setup_.check.dialled; }
  const std::string& addr() const override { return setup_.addr; }
  const identity& peer() const override { return peer_; }
  const LinkHello& hello() const override { return hello_; }
  bool broke_off() const override { return broke_off_; }
  sent send(priority of, const Envelope& envelope) override;
  void receive(receiver to) override;
  void consumed(std::size_t bytes) override;
  void close(failure why) override;

private:
  using clock = std::chrono::steady_clock;
  enum class stage : std::uint8_t { connecting, tls, hello, up, closed };

  void resolve();
  void connect(const socket_address& to);
  void connected();
  void handshake();
  void say_hello();
  void hear_hello(const Envelope& first);
  void read();
  void take(std::string_view bytes);
  void deliver();
  void request_flush();
  void flush();
  bool refill();
  void tick();
  void arm(duration after);
  void fail(failure why);
  void fail_handshake(const std::string& what, int error);
  void lost(int error);
  [[nodiscard]] duration own_silence() const;

  session_setup setup_;
  http::io_strand strand_;
  boost::asio::steady_timer timer_;
  std::optional<boost::asio::ip::tcp::resolver> resolver_;
  std::unique_ptr<http::transport> socket_;
  SSL* ssl_ = nullptr; // owned by socket_
  stage stage_ = stage::connecting;
  bool broke_off_ = false; // written before `down` is called, read after it

  identity peer_;
  LinkHello hello_;
  frame_reader reader_;
  assembler parts_;
  receiver receiver_;
  std::vector<Envelope> batch_;
  std::size_t batch_bytes_ = 0;
  std::size_t unread_ = 0;
  bool paused_ = true;
  bool reading_ = false; // a wait for the socket is pending

  std::string out_;      // being written
  std::size_t out_at_ = 0;
  bool writing_ = false; // a wait for the socket is pending
  bool blocked_ = false; // nothing was taken since progress_

  clock::time_point started_ = clock::now();
  clock::time_point heard_{}, said_{}, progress_{}, last_tick_{};
  duration period_{}; // of tick()
  duration peer_silence_{};

  std::mutex mutex_;     // the three below
  send_queue queue_;
  bool flush_posted_ = false;
  bool closed_ = false;
};

} // namespace swarm::link
