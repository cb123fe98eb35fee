// Listeners of the HTTP server, their socket files, and the orderly end.
#include "runtime/http/server.hpp"

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <vector>

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "runtime/http/session.hpp"

namespace swarm::http {

namespace asio = boost::asio;

namespace {

constexpr int backlog = 1024;
constexpr auto accept_pause = milliseconds{100};   // out of descriptors: let some close
constexpr std::size_t refused_at_once_max = 128;   // over-limit clients that get an answer; the rest is just closed
constexpr int accepts_per_wakeup = 64;

failure failed(errc code, const std::string& what, int error) {
  return {code, what + ": " + errno_text(error)};
}

// A socket file nobody answers on is what a killed process leaves behind.
failure clear_stale(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? failure{} : failed(errc::unavailable, path, errno);
  if (!S_ISSOCK(info.st_mode))
    return {errc::already_exists, path + " exists and is not a socket"};
  int error = 0;
  const int fd = connect_unix(path, error);
  if (fd >= 0)
    ::close(fd);
  if (fd >= 0 || error != ECONNREFUSED)
    return {errc::already_exists, path + ": another process listens there"};
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return failed(errc::permission_denied, "cannot remove stale socket " + path, errno);
  return {};
}

std::string address_text(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = {};
  if (from.ss_family == AF_INET) {
    const auto& a = reinterpret_cast<const sockaddr_in&>(from);
    ::inet_ntop(AF_INET, &a.sin_addr, text, sizeof text);
    return std::string{text} + ":" + std::to_string(ntohs(a.sin_port));
  }
  const auto& a = reinterpret_cast<const sockaddr_in6&>(from);
  ::inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof text);
  return "[" + std::string{text} + "]:" + std::to_string(ntohs(a.sin6_port));
}

bool parse_address(const tcp_endpoint& endpoint, sockaddr_storage& out, socklen_t& size, bool& loopback) {
  auto& v4 = reinterpret_cast<sockaddr_in&>(out);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  if (::inet_pton(AF_INET, endpoint.address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    size = sizeof v4;
    loopback = (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
    return true;
  }
  if (::inet_pton(AF_INET6, endpoint.address.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    size = sizeof v6;
    loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    return true;
  }
  return false;
}

peer_info describe_peer(int fd, bool local) {
  peer_info peer;
  peer.local = local;
  if (local) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
      peer.pid = credentials.pid;
      peer.uid = credentials.uid;
      peer.gid = credentials.gid;
    }
    return peer;
  }
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&from), &size) == 0)
    peer.address = address_text(from);
  // Half-open clients (no FIN) are found in about a minute and a half, also behind a silent stream.
  const int on = 1, idle = 60, interval = 10, probes = 3;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  return peer;
}

class listener : public std::enable_shared_from_this<listener> {
public:
  listener(asio::io_context& context, std::shared_ptr<server_shared> shared, int fd, bool local)
    : context_{context}, strand_{asio::make_strand(context)}, shared_{std::move(shared)}, socket_{strand_, fd, nullptr},
      timer_{strand_}, local_{local} {}

  void start() {
    asio::post(strand_, [self = shared_from_this()] { self->wait(); });
  }
  void stop() {
    if (!path.empty()) {
      struct stat info {};
      if (::lstat(path.c_str(), &info) == 0 && info.st_ino == inode)
        ::unlink(path.c_str());
      path.clear();
    }
    asio::post(strand_, [self = shared_from_this()] {
      self->socket_.close();
      self->timer_.cancel();
    });
  }

  tls_context tls;
  std::string path;      // of a unix socket, removed at stop if it is still ours
  ino_t inode = 0;

private:
  void wait() {
    if (socket_.is_open())
      socket_.wait_read([self = shared_from_this()] { self->accept(); });
  }

