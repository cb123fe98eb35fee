// The engine client: connection pool, queue of calls, streams and hijacks.
#include "runtime/http/client.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <vector>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "runtime/http/characters.hpp"
#include "runtime/http/client_connection.hpp"
#include "runtime/text.hpp"

namespace swarm::http {

namespace asio = boost::asio;

namespace {

bool sendable(const client_request& req) {
  return !req.method.empty() && std::all_of(req.method.begin(), req.method.end(), is_token) && !req.target.empty()
         && req.target[0] == '/' && std::all_of(req.target.begin(), req.target.end(), is_target);
}

std::string request_text(const client_request& req, bool upgrade) {
  std::string out;
  out.reserve(256 + req.body.size());
  out += req.method + ' ' + req.target + " HTTP/1.1\r\n";
  if (!req.headers.contains("Host"))
    out += "Host: docker\r\n";
  append_fields(out, req.headers, false);
  if (upgrade)
    out += "Connection: Upgrade\r\nUpgrade: tcp\r\n";
  if (!req.body.empty() || req.method == "POST" || req.method == "PUT")
    out += "Content-Length: " + std::to_string(req.body.size()) + "\r\n";
  out += "\r\n";
  out += req.body;
  return out;
}

} // namespace

struct client::impl : std::enable_shared_from_this<client::impl> {
  impl(io_threads& threads, client_options opts)
    : io{threads}, strand{asio::make_strand(threads.context())}, options{std::move(opts)}, timer{strand} {}

  using connection_ptr = std::shared_ptr<client_connection>;

  io_threads& io;
  io_strand strand;
  client_options options;

  // Guards `stopped`: nothing is posted once it is set, so that handles may outlive the I/O threads.
  std::mutex mutex;
  std::condition_variable changed;
  bool stopped = false;
  bool all_ended = false;
  std::atomic<std::size_t> open{0};

  // -- on the strand --
  asio::steady_timer timer;  // idle connections and queued deadlines
  bool timer_armed = false;
  bool serving = false;
  std::deque<std::shared_ptr<client_job>> queue;
  std::vector<std::pair<connection_ptr, steady_point>> idle;
  std::set<connection_ptr> busy;
  std::set<connection_ptr> streams;

  /// False when stopped.
  template <class F>
  bool on_strand(F fn) {
    const std::lock_guard lock{mutex};
    if (stopped)
      return false;
    asio::post(strand, std::move(fn));
    return true;
  }

  void enqueue(std::shared_ptr<client_job> job) {
    if (queue.size() >= options.queued_calls)
      return job->on_end({client_errc::not_sent, "too many calls to " + options.address() + " are waiting"});
    queue.push_back(std::move(job));
    serve();
  }

  void serve() {
    while (!queue.empty()) {
      connection_ptr c;
      while (!idle.empty() && !c) {
        c = std::move(idle.back().first); // the most recently used: the rest can grow old and close
        idle.pop_back();
        if (!c->usable())
          c = nullptr;
      }
      if (!c && busy.size() >= options.connections)
        break;
      if (!c)
        c = std::make_shared<client_connection>(strand, options, [this](client_connection& from, bool reusable) {
          on_idle(from, reusable);
        });
      busy.insert(c);
      const auto job = std::move(queue.front());
      queue.pop_front();
      c->run(job);
    }
    count();
    arm();
  }

  // Continues by a post: with a dead engine each queued call fails at once, and they must not pile up on the stack.
  void on_idle(client_connection& from, bool reusable) {
    const auto c = from.shared_from_this();
    busy.erase(c);
    if (reusable && idle.size() < options.idle_connections)
      idle.emplace_back(c, deadline_in(options.idle));
    else if (reusable)
      c->close();
    count();
    if (serving || queue.empty())
      return arm();
    serving = true;
    asio::post(strand, [self = shared_from_this()] {
      self->serving = false;
      self->serve();
    });
  }

  void count() { open = idle.size() + busy.size() + streams.size(); }

