// Files, sockets and answers for SECRET PROVIDER, see the header.
#include "drivers/plugin/secret_provider_actor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "drivers/plugin/secret_codec.hpp"
#include "runtime/log.hpp"
#include "runtime/overload.hpp"

namespace swarm::plugin {

namespace {

using self_ptr = observed_ptr<provider_interface, provider_state>;

constexpr std::size_t spec_bytes_max = 64 * 1024;
constexpr std::size_t engine_bytes_max = 1024 * 1024;
constexpr duration grace = seconds{1}; // the fetch's deadline comes first, and says more

void perform(self_ptr self, effects todo);

instant time_of(self_ptr self) { return instant{std::chrono::duration_cast<duration>(now_of(self))}; }

// -- files --------------------------------------------------------------------------------------------------------------

bool is_socket(const std::string& path) {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 && S_ISSOCK(about.st_mode);
}

// nullopt: there is none. Nothing but a file is read: a pipe of that name would have us wait.
std::optional<failure> read_file(const std::string& path, std::string& out) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
    return std::nullopt;
  const failure unreadable{errc::failed_precondition, "plugin's file " + path + " cannot be read"};
  if (fd < 0)
    return unreadable;
  struct stat about {};
  bool fine = ::fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= static_cast<off_t>(spec_bytes_max);
  out.resize(fine ? static_cast<std::size_t>(about.st_size) : 0);
  if (fine) {
    const auto n = ::read(fd, out.data(), out.size());
    fine = n >= 0;
    out.resize(fine ? static_cast<std::size_t>(n) : 0);
  }
  ::close(fd);
  return fine ? failure{} : unreadable;
}

failure locate(const provider_options& opts, const std::string& name, address& out) {
  for (const auto& [what, path] : candidates(name, opts.core.socket_dir, opts.spec_dirs)) {
    if (what == candidate::kind::socket) {
      if (!is_socket(path))
        continue;
      out.socket_path = path;
      return {};
    }
    std::string text;
    const auto read = read_file(path, text);
    if (!read)
      continue;
    if (!read->ok())
      return *read;
    return what == candidate::kind::spec ? read_spec(text, out) : read_json_spec(text, out);
  }
  return {errc::not_found, "plugin not found"};
}

// -- calls --------------------------------------------------------------------------------------------------------------

http::client::call_callback teller(self_ptr self, fetch_id id, bool by_engine) {
  const auto back = caf::actor_cast<caf::actor_addr>(self->address()); // weak: a call must not keep the actor alive
  return [back, id, by_engine](const http::client_error& error, http::response&& response) {
    const auto strong = caf::actor_cast<caf::strong_actor_ptr>(back);
    if (!strong)
      return;
    call_ended news{id, by_engine, {response.status, std::move(response.body), error.text, false}};
    news.answer.too_large = error.code == http::client_errc::too_large;
    if (!error.ok() && news.answer.problem.empty())
      news.answer.problem = "the call failed";
    caf::anon_send(caf::actor_cast<caf::actor>(strong), std::move(news));
  };
}

void call(self_ptr self, const call_plugin& what) {
  auto& client = self->state.clients[what.id];
  if (!client) {
    http::client_options options;
    options.socket_path = what.at.socket_path;
    options.tcp_host = what.at.tcp_host;
    options.tcp_port = what.at.tcp_port;
    options.connections = 1;
    client = std::make_unique<http::client>(*self->state.io, std::move(options));
  }
  http::client_request request;
  request.method = "POST";
  request.target = what.target;
  request.headers.add("Accept", std::string{content_type});
  request.headers.add("Content-Type", std::string{content_type});
  request.body = what.body;
  client->call(std::move(request), what.deadline + grace, teller(self, what.id, false), answer_bytes_max);
}

void call(self_ptr self, const call_engine& what) {
  http::client_request request;
  request.target = what.target;
  self->state.engine->call(std::move(request), what.deadline, teller(self, what.id, true), engine_bytes_max);
}

// -- the actor ----------------------------------------------------------------------------------------------------------

void answer(self_ptr self, reply& what) {
  auto& st = self->state;
  st.clients.erase(what.id);
  const auto it = st.promises.find(what.id);
  if (it == st.promises.end())
    return;
  auto promise = std::move(it->second);
  st.promises.erase(it);
  if (what.problem.ok())
    promise.deliver(std::move(what.answer));
  else
    promise.deliver(to_error(what.problem));
}

// Looking at files answers at once, and may have more to do in turn.
void perform(self_ptr self, effects todo) {
  auto& st = self->state;
  while (!todo.empty()) {
    effects more;
    const auto then = [&more](effects next) { std::move(next.begin(), next.end(), std::back_inserter(more)); };
    for (auto& one : todo)
      std::visit(overload{
                     [&](call_engine& e) { call(self, e); },
                     [&](call_plugin& e) { call(self, e); },
                     [&](search& e) {
                       address found;
                       const auto problem = locate(st.opts, e.name, found);
                       then(st.decisions->searched(time_of(self), e.id, problem, found));
                     },
                     [&](reply& e) { answer(self, e); },
                 },
                 one);
    todo = std::move(more);
  }
  const auto due = st.decisions->due();
  if (!due || *due >= st.next_tick)
    return;
  st.next_tick = *due;
  self->delayed_send(self, std::max(duration{}, *due - time_of(self)), tick_atom_v);
}

ActorStatus status_of(self_ptr self, const ReadStatus& request) {
  const auto& st = self->state;
  auto status = self->base_status(request);
  auto& facts = *status.mutable_facts();
  facts["fetched"] = std::to_string(st.decisions->done());
  facts["failed"] = std::to_string(st.decisions->failed());
  facts["running"] = std::to_string(st.decisions->running());
  facts["waiting"] = std::to_string(st.decisions->waiting());
  if (request.full())
    status.set_state(st.decisions->dump());
  return status;
}

} // namespace

provider_interface::behavior_type secret_provider(self_ptr self, provider_options opts, io_threads* io) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.opts.core.has_engine = !st.opts.engine_socket.empty();
  st.io = io;
  st.decisions = std::make_unique<core>(st.opts.core);
  if (st.opts.core.has_engine) {
    http::client_options engine;
    engine.socket_path = st.opts.engine_socket;
    st.engine = std::make_shared<http::client>(*io, std::move(engine));
  }
  self->set_label("secrets");
  return {
      [self](const FetchSecret& request) -> caf::result<SecretFetched> {
        auto& st = self->state;
        const auto id = ++st.last_id;
        auto promise = self->make_response_promise<SecretFetched>();
        st.promises.emplace(id, promise);
        perform(self, st.decisions->add(time_of(self), id, request));
        return promise;
      },
      [self](const ReadStatus& request) { return status_of(self, request); },
      [self](const call_ended& news) {
        auto& decisions = *self->state.decisions;
        const auto now = time_of(self);
        perform(self, news.by_engine ? decisions.engine_answered(now, news.id, news.answer)
                                     : decisions.plugin_answered(now, news.id, news.answer));
      },
      [self](tick_atom) {
        self->state.next_tick = instant::max();
        perform(self, self->state.decisions->tick(time_of(self)));
      },
  };
}

} // namespace swarm::plugin
