// The listener, and who is connected.
#include "runtime/link/endpoint.hpp"

#include <cerrno>
#include <condition_variable>
#include <future>
#include <map>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/link/address.hpp"
#include "runtime/link/session.hpp"
#include "runtime/log.hpp"

namespace swarm::link {

namespace asio = boost::asio;

namespace {

constexpr int backlog = 1024;
constexpr int accepts_per_wakeup = 64;
constexpr auto accept_pause = milliseconds{100}; // out of descriptors: let some close
constexpr auto stop_grace = seconds{5};

std::atomic<std::uint64_t> next_id{1};

} // namespace

struct endpoint::shared : std::enable_shared_from_this<endpoint::shared> {
  std::shared_ptr<credential_store> who;
  std::shared_ptr<const events> notify;
  limits lim;
  std::shared_ptr<counters> count = std::make_shared<counters>();
  std::atomic<std::uint64_t> accepted{0}, refused{0}, dialled{0};

  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::uint64_t, std::shared_ptr<session>> sessions;
  std::map<std::uint64_t, std::string> strangers;     ///< accepted, not known to be nodes: where from
  std::map<std::string, std::size_t> per_address;     ///< of `strangers`
  std::shared_ptr<listener> door;
  bool stopping = false;

  // With the mutex held.
  void no_stranger(std::uint64_t id) {
    const auto it = strangers.find(id);
    if (it == strangers.end())
      return;
    if (const auto count_of = per_address.find(it->second); --count_of->second == 0)
      per_address.erase(count_of);
    strangers.erase(it);
  }

  session_setup setup_for(std::uint64_t id, std::string addr, std::shared_ptr<const tls_identity> tls) {
    session_setup out;
    out.id = id;
    out.addr = std::move(addr);
    out.tls = std::move(tls);
    out.lim = lim;
    out.notify = notify;
    out.count = count;
    out.known = [self = shared_from_this(), id] {
      const std::lock_guard lock{self->mutex};
      self->no_stranger(id);
    };
    out.ended = [self = shared_from_this(), id] {
      const std::lock_guard lock{self->mutex};
      self->no_stranger(id);
      self->sessions.erase(id);
      self->changed.notify_all();
    };
    return out;
  }

  void accept(asio::io_context& context, int fd, const sockaddr_storage& from) {
    const auto id = next_id.fetch_add(1);
    auto setup = setup_for(id, address_text(from), who->current());
    setup.check.expected.cluster_id = setup.tls->cluster_id;
    std::shared_ptr<session> made;
    {
      const std::lock_guard lock{mutex};
      const auto group = address_group(from);
      const auto known = per_address.find(group);
      if (stopping || sessions.size() >= lim.connections || strangers.size() >= lim.strangers ||
          (known != per_address.end() && known->second >= lim.strangers_per_address)) {
        refused.fetch_add(1);
        ::close(fd);
        return;
      }
      made = std::make_shared<session>(context, std::move(setup), fd);
      sessions.emplace(id, made);
      strangers.emplace(id, group);
      ++per_address[group];
    }
    accepted.fetch_add(1);
    made->start();
  }
};

class endpoint::listener : public std::enable_shared_from_this<endpoint::listener> {
public:
  listener(asio::io_context& context, std::weak_ptr<shared> owner, int fd)
    : context_{context}, strand_{asio::make_strand(context)}, socket_{strand_, fd, nullptr}, timer_{strand_},
      owner_{std::move(owner)} {}

  void start() {
    asio::post(strand_, [self = shared_from_this()] { self->wait(); });
  }
  /// The address is free again when it returns, unless it is called on an I/O thread or nobody runs them any more.
  void stop(bool wait) {
    const auto done = std::make_shared<std::promise<void>>();
    asio::post(strand_, [self = shared_from_this(), done] {
      self->socket_.close();
      self->timer_.cancel();
      done->set_value();
    });
    if (wait)
      done->get_future().wait_for(stop_grace);
  }

private:
  void wait() {
    if (socket_.is_open())
      socket_.wait_read([self = shared_from_this()] { self->accept(); });
  }

