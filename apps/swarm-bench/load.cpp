// Closed loops over epoll.
#include "apps/swarm-bench/load.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>

#include "apps/swarm-bench/api_client.hpp"

namespace swarm::bench {

namespace {

using clock = std::chrono::steady_clock;

constexpr int patience_s = 600;

struct loop {
  std::optional<connection> to;
  answer_reader in;
  std::size_t current = 0;
  clock::time_point begin;
};

class loops {
public:
  loops(const std::string& host, std::size_t n, std::size_t clients, const std::function<load_request(std::size_t)>& make,
        const std::function<void(std::size_t, const std::string&)>& done)
      : host_{host}, n_{n}, make_{make}, done_{done}, epoll_{::epoll_create1(EPOLL_CLOEXEC)}, loops_(clients) {}
  ~loops() { ::close(epoll_); }
  loops(const loops&) = delete;
  loops& operator=(const loops&) = delete;

  load_result run() {
    const auto begin = clock::now();
    for (std::size_t i = 0; i < loops_.size(); ++i)
      go_on(i);
    std::array<epoll_event, 64> ready;
    while (busy_ > 0) {
      const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), patience_s * 1000);
      if (count == 0 || (count < 0 && errno != EINTR)) {
        for (; busy_ > 0; --busy_)
          failed("no answer in ten minutes");
        break;
      }
      for (int i = 0; i < count; ++i)
        read(ready[static_cast<std::size_t>(i)].data.u64);
    }
    out_.wall_s = std::chrono::duration<double>(clock::now() - begin).count();
    return std::move(out_);
  }

private:
  void failed(const std::string& why) {
    if (out_.errors++ == 0)
      out_.first_error = why;
  }

  // The next request of a loop that waits for nothing. Requests that cannot be sent are errors, one by one.
  void go_on(std::size_t i) {
    auto& it = loops_[i];
    while (next_ < n_) {
      it.current = next_++;
      it.begin = clock::now();
      try {
        if (!it.to)
          dial(i);
        const auto request = make_(it.current);
        it.to->send(request_text(request.method, request.target, request.body));
        ++busy_;
        return;
      } catch (const api_error& error) {
        failed(error.what());
        it.to.reset();
      }
    }
  }

  void dial(std::size_t i) {
    auto& it = loops_[i];
    it.to.emplace(host_, patience_s);
    it.in = {};
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.u64 = i;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, it.to->fd(), &interest) != 0)
      throw api_error{"epoll"};
  }

  void read(std::size_t i) {
    auto& it = loops_[i];
    try {
      it.to->receive(it.in);
      const auto answer = it.in.take();
      if (!answer)
        return;
      if (answer->ok()) {
        out_.latency_ms.push_back(std::chrono::duration<double, std::milli>(clock::now() - it.begin).count());
        done_(it.current, answer->body);
      } else {
        failed(std::to_string(answer->status) + " " + answer->body.substr(0, 200));
      }
      if (answer->closes)
        it.to.reset();
    } catch (const api_error& error) {
      failed(error.what());
      it.to.reset();
    }
    --busy_;
    go_on(i);
  }

  const std::string& host_;
  const std::size_t n_;
  const std::function<load_request(std::size_t)>& make_;
  const std::function<void(std::size_t, const std::string&)>& done_;
  int epoll_;
  std::vector<loop> loops_;
  std::size_t next_ = 0;
  std::size_t busy_ = 0; // loops that wait for an answer
  load_result out_;
};

} // namespace

load_result run_load(const std::string& host, std::size_t n, std::size_t clients,
                     const std::function<load_request(std::size_t)>& make,
                     const std::function<void(std::size_t, const std::string&)>& done) {
  return loops{host, n, clients, make, done}.run();
}

} // namespace swarm::bench
