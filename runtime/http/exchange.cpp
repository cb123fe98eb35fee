// The thread-safe handle of one answer: records what is to be sent and wakes the session.
#include "runtime/http/exchange.hpp"

#include <charconv>

#include <boost/asio/post.hpp>

#include "runtime/http/session.hpp"

namespace swarm::http {
namespace {

using answer = exchange_state::answer;

// On the session's own strand it is served at once; from elsewhere one pull is queued for any number of changes.
void wake(exchange_state& state, std::unique_lock<std::mutex>& lock) {
  const auto owner = state.owner ? state.owner->weak_from_this().lock() : nullptr;
  if (!owner)
    return;
  if (owner->strand().running_in_this_thread()) {
    lock.unlock();
    owner->pull();
  } else if (!state.pull_posted) {
    state.pull_posted = true;
    // Under the lock: once the session is closed nothing is posted any more, so that io_threads may go away.
    boost::asio::post(owner->strand(), [owner] { owner->pull(); });
  }
}

void append_chunk(std::string& out, std::string_view chunk) {
  char size[20];
  const auto [end, error] = std::to_chars(size, size + sizeof size, chunk.size(), 16);
  static_cast<void>(error);
  out.append(size, end);
  out += "\r\n";
  out += chunk;
  out += "\r\n";
}

bool ended(const exchange_state& s) {
  return s.phase == answer::gone || s.phase == answer::done;
}

} // namespace

exchange::~exchange() {
  std::unique_lock lock{state_->mutex};
  if (state_->phase == answer::none) {
    lock.unlock();
    reply_error(500, "the request was dropped without an answer");
  } else if (state_->phase == answer::stream && !state_->finished) {
    lock.unlock();
    abort();
  }
}

void exchange::reply(int status, headers fields, std::string body) {
  std::unique_lock lock{state_->mutex};
  if (state_->phase != answer::none)
    return;
  state_->phase = answer::reply;
  state_->status = status;
  state_->fields = std::move(fields);
  state_->body = std::move(body);
  wake(*state_, lock);
}

void exchange::reply_error(int status, std::string_view text) {
  reply(status, {{"Content-Type", "application/json"}}, error_body(text));
}

void exchange::begin_stream(int status, headers fields) {
  std::unique_lock lock{state_->mutex};
  if (state_->phase != answer::none)
    return;
  state_->phase = answer::stream;
  state_->status = status;
  state_->fields = std::move(fields);
  state_->no_body = state_->no_body || status == 204 || status == 304;
  wake(*state_, lock);
}

write_result exchange::write(std::string_view chunk) {
  std::unique_lock lock{state_->mutex};
  auto& s = *state_;
  if (s.phase != answer::stream || s.finished || s.aborted)
    return write_result::closed;
  if (s.no_body || chunk.empty())
    return write_result::accepted;
  if (s.unsent != 0 && s.unsent + chunk.size() > s.outgoing_max) {
    s.wanted = chunk.size();
    return write_result::backpressure;
  }
  const auto before = s.pending.size();
  if (s.chunked)
    append_chunk(s.pending, chunk);
  else
    s.pending += chunk;
  s.unsent += s.pending.size() - before;
  wake(s, lock);
  return write_result::accepted;
}

void exchange::finish() {
  std::unique_lock lock{state_->mutex};
  if (state_->phase != answer::stream || state_->finished)
    return;
  state_->finished = true;
  wake(*state_, lock);
}

void exchange::abort() {
  std::unique_lock lock{state_->mutex};
  if (ended(*state_) || state_->finished || state_->phase == answer::reply || state_->phase == answer::proxy)
    return;
  state_->aborted = true;
  wake(*state_, lock);
}

void exchange::proxy(std::string socket_path, request req, response_filter filter) {
  std::unique_lock lock{state_->mutex};
  if (state_->phase != answer::none)
    return;
  state_->phase = answer::proxy;
  state_->proxy_path = std::move(socket_path);
  state_->proxy_request = std::move(req);
  state_->filter = std::move(filter);
  wake(*state_, lock);
}

void exchange::on_close(std::function<void()> callback) {
  std::function<void()> old;
  std::unique_lock lock{state_->mutex};
  if (state_->phase == answer::gone) {
    lock.unlock();
    callback();
    return;
  }
  if (state_->phase == answer::done)
    return;
  old.swap(state_->on_close);
  state_->on_close = std::move(callback);
  lock.unlock(); // the old callback is destroyed outside: its captures may hold this exchange
}

void exchange::on_writable(std::function<void()> callback) {
  std::function<void()> old;
  std::unique_lock lock{state_->mutex};
  if (ended(*state_))
    return;
  const bool room = state_->unsent == 0 || state_->unsent + state_->wanted <= state_->outgoing_max;
  if (room && callback) {
    lock.unlock();
    callback();
    return;
  }
  old.swap(state_->on_writable);
  state_->on_writable = std::move(callback);
  lock.unlock();
}

bool exchange::closed() const {
  const std::lock_guard lock{state_->mutex};
  return ended(*state_) || state_->aborted;
}

std::size_t exchange::unsent() const {
  const std::lock_guard lock{state_->mutex};
  return state_->unsent;
}

} // namespace swarm::http