  void accept() {
    const auto owner = owner_.lock();
    for (int i = 0; owner && i < accepts_per_wakeup && socket_.is_open(); ++i) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      const int fd = ::accept4(socket_.fd(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        owner->accept(context_, fd, from);
        continue;
      }
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        timer_.expires_after(accept_pause);
        timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
          if (!error)
            self->wait();
        });
        return;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK)
        break;
    }
    wait();
  }

  asio::io_context& context_;
  http::io_strand strand_;
  http::transport socket_;
  asio::steady_timer timer_;
  std::weak_ptr<shared> owner_;
};

endpoint::endpoint(io_threads& io, std::shared_ptr<credential_store> who, events notify, limits lim)
  : io_{io}, shared_{std::make_shared<shared>()} {
  shared_->who = std::move(who);
  shared_->notify = std::make_shared<const events>(std::move(notify));
  shared_->lim = lim;
}

endpoint::~endpoint() { stop(); }

failure endpoint::listen(const std::string& addr, std::string* bound) {
  const auto tls = shared_->who->current();
  if (!tls || !tls->has_roots || tls->self.role == PEER_ROLE_ANYONE)
    return {errc::invalid_argument, "this node has no certificate to listen with"};
  const auto at = parse_socket_address(addr);
  if (!at)
    return {errc::invalid_argument, "\"" + addr + "\" is not IP:PORT"};
  stop_listening();
  const int fd = ::socket(at->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0)
    return {errc::unavailable, "socket: " + http::errno_text(errno)};
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&at->storage), at->size) != 0 || ::listen(fd, backlog) != 0) {
    const auto text = http::errno_text(errno);
    ::close(fd);
    return {errc::unavailable, "cannot listen on " + addr + ": " + text};
  }
  if (bound) {
    socket_address real;
    real.size = sizeof real.storage;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&real.storage), &real.size);
    *bound = address_text(real.storage);
  }
  auto door = std::make_shared<listener>(io_.context(), shared_, fd);
  {
    const std::lock_guard lock{shared_->mutex};
    shared_->door = door;
  }
  door->start();
  return {};
}

void endpoint::stop_listening() {
  std::shared_ptr<listener> door;
  {
    const std::lock_guard lock{shared_->mutex};
    door.swap(shared_->door);
  }
  if (door)
    door->stop(!io_.on_io_thread());
}

connection_ptr endpoint::dial(const dial_options& to) {
  auto tls = shared_->who->current();
  if (!tls || (to.verify && !tls->has_roots))
    return nullptr;
  const auto id = next_id.fetch_add(1);
  auto setup = shared_->setup_for(id, to.addr, tls);
  setup.check.dialled = true;
  setup.check.verify = to.verify;
  setup.check.expected = {tls->cluster_id, to.expect_node_id, true};
  auto made = std::make_shared<session>(io_.context(), std::move(setup));
  {
    const std::lock_guard lock{shared_->mutex};
    if (shared_->stopping)
      return nullptr;
    shared_->sessions.emplace(id, made);
  }
  shared_->dialled.fetch_add(1);
  made->start();
  return made;
}

void endpoint::stop() {
  stop_listening();
  std::vector<std::shared_ptr<session>> all;
  {
    const std::lock_guard lock{shared_->mutex};
    shared_->stopping = true;
    for (const auto& [id, one] : shared_->sessions)
      all.push_back(one);
  }
  for (const auto& one : all)
    one->close({errc::unavailable, "this node is stopping"});
  if (io_.on_io_thread())
    return;
  // Bounded, should the I/O threads have been stopped already.
  std::unique_lock lock{shared_->mutex};
  shared_->changed.wait_for(lock, all.empty() ? duration{} : duration{stop_grace}, [&] { return shared_->sessions.empty(); });
}

endpoint_stats endpoint::stats() const {
  endpoint_stats out;
  {
    const std::lock_guard lock{shared_->mutex};
    out.connections = shared_->sessions.size();
    out.strangers = shared_->strangers.size();
  }
  const auto& c = *shared_->count;
  out.accepted = shared_->accepted;
  out.refused = shared_->refused;
  out.dialled = shared_->dialled;
  out.handshakes_failed = c.handshakes_failed;
  out.malformed = c.malformed;
  out.silent = c.silent;
  out.stalled = c.stalled;
  out.frames_in = c.frames_in;
  out.frames_out = c.frames_out;
  out.bytes_in = c.bytes_in;
  out.bytes_out = c.bytes_out;
  return out;
}

} // namespace swarm::link
