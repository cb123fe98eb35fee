// LOG READER, see log_actor.hpp.
#include "drivers/docker/log_actor.hpp"

#include "drivers/docker/engine_map.hpp"

namespace swarm::docker {
namespace {

using self_ptr = observed_ptr<log_reader_actor, log_reader_state>;

constexpr std::size_t under_way_bytes_max = 256 * 1024;

std::string since_text(std::int64_t since) {
  if (since <= 0)
    return {};
  auto nanos = std::to_string(since % 1'000'000'000);
  nanos.insert(0, 9 - nanos.size(), '0');
  return "&since=" + std::to_string(since / 1'000'000'000) + "." + nanos;
}

std::string target(const log_reader_options& opts) {
  const auto& r = opts.request;
  return opts.prefix + "/containers/" + opts.container + "/logs?timestamps=1&details=1" + (r.stdout() ? "&stdout=1" : "")
         + (r.stderr() ? "&stderr=1" : "") + (r.follow() ? "&follow=1" : "")
         + "&tail=" + (r.tail() < 0 ? std::string{"all"} : std::to_string(r.tail())) + since_text(r.since());
}

// Sends what may be sent; when all of it has gone, ends. The stream waits while too much is held here.
void pass_on(self_ptr self) {
  auto& st = self->state;
  while (auto chunk = st.window->next())
    self->send(st.sink, std::move(*chunk));
  if (st.window->ended())
    return self->quit();
  if (st.window->wants_more() && st.taken > 0) {
    st.under_way->fetch_sub(std::exchange(st.taken, 0));
    st.stream->resume();
  }
}

void open_stream(self_ptr self) {
  auto& st = self->state;
  http::client_request req;
  req.target = target(st.opts);
  auto status = std::make_shared<int>(0);
  // Weak: a stream that never ends must not keep its reader alive.
  const auto back = caf::actor_cast<caf::actor_addr>(self->address());
  auto tell = [back](log_news news) {
    if (auto reader = caf::actor_cast<caf::strong_actor_ptr>(back))
      caf::anon_send(caf::actor_cast<caf::actor>(reader), std::move(news));
  };
  http::stream_callbacks on;
  on.on_headers = [status](const http::response_head& head) { *status = head.status; };
  on.on_chunk = [status, tell, under_way = st.under_way](std::string_view bytes) {
    const auto before = under_way->fetch_add(bytes.size());
    tell({log_news::kind::bytes, std::string{bytes}, *status, {}});
    return before + bytes.size() < under_way_bytes_max;
  };
  on.on_end = [status, tell](const http::client_error& error) {
    tell({log_news::kind::ended, {}, *status, error.ok() ? std::string{} : error.text});
  };
  st.stream = st.engine->raw().stream(std::move(req), st.opts.deadline, std::move(on));
}

// The stream's form depends on whether the container has a terminal, which older engines do not say in its headers.
void on_inspected(self_ptr self, const log_news& news) {
  auto& st = self->state;
  docker::inspected found;
  std::string error = news.error;
  if (error.empty() && news.status != 200)
    error = read_message(news.bytes);
  else if (error.empty())
    error = read_inspect(news.bytes, found).message;
  if (!error.empty()) {
    st.window->end(std::move(error));
    return pass_on(self);
  }
  st.demux = std::make_unique<log_demux>(found.tty);
  open_stream(self);
}

void on_bytes(self_ptr self, const log_news& news) {
  auto& st = self->state;
  if (news.status != 200) {
    st.under_way->fetch_sub(news.bytes.size());
    if (st.error_body.size() < 4096)
      st.error_body += news.bytes;
    st.stream->resume();
    return;
  }
  std::vector<LogLine> lines;
  st.demux->feed(news.bytes, lines);
  st.window->add(std::move(lines));
  st.taken += news.bytes.size();
  pass_on(self);
}

void on_ended(self_ptr self, const log_news& news) {
  auto& st = self->state;
  std::vector<LogLine> lines;
  st.demux->finish(lines);
  st.window->add(std::move(lines));
  auto error = news.error.empty() ? st.demux->error() : news.error;
  if (error.empty() && news.status != 200)
    error = read_message(st.error_body);
  st.window->end(std::move(error));
  pass_on(self);
}

} // namespace

log_reader_actor::behavior_type log_reader(self_ptr self, log_reader_options opts, log_sink sink,
                                           std::shared_ptr<engine_client> engine) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.sink = std::move(sink);
  st.engine = std::move(engine);
  st.under_way = std::make_shared<std::atomic<std::size_t>>(0);
  const auto& task_id = st.opts.request.task_id();
  st.window = std::make_unique<driver::log_window>(st.opts.request.subscription(), task_id);
  self->set_label("driver/docker/logs/" + std::to_string(st.opts.request.subscription()));
  self->monitor(st.sink);
  self->set_down_handler([self](caf::down_msg&) { self->quit(); });
  if (st.opts.container.empty()) {
    caf::anon_send(caf::actor_cast<caf::actor>(self), log_news{log_news::kind::inspected, {}, 0, "task " + task_id + " has no container"});
  } else {
    http::client_request req;
    req.target = st.opts.prefix + "/containers/" + st.opts.container + "/json";
    st.engine->raw().call(std::move(req), st.opts.deadline,
                          [handle = caf::actor_cast<caf::actor>(self)](http::client_error error, http::response&& response) {
                            caf::anon_send(handle, log_news{log_news::kind::inspected, std::move(response.body), response.status,
                                                            error.ok() ? std::string{} : error.text});
                          });
  }
  return {
    [self](const LogCredit& credit) {
      self->state.window->grant(credit.bytes());
      pass_on(self);
    },
    [self](const CancelLogs&) { self->quit(); },
    [self](const log_news& news) {
      switch (news.what) {
        case log_news::kind::inspected: return on_inspected(self, news);
        case log_news::kind::bytes: return on_bytes(self, news);
        case log_news::kind::ended: return on_ended(self, news);
      }
    },
    [self](const ReadStatus& request) { return self->base_status(request); },
  };
}

} // namespace swarm::docker
