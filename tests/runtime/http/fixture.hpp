// Raw sockets, a scripted engine and a running server for the HTTP tests: every wait is bounded.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/http/client.hpp"
#include "runtime/http/server.hpp"

namespace swarm::http::test {

using clock = std::chrono::steady_clock;
inline constexpr auto patience = std::chrono::seconds{20}; // far above what any step takes, sanitizers included

class temp_dir {
public:
  temp_dir() {
    std::string name = (std::filesystem::temp_directory_path() / "swarm-http-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~temp_dir() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

/// A connected blocking socket with bounded reads.
class peer {
public:
  peer() = default;
  explicit peer(int fd) : fd_{fd} {}
  peer(peer&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  peer& operator=(peer&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~peer() { close(); }

  static peer unix_socket(const std::string& path) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::strncpy(a.sun_path, path.c_str(), sizeof a.sun_path - 1);
    peer p{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (::connect(p.fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0)
      p.close();
    return p;
  }
  static peer tcp(std::uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer p{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (::connect(p.fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0)
      p.close();
    return p;
  }

  [[nodiscard]] bool ok() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }
  void shutdown_write() { ::shutdown(fd_, SHUT_WR); }

  /// False when the other side does not take it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  /// Some bytes; "" at EOF, error, or when time is up (then timed_out).
  std::string receive(clock::duration wait = patience) {
    timed_out = false;
    pollfd p{fd_, POLLIN, 0};
    if (::poll(&p, 1, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(wait).count())) <= 0) {
      timed_out = true;
      return {};
    }
    std::string out(256 * 1024, '\0');
    const auto n = ::recv(fd_, out.data(), out.size(), 0);
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }

  /// All that is left, what earlier calls kept included.
  std::string until_eof(clock::duration wait = patience) {
    auto all = std::exchange(rest, {});
    for (const auto end = clock::now() + wait; clock::now() < end;) {
      auto piece = receive(end - clock::now());
      if (piece.empty())
        return all;
      all += piece;
    }
    return all;
  }

  /// Reads until `text` is in what was received since the last call (kept in `rest` beyond it).
  std::string until(std::string_view text, clock::duration wait = patience) {
    for (const auto end = clock::now() + wait;;) {
      if (const auto at = rest.find(text); at != std::string::npos) {
        auto out = rest.substr(0, at + text.size());
        rest.erase(0, at + text.size());
        return out;
      }
      auto piece = receive(end - clock::now());
      if (piece.empty())
        return std::exchange(rest, {});
      rest += piece;
    }
  }

  /// One answer with Content-Length or chunks or none: head and body as received.
  std::string answer(bool head_request = false) {
    auto head = until("\r\n\r\n");
    if (head_request || head.starts_with("HTTP/1.1 100") || head.starts_with("HTTP/1.1 204"))
      return head;
    if (const auto at = head.find("Content-Length: "); at != std::string::npos) {
      const auto size = std::stoul(head.substr(at + 16));
      while (rest.size() < size) {
        auto piece = receive();
        if (piece.empty())
          break;
        rest += piece;
      }
      head += rest.substr(0, size);
      rest.erase(0, size);
    } else if (head.find("Transfer-Encoding: chunked") != std::string::npos) {
      head += until("0\r\n\r\n");
    }
    return head;
  }

  std::string rest;
  bool timed_out = false;

private:
  int fd_ = -1;
};

inline int status_of(const std::string& answer) {
  return answer.starts_with("HTTP/1.") && answer.size() > 12 ? std::stoi(answer.substr(9, 3)) : 0;
}
inline std::string body_of(const std::string& answer) {
  const auto at = answer.find("\r\n\r\n");
  return at == std::string::npos ? "" : answer.substr(at + 4);
}

/// An engine played by a script, one thread for each connection.
class scripted_engine {
public:
  using script = std::function<void(peer&)>;
  scripted_engine(std::string path, script play) : path_{std::move(path)}, play_{std::move(play)} {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::strncpy(a.sun_path, path_.c_str(), sizeof a.sun_path - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::unlink(path_.c_str());
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    ::listen(listener_, 128);
    acceptor_ = std::thread{[this] {
      for (;;) {
        const int fd = ::accept(listener_, nullptr, nullptr);
        if (fd < 0)
          return;
        connections.fetch_add(1);
        const std::lock_guard lock{mutex_};
        threads_.emplace_back([this, fd] {
          {
            peer p{fd};
            play_(p);
          }
          closed.fetch_add(1);
        });
      }
    }};
  }
  ~scripted_engine() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    for (auto& t : threads_)
      t.join();
  }
  std::atomic<int> connections{0};
  std::atomic<int> closed{0}; ///< of these, by the engine

private:
  std::string path_;
  script play_;
  int listener_ = -1;
  std::thread acceptor_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};

/// A value one thread sets and another waits for.
template <class T>
class promise_box {
public:
  void set(T value) {
    const std::lock_guard lock{mutex_};
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  /// The next value; fails the test when none comes.
  T get(clock::duration wait = patience) {
    std::unique_lock lock{mutex_};
    if (!changed_.wait_for(lock, wait, [&] { return !values_.empty(); })) {
      ADD_FAILURE() << "nothing came in time";
      return T{};
    }
    auto value = std::move(values_.front());
    values_.pop_front();
    return value;
  }
  bool empty() {
    const std::lock_guard lock{mutex_};
    return values_.empty();
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
};

/// Polls a condition that another thread makes true.
inline bool eventually(const std::function<bool()>& condition, clock::duration wait = patience) {
  for (const auto end = clock::now() + wait; clock::now() < end;) {
    if (condition())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return condition();
}

/// Resident bytes of this process.
inline std::size_t resident_bytes() {
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  unsigned long total = 0, resident = 0;
  const int n = std::fscanf(f, "%lu %lu", &total, &resident);
  std::fclose(f);
  return n == 2 ? resident * static_cast<unsigned long>(::sysconf(_SC_PAGESIZE)) : 0;
}

inline void echo(const std::shared_ptr<exchange>& ex, request&& req) {
  ex->reply(200, {{"Content-Type", "text/plain"}}, req.method + " " + req.path + " " + req.body);
}

/// I/O threads and a server on a unix socket in a temporary folder.
struct running_server {
  explicit running_server(handler h = echo, limits lim = {}, router r = [](const request_head&) { return handle{}; },
                          unsigned threads = 1)
    : io{threads}, http{io, std::move(r), std::move(h), lim} {
    io.start();
    EXPECT_TRUE(http.listen(unix_endpoint{.path = path, .mode = 0660, .group = ""}).ok());
  }
  ~running_server() {
    http.stop();
    EXPECT_TRUE(io.stop());
  }
  peer connect() { return peer::unix_socket(path); }
  /// One request on its own connection.
  std::string ask(std::string_view bytes) {
    auto p = connect();
    p.send(bytes);
    return p.answer();
  }

  temp_dir dir;
  std::string path = dir / "api.sock";
  io_threads io;
  server http;
};

} // namespace swarm::http::test
