// A request to the engine from connect to the end of the answer, with every way it can go wrong told apart.
#include "runtime/http/client_connection.hpp"

#include <cerrno>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

namespace swarm::http {

namespace asio = boost::asio;

namespace {

constexpr auto connect_retry = milliseconds{10}; // the backlog of a unix socket is full

bool is_raw_stream(const response_head& head) {
  const auto type = head.headers.get("Content-Type");
  return type.starts_with("application/vnd.docker.raw-stream")
         || type.starts_with("application/vnd.docker.multiplexed-stream");
}

} // namespace

client_connection::client_connection(const io_strand& strand, const client_options& options,
                                     std::function<void(client_connection&, bool)> on_idle)
  : strand_{strand}, options_{options}, on_idle_{std::move(on_idle)}, timer_{strand}, retry_timer_{strand},
    parser_{head_parser::kind::response, {options.header_bytes, header_count_max, options.header_bytes}} {}

void client_connection::run(std::shared_ptr<client_job> job) {
  job_ = std::move(job);
  used_before_ = socket_ != nullptr;
  have_head_ = hijacked_ = keep_ = paused_ = any_sent_ = close_write_ = false;
  parser_.reset();
  in_ = byte_queue{};
  out_ = byte_queue{};
  out_.append(job_->bytes);
  arm(job_->deadline);
  if (socket_)
    return flush();
  connect_deadline_ = deadline_in(options_.connect_timeout);
  connect();
}

bool client_connection::usable() {
  if (socket_ && !job_ && socket_->quiet())
    return true;
  close();
  return false;
}

void client_connection::connect() {
  if (!job_)
    return;
  if (!options_.tcp_host.empty())
    return connect_tcp();
  int error = 0;
  const int fd = connect_unix(options_.socket_path, error);
  if (fd >= 0) {
    socket_ = std::make_unique<transport>(strand_, fd, nullptr);
    return flush();
  }
  if (error == EAGAIN && std::chrono::steady_clock::now() < connect_deadline_) {
    retry_timer_.expires_after(connect_retry);
    retry_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& e) {
      if (!e)
        self->connect();
    });
    return;
  }
  done(false, {client_errc::cannot_connect,
               "cannot connect to " + name() + ": " + errno_text(error == EAGAIN ? ETIMEDOUT : error)});
}

// All addresses of the name, one after the other; the job's deadline bounds it.
void client_connection::connect_tcp() {
  struct attempt {
    asio::ip::tcp::resolver resolver;
    asio::ip::tcp::socket socket;
    bool over = false;
    explicit attempt(const io_strand& strand) : resolver{strand}, socket{strand} {}
  };
  const auto now = std::make_shared<attempt>(strand_);
  stop_connecting_ = [now] {
    boost::system::error_code ignored;
    now->over = true;
    now->resolver.cancel();
    now->socket.close(ignored);
  };
  const auto failed = [self = shared_from_this()](const boost::system::error_code& e) {
    self->done(false, {client_errc::cannot_connect, "cannot connect to " + self->name() + ": " + e.message()});
  };
  now->resolver.async_resolve(
    options_.tcp_host, std::to_string(options_.tcp_port), asio::ip::tcp::resolver::numeric_service,
    [self = shared_from_this(), now, failed](const boost::system::error_code& e, const asio::ip::tcp::resolver::results_type& found) {
      if (now->over)
        return;
      if (e)
        return failed(e);
      asio::async_connect(now->socket, found, [self, now, failed](boost::system::error_code e, const asio::ip::tcp::endpoint&) {
        if (now->over)
          return;
        if (!e)
          now->socket.native_non_blocking(true, e);
        if (e)
          return failed(e);
        self->stop_connecting_ = nullptr;
        self->socket_ = std::make_unique<transport>(self->strand_, now->socket.release(), nullptr);
        self->flush();
      });
    });
}

void client_connection::flush() {
  if (!job_ || writing_ || !socket_)
    return;
  const auto self = shared_from_this();
  while (!out_.empty()) {
    const auto data = out_.view();
    const auto r = socket_->write(data.data(), data.size());
    if (r.status == io_status::ok) {
      any_sent_ = true;
      out_.consume(r.bytes);
      continue;
    }
    if (r.status == io_status::wait_write) {
      writing_ = true;
      socket_->wait_write([self] {
        self->writing_ = false;
        self->flush();
      });
      break;
    }
    if (hijacked_ || have_head_) { // it may have closed its reading side only
      out_ = byte_queue{};
      break;
    }
    if (retry())
      return;
    // It may have refused early: what it said comes before the end.
    out_ = byte_queue{};
    break;
  }
  if (out_.empty() && close_write_ && socket_)
    socket_->shutdown_send();
  if (hijacked_ && on_sent)
    on_sent(out_.size());
  wait_read();
}

// A kept connection that the engine closed meanwhile looks like a failure of this request; it is not one when nothing
// was sent, or when sending twice does no harm.
bool client_connection::retry() {
  if (!used_before_ || parser_.started() || !in_.empty() || (any_sent_ && !job_->idempotent))
    return false;
  auto job = std::move(job_);
  close();
  run(std::move(job));
  return true;
}

void client_connection::wait_read() {
  if (!job_ || reading_ || paused_ || consuming_ || !socket_)
    return;
  reading_ = true;
  socket_->wait_read([self = shared_from_this()] {
    self->reading_ = false;
    self->read();
  });
}