  void accept() {
    for (int i = 0; i < accepts_per_wakeup && socket_.is_open(); ++i) {
      const int fd = ::accept4(socket_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        open(fd);
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

  void open(int fd) {
    const auto open_now = shared_->connections.load();
    if (shared_->stopping || open_now >= shared_->lim.connections + refused_at_once_max) {
      shared_->refused.fetch_add(1);
      ::close(fd);
      return;
    }
    shared_->connections.fetch_add(1);
    shared_->accepted.fetch_add(1);
    SSL* ssl = tls ? make_ssl(tls.get(), fd, true) : nullptr;
    const auto s = std::make_shared<session>(asio::make_strand(context_), shared_, fd, ssl, describe_peer(fd, local_));
    {
      const std::lock_guard lock{shared_->mutex};
      shared_->sessions.emplace(s->id(), s);
    }
    s->start(open_now >= shared_->lim.connections);
    if (shared_->stopping) // stop() may have listed the sessions just before
      s->stop(true);
  }

  asio::io_context& context_;
  io_strand strand_;
  std::shared_ptr<server_shared> shared_;
  transport socket_;
  asio::steady_timer timer_;
  bool local_;
};

} // namespace

struct server::impl {
  explicit impl(io_threads& threads) : io{threads} {}

  io_threads& io;
  std::shared_ptr<server_shared> shared = std::make_shared<server_shared>();
  std::mutex mutex;
  std::vector<std::shared_ptr<listener>> listeners;

  std::shared_ptr<listener> add(int fd, bool local, tls_context tls, const std::string& path) {
    auto l = std::make_shared<listener>(io.context(), shared, fd, local);
    l->tls = std::move(tls);
    struct stat info {};
    if (!path.empty() && ::lstat(path.c_str(), &info) == 0) {
      l->path = path;
      l->inode = info.st_ino;
    }
    const std::lock_guard lock{mutex};
    listeners.push_back(l);
    l->start();
    return l;
  }

  void stop_sessions(bool now) {
    std::vector<std::shared_ptr<session>> all;
    {
      const std::lock_guard lock{shared->mutex};
      for (const auto& [id, s] : shared->sessions)
        all.push_back(s);
    }
    for (const auto& s : all)
      s->stop(now);
  }
};

server::server(io_threads& io, router route, handler handle, limits lim) : impl_{std::make_shared<impl>(io)} {
  impl_->shared->lim = lim;
  impl_->shared->route = std::move(route);
  impl_->shared->handle = std::move(handle);
}

server::~server() {
  stop();
}

failure server::listen(const unix_endpoint& endpoint) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.path.empty() || endpoint.path.size() >= sizeof address.sun_path)
    return {errc::invalid_argument, "socket path " + endpoint.path + " is empty or longer than 107 bytes"};
  std::memcpy(address.sun_path, endpoint.path.data(), endpoint.path.size());
  if (auto stale = clear_stale(endpoint.path); !stale.ok())
    return stale;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return failed(errc::resource_exhausted, "socket", errno);
  const auto fail = [&](const std::string& what, bool bound) {
    auto result = failed(errc::permission_denied, what + " " + endpoint.path, errno);
    ::close(fd);
    if (bound)
      ::unlink(endpoint.path.c_str());
    return result;
  };
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail("cannot bind", false);
  // Nobody can connect before listen(), so the file has its final owner and mode when it begins to matter.
  if (!endpoint.group.empty()) {
    std::vector<char> buffer(16 * 1024);
    group entry{};
    group* found = nullptr;
    if (::getgrnam_r(endpoint.group.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 && found
        && ::chown(endpoint.path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0 && ::geteuid() == 0)
      return fail("cannot set the group of", true);
  }
  if (::chmod(endpoint.path.c_str(), endpoint.mode) != 0)
    return fail("cannot set the mode of", true);
  if (::listen(fd, backlog) != 0)
    return fail("cannot listen on", true);
  impl_->add(fd, true, {}, endpoint.path);
  return {};
}

failure server::listen(const tcp_endpoint& endpoint, std::uint16_t* bound_port) {
  sockaddr_storage address{};
  socklen_t size = 0;
  bool loopback = false;
  const auto name = "tcp://" + endpoint.address + ":" + std::to_string(endpoint.port);
  if (!parse_address(endpoint, address, size, loopback))
    return {errc::invalid_argument, name + ": not an IP address"};
  if (!endpoint.tls && !(loopback && endpoint.allow_plain_loopback))
    return {errc::invalid_argument, name + ": TCP needs TLS with client certificates"};
  tls_context tls;
  if (endpoint.tls) {
    std::string why;
    tls = make_server_tls(*endpoint.tls, why);
    if (!tls)
      return {errc::invalid_argument, name + ": " + why};
  }
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return failed(errc::resource_exhausted, "socket", errno);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 || ::listen(fd, backlog) != 0) {
    auto result = failed(errno == EADDRINUSE ? errc::already_exists : errc::unavailable, "cannot listen on " + name, errno);
    ::close(fd);
    return result;
  }
  if (bound_port) {
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    *bound_port = ntohs(address.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(address).sin_port
                                                     : reinterpret_cast<sockaddr_in6&>(address).sin6_port);
  }
  impl_->add(fd, false, std::move(tls), {});
  return {};
}

void server::stop(duration grace) {
  {
    const std::lock_guard lock{impl_->mutex};
    for (const auto& l : impl_->listeners)
      l->stop();
    impl_->listeners.clear();
  }
  auto& shared = *impl_->shared;
  shared.stopping = true;
  struct waiting {
    std::mutex mutex;
    std::condition_variable changed;
  };
  const auto w = std::make_shared<waiting>();
  const auto empty = [&] {
    const std::lock_guard lock{shared.mutex};
    return shared.sessions.empty();
  };
  {
    const std::lock_guard lock{shared.mutex};
    shared.on_empty = [w] {
      const std::lock_guard inner{w->mutex};
      w->changed.notify_all();
    };
  }
  impl_->stop_sessions(false);
  std::unique_lock lock{w->mutex};
  if (!w->changed.wait_for(lock, grace, empty)) {
    lock.unlock();
    impl_->stop_sessions(true);
    lock.lock();
    // Bounded, should the I/O threads have been stopped already.
    w->changed.wait_for(lock, seconds{5}, empty);
  }
}

server_stats server::stats() const {
  const auto& s = *impl_->shared;
  return {s.connections.load(), s.accepted.load(), s.refused.load(), s.requests.load(), s.bad_requests.load(),
          s.stalled.load()};
}

} // namespace swarm::http
