// Pass-through: request and answer relayed as bytes, bodies streamed, hijacked connections spliced with half-close.
#include "runtime/http/proxy.hpp"

#include <cerrno>

#include <boost/asio/post.hpp>

#include "runtime/text.hpp"

namespace swarm::http {
namespace {

constexpr auto connect_retry = milliseconds{10}; // a unix socket with a full backlog refuses without telling when to return
constexpr std::size_t relay_bytes_max = 2 * read_piece;
constexpr int rounds_per_turn = 16; // about 1 MiB, then other connections of this I/O thread get theirs

bool is_raw_stream(const response_head& head) {
  const auto type = head.headers.get("Content-Type");
  return type.starts_with("application/vnd.docker.raw-stream")
         || type.starts_with("application/vnd.docker.multiplexed-stream");
}

} // namespace

proxy::proxy(session& client, std::string path, response_filter filter, std::optional<std::string> body)
  : client_{client}, path_{std::move(path)}, filter_{std::move(filter)}, timer_{client.strand_},
    parser_{head_parser::kind::response,
            {client.server_->lim.header_bytes, client.server_->lim.header_count, client.server_->lim.request_line_bytes}} {
  request_done_ = body.has_value() || client_.decoder_.complete();
  if (body) {
    auto& fields = client_.request_.headers;
    const bool framed = fields.contains("Content-Length") || fields.contains("Transfer-Encoding");
    fields.remove("Transfer-Encoding");
    fields.remove("Expect");
    if (framed || !body->empty())
      fields.set("Content-Length", std::to_string(body->size()));
  }
  to_engine_.append(request_head_text());
  if (body)
    to_engine_.append(*body);
}

std::string proxy::request_head_text() const {
  const auto& req = client_.request_;
  const bool upgrade = req.version == 11 && req.headers.has_token("Connection", "upgrade");
  auto target = std::string_view{req.target};
  if (const auto scheme = target.find("://"); target[0] != '/' && target[0] != '*' && scheme != std::string_view::npos) {
    const auto path = target.find_first_of("/?", scheme + 3);
    target = path == std::string_view::npos ? std::string_view{"/"} : target.substr(path);
  }
  std::string out = req.method + ' ';
  if (target[0] == '?')
    out += '/';
  out += target;
  out += req.version == 10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n";
  for (const auto& f : req.headers) {
    const auto is = [&](std::string_view name) { return text::iequals(f.name, name); };
    if (is("Connection") || is("Keep-Alive") || is("Proxy-Connection") || (is("Upgrade") && !upgrade))
      continue;
    out += f.name + ": " + f.value + "\r\n";
  }
  out += upgrade ? "Connection: Upgrade\r\n\r\n" : "Connection: close\r\n\r\n";
  return out;
}

void proxy::start() {
  connect_deadline_ = deadline_in(client_.server_->lim.connect_timeout);
  connect();
}

void proxy::connect() {
  if (phase_ != phase::connecting)
    return;
  int error = 0;
  const int fd = connect_unix(path_, error);
  if (fd < 0) {
    if (error != EAGAIN || std::chrono::steady_clock::now() >= connect_deadline_)
      return cannot_connect(error == EAGAIN ? ETIMEDOUT : error);
    timer_.expires_after(connect_retry);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& e) {
      if (!e)
        self->connect();
    });
    return;
  }
  engine_ = std::make_unique<transport>(client_.strand_, fd, nullptr);
  phase_ = phase::head;
  pump();
}

void proxy::cannot_connect(int error) {
  phase_ = phase::ended;
  client_.unread_body_ = !request_done_;
  client_.keep_alive_ = client_.keep_alive_ && request_done_;
  client_.send_reply(503, {{"Content-Type", "application/json"}},
                     error_body("Cannot connect to the Docker Engine at unix://" + path_ + ": " + errno_text(error)));
}

void proxy::stop() {
  phase_ = phase::ended;
  timer_.cancel();
  if (engine_)
    engine_->close();
}

void proxy::pump() {
  if (pumping_) {
    again_ = true;
    return;
  }
  const auto self = shared_from_this();
  const auto keep = client_.shared_from_this();
  pumping_ = true;
  int rounds = 0;
  bool moved = true;
  while (moved && phase_ != phase::ended && phase_ != phase::connecting && rounds++ < rounds_per_turn) {
    again_ = false;
    moved = to_engine();
    if (phase_ != phase::ended)
      moved = from_engine() || moved;
    moved = moved || again_;
  }
  pumping_ = false;
  if (phase_ == phase::ended)
    return;
  if (rounds > rounds_per_turn)
    boost::asio::post(client_.strand_, [self] {
      if (self->phase_ != phase::ended)
        self->pump();
    });
  client_.wait_input();
}

