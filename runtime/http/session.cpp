// The reading half of a client connection: heads, routing, bodies, deadlines.
#include "runtime/http/session.hpp"

#include <exception>

#include <boost/asio/post.hpp>

#include "runtime/http/proxy.hpp"
#include "runtime/text.hpp"

namespace swarm::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kept_capacity = 4 * 1024; // a buffer of this size stays with its connection
constexpr std::size_t linger_bytes_max = 256 * 1024;

} // namespace

void byte_queue::consume(std::size_t n) {
  pos_ += n;
  if (pos_ == data_.size()) {
    if (data_.capacity() > kept_capacity)
      std::string{}.swap(data_);
    else
      data_.clear();
    pos_ = 0;
  } else if (pos_ > read_piece && pos_ > data_.size() / 2) {
    data_.erase(0, pos_);
    pos_ = 0;
  }
}

session::session(const io_strand& strand, std::shared_ptr<server_shared> server, int fd, SSL* tls, peer_info peer)
  : strand_{strand}, server_{std::move(server)}, socket_{strand, fd, tls}, timer_{strand},
    id_{server_->next_id.fetch_add(1)}, peer_{std::move(peer)}, phase_{tls ? phase::handshake : phase::idle},
    parser_{head_parser::kind::request,
            {server_->lim.header_bytes, server_->lim.header_count, server_->lim.request_line_bytes, true}} {}

session::~session() = default;

void session::start(bool over_limit) {
  asio::post(strand_, [self = shared_from_this(), over_limit] {
    if (self->phase_ == phase::closed)
      return;
    if (over_limit) {
      self->server_->refused.fetch_add(1);
      if (self->phase_ == phase::handshake) // a handshake would cost more than the refusal is worth
        return self->close();
      self->unread_body_ = true;
      return self->refuse_request(503, "too many connections");
    }
    if (self->phase_ == phase::handshake) {
      self->set_deadline(self->server_->lim.header_deadline);
      return self->handshake();
    }
    self->set_deadline(self->server_->lim.keep_alive);
    self->wait_input();
  });
}

void session::stop(bool now) {
  asio::post(strand_, [self = shared_from_this(), now] {
    self->stopping_ = true;
    self->keep_alive_ = false;
    const bool idle = self->phase_ <= phase::head && self->out_.empty();
    if (now || idle)
      self->close();
  });
}

void session::handshake() {
  if (phase_ != phase::handshake)
    return;
  const auto r = socket_.handshake();
  const auto again = [self = shared_from_this()] { self->handshake(); };
  if (r.status == io_status::wait_read)
    return socket_.wait_read(again);
  if (r.status == io_status::wait_write)
    return socket_.wait_write(again);
  if (r.status != io_status::ok)
    return close();
  peer_.certificate_subject = socket_.peer_subject();
  phase_ = phase::idle;
  set_deadline(server_->lim.keep_alive);
  wait_input();
}

void session::wait_input() {
  if (reading_ || client_eof_ || phase_ == phase::closed)
    return;
  const bool hungry = phase_ == phase::head || phase_ == phase::body;
  if (!hungry && in_.size() >= server_->lim.pipelined_bytes)
    return;
  reading_ = true;
  socket_.wait_read([self = shared_from_this()] {
    self->reading_ = false;
    self->on_readable();
  });
}

void session::on_readable() {
  if (phase_ == phase::closed)
    return;
  auto* scratch = read_scratch();
  const auto r = socket_.read(scratch, read_piece);
  switch (r.status) {
    case io_status::ok:
      if (phase_ == phase::lingering) {
        lingered_ += r.bytes;
        return lingered_ > linger_bytes_max ? close() : wait_input();
      }
      in_.append({scratch, r.bytes});
      break;
    case io_status::wait_read: return wait_input();
    case io_status::wait_write: {
      reading_ = true;
      return socket_.wait_write([self = shared_from_this()] {
        self->reading_ = false;
        self->on_readable();
      });
    }
    case io_status::eof:
      client_eof_ = true;
      if (phase_ == phase::lingering)
        return out_.empty() ? close() : void();
      client_half_closed();
      break;
    case io_status::error: return close();
  }
  process();
}

