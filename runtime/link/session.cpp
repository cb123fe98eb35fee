// Everything here runs on the session's strand, but for the public calls, which only touch the queue or post.
#include "runtime/link/session.hpp"

#include <algorithm>
#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <openssl/err.h>

#include "runtime/check.hpp"

namespace swarm::link {

namespace asio = boost::asio;

namespace {

constexpr std::size_t coalesce_bytes = 16 * 1024;   // one TLS record
constexpr int unsent_low_water = 128 * 1024;        // more in the kernel would make urgent frames wait behind it
constexpr int reads_per_wakeup = 16;
constexpr duration shortest_period = milliseconds{20};
constexpr duration longest_silence = minutes{5};    // whatever a peer says
constexpr int periods_per_silence = 6;
constexpr std::string_view software = "swarm-node";

std::string seconds_text(duration d) {
  const auto ms = std::chrono::duration_cast<milliseconds>(d).count();
  return std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s";
}

wall_ns wall_now() {
  return std::chrono::duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void prepare_socket(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_low_water, sizeof unsent_low_water);
}

} // namespace

session::session(asio::io_context& context, session_setup setup)
  : setup_{std::move(setup)}, strand_{asio::make_strand(context)}, timer_{strand_},
    reader_{setup_.lim.stranger_frame_bytes}, queue_{setup_.lim.send_queues} {}

session::session(asio::io_context& context, session_setup setup, int fd) : session{context, std::move(setup)} {
  prepare_socket(fd);
  ssl_ = make_link_ssl(*setup_.tls, fd, setup_.check);
  socket_ = std::make_unique<http::transport>(strand_, fd, ssl_);
}

void session::start() {
  asio::post(strand_, [self = shared_from_this()] {
    if (self->stage_ == stage::closed)
      return;
    self->arm(self->setup_.lim.handshake);
    if (self->socket_) {
      self->stage_ = stage::tls;
      self->handshake();
    } else {
      self->resolve();
    }
  });
}

// -- becoming a link -----------------------------------------------------------------------------------------------------

void session::resolve() {
  if (const auto numeric = parse_socket_address(setup_.addr))
    return connect(*numeric);
  const auto parts = split_host_port(setup_.addr);
  if (!parts)
    return fail({errc::invalid_argument, "\"" + setup_.addr + "\" is not HOST:PORT"});
  resolver_.emplace(strand_);
  resolver_->async_resolve(parts->host, parts->port,
                           [self = shared_from_this()](const boost::system::error_code& error, const auto& found) {
    if (self->stage_ == stage::closed)
      return;
    if (error || found.empty())
      return self->fail({errc::unavailable, "cannot find " + self->setup_.addr + ": " + error.message()});
    socket_address to;
    const auto endpoint = found.begin()->endpoint();
    to.size = static_cast<socklen_t>(endpoint.size());
    std::memcpy(&to.storage, endpoint.data(), endpoint.size());
    self->connect(to);
  });
}

void session::connect(const socket_address& to) {
  const int fd = ::socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0)
    return fail({errc::resource_exhausted, "socket: " + http::errno_text(errno)});
  prepare_socket(fd);
  arm(std::min(setup_.lim.connect, setup_.lim.handshake));
  const int failed = ::connect(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0 ? 0 : errno;
  ssl_ = make_link_ssl(*setup_.tls, fd, setup_.check);
  socket_ = std::make_unique<http::transport>(strand_, fd, ssl_);
  if (failed != 0 && failed != EINPROGRESS)
    return fail({errc::unavailable, setup_.addr + ": " + http::errno_text(failed)});
  socket_->wait_write([self = shared_from_this()] { self->connected(); });
}

void session::connected() {
  if (stage_ != stage::connecting)
    return;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket_->fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0)
    return fail({errc::unavailable, setup_.addr + ": " + http::errno_text(error)});
  stage_ = stage::tls;
  arm(std::max(duration{}, setup_.lim.handshake - (clock::now() - started_)));
  handshake();
}

