// One connection of the client to the engine, running one request at a time. Internal to runtime/http: includes Asio.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "runtime/http/client.hpp"
#include "runtime/http/parser.hpp"
#include "runtime/http/session.hpp"
#include "runtime/http/transport.hpp"

namespace swarm::http {

/// A request and where its answer goes. Exactly one on_end, last; nothing after it.
struct client_job {
  std::string bytes;
  std::string method;
  bool upgrade = false;
  bool idempotent = false;               // may be sent again when a kept connection turns out to be dead
  steady_point deadline = steady_point::max();  // for the head; of calls: for everything
  bool deadline_is_for_all = false;
  std::size_t body_bytes = SIZE_MAX;     // above: too_large
  duration idle{0};                      // after the head, for streams; 0 = none
  std::function<void(response_head&&, bool hijacked)> on_head;
  std::function<bool(std::string_view)> on_data;  // false: pause
  std::function<void(const client_error&)> on_end;
};

/// Everything runs on the client's strand, except the outgoing half of a hijack (see write).
class client_connection : public std::enable_shared_from_this<client_connection> {
public:
  /// `on_idle(reusable)` after each job, before its on_end: the pool takes the connection back or forgets it.
  client_connection(const io_strand& strand, const client_options& options,
                    std::function<void(client_connection&, bool)> on_idle);

  void run(std::shared_ptr<client_job> job);
  /// An idle connection that can carry another request.
  [[nodiscard]] bool usable();
  [[nodiscard]] bool busy() const { return job_ != nullptr; }
  /// Ends the running job with this error.
  void fail(client_errc code, const std::string& text);
  void close();
  void resume();
  void send(std::string bytes);
  void close_write();
  /// Called whenever hijacked bytes went out, with what is left.
  std::function<void(std::size_t)> on_sent;

private:
  void connect();
  void connect_tcp();
  void flush();
  void read();
  void wait_read();
  bool on_bytes();
  bool on_head();
  void deliver(std::string_view piece);
  void on_eof();
  void on_timer();
  void arm(steady_point due);
  void done(bool reusable, const client_error& error);
  bool retry();
  [[nodiscard]] std::string name() const { return options_.address(); }

  io_strand strand_;
  const client_options& options_;
  std::function<void(client_connection&, bool)> on_idle_;
  std::unique_ptr<transport> socket_;
  std::function<void()> stop_connecting_;  // while a TCP connection is being made
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer retry_timer_;
  steady_point connect_deadline_{};
  steady_point due_ = steady_point::max();
  steady_point armed_ = steady_point::max();

  std::shared_ptr<client_job> job_;
  byte_queue out_;
  byte_queue in_;
  head_parser parser_;
  body_decoder body_;
  bool have_head_ = false;
  bool hijacked_ = false;
  bool keep_ = false;
  bool paused_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool consuming_ = false;
  bool used_before_ = false;
  bool any_sent_ = false;
  bool close_write_ = false;
};

} // namespace swarm::http
