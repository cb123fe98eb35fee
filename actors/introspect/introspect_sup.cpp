// Translates the few routes of the control socket into messages to INTROSPECT.
#include "actors/introspect/introspect_sup.hpp"

#include "actors/introspect/tree_view.hpp"
#include "messages/docker_json.hpp"
#include "runtime/observed.hpp"

namespace swarm::introspect {

namespace {

struct tree_request {
  std::shared_ptr<http::exchange> exchange;
  std::string under;
  bool as_text = false;
};

} // namespace

} // namespace swarm::introspect

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::introspect::tree_request)

namespace swarm::introspect {

namespace {

constexpr std::chrono::seconds tree_deadline{2};

struct control_state {
  static inline const char* name = "control_socket";
};
using control_session = caf::typed_actor<caf::reacts_to<tree_request>, status_clause>;

control_session::behavior_type control_session_actor(observed_ptr<control_session, control_state> self,
                                                     introspect_actor introspect) {
  self->set_label("introspect/socket");
  return {
    [self, introspect](const tree_request& r) {
      ReadTree request;
      request.set_under(r.under);
      self->request(introspect, tree_deadline, request)
        .then(
          [r](const SupervisionTree& tree) {
            if (r.as_text)
              r.exchange->reply(200, {{"Content-Type", "text/plain; charset=utf-8"}},
                                tree_text(tree, {true, !r.under.empty()}));
            else
              r.exchange->reply(200, {{"Content-Type", "application/json"}}, to_json(tree, {}) + '\n');
          },
          [r](const caf::error&) { r.exchange->reply_error(503, "the actor tree could not be read in time"); });
    },
    [self](const ReadStatus& request) { return self->base_status(request); },
  };
}

} // namespace

struct control_front::impl {
  std::string socket_path;
  control_session session;
  http::server server;

  static http::route decide(const http::request_head& head) {
    if (head.method == "GET" && head.path == "/v1/tree")
      return http::handle{};
    return http::refuse{404, "page not found", {}};
  }
  void handle(std::shared_ptr<http::exchange> exchange, http::request&& request) {
    tree_request r{std::move(exchange), {}, false};
    if (const auto it = request.query.find("under"); it != request.query.end())
      r.under = it->second;
    if (const auto it = request.query.find("format"); it != request.query.end())
      r.as_text = it->second == "text";
    caf::anon_send(session, std::move(r));
  }
  impl(caf::actor_system& system, io_threads& io, introspect_actor introspect, std::string path)
    : socket_path{std::move(path)},
      session{system.spawn(control_session_actor, std::move(introspect))},
      server{io, decide, [this](auto exchange, auto&& request) { handle(std::move(exchange), std::move(request)); }} {}
};

control_front::control_front(caf::actor_system& system, io_threads& io, introspect_actor introspect, std::string socket_path)
  : impl_{std::make_unique<impl>(system, io, std::move(introspect), std::move(socket_path))} {}

control_front::~control_front() { stop(); }

failure control_front::start() { return impl_->server.listen(http::unix_endpoint{impl_->socket_path, 0660, "swarm-node"}); }

void control_front::stop() {
  impl_->server.stop();
  caf::anon_send_exit(impl_->session, caf::exit_reason::user_shutdown);
}

std::string dump_tree(caf::actor_system& system, const introspect_actor& introspect) {
  caf::scoped_actor self{system};
  std::string out;
  self->request(introspect, tree_deadline, ReadTree{})
    .receive([&](const SupervisionTree& tree) { out = tree_text(tree); },
             [&](const caf::error&) { out = "the actor tree could not be read in time\n"; });
  return out;
}

} // namespace swarm::introspect