// -- client → engine -------------------------------------------------------------------------------------------------

bool proxy::to_engine() {
  if (writing_)
    return false;
  const bool moved = to_engine_.empty() && take_from_client();
  if (phase_ == phase::ended)
    return false;
  const bool sent = flush_engine();
  if (phase_ != phase::ended && to_engine_.empty())
    client_ended();
  return moved || sent;
}

bool proxy::take_from_client() {
  auto& in = client_.in_;
  if (phase_ == phase::tunnel) {
    if (in.empty())
      return false;
    if (!engine_shut_)
      to_engine_.append(in.view());
    in.consume(in.size());
    return true;
  }
  if (request_done_)
    return false; // what follows is the next request, or waits for the hijack
  const auto used = client_.decoder_.feed(in.view(), nullptr);
  to_engine_.append(in.view().substr(0, used));
  in.consume(used);
  request_done_ = client_.decoder_.complete();
  client_.unread_body_ = !request_done_;
  const bool truncated = !request_done_ && client_.client_eof_ && in.empty();
  if (client_.decoder_.failed() || truncated) {
    phase_ = phase::ended;
    if (head_sent_)
      client_.close();
    else
      client_.refuse_request(400, truncated ? "unexpected EOF" : client_.decoder_.why());
    return false;
  }
  return used > 0;
}

bool proxy::flush_engine() {
  bool sent = false;
  while (!to_engine_.empty() && !writing_) {
    const auto data = to_engine_.view();
    const auto r = engine_->write(data.data(), data.size());
    if (r.status == io_status::ok) {
      to_engine_.consume(r.bytes);
      sent = true;
    } else if (r.status == io_status::wait_write) {
      wait_engine_write();
    } else {
      // The engine closed its reading side: it may have answered already, so what it sent is still relayed.
      to_engine_.consume(to_engine_.size());
      engine_shut_ = true;
      if (!request_done_) {
        client_.unread_body_ = true;
        client_.keep_alive_ = false;
        request_done_ = true;
      }
    }
  }
  return sent;
}

// The client's half-close reaches the engine when nothing of its bytes is left here. Before the answer to an upgrade
// it is held back, because it belongs to the hijacked stream.
void proxy::client_ended() {
  if (!client_.client_eof_ || !client_.in_.empty() || !request_done_)
    return;
  if (client_.socket_.peer_gone()) { // nobody is left to read
    phase_ = phase::ended;
    client_.close();
    return;
  }
  if (engine_shut_ || (phase_ == phase::head && client_.request_.headers.contains("Upgrade")))
    return;
  engine_shut_ = true;
  engine_->shutdown_send();
}

// -- engine → client -------------------------------------------------------------------------------------------------

bool proxy::from_engine() {
  if (!from_engine_.empty() && on_bytes())
    return true;
  if (phase_ == phase::ended)
    return false;
  if (engine_eof_ || reading_ || client_.out_.size() >= relay_bytes_max) {
    if (engine_eof_ && phase_ == phase::tunnel)
      end_tunnel_if_done();
    return false;
  }
  auto* scratch = read_scratch();
  const auto r = engine_->read(scratch, read_piece);
  switch (r.status) {
    case io_status::ok: from_engine_.append({scratch, r.bytes}); return true;
    case io_status::wait_read: wait_engine_read(); return false;
    default:
      engine_eof_ = true;
      on_engine_eof();
      return phase_ != phase::ended;
  }
}

bool proxy::on_bytes() {
  switch (phase_) {
    case phase::head: return on_head();
    case phase::body: return on_body();
    case phase::tunnel:
      client_.write(from_engine_.view());
      from_engine_.consume(from_engine_.size());
      return phase_ != phase::ended;
    default: return false;
  }
}