void session::handshake() {
  if (stage_ != stage::tls)
    return;
  const auto result = socket_->handshake();
  switch (result.status) {
    case http::io_status::ok: return say_hello();
    case http::io_status::wait_read: return socket_->wait_read([self = shared_from_this()] { self->handshake(); });
    case http::io_status::wait_write: return socket_->wait_write([self = shared_from_this()] { self->handshake(); });
    default: return fail_handshake("TLS with " + setup_.addr, result.error);
  }
}

void session::say_hello() {
  stage_ = stage::hello;
  peer_ = peer_identity(ssl_);
  heard_ = said_ = clock::now();
  LinkHello hello;
  hello.set_major(protocol_major);
  hello.set_minor(protocol_minor);
  hello.set_software(std::string{software});
  hello.set_silence_ms(static_cast<std::uint32_t>(std::chrono::duration_cast<milliseconds>(own_silence()).count()));
  Envelope first;
  first.set_type("LinkHello");
  first.set_payload(hello.SerializeAsString());
  send(priority::urgent, first);
  paused_ = false;
  read();
}

void session::hear_hello(const Envelope& first) {
  if (first.kind() != Envelope::KIND_TELL || first.type() != "LinkHello" || !hello_.ParseFromString(first.payload()) ||
      hello_.major() == 0) {
    setup_.count->malformed.fetch_add(1);
    return fail({errc::invalid_argument, "the peer does not begin with a hello"});
  }
  if (hello_.major() != protocol_major)
    return fail({errc::failed_precondition, "the peer (" + hello_.software().substr(0, 64) + ") speaks link protocol " +
                                                std::to_string(hello_.major()) + "." + std::to_string(hello_.minor()) +
                                                ", this node " + std::to_string(protocol_major) + "." +
                                                std::to_string(protocol_minor)});
  peer_silence_ = hello_.silence_ms() == 0 ? own_silence() : std::min<duration>(milliseconds{hello_.silence_ms()}, longest_silence);
  stage_ = stage::up;
  paused_ = true; // until receive()
  if (peer_.role != PEER_ROLE_ANYONE) {
    reader_.set_max(setup_.lim.frame_bytes);
    parts_.set_max(peer_.role == PEER_ROLE_MANAGER ? setup_.lim.message_bytes : setup_.lim.message_bytes_of_workers);
    setup_.known();
  }
  last_tick_ = clock::now();
  period_ = std::max(shortest_period, std::min(own_silence(), peer_silence_) / periods_per_silence);
  arm(period_);
  setup_.notify->up(shared_from_this());
}

duration session::own_silence() const {
  const bool managers = peer_.role == PEER_ROLE_MANAGER && setup_.tls->self.role == PEER_ROLE_MANAGER;
  return managers ? setup_.lim.silence_of_managers : setup_.lim.silence;
}

// -- reading -------------------------------------------------------------------------------------------------------------

void session::read() {
  auto* const scratch = http::read_scratch();
  for (int i = 0; i < reads_per_wakeup && !paused_ && stage_ != stage::closed; ++i) {
    const auto result = socket_->read(scratch, http::read_piece);
    if (result.status == http::io_status::ok) {
      take({scratch, result.bytes});
      continue;
    }
    deliver();
    if (stage_ == stage::closed || reading_)
      return;
    if (result.status == http::io_status::eof || result.status == http::io_status::error) {
      if (stage_ != stage::up)
        return fail_handshake("hello of " + setup_.addr, result.error);
      return lost(result.error);
    }
    reading_ = true;
    const auto again = [self = shared_from_this()] {
      self->reading_ = false;
      self->read();
    };
    return result.status == http::io_status::wait_write ? socket_->wait_write(again) : socket_->wait_read(again);
  }
  deliver();
  if (paused_ || stage_ == stage::closed || reading_)
    return;
  // Others on this thread get their turn.
  reading_ = true;
  asio::post(strand_, [self = shared_from_this()] {
    self->reading_ = false;
    self->read();
  });
}

