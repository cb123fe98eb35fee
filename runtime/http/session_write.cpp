// The writing half of a client connection: answers, streams, flushing, the end.
#include "runtime/http/session.hpp"

#include <ctime>

#include <boost/asio/post.hpp>

#include "runtime/http/characters.hpp"
#include "runtime/http/proxy.hpp"
#include "runtime/text.hpp"

namespace swarm::http {

std::string_view date_line() {
  thread_local std::time_t at = 0;
  thread_local char line[64] = {};
  const auto now = std::time(nullptr);
  if (now != at) {
    at = now;
    std::tm tm{};
    gmtime_r(&now, &tm);
    std::strftime(line, sizeof line, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
  }
  return line;
}

void append_head(std::string& out, int version, int status, std::string_view reason, const headers& fields,
                 bool keep_framing) {
  out += version == 10 ? "HTTP/1.0 " : "HTTP/1.1 ";
  out += std::to_string(status);
  out += ' ';
  out += reason;
  out += "\r\n";
  append_fields(out, fields, keep_framing);
}

void append_fields(std::string& out, const headers& fields, bool keep_framing) {
  for (const auto& f : fields) {
    const auto is = [&](std::string_view name) { return text::iequals(f.name, name); };
    if (!keep_framing && (is("Content-Length") || is("Transfer-Encoding") || is("Connection") || is("Keep-Alive")))
      continue;
    bool fine = !f.name.empty();
    for (const auto c : f.name)
      fine = fine && is_token(c);
    if (!fine)
      continue;
    out += f.name;
    out += ": ";
    for (const auto c : f.value)
      out += is_field_value(c) ? c : ' ';
    out += "\r\n";
  }
}

void session::begin_head(std::string& out, int status, const headers& fields) const {
  append_head(out, version_, status, reason_phrase(status), fields, false);
  if (!fields.contains("Date"))
    out += date_line();
  if (!keep_alive_)
    out += "Connection: close\r\n";
  else if (version_ == 10)
    out += "Connection: keep-alive\r\n";
}

void session::send_reply(int status, const headers& fields, std::string_view body) {
  std::string out;
  out.reserve(256 + body.size());
  const bool bodiless = status == 204 || status == 304;
  begin_head(out, status, fields);
  if (!bodiless)
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  out += "\r\n";
  if (!bodiless && !head_request_)
    out += body;
  write(out);
  answer_done();
}

void session::send_stream_head(int status, const headers& fields, bool chunked) {
  std::string out;
  const bool bodiless = head_request_ || status == 204 || status == 304;
  if (!chunked && !bodiless)
    keep_alive_ = false; // the end of the connection is the end of the body
  begin_head(out, status, fields);
  if (chunked && !bodiless)
    out += "Transfer-Encoding: chunked\r\n";
  out += "\r\n";
  write(out);
}

// An answer of the server itself. Request bytes that were not read would be taken for the next request: then the
// connection ends.
void session::refuse_request(int status, std::string_view message, const headers& fields) {
  if (status >= 400)
    server_->bad_requests.fetch_add(1);
  unread_body_ = unread_body_ || phase_ == phase::body;
  keep_alive_ = keep_alive_ && !unread_body_;
  auto all = fields;
  all.set("Content-Type", "application/json");
  send_reply(status, all, error_body(message));
}

void session::answer_done() {
  if (phase_ == phase::closed)
    return;
  detach_exchange(false);
  if (proxy_) {
    proxy_->stop();
    proxy_.reset();
  }
  request_ = request{};
  if (keep_alive_ && !stopping_) {
    phase_ = phase::idle;
    set_deadline(server_->lim.keep_alive);
    process();
    return;
  }
  phase_ = phase::lingering;
  deadline_ = steady_point::max();
  close_after_flush_ = true;
  if (out_.empty())
    linger();
}

void session::write(std::string_view bytes) {
  if (phase_ == phase::closed)
    return;
  out_.append(bytes);
  flush();
}

void session::flush() {
  if (writing_ || phase_ == phase::closed)
    return;
  bool progress = false;
  while (!out_.empty()) {
    const auto data = out_.view();
    const auto r = socket_.write(data.data(), data.size());
    if (r.status == io_status::ok) {
      out_.consume(r.bytes);
      progress = true;
      continue;
    }
    if (r.status == io_status::error || r.status == io_status::eof)
      return close();
    writing_ = true;
    // A reader may pause a pass-through stream for ever, as it may with the engine itself: nothing is buffered for it.
    if (phase_ != phase::proxying && (progress || stall_ == steady_point::max())) {
      stall_ = deadline_in(server_->lim.write_stall);
      arm_timer();
    }
    const auto again = [self = shared_from_this()] {
      self->writing_ = false;
      self->flush();
      self->after_wait_write();
    };
    return r.status == io_status::wait_read ? socket_.wait_read(again) : socket_.wait_write(again);
  }
  stall_ = steady_point::max();
  if (half_close_after_flush_)
    socket_.shutdown_send();
  if (close_after_flush_)
    linger();
}

void session::after_wait_write() {
  if (phase_ == phase::closed)
    return;
  report_unsent();
  if (out_.size() <= server_->lim.outgoing_bytes)
    process();
}

void session::pull() {
  const auto state = exchange_;
  if (!state || phase_ != phase::answering)
    return;
  using answer = exchange_state::answer;
  std::unique_lock lock{state->mutex};
  state->pull_posted = false;
  if (state->aborted) {
    lock.unlock();
    return close();
  }
  switch (state->phase) {
    case answer::reply: {
      const auto status = state->status;
      const auto fields = std::move(state->fields);
      const auto body = std::move(state->body);
      lock.unlock();
      return send_reply(status, fields, body);
    }
    case answer::proxy: {
      request_ = std::move(*state->proxy_request);
      auto filter = std::move(state->filter);
      const auto path = std::move(state->proxy_path);
      lock.unlock();
      detach_exchange(false);
      auto body = std::move(request_.body);
      return start_proxy(path, std::move(filter), std::move(body));
    }
    case answer::stream: {
      const bool begin = !std::exchange(state->head_taken, true);
      const auto status = state->status;
      const auto fields = std::move(state->fields);
      const auto chunked = state->chunked;
      auto bytes = std::move(state->pending);
      state->pending.clear();
      const bool finished = state->finished;
      const bool end_chunk = finished && chunked && !state->no_body;
      lock.unlock();
      if (begin) {
        deadline_ = steady_point::max();
        send_stream_head(status, fields, chunked);
      }
      if (end_chunk)
        bytes += "0\r\n\r\n";
      write(bytes);
      if (finished)
        return answer_done();
      return report_unsent();
    }
    default: return;
  }
}

void session::report_unsent() {
  if (!exchange_)
    return;
  std::function<void()> callback;
  {
    const std::lock_guard lock{exchange_->mutex};
    auto& e = *exchange_;
    e.unsent = e.pending.size() + out_.size();
    if (e.on_writable && (e.unsent == 0 || e.unsent + std::max(e.wanted, e.outgoing_max / 2) <= e.outgoing_max))
      callback.swap(e.on_writable);
  }
  if (callback)
    callback();
}

void session::detach_exchange(bool client_gone) {
  const auto state = std::move(exchange_);
  exchange_.reset();
  if (!state)
    return;
  std::function<void()> on_close;
  std::function<void()> on_writable;
  {
    const std::lock_guard lock{state->mutex};
    state->owner = nullptr;
    state->phase = client_gone ? exchange_state::answer::gone : exchange_state::answer::done;
    state->pending.clear();
    state->unsent = 0;
    on_close.swap(state->on_close);
    on_writable.swap(state->on_writable);
  }
  if (client_gone && on_close)
    on_close();
}

// The answer is out. If request bytes are still coming, closing now would reset the connection and could take the
// answer with it: so half-close, and read for a while.
void session::linger() {
  if (phase_ == phase::closed || lingering_)
    return;
  lingering_ = true;
  socket_.shutdown_send();
  if (!unread_body_ || client_eof_)
    return close();
  in_ = byte_queue{};
  set_deadline(server_->lim.linger);
  wait_input();
}

void session::close() {
  if (phase_ == phase::closed)
    return;
  const auto self = shared_from_this();
  phase_ = phase::closed;
  timer_.cancel();
  if (proxy_) {
    proxy_->stop();
    proxy_.reset();
  }
  detach_exchange(true);
  socket_.shutdown_send();
  socket_.close();
  in_ = byte_queue{};
  out_ = byte_queue{};
  server_->connections.fetch_sub(1);
  std::function<void()> on_empty;
  {
    const std::lock_guard lock{server_->mutex};
    server_->sessions.erase(id_);
    if (server_->sessions.empty())
      on_empty = server_->on_empty;
  }
  if (on_empty)
    on_empty();
}

} // namespace swarm::http