// EOF from the client. Who still waits for a single answer may have only half-closed and gets it; a stream's reader
// that closes its side is taken as gone, as dockerd does.
void session::client_half_closed() {
  if (phase_ == phase::proxying)
    socket_.wait_hangup([self = shared_from_this()] { self->process(); });
  if (!exchange_)
    return;
  bool streaming = false;
  {
    const std::lock_guard lock{exchange_->mutex};
    streaming = exchange_->phase == exchange_state::answer::stream;
  }
  if (streaming || socket_.peer_gone())
    close();
}

void session::process() {
  if (processing_)
    return;
  const auto self = shared_from_this();
  processing_ = true;
  while (step()) {
  }
  processing_ = false;
  wait_input();
}

// One step of the state machine; false when it must wait for the socket or for an answer.
bool session::step() {
  switch (phase_) {
    case phase::idle:
    case phase::head: return step_head();
    case phase::body: return step_body();
    case phase::proxying: {
      const auto running = proxy_; // may end in here
      running->pump();
      return phase_ != phase::proxying;
    }
    default: return false;
  }
}

bool session::step_head() {
  if (out_.size() > server_->lim.outgoing_bytes) // a client that pipelines must also read
    return false;
  if (in_.empty()) {
    if (!client_eof_)
      return false;
    close_after_flush_ = true;
    if (out_.empty())
      close();
    return false;
  }
  if (phase_ == phase::idle) {
    phase_ = phase::head;
    set_deadline(server_->lim.header_deadline);
  }
  switch (parser_.parse(in_.view())) {
    case parse_state::failed:
      unread_body_ = true;
      version_ = 11;
      head_request_ = false;
      refuse_request(parser_.error().status, parser_.error().text);
      return false;
    case parse_state::need_more:
      if (client_eof_) {
        unread_body_ = true;
        refuse_request(400, "unexpected EOF");
      }
      return false;
    case parse_state::complete: on_head(); return true;
  }
  return false;
}

void session::on_head() {
  server_->requests.fetch_add(1);
  in_.consume(parser_.consumed());
  request_ = request{std::move(parser_.request()), {}};
  const auto frame = parser_.body();
  parser_.reset();
  request_.peer = peer_;
  request_.connection_id = id_;
  version_ = request_.version;
  head_request_ = request_.method == "HEAD";
  decoder_.reset(frame);
  const auto& fields = request_.headers;
  keep_alive_ = !stopping_ && !fields.has_token("Connection", "close")
                && (request_.version == 11 || fields.has_token("Connection", "keep-alive"));
  unread_body_ = request_.has_body;

  if (request_.method == "CONNECT" || request_.method == "TRACE")
    return refuse_request(405, "method not allowed");
  const auto expect = fields.get("Expect");
  if (!expect.empty() && !text::iequals(expect, "100-continue"))
    return refuse_request(417, "unknown expectation");
  route decision = handle{};
  try {
    decision = server_->route(request_);
  } catch (const std::exception&) {
    decision = refuse{500, "internal error", {}};
  }
  if (auto* pass = std::get_if<pass_through>(&decision)) {
    if (!pass->target.empty())
      request_.target = std::move(pass->target);
    start_proxy(pass->socket_path, std::move(pass->filter), std::nullopt);
  } else if (const auto* no = std::get_if<refuse>(&decision))
    refuse_request(no->status, no->message, no->headers);
  else
    begin_body(std::get<handle>(decision).body_bytes);
}