// Frames that came together with the hello stay in reader_ until somebody receives.
void session::take(std::string_view bytes) {
  heard_ = clock::now();
  setup_.count->bytes_in.fetch_add(bytes.size(), std::memory_order_relaxed);
  reader_.feed(bytes);
  Envelope envelope;
  while (stage_ == stage::hello || (stage_ == stage::up && receiver_)) {
    const auto got = reader_.next(envelope);
    if (got == frame_reader::outcome::need_more)
      return;
    if (got != frame_reader::outcome::envelope) {
      deliver();
      setup_.count->malformed.fetch_add(1);
      return fail({errc::invalid_argument, got == frame_reader::outcome::too_large ? "the peer's frame is larger than allowed"
                                                                                   : "the peer's frame is malformed"});
    }
    setup_.count->frames_in.fetch_add(1, std::memory_order_relaxed);
    if (stage_ == stage::hello) {
      hear_hello(envelope);
      continue;
    }
    if (envelope.kind() == Envelope::KIND_ERROR && envelope.request_id() == 0) {
      // A goodbye, with the reason that the end of the connection after it would hide.
      deliver();
      const auto code = envelope.code() <= static_cast<std::uint32_t>(errc::storage_failed) && envelope.code() != 0
                            ? static_cast<errc>(envelope.code())
                            : errc::unavailable;
      return fail({code, envelope.message()});
    }
    const auto part = parts_.take(envelope);
    if (part == assembler::outcome::whole) {
      batch_bytes_ += frame_header_bytes + envelope.ByteSizeLong();
      batch_.push_back(std::move(envelope));
    } else if (part != assembler::outcome::partial) {
      deliver();
      setup_.count->malformed.fetch_add(1);
      return fail({errc::invalid_argument, part == assembler::outcome::too_large ? "the peer's message is larger than allowed"
                                                                                 : "the peer's parts do not fit together"});
    }
    envelope.Clear();
  }
}

void session::deliver() {
  if (batch_.empty() || stage_ == stage::closed)
    return;
  unread_ += batch_bytes_;
  paused_ = unread_ > setup_.lim.unread_bytes;
  auto batch = std::exchange(batch_, {});
  receiver_(std::move(batch), std::exchange(batch_bytes_, 0));
}

void session::receive(receiver to) {
  asio::post(strand_, [self = shared_from_this(), to = std::move(to)]() mutable {
    if (self->stage_ != stage::up || self->receiver_)
      return;
    self->receiver_ = std::move(to);
    self->heard_ = clock::now();
    self->paused_ = false;
    self->take({});
    self->read();
  });
}

void session::consumed(std::size_t bytes) {
  asio::post(strand_, [self = shared_from_this(), bytes] {
    self->unread_ -= std::min(bytes, self->unread_);
    if (!self->paused_ || self->stage_ != stage::up || self->unread_ > self->setup_.lim.unread_bytes / 2)
      return;
    self->heard_ = clock::now();
    self->paused_ = false;
    self->read();
  });
}

// -- writing -------------------------------------------------------------------------------------------------------------

sent session::send(priority of, const Envelope& envelope) {
  if (envelope.payload().size() > setup_.lim.message_bytes)
    return sent::full;
  auto frames = encode_frames(envelope, static_cast<std::size_t>(of));
  const std::lock_guard lock{mutex_};
  if (closed_)
    return sent::closed;
  if (!queue_.push(of, std::move(frames)))
    return sent::full;
  request_flush();
  return sent::queued;
}

// With the mutex held.
void session::request_flush() {
  if (std::exchange(flush_posted_, true))
    return;
  asio::post(strand_, [self = shared_from_this()] { self->flush(); });
}

// Small frames go out together, large ones as they are.
bool session::refill() {
  const std::lock_guard lock{mutex_};
  out_.clear();
  out_at_ = 0;
  std::string frame;
  std::uint64_t frames = 0;
  while (out_.size() < coalesce_bytes && queue_.pop(frame)) {
    ++frames;
    if (out_.empty())
      out_ = std::move(frame);
    else
      out_ += frame;
  }
  setup_.count->frames_out.fetch_add(frames, std::memory_order_relaxed);
  flush_posted_ = !out_.empty();
  return flush_posted_;
}