bool proxy::on_head() {
  switch (parser_.parse(from_engine_.view())) {
    case parse_state::need_more: return false;
    case parse_state::failed: engine_broke("malformed answer: " + parser_.error().text); return false;
    case parse_state::complete: break;
  }
  from_engine_.consume(parser_.consumed());
  const auto frame = parser_.response_framing(client_.request_.method);
  head_ = std::move(parser_.response());
  parser_.reset();
  if (head_.status < 200 && head_.status != 101) { // 100 Continue and its like: the real answer follows
    if (client_.version_ == 11) {
      std::string out;
      append_head(out, 11, head_.status, head_.reason, head_.headers, true);
      client_.write(out + "\r\n");
    }
    return true;
  }
  const bool hijacked = head_.status == 101
                        || (frame.kind == body_kind::until_close && head_.status == 200 && is_raw_stream(head_));
  if (filter_.head)
    filter_.head(head_);
  if (hijacked) {
    send_head_to_client(head_, true);
    phase_ = phase_ == phase::ended ? phase_ : phase::tunnel;
    request_done_ = true;
    return phase_ != phase::ended;
  }
  body_.reset(frame);
  buffering_ = filter_.body && frame.kind != body_kind::none;
  if (frame.kind == body_kind::until_close && !buffering_)
    client_.keep_alive_ = false;
  phase_ = phase::body;
  if (!buffering_)
    send_head_to_client(head_, false);
  if (phase_ != phase::ended && body_.complete())
    finish_answer();
  return phase_ != phase::ended;
}

void proxy::send_head_to_client(response_head& head, bool raw) {
  std::string out;
  if (head.reason.empty())
    head.reason = reason_phrase(head.status);
  if (!request_done_)
    client_.keep_alive_ = false; // answered before the request was complete: its rest cannot be told from a next one
  headers fields = head.headers;
  if (!raw) {
    fields.remove("Connection");
    fields.remove("Keep-Alive");
    if (!client_.keep_alive_)
      fields.add("Connection", "close");
    else if (client_.version_ == 10)
      fields.add("Connection", "keep-alive");
  }
  append_head(out, client_.version_, head.status, head.reason, fields, true);
  out += "\r\n";
  head_sent_ = true;
  client_.write(out);
}

bool proxy::on_body() {
  const auto data = from_engine_.view();
  const auto used = body_.feed(data, buffering_ ? &buffered_ : nullptr);
  if (body_.failed()) {
    engine_broke("malformed answer: " + body_.why());
    return false;
  }
  if (buffering_ && std::max<std::uint64_t>(body_.announced(), buffered_.size()) > filter_.body_bytes) {
    engine_broke("answer too large to edit");
    return false;
  }
  if (!buffering_)
    client_.write(data.substr(0, used));
  if (phase_ == phase::ended)
    return false;
  from_engine_.consume(used);
  if (body_.complete())
    finish_answer();
  return phase_ != phase::ended && used > 0;
}

void proxy::on_engine_eof() {
  switch (phase_) {
    case phase::head: return engine_broke("the engine closed the connection without an answer");
    case phase::body:
      if (!from_engine_.empty())
        return;
      if (body_.end_of_input())
        return finish_answer();
      return engine_broke("the engine closed the connection in the middle of an answer");
    case phase::tunnel: return end_tunnel_if_done();
    default: return;
  }
}

// The engine's output is over. Its half-close goes on to the client; when no direction is open any more, all ends.
void proxy::end_tunnel_if_done() {
  client_.half_close_after_flush_ = true;
  client_.flush();
  if (phase_ == phase::ended)
    return;
  if (!engine_shut_ && !engine_->peer_gone())
    return;
  phase_ = phase::ended;
  client_.keep_alive_ = false;
  client_.unread_body_ = !client_.client_eof_;
  client_.answer_done();
}

void proxy::finish_answer() {
  phase_ = phase::ended;
  if (!request_done_) {
    client_.keep_alive_ = false;
    client_.unread_body_ = true;
  }
  if (!buffering_)
    return client_.answer_done();
  std::string body;
  try {
    body = filter_.body(head_, std::move(buffered_));
  } catch (const std::exception&) {
    return engine_broke("its answer could not be edited");
  }
  auto fields = head_.headers;
  fields.remove("Transfer-Encoding");
  fields.remove("Trailer");
  client_.send_reply(head_.status, fields, body);
}

void proxy::engine_broke(const std::string& why) {
  phase_ = phase::ended;
  if (head_sent_)
    return client_.close(); // the client sees a truncated answer, as it would without us
  if (!request_done_) {
    client_.keep_alive_ = false;
    client_.unread_body_ = true;
  }
  client_.send_reply(502, {{"Content-Type", "application/json"}},
                     error_body("Bad answer from the Docker Engine at unix://" + path_ + ": " + why));
}

void proxy::wait_engine_read() {
  reading_ = true;
  engine_->wait_read([self = shared_from_this()] {
    self->reading_ = false;
    if (self->phase_ != phase::ended)
      self->pump();
  });
}

void proxy::wait_engine_write() {
  writing_ = true;
  engine_->wait_write([self = shared_from_this()] {
    self->writing_ = false;
    if (self->phase_ != phase::ended)
      self->pump();
  });
}

} // namespace swarm::http