void session::begin_body(std::size_t body_max) {
  body_max_ = body_max ? body_max : server_->lim.body_bytes;
  if (decoder_.announced() > body_max_) {
    refuse_request(413, "request body too large: the limit is " + std::to_string(body_max_) + " bytes");
    return;
  }
  phase_ = phase::body;
  body_started_ = std::chrono::steady_clock::now();
  set_deadline(server_->lim.body_grace);
  if (request_.has_body && in_.empty() && request_.version == 11 && request_.headers.contains("Expect"))
    write("HTTP/1.1 100 Continue\r\n\r\n");
}

bool session::step_body() {
  const auto before = request_.body.size();
  in_.consume(decoder_.feed(in_.view(), &request_.body));
  if (decoder_.failed()) {
    refuse_request(400, decoder_.why());
    return false;
  }
  if (decoder_.announced() > body_max_) {
    refuse_request(413, "request body too large: the limit is " + std::to_string(body_max_) + " bytes");
    return false;
  }
  if (decoder_.complete()) {
    unread_body_ = false;
    dispatch();
    return true;
  }
  if (client_eof_) {
    refuse_request(400, "unexpected EOF");
    return false;
  }
  if (request_.body.size() != before && server_->lim.body_rate_min > 0) {
    const auto allowed = server_->lim.body_grace + seconds{request_.body.size() / server_->lim.body_rate_min};
    deadline_ = body_started_ + allowed;
  }
  return false;
}

void session::dispatch() {
  phase_ = phase::answering;
  set_deadline(server_->lim.answer_deadline);
  exchange_ = std::make_shared<exchange_state>();
  exchange_->owner = this;
  exchange_->outgoing_max = server_->lim.outgoing_bytes;
  exchange_->no_body = head_request_;
  exchange_->chunked = version_ == 11;
  auto ex = std::make_shared<exchange>(exchange_);
  try {
    server_->handle(ex, std::move(request_));
  } catch (const std::exception&) {
    ex->reply_error(500, "internal error");
  }
}

void session::start_proxy(const std::string& path, response_filter filter, std::optional<std::string> body) {
  phase_ = phase::proxying;
  deadline_ = steady_point::max();
  const auto started = std::make_shared<proxy>(*this, path, std::move(filter), std::move(body));
  proxy_ = started; // may have ended when start returns
  started->start();
}

void session::set_deadline(duration d) {
  deadline_ = deadline_in(d);
  arm_timer();
}

// The timer is moved only to earlier points; a late deadline is found when an earlier one passes. Most requests so
// never touch the timer queue.
void session::arm_timer() {
  const auto due = std::min(deadline_, stall_);
  if (due >= armed_ || phase_ == phase::closed)
    return;
  armed_ = due;
  timer_.expires_at(due);
  timer_.async_wait([self = weak_from_this()](const boost::system::error_code& error) {
    if (const auto s = self.lock(); s && !error)
      s->on_timer();
  });
}

void session::on_timer() {
  if (phase_ == phase::closed)
    return;
  armed_ = steady_point::max();
  const auto now = std::chrono::steady_clock::now();
  if (now >= stall_) {
    server_->stalled.fetch_add(1);
    return close();
  }
  if (now >= deadline_) {
    deadline_ = steady_point::max();
    on_deadline();
  }
  arm_timer();
}

void session::on_deadline() {
  switch (phase_) {
    case phase::handshake:
      server_->stalled.fetch_add(1);
      return close();
    case phase::idle:
      if (out_.empty())
        return close();
      if (stall_ == steady_point::max()) // left over from a pass-through answer
        stall_ = deadline_in(server_->lim.write_stall);
      return set_deadline(server_->lim.keep_alive);
    case phase::lingering: return close();
    case phase::head:
    case phase::body:
      server_->stalled.fetch_add(1);
      unread_body_ = true;
      return refuse_request(408, phase_ == phase::head ? "request header not complete in time" : "request body too slow");
    case phase::answering:
      detach_exchange(true);
      keep_alive_ = false;
      return send_reply(500, {{"Content-Type", "application/json"}}, error_body("context deadline exceeded"));
    default: return;
  }
}

} // namespace swarm::http
