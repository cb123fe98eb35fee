// One client connection of the server. Internal to runtime/http: includes Asio.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include <boost/asio/steady_timer.hpp>

#include "runtime/http/parser.hpp"
#include "runtime/http/server.hpp"
#include "runtime/http/transport.hpp"

namespace swarm::http {

class session;

/// What an exchange and its session share. The session takes everything out in pull(); `owner` is valid while not null.
struct exchange_state {
  enum class answer { none, reply, stream, proxy, done, gone };

  std::mutex mutex;
  session* owner = nullptr;
  answer phase = answer::none;
  bool pull_posted = false;

  int status = 0;
  headers fields;
  std::string body;               // of a reply
  std::string pending;            // stream bytes, framed, not yet taken by the session
  std::size_t unsent = 0;         // pending and what the session has not handed to the kernel
  std::size_t outgoing_max = 0;
  std::size_t wanted = 0;         // size of the last chunk that was not taken
  bool chunked = false;
  bool no_body = false;           // HEAD, 204, 304
  bool head_taken = false;        // the session has begun the stream
  bool finished = false;
  bool aborted = false;
  std::string proxy_path;
  std::optional<request> proxy_request;
  response_filter filter;
  std::function<void()> on_close;
  std::function<void()> on_writable;
};

/// What sessions share with their server.
struct server_shared {
  limits lim;
  router route;
  handler handle;
  std::atomic<std::size_t> connections{0};
  std::atomic<std::uint64_t> accepted{0}, refused{0}, requests{0}, bad_requests{0}, stalled{0}, next_id{1};
  std::atomic<bool> stopping{false};

  std::mutex mutex;
  std::unordered_map<std::uint64_t, std::shared_ptr<session>> sessions;  // until closed: a silent one has no other owner
  std::function<void()> on_empty;  // a waiting stop()
};

/// Bytes in from the front, out at the back, without moving on each consume.
class byte_queue {
public:
  [[nodiscard]] std::string_view view() const { return std::string_view{data_}.substr(pos_); }
  [[nodiscard]] std::size_t size() const { return data_.size() - pos_; }
  [[nodiscard]] bool empty() const { return pos_ == data_.size(); }
  void append(std::string_view bytes) { data_ += bytes; }
  /// Gives memory back when all is consumed, so that an idle connection holds none.
  void consume(std::size_t n);

private:
  std::string data_;
  std::size_t pos_ = 0;
};

/// Everything runs on the session's strand. One request at a time: the next one is parsed only when the answer is
/// complete, which keeps pipelined answers in order and lets a hijack take over the connection safely.
class session : public std::enable_shared_from_this<session> {
public:
  session(const io_strand& strand, std::shared_ptr<server_shared> server, int fd, SSL* tls, peer_info peer);
  ~session();

  /// `over_limit`: answer 503 and close.
  void start(bool over_limit);
  /// From any thread: close when idle, else after the running answer; with `now`, at once.
  void stop(bool now);
  /// Takes what the exchange has for the client. On the strand.
  void pull();
  [[nodiscard]] const io_strand& strand() const { return strand_; }
  [[nodiscard]] std::uint64_t id() const { return id_; }

private:
  friend class proxy;
  enum class phase { handshake, idle, head, body, answering, proxying, lingering, closed };

  // reading (session.cpp)
  void handshake();
  void wait_input();
  void on_readable();
  void process();
  bool step();
  bool step_head();
  bool step_body();
  void on_head();
  void begin_body(std::size_t body_max);
  void dispatch();
  void client_half_closed();

  // writing (session_write.cpp)
  void send_reply(int status, const headers& fields, std::string_view body);
  void send_stream_head(int status, const headers& fields, bool chunked);
  void refuse_request(int status, std::string_view message, const headers& fields = {});
  void answer_done();
  void write(std::string_view bytes);
  void flush();
  void after_wait_write();
  void report_unsent();
  void linger();
  void close();
  void detach_exchange(bool client_gone);
  void begin_head(std::string& out, int status, const headers& fields) const;

  // deadlines (session.cpp)
  void set_deadline(duration d);
  void arm_timer();
  void on_timer();
  void on_deadline();

  void start_proxy(const std::string& path, response_filter filter, std::optional<std::string> body);

  io_strand strand_;
  std::shared_ptr<server_shared> server_;
  transport socket_;
  boost::asio::steady_timer timer_;
  std::uint64_t id_;
  peer_info peer_;

  phase phase_ = phase::idle;
  bool processing_ = false;
  bool reading_ = false;        // a read wait is pending
  bool writing_ = false;        // a write wait is pending
  bool client_eof_ = false;
  bool keep_alive_ = true;
  bool unread_body_ = false;    // request bytes are left on the wire: linger instead of closing
  bool close_after_flush_ = false;
  bool half_close_after_flush_ = false;
  bool lingering_ = false;
  bool head_request_ = false;   // of the request being answered
  int version_ = 11;
  bool stopping_ = false;

  byte_queue in_;
  byte_queue out_;
  head_parser parser_;
  body_decoder decoder_;
  request request_;
  std::size_t body_max_ = 0;
  std::size_t lingered_ = 0;
  steady_point body_started_{};

  steady_point deadline_ = steady_point::max();
  steady_point stall_ = steady_point::max();
  steady_point armed_ = steady_point::max();

  std::shared_ptr<exchange_state> exchange_;
  std::shared_ptr<class proxy> proxy_;
};

/// "HTTP/1.1 200 OK\r\n" and the fields, without framing fields and without anything that could split the head.
void append_head(std::string& out, int version, int status, std::string_view reason, const headers& fields,
                 bool keep_framing);
/// The same for fields alone.
void append_fields(std::string& out, const headers& fields, bool keep_framing);
/// "Date: …\r\n", computed once a second.
[[nodiscard]] std::string_view date_line();

} // namespace swarm::http
