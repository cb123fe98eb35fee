// Opens the sockets, spawns the workers, and asks the engine now and then which API it speaks.
#include "actors/gateway/gateway_sup.hpp"

#include <charconv>

#include "messages/json_value.hpp"
#include "runtime/log.hpp"

namespace swarm::gateway {

namespace {

// Secrets up to 500 KiB and configs up to 1000 KiB travel base64-encoded in one body.
constexpr std::size_t swarm_body_bytes = 2 * 1024 * 1024;
constexpr auto probe_deadline = seconds{5};
constexpr auto probe_period = seconds{15};

http::route decide(const http::request_head& head, const gateway_options& options) {
  const auto where = find_route(head.method, head.path);
  if (where.to != target::engine)
    return http::handle{swarm_body_bytes};
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

} // namespace

struct front::impl {
  caf::actor_system& system;
  io_threads& io;
  shared_options options;
  listen_options listen;
  std::vector<gateway_worker> workers;
  std::unique_ptr<http::server> server;
  std::shared_ptr<timer_handle> probe_timer = std::make_shared<timer_handle>();

  void dispatch(std::shared_ptr<http::exchange> exchange, http::request&& request) {
    api_call call;
    call.where = find_route(request.method, request.path);
    // One connection always meets the same worker, so that its requests stay in order.
    const auto& worker = workers[request.connection_id % workers.size()];
    call.exchange = std::move(exchange);
    call.request = std::make_shared<http::request>(std::move(request));
    caf::anon_send(worker, std::move(call));
  }

  failure open(const std::string& host) {
    if (host.starts_with("unix://"))
      return server->listen(http::unix_endpoint{host.substr(7), 0660, listen.group});
    if (host.starts_with("tcp://")) {
      http::tcp_endpoint endpoint;
      const auto rest = host.substr(6);
      const auto colon = rest.rfind(':');
      std::uint32_t port = 0;
      if (colon != std::string::npos)
        std::from_chars(rest.data() + colon + 1, rest.data() + rest.size(), port);
      if (colon == std::string::npos || port == 0 || port > 65535)
        return {errc::invalid_argument, "host " + host + ": expected tcp://IP:PORT"};
      endpoint.address = rest.substr(0, colon);
      endpoint.port = static_cast<std::uint16_t>(port);
      endpoint.allow_plain_loopback = true;
      return server->listen(endpoint);
    }
    return {errc::invalid_argument, "host " + host + ": expected unix://PATH or tcp://IP:PORT"};
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
  : impl_{new impl{system, io, std::move(options), std::move(listen), {}, nullptr}} {
  for (unsigned i = 0; i < std::max(1u, impl_->listen.workers); ++i)
    impl_->workers.push_back(system.spawn(gateway_worker_actor, root, impl_->options));
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
  for (const auto& worker : impl_->workers)
    caf::anon_send_exit(worker, caf::exit_reason::user_shutdown);
  impl_->workers.clear();
}

} // namespace swarm::gateway
