// Opens the sockets, spawns the workers, and asks the engine now and then which API it speaks.
#include "actors/gateway/gateway_sup.hpp"

#include <charconv>
#include <mutex>

#include "messages/json_value.hpp"
#include "runtime/log.hpp"
#include "runtime/supervisor.hpp"

namespace swarm::gateway {

namespace {

constexpr auto probe_deadline = seconds{5};
constexpr auto probe_period = seconds{15};

http::route decide(const http::request_head& head, const gateway_options& options) {
  const auto where = find_route(head.method, head.path);
  if (where.to != target::engine)
    return http::handle{};
  if (options.engine_socket.empty())
    return http::refuse{503, "this host runs without a Docker Engine: only the swarm part of the API is served here", {}};
  return http::pass_through{options.engine_socket, {}, engine_target(head.target, options.engine_minor)};
}

std::uint32_t minor_from(const std::string& version_body) {
  json_value body;
  if (!json_value::parse(version_body, body).ok())
    return 0;
  const auto* version = body.find("ApiVersion");
  if (version == nullptr || !version->as_string().starts_with("1."))
    return 0;
  const auto digits = version->as_string().substr(2);
  std::uint32_t minor = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), minor);
  return minor;
}

// Who answers: set by the supervisor, read on the I/O threads.
class worker_table {
public:
  explicit worker_table(std::size_t size) : workers_(size) {}

  void set(std::size_t i, gateway_worker worker) {
    const std::lock_guard lock{mutex_};
    workers_[i] = std::move(worker);
  }
  [[nodiscard]] gateway_worker at(std::size_t i) const {
    const std::lock_guard lock{mutex_};
    return workers_[i];
  }
  [[nodiscard]] std::size_t size() const { return workers_.size(); }

private:
  mutable std::mutex mutex_;
  std::vector<gateway_worker> workers_;
};

/// GATEWAY SUPERVISOR — keeps the workers alive.
/// | from | message | meaning | reply | errors |
/// |------|---------|---------|-------|--------|
using gateway_supervisor = caf::typed_actor<status_clause>;

struct supervisor_state {
  static inline const char* name = "gateway_sup";
  child_group workers;
};

struct supervisor_options {
  node_root_actor root;
  shared_options options;
  std::shared_ptr<worker_table> table;
  std::function<void(const std::string&)> give_up;
};

gateway_supervisor::behavior_type supervise_workers(observed_ptr<gateway_supervisor, supervisor_state> self,
                                                    supervisor_options opts) {
  std::vector<child_spec> children;
  for (std::size_t i = 0; i < opts.table->size(); ++i)
    children.push_back({"worker-" + std::to_string(i), restart_kind::permanent, [self, opts, i] {
      auto worker = self->system().spawn(gateway_worker_actor, opts.root, opts.options);
      opts.table->set(i, worker);
      return caf::actor_cast<caf::actor>(worker);
    }});
  self->state.workers = child_group::make(self, {}, std::move(children));
  self->state.workers.start_all();
  self->set_down_handler([self, opts](caf::down_msg& down) {
    if (self->state.workers.child_down(down) == child_group::outcome::gave_up && opts.give_up)
      opts.give_up("the workers of the API keep failing");
  });
  self->set_exit_handler([self](const caf::exit_msg& exit) {
    self->state.workers.stop_all();
    self->quit(exit.reason);
  });
  return {[self](const ReadStatus& request) { return self->base_status(request); }};
}

} // namespace

struct front::impl {
  caf::actor_system& system;
  io_threads& io;
  shared_options options;
  listen_options listen;
  std::shared_ptr<worker_table> workers;
  gateway_supervisor supervisor;
  std::unique_ptr<http::server> server;
  std::shared_ptr<timer_handle> probe_timer = std::make_shared<timer_handle>();

  void dispatch(std::shared_ptr<http::exchange> exchange, http::request&& request) {
    api_call call;
    call.where = find_route(request.method, request.path);
    // One connection always meets the same worker, so that its requests stay in order.
    const auto worker = workers->at(request.connection_id % workers->size());
    if (!worker)
      return exchange->reply_error(503, "swarm-node is starting");
    call.exchange = std::move(exchange);
    call.request = std::make_shared<http::request>(std::move(request));
    caf::anon_send(worker, std::move(call));
  }

  failure open(const std::string& host) {
    if (host.starts_with("unix://"))
      return server->listen(http::unix_endpoint{host.substr(7), 0660, listen.group});
    return {errc::invalid_argument, "host " + host + ": expected unix://PATH"};
  }

};

namespace {

// Asks again now and then: the engine may be upgraded while we run. Ends when `timer` has no other owner.
void probe(io_threads& io, const shared_options& options, const std::weak_ptr<timer_handle>& timer) {
  const auto alive = timer.lock();
  if (!alive || !options->engine)
    return;
  options->engine->call({"GET", "/version", {}, {}}, probe_deadline, [options](http::client_error e, http::response&& reply) {
    if (e.ok() && reply.status == 200)
      if (const auto minor = minor_from(reply.body); minor != 0)
        options->engine_minor = minor;
  });
  *alive = io.after(probe_period, [&io, options, timer] { probe(io, options, timer); });
}

} // namespace

front::front(caf::actor_system& system, io_threads& io, node_root_actor root, shared_options options, listen_options listen)
  : impl_{new impl{system, io, std::move(options), std::move(listen), nullptr, {}, nullptr}} {
  impl_->workers = std::make_shared<worker_table>(std::max(1u, impl_->listen.workers));
  impl_->supervisor = system.spawn(
    supervise_workers, supervisor_options{std::move(root), impl_->options, impl_->workers, impl_->listen.give_up});
  impl_->server = std::make_unique<http::server>(
    io, [opts = impl_->options](const http::request_head& head) { return decide(head, *opts); },
    [this](std::shared_ptr<http::exchange> exchange, http::request&& request) {
      impl_->dispatch(std::move(exchange), std::move(request));
    },
    impl_->listen.limits);
}

front::~front() { stop(seconds{0}); }

failure front::start() {
  probe(impl_->io, impl_->options, impl_->probe_timer);
  for (const auto& host : impl_->listen.hosts)
    if (auto f = impl_->open(host); !f.ok()) {
      impl_->server->stop();
      return f;
    }
  return {};
}

void front::stop(duration grace) {
  impl_->probe_timer.reset();
  if (impl_->server)
    impl_->server->stop(grace);
  impl_->server.reset();
  if (impl_->supervisor)
    caf::anon_send_exit(impl_->supervisor, caf::exit_reason::user_shutdown);
  impl_->supervisor = gateway_supervisor{};
}

} // namespace swarm::gateway