void client_connection::read() {
  if (!job_ || paused_ || !socket_)
    return;
  auto* scratch = read_scratch();
  const auto r = socket_->read(scratch, read_piece);
  if (r.status == io_status::wait_read)
    return wait_read();
  if (r.status != io_status::ok)
    return on_eof();
  in_.append({scratch, r.bytes});
  if (have_head_ && job_->idle > duration::zero())
    arm(deadline_in(job_->idle));
  resume();
}

void client_connection::resume() {
  paused_ = false;
  if (consuming_ || !job_)
    return;
  const auto self = shared_from_this();
  consuming_ = true;
  while (job_ && !paused_ && on_bytes()) {
  }
  consuming_ = false;
  wait_read();
}

// One piece of what has arrived; false when more input is needed.
bool client_connection::on_bytes() {
  if (!have_head_)
    return !in_.empty() && on_head();
  if (hijacked_) {
    if (in_.empty())
      return false;
    const std::string piece{in_.view()};
    in_.consume(in_.size());
    deliver(piece);
    return true;
  }
  if (body_.complete()) {
    done(keep_ && in_.empty(), {});
    return false;
  }
  if (in_.empty())
    return false;
  std::string piece;
  in_.consume(body_.feed(in_.view(), &piece));
  if (body_.failed()) {
    done(false, {client_errc::garbage, name() + " sent a malformed body: " + body_.why()});
    return false;
  }
  if (body_.announced() > job_->body_bytes) {
    done(false, {client_errc::too_large, name() + " sent an answer larger than " + std::to_string(job_->body_bytes) + " bytes"});
    return false;
  }
  deliver(piece);
  return job_ != nullptr;
}

void client_connection::deliver(std::string_view piece) {
  const auto job = job_; // on_data may end it
  if (!piece.empty() && !job->on_data(piece) && job_ == job)
    paused_ = true;
}

bool client_connection::on_head() {
  switch (parser_.parse(in_.view())) {
    case parse_state::need_more: return false;
    case parse_state::failed:
      done(false, {client_errc::garbage, name() + " sent a malformed answer: " + parser_.error().text});
      return false;
    case parse_state::complete: break;
  }
  in_.consume(parser_.consumed());
  const auto frame = parser_.response_framing(job_->method);
  auto head = std::move(parser_.response());
  const bool interim = head.status < 200 && head.status != 101;
  keep_ = head.version == 11 && !head.headers.has_token("Connection", "close") && frame.kind != body_kind::until_close;
  parser_.reset();
  if (interim)
    return true;
  have_head_ = true;
  hijacked_ = job_->upgrade
              && (head.status == 101 || (frame.kind == body_kind::until_close && head.status == 200 && is_raw_stream(head)));
  if (head.status == 101 && !hijacked_) {
    done(false, {client_errc::garbage, name() + " switched protocols unasked"});
    return false;
  }
  body_.reset(frame);
  if (!job_->deadline_is_for_all)
    arm(job_->idle > duration::zero() ? deadline_in(job_->idle) : steady_point::max());
  const auto job = job_;
  job->on_head(std::move(head), hijacked_);
  return job_ != nullptr;
}

void client_connection::on_eof() {
  if (!have_head_ && in_.empty() && retry())
    return;
  if (hijacked_ || (have_head_ && body_.end_of_input()))
    return done(false, {});
  done(false, {client_errc::closed, name() + (have_head_ ? " closed the connection in the middle of the answer"
                                                         : " closed the connection before answering")});
}

void client_connection::arm(steady_point due) {
  due_ = due;
  if (due >= armed_)
    return;
  armed_ = due;
  timer_.expires_at(due);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& e) {
    if (const auto self = weak.lock(); self && !e)
      self->on_timer();
  });
}

void client_connection::on_timer() {
  armed_ = steady_point::max();
  if (!job_)
    return;
  if (paused_ && have_head_ && job_->idle > duration::zero()) // a paused reader is not the engine's silence
    due_ = deadline_in(job_->idle);
  if (std::chrono::steady_clock::now() < due_)
    return arm(due_);
  const bool connected = socket_ != nullptr;
  fail(connected ? client_errc::deadline : client_errc::cannot_connect,
       name() + (connected ? (have_head_ ? " fell silent in the middle of the answer" : " did not answer in time")
                           : " could not be reached in time"));
}

void client_connection::fail(client_errc code, const std::string& text) {
  if (job_)
    done(false, {code, text});
}

void client_connection::send(std::string bytes) {
  if (!job_ || !hijacked_)
    return;
  out_.append(bytes);
  flush();
}

void client_connection::close_write() {
  close_write_ = true;
  if (job_ && hijacked_)
    flush();
}

void client_connection::close() {
  retry_timer_.cancel();
  if (const auto stop = std::exchange(stop_connecting_, nullptr))
    stop();
  if (socket_)
    socket_->close();
  socket_.reset();
  reading_ = writing_ = false;
}

void client_connection::done(bool reusable, const client_error& error) {
  const auto self = shared_from_this();
  const auto job = std::move(job_);
  job_.reset();
  due_ = steady_point::max();
  on_sent = nullptr;
  reusable = reusable && out_.empty() && error.ok();
  if (!reusable)
    close();
  on_idle_(*this, reusable);
  job->on_end(error);
}

} // namespace swarm::http
