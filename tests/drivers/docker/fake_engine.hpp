// A Docker Engine that misbehaves on request: HTTP over a real unix socket, a handful of containers, and one fault.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace swarm::test {

/// What to do with one request instead of answering it.
enum class fault { none, hang, close, garbage, half_chunk, error_500, lost_reply, endless };

class fake_engine {
public:
  explicit fake_engine(std::string path) : path_{std::move(path)} {}
  ~fake_engine() { stop(); }

  void start() {
    stopping_ = false;
    ::unlink(path_.c_str());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 128) != 0)
      std::abort();
    acceptor_ = std::thread{[this] { accept_all(); }};
  }
  void stop() {
    stopping_ = true;
    if (acceptor_.joinable())
      acceptor_.join();
    if (listener_ >= 0)
      ::close(listener_);
    listener_ = -1;
    ::unlink(path_.c_str());
    std::vector<std::thread> threads;
    {
      std::lock_guard guard{mutex_};
      threads.swap(threads_);
    }
    for (auto& t : threads)
      t.join();
  }
  /// For requests whose "METHOD /path" (without version) begins with `what`; none = well again.
  void misbehave(const std::string& what, fault how) {
    std::lock_guard guard{mutex_};
    faulty_ = what;
    fault_ = how;
  }
  [[nodiscard]] std::size_t containers() {
    std::lock_guard guard{mutex_};
    return containers_.size();
  }
  [[nodiscard]] int creations() const { return creations_; }
  void set_state(const std::string& name, const std::string& state, int code) {
    std::lock_guard guard{mutex_};
    containers_[name].state = state;
    containers_[name].code = code;
  }

private:
  struct box {
    std::string labels = "{}";
    std::string state = "created";
    int code = 0;
  };

  void accept_all() {
    while (!stopping_) {
      pollfd p{listener_, POLLIN, 0};
      if (::poll(&p, 1, 20) <= 0)
        continue;
      const auto fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      std::lock_guard guard{mutex_};
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }
  bool wait_readable(int fd) {
    while (!stopping_) {
      pollfd p{fd, POLLIN, 0};
      if (::poll(&p, 1, 20) > 0)
        return true;
    }
    return false;
  }
  void serve(int fd) {
    std::string in;
    while (wait_readable(fd)) {
      char buffer[4096];
      const auto n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0)
        break;
      in.append(buffer, static_cast<std::size_t>(n));
      const auto head = in.find("\r\n\r\n");
      if (head == std::string::npos)
        continue;
      std::size_t length = 0;
      if (const auto at = in.find("Content-Length: "); at != std::string::npos && at < head)
        length = std::stoul(in.substr(at + 16));
      if (in.size() < head + 4 + length)
        continue;
      if (!answer(fd, in.substr(0, in.find('\r')), in.substr(head + 4, length)))
        break;
      in.erase(0, head + 4 + length);
    }
    ::close(fd);
  }
  static void say(int fd, const std::string& bytes) { (void)!::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  static std::string http(int status, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: "
           + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  bool answer(int fd, const std::string& line, const std::string& body) {
    const auto space = line.find(' ');
    auto target = line.substr(space + 1, line.rfind(' ') - space - 1);
    if (target.starts_with("/v1."))
      target.erase(0, target.find('/', 1));
    const auto what = line.substr(0, space) + " " + target;
    fault how = fault::none;
    {
      std::lock_guard guard{mutex_};
      if (!faulty_.empty() && what.starts_with(faulty_))
        how = fault_;
    }
    switch (how) {
      case fault::hang:
        while (!stopping_ && still(what))
          std::this_thread::sleep_for(std::chrono::milliseconds{10});
        return false;
      case fault::close: return false;
      case fault::garbage: say(fd, "\x16\x03\x01 what is this\n\n"); return false;
      case fault::half_chunk: say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"Id\":"); return false;
      case fault::error_500: say(fd, http(500, R"({"message":"something is broken"})")); return true;
      case fault::endless:
        say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 4096 && !stopping_; ++i)
          say(fd, "2000\r\n" + std::string(0x2000, 'x') + "\r\n");
        return false;
      case fault::lost_reply: (void)reply(what, body); return false;
      case fault::none: break;
    }
    if (what.starts_with("GET /events")) {
      say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      wait_readable(fd); // silent for ever
      return false;
    }
    say(fd, reply(what, body));
    return true;
  }
  bool still(const std::string& what) {
    std::lock_guard guard{mutex_};
    return fault_ == fault::hang && what.starts_with(faulty_);
  }
  // A very small engine: containers are known by name, and an id is the name with dots removed.
  std::string reply(const std::string& what, const std::string& body) {
    std::lock_guard guard{mutex_};
    if (what.starts_with("GET /_ping"))
      return http(200, "OK");
    if (what.starts_with("GET /info"))
      return http(200, R"({"ID":"E","Name":"fake","OSType":"linux","Architecture":"x86_64","NCPU":1,"MemTotal":1000,"Plugins":{}})");
    if (what.starts_with("GET /version"))
      return http(200, R"({"ApiVersion":"1.41"})");
    if (what.starts_with("POST /containers/create?name=")) {
      const auto name = what.substr(what.find("name=") + 5);
      if (containers_.contains(name))
        return http(409, R"({"message":"Conflict. The container name is already in use"})");
      ++creations_;
      const auto at = body.find("\"Labels\":{");
      containers_[name].labels = body.substr(at + 9, body.find('}', at) - at - 8);
      return http(201, R"({"Id":")" + name + R"(","Warnings":[]})");
    }
    if (what.starts_with("GET /containers/json")) {
      std::string rows;
      for (const auto& [name, b] : containers_)
        rows += (rows.empty() ? "" : ",") + (R"({"Id":")" + name + R"(","State":")" + b.state + R"(","Labels":)" + b.labels + "}");
      return http(200, "[" + rows + "]");
    }
    const auto begin = what.find("/containers/") + 12;
    const auto name = what.substr(begin, what.find_first_of("/?", begin) - begin);
    const auto it = containers_.find(name);
    if (it == containers_.end())
      return http(404, R"({"message":"No such container"})");
    if (what.starts_with("DELETE")) {
      containers_.erase(it);
      return "HTTP/1.1 204 No Content\r\n\r\n";
    }
    if (what.find("/start") != std::string::npos || what.find("/stop") != std::string::npos) {
      it->second.state = what.find("/start") != std::string::npos ? "running" : "exited";
      return "HTTP/1.1 204 No Content\r\n\r\n";
    }
    return http(200, R"({"Id":")" + name + R"(","Config":{"Labels":)" + it->second.labels + R"(},"State":{"Status":")" + it->second.state
                       + R"(","Pid":7,"ExitCode":)" + std::to_string(it->second.code) + "}}");
  }

  std::string path_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> creations_{0};
  int listener_ = -1;
  std::thread acceptor_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::map<std::string, box> containers_;
  std::string faulty_;
  fault fault_ = fault::none;
};

} // namespace swarm::test
