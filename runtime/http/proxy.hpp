// Relays one request of a session to the engine's unix socket and the answer back. Internal to runtime/http.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "runtime/http/session.hpp"

namespace swarm::http {

/// Bytes flow through buffers of one read each, in both directions: memory stays flat whatever the bodies' size.
/// The request's and the answer's ends are tracked by decoders, the bytes themselves are passed on as they are.
/// A connection to the engine is used for one request: connecting to a unix socket costs less than proving that an old
/// one is still in step, and a hijack needs its own anyway. Everything runs on the session's strand.
class proxy : public std::enable_shared_from_this<proxy> {
public:
  /// `body`: read already, else it is taken from the session's input.
  proxy(session& client, std::string path, response_filter filter, std::optional<std::string> body);

  void start();
  /// Moves what can be moved. Called on every change of either side.
  void pump();
  /// The session goes on or closes: nothing is touched after this.
  void stop();

private:
  enum class phase { connecting, head, body, tunnel, ended };

  void connect();
  void cannot_connect(int error);
  [[nodiscard]] std::string request_head_text() const;
  bool to_engine();
  bool take_from_client();
  bool flush_engine();
  void client_ended();
  bool from_engine();
  bool on_bytes();
  bool on_head();
  bool on_body();
  void on_engine_eof();
  void send_head_to_client(response_head& head, bool raw);
  void engine_broke(const std::string& why);
  void finish_answer();
  void end_tunnel_if_done();
  void wait_engine_read();
  void wait_engine_write();

  session& client_;
  std::string path_;
  response_filter filter_;
  std::unique_ptr<transport> engine_;
  boost::asio::steady_timer timer_;
  steady_point connect_deadline_{};

  phase phase_ = phase::connecting;
  bool pumping_ = false;
  bool again_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool engine_eof_ = false;
  bool engine_shut_ = false;
  bool request_done_ = false;
  bool head_sent_ = false;
  bool buffering_ = false;      // for filter_.body

  byte_queue to_engine_;
  byte_queue from_engine_;
  head_parser parser_;
  body_decoder body_;
  std::string buffered_;
  response_head head_;
};

} // namespace swarm::http