  void arm() {
    if (timer_armed)
      return;
    auto due = steady_point::max();
    for (const auto& [c, until] : idle)
      due = std::min(due, until);
    for (const auto& job : queue)
      due = std::min(due, job->deadline);
    if (due == steady_point::max())
      return;
    timer_armed = true;
    // At most a hundred sweeps a second, however many deadlines there are.
    timer.expires_at(std::max(due, std::chrono::steady_clock::now() + milliseconds{10}));
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& e) {
      if (const auto self = weak.lock(); self && !e)
        self->sweep();
    });
  }

  void sweep() {
    timer_armed = false;
    const auto now = std::chrono::steady_clock::now();
    std::erase_if(idle, [&](const auto& entry) {
      if (entry.second > now)
        return false;
      entry.first->close();
      return true;
    });
    std::vector<std::shared_ptr<client_job>> late;
    std::erase_if(queue, [&](const auto& job) {
      if (job->deadline > now)
        return false;
      late.push_back(job);
      return true;
    });
    for (const auto& job : late)
      job->on_end({client_errc::not_sent, "no free connection to " + options.address() + " before the deadline"});
    count();
    arm();
  }

  void end_all() {
    for (const auto& job : std::exchange(queue, {}))
      job->on_end({client_errc::not_sent, "the client is stopping"});
    for (const auto& c : std::set<connection_ptr>{busy})
      c->fail(client_errc::closed, "the client is stopping");
    for (const auto& c : std::set<connection_ptr>{streams})
      c->fail(client_errc::closed, "the client is stopping");
    for (const auto& entry : std::exchange(idle, {}))
      entry.first->close();
    timer.cancel();
    count();
    const std::lock_guard lock{mutex};
    all_ended = true;
    changed.notify_all();
  }
};

namespace {

/// The caller's end of a stream; its connection is known on the strand only.
class stream_handle : public client_stream, public std::enable_shared_from_this<stream_handle> {
public:
  using poster = std::function<bool(std::function<void()>)>;
  stream_handle(poster post, std::size_t outgoing_max) : post_{std::move(post)}, outgoing_max_{outgoing_max} {}

  void cancel() override {
    post_([self = shared_from_this()] {
      if (const auto c = self->connection.lock())
        c->fail(client_errc::cancelled, "cancelled");
    });
  }

  void resume() override {
    post_([self = shared_from_this()] {
      if (const auto c = self->connection.lock())
        c->resume();
    });
  }

  write_result write(std::string_view bytes) override {
    const std::lock_guard lock{mutex_};
    if (!hijacked_ || eof_)
      return write_result::closed;
    if (unsent_ != 0 && unsent_ + bytes.size() > outgoing_max_) {
      wanted_ = bytes.size();
      return write_result::backpressure;
    }
    unsent_ += bytes.size();
    pending_ += bytes;
    wake();
    return write_result::accepted;
  }

  void on_writable(std::function<void()> callback) override {
    {
      const std::lock_guard lock{mutex_};
      if (!hijacked_)
        return;
      if (unsent_ != 0 && unsent_ + wanted_ > outgoing_max_) {
        on_writable_ = std::move(callback);
        return;
      }
    }
    callback();
  }

  void close_write() override {
    const std::lock_guard lock{mutex_};
    if (!hijacked_ || eof_)
      return;
    eof_ = true;
    wake();
  }

  // -- on the strand --
  std::weak_ptr<client_connection> connection;

  void opened() {
    const std::lock_guard lock{mutex_};
    hijacked_ = true;
    if (const auto c = connection.lock())
      c->on_sent = [weak = weak_from_this()](std::size_t left) {
        if (const auto self = weak.lock())
          self->sent(left);
      };
  }

  void ended() {
    std::function<void()> dropped;
    const std::lock_guard lock{mutex_};
    hijacked_ = false;
    pending_.clear();
    dropped.swap(on_writable_);
  }

private:
  void wake() { // mutex held
    if (posted_)
      return;
    posted_ = true;
    post_([self = shared_from_this()] { self->push(); });
  }

  void push() {
    std::string bytes;
    bool eof = false;
    {
      const std::lock_guard lock{mutex_};
      posted_ = false;
      bytes.swap(pending_);
      eof = eof_;
    }
    const auto c = connection.lock();
    if (!c)
      return;
    if (!bytes.empty())
      c->send(std::move(bytes));
    if (eof)
      c->close_write();
  }

  void sent(std::size_t left) {
    std::function<void()> callback;
    {
      const std::lock_guard lock{mutex_};
      unsent_ = left + pending_.size();
      if (on_writable_ && (unsent_ == 0 || unsent_ + std::max(wanted_, outgoing_max_ / 2) <= outgoing_max_))
        callback.swap(on_writable_);
    }
    if (callback)
      callback();
  }

