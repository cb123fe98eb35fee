// Engine calls over HTTP, see the header.
#include "drivers/docker/engine_client.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <unistd.h>

namespace swarm::docker {
namespace {

constexpr std::size_t line_bytes_max = 256 * 1024;
constexpr std::size_t error_body_bytes_max = 64 * 1024;
constexpr duration events_head_deadline = seconds{10};
constexpr duration pull_silence_max = minutes{5};
// Stops last as long as their grace period: they must not keep other calls waiting.
constexpr std::size_t connections = 256;

// Cuts a stream into lines; one that is too long is dropped whole.
class line_cutter {
public:
  template <class F>
  void feed(std::string_view bytes, F&& each) {
    for (;;) {
      const auto end = bytes.find('\n');
      const auto piece = bytes.substr(0, end);
      if (held_.size() + piece.size() > line_bytes_max)
        skipping_ = true;
      if (!skipping_)
        held_.append(piece);
      if (end == std::string_view::npos)
        return;
      if (!skipping_ && !held_.empty())
        each(std::exchange(held_, {}));
      held_.clear();
      skipping_ = false;
      bytes.remove_prefix(end + 1);
    }
  }
  template <class F>
  void finish(F&& each) {
    if (!skipping_ && !held_.empty())
      each(std::exchange(held_, {}));
  }

private:
  std::string held_;
  bool skipping_ = false;
};

outcome outcome_of(const http::client_error& error) {
  if (error.ok())
    return outcome::answered;
  return error.nothing_happened() ? outcome::nothing : outcome::unknown;
}

} // namespace

struct engine_client::shared {
  std::recursive_mutex mutex; // a stopped client ends a new stream at once, on our thread
  sink deliver;
  bool closed = false;
  std::map<call_id, std::shared_ptr<http::client_stream>> pulls;

  void emit(driver_event ev) {
    std::lock_guard guard{mutex};
    if (!closed)
      deliver(std::move(ev));
  }
};

answer to_answer(const http::client_error& error, const http::response& response) {
  answer out;
  out.how = outcome_of(error);
  out.text = error.text;
  if (out.how == outcome::answered) {
    out.status = response.status;
    out.body = response.body;
    out.api_version = std::string{response.headers.get("Api-Version")};
  }
  return out;
}

engine_client::engine_client(io_threads& io, std::string socket_path, sink deliver)
  : shared_{std::make_shared<shared>()} {
  shared_->deliver = std::move(deliver);
  http::client_options options;
  options.socket_path = std::move(socket_path);
  options.connections = connections;
  options.queued_calls = 64 * 1024;
  client_ = std::make_unique<http::client>(io, std::move(options));
}

engine_client::~engine_client() {
  {
    std::lock_guard guard{shared_->mutex};
    shared_->closed = true;
    shared_->deliver = nullptr;
  }
  client_->stop();
}

void engine_client::call(const make_call& what, const std::string& prefix) {
  http::client_request req;
  req.method = what.method;
  req.target = what.target == "/_ping" ? what.target : prefix + what.target;
  req.body = what.body;
  if (!req.body.empty())
    req.headers.add("Content-Type", "application/json");
  client_->call(std::move(req), what.deadline, [s = shared_, id = what.id](http::client_error error, http::response&& response) {
    s->emit(call_ended{id, to_answer(error, response)});
  });
}

void engine_client::pull(const start_pull& what, const std::string& prefix) {
  http::client_request req;
  req.method = "POST";
  req.target = prefix + what.target;
  if (!what.auth.empty())
    req.headers.add("X-Registry-Auth", what.auth);
  struct progress {
    int status = 0;
    std::string error_body;
    line_cutter lines;
  };
  auto state = std::make_shared<progress>();
  http::stream_callbacks on;
  auto print = [s = shared_, id = what.id](std::string line) {
    if (line.find("\"error") != std::string::npos) // progress is nobody's business here
      s->emit(pull_printed{id, std::move(line)});
  };
  on.on_headers = [state](const http::response_head& head) { state->status = head.status; };
  on.on_chunk = [state, print](std::string_view bytes) {
    if (state->status < 300)
      state->lines.feed(bytes, print);
    else if (state->error_body.size() + bytes.size() <= error_body_bytes_max)
      state->error_body.append(bytes);
    return true;
  };
  on.on_end = [s = shared_, id = what.id, state, print](const http::client_error& error) {
    state->lines.finish(print);
    answer out{outcome_of(error), state->status, std::move(state->error_body), error.text, {}};
    {
      std::lock_guard guard{s->mutex};
      s->pulls.erase(id);
    }
    s->emit(pull_ended{id, std::move(out)});
  };
  // Registered under the same lock that on_end takes, so that an immediate end cannot come first.
  std::lock_guard guard{shared_->mutex};
  shared_->pulls[what.id] = client_->stream(std::move(req), what.head_deadline, std::move(on), pull_silence_max);
}

void engine_client::cancel(call_id pull) {
  std::shared_ptr<http::client_stream> stream;
  {
    std::lock_guard guard{shared_->mutex};
    if (const auto it = shared_->pulls.find(pull); it != shared_->pulls.end())
      stream = it->second;
  }
  if (stream)
    stream->cancel();
}

void engine_client::events(const open_events& what, const std::string& prefix) {
  http::client_request req;
  req.target = prefix + what.target;
  struct progress {
    int status = 0;
    line_cutter lines;
  };
  auto state = std::make_shared<progress>();
  http::stream_callbacks on;
  on.on_headers = [s = shared_, state](const http::response_head& head) {
    state->status = head.status;
    if (head.status == 200)
      s->emit(events_opened{});
  };
  on.on_chunk = [s = shared_, state](std::string_view bytes) {
    if (state->status == 200)
      state->lines.feed(bytes, [&](std::string line) { s->emit(event_printed{std::move(line)}); });
    return true;
  };
  on.on_end = [s = shared_](const http::client_error& error) { s->emit(events_closed{error.text}); };
  (void)client_->stream(std::move(req), events_head_deadline, std::move(on));
}

engine_lock::engine_lock(std::string socket_path) {
  std::error_code error;
  const auto real = std::filesystem::weakly_canonical(socket_path, error);
  path_ = (error ? socket_path : real.string()) + ".swarm-node.lock";
}

engine_lock::~engine_lock() {
  if (fd_ >= 0)
    ::close(fd_);
}

engine_lock::outcome engine_lock::acquire() {
  if (fd_ >= 0)
    return outcome::held;
  const auto fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return outcome::impossible;
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return outcome::taken;
  }
  const auto pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) == 0)
    (void)!::write(fd, pid.data(), pid.size());
  fd_ = fd;
  return outcome::held;
}

std::string engine_lock::holder() const {
  std::string pid;
  if (const auto fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW); fd >= 0) {
    char buffer[16];
    if (const auto n = ::read(fd, buffer, sizeof buffer); n > 0)
      for (const auto c : std::string_view{buffer, static_cast<std::size_t>(n)})
        if (c >= '0' && c <= '9')
          pid += c;
    ::close(fd);
  }
  return "another swarm-node" + (pid.empty() ? "" : " (pid " + pid + ")") + " uses this engine";
}

} // namespace swarm::docker