void session::flush() {
  if (stage_ == stage::closed || writing_ || stage_ < stage::hello)
    return;
  while (out_at_ < out_.size() || refill()) {
    const auto result = socket_->write(out_.data() + out_at_, out_.size() - out_at_);
    if (result.status == http::io_status::ok) {
      said_ = clock::now();
      blocked_ = false;
      out_at_ += result.bytes;
      setup_.count->bytes_out.fetch_add(result.bytes, std::memory_order_relaxed);
      continue;
    }
    if (result.status == http::io_status::error || result.status == http::io_status::eof)
      return lost(result.error);
    writing_ = true;
    if (!std::exchange(blocked_, true))
      progress_ = clock::now();
    const auto again = [self = shared_from_this()] {
      self->writing_ = false;
      self->flush();
    };
    return result.status == http::io_status::wait_read ? socket_->wait_read(again) : socket_->wait_write(again);
  }
}

// -- time and the end ----------------------------------------------------------------------------------------------------

void session::arm(duration after) {
  timer_.expires_after(after);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && self->stage_ != stage::closed)
      self->tick();
  });
}

void session::tick() {
  const auto now = clock::now();
  if (stage_ != stage::up)
    return fail_handshake("no link with " + setup_.addr + " within " +
                            seconds_text(stage_ == stage::connecting && socket_ ? setup_.lim.connect : setup_.lim.handshake), ETIMEDOUT);
  const auto silence = own_silence();
  // This process itself was held up: what the peer has said meanwhile is still unread.
  if (now - std::exchange(last_tick_, now) > period_ + silence / 2)
    heard_ = progress_ = now;
  if (peer_.role == PEER_ROLE_ANYONE && now - started_ > setup_.lim.stranger_life)
    return fail({errc::deadline_exceeded, "a link without a certificate lives for " + seconds_text(setup_.lim.stranger_life)});
  if (peer_.not_after != 0 && wall_now() > peer_.not_after)
    return fail({errc::permission_denied, "the peer's certificate has expired"});
  if (!paused_ && now - heard_ > silence) {
    setup_.count->silent.fetch_add(1);
    return fail({errc::unavailable, "the peer has been silent for " + seconds_text(silence)});
  }
  if (blocked_ && now - progress_ > setup_.lim.stall) {
    setup_.count->stalled.fetch_add(1);
    return fail({errc::unavailable, "the peer has taken nothing for " + seconds_text(setup_.lim.stall)});
  }
  if (now - said_ >= peer_silence_ / 3) {
    const std::lock_guard lock{mutex_};
    if (queue_.empty() && queue_.push(priority::urgent, {keepalive_frame()}))
      request_flush();
  }
  arm(period_);
}

void session::close(failure why) {
  asio::post(strand_, [self = shared_from_this(), why = std::move(why)]() mutable { self->fail(std::move(why)); });
}

void session::fail_handshake(const std::string& what, int error) {
  if (stage_ == stage::closed)
    return;
  setup_.count->handshakes_failed.fetch_add(1);
  const auto late = error == ETIMEDOUT;
  fail({late ? errc::deadline_exceeded : errc::unavailable,
        late ? what : what + ": " + tls_failure_text(setup_.check, error)});
}

// The socket has ended. Error 0: the peer had said so before; the others but the first are the network's.
void session::lost(int error) {
  broke_off_ = error == ECONNRESET || error == EPIPE || error == EPROTO;
  fail({errc::unavailable, tls_failure_text(setup_.check, error)});
}

void session::fail(failure why) {
  if (stage_ == stage::closed)
    return;
  const bool was_up = stage_ == stage::up;
  const bool tls_done = stage_ == stage::up || stage_ == stage::hello;
  stage_ = stage::closed;
  {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    queue_.clear();
  }
  timer_.cancel();
  if (resolver_)
    resolver_->cancel();
  if (socket_) {
    if (tls_done)
      socket_->shutdown_send();
    ERR_clear_error();
    socket_->close();
  }
  receiver_ = nullptr;
  batch_.clear();
  if (was_up || setup_.check.dialled)
    setup_.notify->down(shared_from_this(), why);
  setup_.ended(); // after the last call: stop() waits for it
}

} // namespace swarm::link