  poster post_;
  const std::size_t outgoing_max_;
  std::mutex mutex_;
  bool hijacked_ = false;
  bool eof_ = false;
  bool posted_ = false;
  std::string pending_;
  std::size_t unsent_ = 0;
  std::size_t wanted_ = 0;
  std::function<void()> on_writable_;
};

} // namespace

client::client(io_threads& io, client_options options) : impl_{std::make_shared<impl>(io, std::move(options))} {}

client::~client() {
  stop();
}

void client::call(client_request req, duration deadline, call_callback done, std::size_t body_bytes) {
  struct pending_call {
    response answer;
    call_callback done;
  };
  const auto state = std::make_shared<pending_call>(pending_call{{}, std::move(done)});
  const auto job = std::make_shared<client_job>();
  job->method = req.method;
  job->idempotent = req.method == "GET" || req.method == "HEAD";
  job->deadline = deadline_in(deadline);
  job->deadline_is_for_all = true;
  job->body_bytes = body_bytes ? body_bytes : impl_->options.body_bytes;
  job->on_head = [state](response_head&& head, bool) { static_cast<response_head&>(state->answer) = std::move(head); };
  job->on_data = [state](std::string_view piece) {
    state->answer.body += piece;
    return true;
  };
  job->on_end = [state](const client_error& error) {
    const auto callback = std::move(state->done);
    callback(error, std::move(state->answer));
  };
  const bool fine = sendable(req);
  if (fine)
    job->bytes = request_text(req, false);
  const bool posted = impl_->on_strand([p = impl_, job, fine] {
    if (fine)
      p->enqueue(job);
    else
      job->on_end({client_errc::not_sent, "malformed method or target"});
  });
  if (!posted)
    job->on_end({client_errc::not_sent, "the client is stopped"});
}

std::shared_ptr<client_stream> client::stream(client_request req, duration head_deadline, stream_callbacks callbacks,
                                              duration idle, bool upgrade) {
  const std::weak_ptr<impl> weak = impl_;
  const auto handle = std::make_shared<stream_handle>(
    [weak](std::function<void()> fn) {
      const auto p = weak.lock();
      return p && p->on_strand(std::move(fn));
    },
    outgoing_bytes_max);
  const auto user = std::make_shared<stream_callbacks>(std::move(callbacks));
  const auto job = std::make_shared<client_job>();
  job->method = req.method;
  job->upgrade = upgrade;
  job->deadline = deadline_in(head_deadline);
  job->idle = idle;
  job->on_head = [handle, user](response_head&& head, bool hijacked) {
    if (hijacked)
      handle->opened();
    if (user->on_headers)
      user->on_headers(head);
  };
  job->on_data = [user](std::string_view piece) { return !user->on_chunk || user->on_chunk(piece); };
  job->on_end = [handle, user](const client_error& error) {
    handle->ended();
    const auto end = std::move(user->on_end);
    *user = {};
    if (end)
      end(error);
  };
  const bool fine = sendable(req);
  if (fine)
    job->bytes = request_text(req, upgrade);
  const bool posted = impl_->on_strand([p = impl_, job, handle, fine] {
    if (!fine)
      return job->on_end({client_errc::not_sent, "malformed method or target"});
    if (p->streams.size() >= p->options.streams)
      return job->on_end({client_errc::not_sent, "too many streams from " + p->options.address()});
    const auto c = std::make_shared<client_connection>(p->strand, p->options, [raw = p.get()](client_connection& from, bool) {
      from.close();
      raw->streams.erase(from.shared_from_this());
      raw->count();
    });
    p->streams.insert(c);
    p->count();
    handle->connection = c;
    c->run(job);
  });
  if (!posted)
    job->on_end({client_errc::not_sent, "the client is stopped"});
  return handle;
}

void client::stop() {
  {
    const std::lock_guard lock{impl_->mutex};
    if (impl_->stopped)
      return;
    impl_->stopped = true;
    asio::post(impl_->strand, [p = impl_] { p->end_all(); });
  }
  if (impl_->io.on_io_thread())
    return;
  std::unique_lock lock{impl_->mutex};
  // Bounded, should the I/O threads have been stopped already.
  impl_->changed.wait_for(lock, seconds{5}, [&] { return impl_->all_ended; });
}

std::size_t client::open_connections() const {
  return impl_->open;
}

} // namespace swarm::http
