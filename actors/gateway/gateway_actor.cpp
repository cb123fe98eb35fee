// Requests in, messages out, answers back. What a request means is decided in route, views and api_error.
#include "actors/gateway/gateway_actor.hpp"

#include <charconv>

#include "actors/gateway/api_error.hpp"
#include "actors/gateway/network_view.hpp"
#include "actors/gateway/views.hpp"
#include "messages/api.pb.h"
#include "messages/docker_json.hpp"
#include "messages/json_value.hpp"
#include "messages/service_defaults.hpp"
#include "runtime/text.hpp"

namespace swarm::gateway {

// -- what handlers share, also those of networks_actor.cpp -----------------------------------------------------------------

std::string_view query(const api_call& call, const std::string& key) {
  const auto it = call.request->query.find(key);
  return it == call.request->query.end() ? std::string_view{} : std::string_view{it->second};
}

api_minor minor_of(const api_call& call) { return {call.where.api_minor}; }

void answer_json(const api_call& call, int status, std::string json) {
  json += '\n';
  call.exchange->reply(status, common_headers("application/json"), std::move(json));
}

void answer_empty(const api_call& call, int status) { call.exchange->reply(status, common_headers("text/plain; charset=utf-8"), {}); }

void answer_error(worker_ptr self, const api_call& call, const api_error& e) {
  ++self->state.refused;
  std::string body;
  json_writer out{body};
  out.begin_object();
  out.member("message", std::string_view{e.message});
  out.end_object();
  body += '\n';
  call.exchange->reply(e.status, common_headers("application/json"), std::move(body));
}

// An error that came back instead of an answer. Texts of NODE ROOT ("This node is not a swarm manager…") and of reads
// ("service x not found", "… is ambiguous") are the daemon's own; a lost answer and a missing leader are the manager's.
void answer_lost(worker_ptr self, const api_call& call, const caf::error& err) {
  const auto f = to_failure(err);
  answer_error(self, call, f.code == errc::deadline_exceeded || f.code == errc::internal ? from_manager(f) : from_daemon(f));
}

bool written_ok(worker_ptr self, const api_call& call, const Written& written) {
  if (written.code() == 0)
    return true;
  const failure f{static_cast<errc>(written.code()), written.message()};
  answer_error(self, call, written.plain() ? from_daemon(f) : from_manager(f));
  return false;
}

namespace {

using self_ptr = worker_ptr;

constexpr std::chrono::seconds distribution_deadline{10};

// Go's decoder wants a JSON body with a JSON content type (behaviour §2.1).
template <class Message>
bool read_body(self_ptr self, const api_call& call, Message& out) {
  const auto type = call.request->headers.get("Content-Type");
  const auto mime = text::trim(type.substr(0, type.find(';')));
  if (!mime.empty() && !text::iequals(mime, "application/json")) {
    answer_error(self, call, {400, "unsupported Content-Type header (" + std::string{type} + "): must be 'application/json'"});
    return false;
  }
  if (auto f = from_json(call.request->body, out, minor_of(call)); !f.ok()) {
    answer_error(self, call, from_daemon(f));
    return false;
  }
  return true;
}

bool read_version(self_ptr self, const api_call& call, std::string_view object, std::uint64_t& out) {
  if (auto f = parse_version(query(call, "version"), object, out); !f.ok()) {
    answer_error(self, call, from_daemon(f));
    return false;
  }
  return true;
}

bool read_flag(self_ptr self, const api_call& call, const char* key, bool& out) {
  if (auto f = parse_flag(query(call, key), key, out); !f.ok()) {
    answer_error(self, call, from_daemon(f));
    return false;
  }
  return true;
}

void write_object(self_ptr self, call_ptr call, ControlRequest request,
                  std::function<void(const api_call&, const Written&)> done) {
  ask<Written>(self, call, std::move(request), [self, call, done = std::move(done)](const Written& written) {
    if (written_ok(self, *call, written))
      done(*call, written);
  });
}

// A service may name a network that only the engine knows.
void write_service(self_ptr self, call_ptr call, ControlRequest request,
                   std::function<void(const api_call&, const Written&)> done) {
  ask<Written>(self, call, std::move(request), [self, call, done = std::move(done)](const Written& written) {
    if (const auto name = missing_network(written.message()); written.plain() && !name.empty())
      answer_missing_network(self, call, written, name);
    else if (written_ok(self, *call, written))
      done(*call, written);
  });
}

void answer_done(const api_call& call, const Written&) { answer_empty(call, 200); }
void answer_removed(const api_call& call, const Written&) { answer_empty(call, 204); }
void answer_id(const api_call& call, const Written& written) {
  IdResponse reply;
  reply.set_id(written.id());
  answer_json(call, 201, to_json(reply, minor_of(call)));
}

// -- the node itself ------------------------------------------------------------------------------------------------

void handle_ping(self_ptr self, call_ptr call) {
  const auto reply = [call](const std::string& swarm) {
    auto fields = common_headers("text/plain; charset=utf-8");
    fields.set("Builder-Version", "2");
    fields.add("Cache-Control", "no-cache, no-store, must-revalidate");
    fields.add("Pragma", "no-cache");
    if (!swarm.empty())
      fields.add("Swarm", swarm);
    call->exchange->reply(200, std::move(fields), "OK");
  };
  // A ping must answer even when nothing else does.
  self->request(self->state.root, std::chrono::seconds{2}, ReadLocalNode{})
    .then([reply](const LocalNode& local) { reply(swarm_header(local)); },
          [reply](const caf::error&) { reply("error"); });
}

void reply_info(self_ptr self, const call_ptr& call, const LocalNode& local, const ObjectsRead* read) {
  const auto swarm = swarm_info_json(local, read, minor_of(*call));
  const auto splice = [swarm](const std::string& body) {
    json_value info;
    if (!json_value::parse(body, info).ok() || !info.is_object())
      return body;
    json_value member;
    if (json_value::parse(swarm, member).ok())
      info.set("Swarm", std::move(member));
    return info.dump() + '\n';
  };
  const auto& options = *self->state.options;
  if (options.engine_socket.empty()) {
    call->exchange->reply(200, common_headers("application/json"), splice(options.host_info));
    return;
  }
  auto request = *call->request;
  request.target = engine_target(request.target, options.engine_minor);
  http::response_filter filter;
  filter.body = [splice](const http::response_head& head, std::string body) {
    return head.status == 200 ? splice(body) : body;
  };
  call->exchange->proxy(options.engine_socket, std::move(request), std::move(filter));
}

void handle_info(self_ptr self, call_ptr call) {
  ask<LocalNode>(self, call, ReadLocalNode{}, [self, call](const LocalNode& local) {
    if (!local.control_available()) {
      reply_info(self, call, local, nullptr);
      return;
    }
    ReadObjects nodes;
    nodes.set_kind(OBJECT_KIND_NODE);
    ReadObjects cluster;
    cluster.set_kind(OBJECT_KIND_CLUSTER);
    // Without a leader /info still answers, and says what is wrong.
    const auto failed = [self, call, local](const caf::error& err) {
      auto copy = local;
      copy.set_error(from_manager(to_failure(err)).message);
      reply_info(self, call, copy, nullptr);
    };
    self->request(self->state.root, self->state.options->request_deadline, nodes)
      .then(
        [self, call, local, cluster, failed](const ObjectsRead& with_nodes) {
          self->request(self->state.root, self->state.options->request_deadline, cluster)
            .then(
              [self, call, local, with_nodes](const ObjectsRead& with_cluster) {
                auto both = with_nodes;
                *both.mutable_cluster() = with_cluster.cluster();
                reply_info(self, call, local, &both);
              },
              failed);
        },
        failed);
  });
}

void handle_version(self_ptr self, call_ptr call) {
  const auto& options = *self->state.options;
  const auto ours = "1." + std::to_string(api_minor_max);
  const auto oldest = "1." + std::to_string(api_minor_min);
  auto component = json_value::object();
  component.set("Name", json_value{"swarm-node"});
  component.set("Version", json_value{options.version});
  auto details = json_value::object();
  details.set("ApiVersion", json_value{ours});
  details.set("MinAPIVersion", json_value{oldest});
  component.set("Details", std::move(details));
  const auto extend = [=](json_value body) {
    body.set("ApiVersion", json_value{ours});
    body.set("MinAPIVersion", json_value{oldest});
    auto components = json_value::array();
    if (const auto* known = body.find("Components"))
      for (const auto& c : known->items())
        components.push_back(c);
    components.push_back(component);
    body.set("Components", std::move(components));
    return body.dump() + '\n';
  };
  if (options.engine_socket.empty()) {
    auto body = json_value::object();
    body.set("Platform", json_value::object().set("Name", json_value{"swarm-node"}));
    body.set("Version", json_value{options.version});
    body.set("Os", json_value{"linux"});
    json_value host;
    if (json_value::parse(options.host_info, host).ok())
      for (const auto* key : {"Architecture", "KernelVersion"})
        if (const auto* value = host.find(key))
          body.set(std::string_view{key} == "Architecture" ? "Arch" : key, *value);
    call->exchange->reply(200, common_headers("application/json"), extend(std::move(body)));
    return;
  }
  auto request = *call->request;
  request.target = engine_target(request.target, options.engine_minor);
  http::response_filter filter;
  filter.body = [extend](const http::response_head& head, std::string body) {
    json_value parsed;
    if (head.status != 200 || !json_value::parse(body, parsed).ok() || !parsed.is_object())
      return body;
    return extend(std::move(parsed));
  };
  call->exchange->proxy(options.engine_socket, std::move(request), std::move(filter));
}

// A registry that does not answer must not hold up a `service create` that needs no digest.
void handle_distribution(self_ptr self, call_ptr call) {
  const auto& options = *self->state.options;
  if (!options.engine) {
    answer_error(self, *call, {503, "this host runs without a Docker Engine: image digests cannot be resolved"});
    return;
  }
  http::client_request request;
  request.target = engine_target(call->request->target, options.engine_minor);
  if (const auto* auth = call->request->headers.find("X-Registry-Auth"))
    request.headers.add("X-Registry-Auth", *auth);
  options.engine->call(std::move(request), distribution_deadline, [call](http::client_error e, http::response&& reply) {
    if (e.ok())
      call->exchange->reply(reply.status, common_headers("application/json"), std::move(reply.body));
    else
      call->exchange->reply_error(e.code == http::client_errc::deadline ? 500 : 503, e.text);
  });
}

// -- membership -----------------------------------------------------------------------------------------------------

template <class Request, class F>
void change_membership(self_ptr self, call_ptr call, Request request, F done) {
  ask<MembershipChanged>(self, call, std::move(request), [self, call, done](const MembershipChanged& changed) {
    if (changed.code() != 0)
      answer_error(self, *call, from_daemon({static_cast<errc>(changed.code()), changed.message()}));
    else
      done(changed);
  });
}

void handle_init(self_ptr self, call_ptr call) {
  SwarmInitRequest body;
  if (!read_body(self, *call, body))
    return;
  InitSwarm request;
  request.set_listen_addr(body.listen_addr());
  request.set_advertise_addr(body.advertise_addr());
  request.set_data_path_addr(body.data_path_addr());
  request.set_data_path_port(body.data_path_port());
  *request.mutable_default_addr_pool() = body.default_addr_pool();
  request.set_subnet_size(body.subnet_size());
  request.set_force_new_cluster(body.force_new_cluster());
  *request.mutable_spec() = body.spec();
  request.set_auto_lock(body.auto_lock_managers());
  request.set_availability(body.availability());
  change_membership(self, call, std::move(request), [call](const MembershipChanged& changed) {
    answer_json(*call, 200, '"' + changed.node_id() + '"');
  });
}

void handle_join(self_ptr self, call_ptr call) {
  SwarmJoinRequest body;
  if (!read_body(self, *call, body))
    return;
  JoinSwarm request;
  request.set_listen_addr(body.listen_addr());
  request.set_advertise_addr(body.advertise_addr());
  request.set_data_path_addr(body.data_path_addr());
  *request.mutable_remote_addrs() = body.remote_addrs();
  request.set_join_token(body.join_token());
  request.set_availability(body.availability());
  change_membership(self, call, std::move(request), [call](const MembershipChanged&) { answer_empty(*call, 200); });
}

void handle_leave(self_ptr self, call_ptr call) {
  LeaveSwarm request;
  request.set_force(bool_value(query(*call, "force")));
  // Leaving waits for containers to stop: longer than any other request.
  self->request(self->state.root, 3 * self->state.options->request_deadline, request)
    .then(
      [self, call](const MembershipChanged& changed) {
        if (changed.code() != 0)
          answer_error(self, *call, from_daemon({static_cast<errc>(changed.code()), changed.message()}));
        else
          answer_empty(*call, 200);
      },
      [self, call](const caf::error& err) { answer_lost(self, *call, err); });
}

void handle_unlock(self_ptr self, call_ptr call) {
  UnlockRequest body;
  if (!read_body(self, *call, body))
    return;
  UnlockSwarm request;
  request.set_unlock_key(body.unlock_key());
  ask<MembershipChanged>(self, call, std::move(request), [self, call](const MembershipChanged& changed) {
    auto refused = from_daemon({static_cast<errc>(changed.code()), changed.message()});
    if (static_cast<errc>(changed.code()) == errc::permission_denied)
      refused.status = 401; // a wrong key is the only "unauthorized" of this API
    if (changed.code() != 0)
      answer_error(self, *call, refused);
    else
      answer_empty(*call, 200);
  });
}

void read_cluster(self_ptr self, call_ptr call, std::function<void(const api_call&, const Cluster&)> done) {
  ReadObjects request;
  request.set_kind(OBJECT_KIND_CLUSTER);
  ask<ObjectsRead>(self, call, request, [call, done](const ObjectsRead& read) { done(*call, read.cluster()); });
}

void handle_swarm_update(self_ptr self, call_ptr call) {
  ControlRequest request;
  auto& update = *request.mutable_update_cluster();
  std::uint64_t version = 0;
  if (!read_version(self, *call, "swarm", version) || !read_body(self, *call, *update.mutable_spec()))
    return;
  bool worker = false, manager = false, key = false;
  if (!read_flag(self, *call, "rotateWorkerToken", worker) || !read_flag(self, *call, "rotateManagerToken", manager)
      || !read_flag(self, *call, "rotateManagerUnlockKey", key))
    return;
  update.set_version(version);
  update.set_rotate_worker_token(worker);
  update.set_rotate_manager_token(manager);
  update.set_rotate_unlock_key(key);
  write_object(self, call, std::move(request), answer_done);
}

// -- lists and single objects -----------------------------------------------------------------------------------------

using render_reply = std::function<std::string(const api_call&, const ObjectsRead&)>;

void handle_list(self_ptr self, call_ptr call, ObjectKind kind, render_reply to_text) {
  ReadObjects request;
  request.set_kind(kind);
  if (auto f = check_filters(kind, query(*call, "filters"), minor_of(*call), request); !f.ok()) {
    answer_error(self, *call, from_daemon(f));
    return;
  }
  if (kind == OBJECT_KIND_SERVICE && call->where.api_minor >= 41)
    request.set_with_service_status(bool_value(query(*call, "status")));
  ask<ObjectsRead>(self, call, std::move(request), [call, to_text](const ObjectsRead& read) {
    answer_json(*call, 200, to_text(*call, read));
  });
}

void handle_inspect(self_ptr self, call_ptr call, ObjectKind kind, render_reply to_text) {
  ReadObjects request;
  request.set_kind(kind);
  request.set_key(call->where.id);
  ask<ObjectsRead>(self, call, std::move(request), [call, to_text](const ObjectsRead& read) {
    answer_json(*call, 200, to_text(*call, read));
  });
}

template <class Field>
render_reply list_of(Field field) {
  return [field](const api_call& call, const ObjectsRead& read) {
    std::string json;
    json_writer out{json};
    out.begin_array();
    for (const auto& object : (read.*field)())
      to_json(object, out, minor_of(call));
    out.end_array();
    return json;
  };
}

template <class Field>
render_reply first_of(Field field) {
  return [field](const api_call& call, const ObjectsRead& read) { return to_json((read.*field)(0), minor_of(call)); };
}

constexpr auto nodes_of = static_cast<const google::protobuf::RepeatedPtrField<Node>& (ObjectsRead::*)() const>(&ObjectsRead::nodes);
constexpr auto secrets_of = static_cast<const google::protobuf::RepeatedPtrField<Secret>& (ObjectsRead::*)() const>(&ObjectsRead::secrets);
constexpr auto configs_of = static_cast<const google::protobuf::RepeatedPtrField<Config>& (ObjectsRead::*)() const>(&ObjectsRead::configs);
constexpr auto node_at = static_cast<const Node& (ObjectsRead::*)(int) const>(&ObjectsRead::nodes);
constexpr auto secret_at = static_cast<const Secret& (ObjectsRead::*)(int) const>(&ObjectsRead::secrets);
constexpr auto config_at = static_cast<const Config& (ObjectsRead::*)(int) const>(&ObjectsRead::configs);

// -- services ---------------------------------------------------------------------------------------------------------

void handle_service_create(self_ptr self, call_ptr call) {
  ControlRequest request;
  auto& create = *request.mutable_create_service();
  if (!read_body(self, *call, *create.mutable_spec()))
    return;
  create.set_registry_auth(std::string{call->request->headers.get("X-Registry-Auth")});
  write_service(self, call, std::move(request), [](const api_call& c, const Written& written) {
    ServiceCreateResponse reply;
    reply.set_id(written.id());
    *reply.mutable_warnings() = written.warnings();
    answer_json(c, 201, to_json(reply, minor_of(c)));
  });
}

void handle_service_update(self_ptr self, call_ptr call) {
  ControlRequest request;
  auto& update = *request.mutable_update_service();
  std::uint64_t version = 0;
  if (!read_body(self, *call, *update.mutable_spec()) || !read_version(self, *call, "service", version))
    return;
  const auto rollback = query(*call, "rollback");
  if (!rollback.empty() && rollback != "none" && rollback != "previous") {
    answer_error(self, *call, {400, "unrecognized rollback option " + std::string{rollback}});
    return;
  }
  const auto auth_from = query(*call, "registryAuthFrom");
  if (!auth_from.empty() && auth_from != "spec" && auth_from != "previous-spec") {
    answer_error(self, *call, {400, "unsupported registryAuthFrom value"});
    return;
  }
  update.set_service_id(call->where.id);
  update.set_version(version);
  update.set_registry_auth(std::string{call->request->headers.get("X-Registry-Auth")});
  update.set_auth_from_previous(auth_from == "previous-spec");
  update.set_roll_back(rollback == "previous");
  write_service(self, call, std::move(request), [](const api_call& c, const Written& written) {
    ServiceUpdateResponse reply;
    *reply.mutable_warnings() = written.warnings();
    answer_json(c, 200, to_json(reply, minor_of(c)));
  });
}

bool read_log_options(self_ptr self, const api_call& call, SubscribeLogs& out) {
  out.set_stdout(bool_value(query(call, "stdout")));
  out.set_stderr(bool_value(query(call, "stderr")));
  if (!out.stdout() && !out.stderr()) {
    answer_error(self, call, call.where.api_minor >= 42
                               ? api_error{400, "must specify at least one of 'stdout' or 'stderr'"}
                               : api_error{500, "Bad parameters: you must choose at least one stream"});
    return false;
  }
  out.set_follow(bool_value(query(call, "follow")));
  out.set_tail(-1);
  const auto tail = query(call, "tail");
  if (!tail.empty() && tail != "all") {
    std::int64_t lines = 0;
    const auto [rest, ec] = std::from_chars(tail.data(), tail.data() + tail.size(), lines);
    if (ec != std::errc{} || rest != tail.data() + tail.size() || lines < 0) {
      answer_error(self, call, {400, lines < 0 ? "negative tail values not supported" : "tail value must be a positive integer or \"all\""});
      return false;
    }
    out.set_tail(lines);
  }
  const auto since = query(call, "since");
  if (!since.empty() && since != "0") {
    // Unix seconds with an optional fraction, or RFC 3339.
    const auto dot = since.find('.');
    std::int64_t seconds = 0;
    const auto whole = since.substr(0, dot);
    const auto [rest, ec] = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
    if (ec == std::errc{} && rest == whole.data() + whole.size() && seconds >= 0 && seconds < 9'000'000'000) {
      std::string digits{dot == std::string_view::npos ? "" : since.substr(dot + 1).substr(0, 9)};
      digits.resize(9, '0');
      std::int64_t fraction = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), fraction);
      out.set_since(seconds * 1'000'000'000 + fraction);
    } else if (const auto at = text::parse_rfc3339(since)) {
      out.set_since(*at);
    } else {
      answer_error(self, call, {400, "invalid since value " + text::quoted(since) + ": must be a Unix time or RFC 3339"});
      return false;
    }
  }
  return true;
}

void handle_logs(self_ptr self, call_ptr call, ObjectKind kind) {
  SubscribeLogs subscription;
  if (!read_log_options(self, *call, subscription))
    return;
  ReadObjects find;
  find.set_kind(kind);
  find.set_key(call->where.id);
  ask<ObjectsRead>(self, call, find, [self, call, kind, subscription](const ObjectsRead& read) mutable {
    std::string service_id;
    bool tty = false;
    if (kind == OBJECT_KIND_SERVICE) {
      service_id = read.services(0).id();
      tty = read.services(0).spec().task_template().container_spec().tty();
      subscription.add_service_ids(service_id);
    } else {
      service_id = read.tasks(0).service_id();
      tty = read.templates_size() > 0 && read.templates(0).spec().container_spec().tty();
      subscription.add_task_ids(read.tasks(0).id());
    }
    spawn_log_session(self->system(), self->state.root, *call, subscription, service_id, tty);
  });
}

// -- nodes, secrets, configs ----------------------------------------------------------------------------------------

void handle_node_update(self_ptr self, call_ptr call) {
  ControlRequest request;
  auto& update = *request.mutable_update_node();
  std::uint64_t version = 0;
  if (!read_body(self, *call, *update.mutable_spec()) || !read_version(self, *call, "node", version))
    return;
  update.set_node_id(call->where.id);
  update.set_version(version);
  write_object(self, call, std::move(request), answer_done);
}

template <class Update>
void handle_spec_update(self_ptr self, call_ptr call, const char* object, void (*set_id)(Update&, const std::string&),
                        Update* (ControlRequest::*mutable_update)()) {
  ControlRequest request;
  auto& update = *(request.*mutable_update)();
  std::uint64_t version = 0;
  if (parse_version(query(*call, "version"), object, version).ok() == false) {
    answer_error(self, *call, {400, std::string{"invalid "} + object + " version"});
    return;
  }
  if (!read_body(self, *call, *update.mutable_spec()))
    return;
  set_id(update, call->where.id);
  update.set_version(version);
  write_object(self, call, std::move(request), answer_done);
}

void handle_service_inspect(self_ptr self, const call_ptr& call) {
  constexpr auto key = "insertDefaults";
  bool defaults = false;
  if (auto f = parse_flag(query(*call, key), key, defaults); !f.ok()) {
    f.message += ": strconv.ParseBool: parsing " + text::quoted(query(*call, key)) + ": invalid syntax";
    return answer_error(self, *call, from_daemon(f));
  }
  handle_inspect(self, call, OBJECT_KIND_SERVICE, [defaults](const api_call& c, const ObjectsRead& r) {
    return service_json(r.services(0), defaults, minor_of(c));
  });
}

void handle_service_routes(self_ptr self, const call_ptr& call) {
  ControlRequest request;
  switch (call->where.to) {
    case target::service_list:
      return handle_list(self, call, OBJECT_KIND_SERVICE,
                         [](const api_call& c, const ObjectsRead& r) { return services_json(r, minor_of(c)); });
    case target::service_create: return handle_service_create(self, call);
    case target::service_inspect: return handle_service_inspect(self, call);
    case target::service_update: return handle_service_update(self, call);
    case target::service_remove:
      request.mutable_remove_service()->set_service_id(call->where.id);
      return write_object(self, call, std::move(request), answer_done);
    case target::service_logs: return handle_logs(self, call, OBJECT_KIND_SERVICE);
    case target::task_logs: return handle_logs(self, call, OBJECT_KIND_TASK);
    case target::task_list:
      return handle_list(self, call, OBJECT_KIND_TASK,
                         [](const api_call& c, const ObjectsRead& r) { return tasks_json(r, minor_of(c)); });
    default:
      return handle_inspect(self, call, OBJECT_KIND_TASK,
                            [](const api_call& c, const ObjectsRead& r) { return task_json(r, minor_of(c)); });
  }
}

void handle_object_routes(self_ptr self, const call_ptr& call) {
  ControlRequest request;
  switch (call->where.to) {
    case target::node_list: return handle_list(self, call, OBJECT_KIND_NODE, list_of(nodes_of));
    case target::node_inspect: return handle_inspect(self, call, OBJECT_KIND_NODE, first_of(node_at));
    case target::node_update: return handle_node_update(self, call);
    case target::node_remove:
      request.mutable_remove_node()->set_node_id(call->where.id);
      request.mutable_remove_node()->set_force(bool_value(query(*call, "force")));
      return write_object(self, call, std::move(request), answer_done);
    case target::secret_list: return handle_list(self, call, OBJECT_KIND_SECRET, list_of(secrets_of));
    case target::secret_inspect: return handle_inspect(self, call, OBJECT_KIND_SECRET, first_of(secret_at));
    case target::secret_create:
      if (read_body(self, *call, *request.mutable_create_secret()->mutable_spec()))
        write_object(self, call, std::move(request), answer_id);
      return;
    case target::secret_update:
      return handle_spec_update<UpdateSecret>(
        self, call, "secret", [](UpdateSecret& u, const std::string& id) { u.set_secret_id(id); },
        &ControlRequest::mutable_update_secret);
    case target::secret_remove:
      request.mutable_remove_secret()->set_secret_id(call->where.id);
      return write_object(self, call, std::move(request), answer_removed);
    case target::config_list: return handle_list(self, call, OBJECT_KIND_CONFIG, list_of(configs_of));
    case target::config_inspect: return handle_inspect(self, call, OBJECT_KIND_CONFIG, first_of(config_at));
    case target::config_create:
      if (read_body(self, *call, *request.mutable_create_config()->mutable_spec()))
        write_object(self, call, std::move(request), answer_id);
      return;
    case target::config_update:
      return handle_spec_update<UpdateConfigObject>(
        self, call, "config", [](UpdateConfigObject& u, const std::string& id) { u.set_config_id(id); },
        &ControlRequest::mutable_update_config);
    default:
      request.mutable_remove_config()->set_config_id(call->where.id);
      return write_object(self, call, std::move(request), answer_removed);
  }
}

void handle(self_ptr self, const call_ptr& call) {
  ++self->state.requests;
  if (!call->request->query_error.empty())
    return answer_error(self, *call, {400, call->request->query_error});
  switch (call->where.to) {
    case target::bad_version: return answer_error(self, *call, {400, call->where.error});
    case target::ping: return handle_ping(self, call);
    case target::info: return handle_info(self, call);
    case target::version: return handle_version(self, call);
    case target::events: return spawn_event_session(self->system(), self->state.root, self->state.options, *call);
    case target::distribution: return handle_distribution(self, call);
    case target::network_list: case target::network_inspect: case target::network_create: case target::network_create_checked:
    case target::network_remove: case target::network_remove_found: case target::network_connect: case target::network_prune:
      return handle_network_routes(self, call);
    case target::swarm_init: return handle_init(self, call);
    case target::swarm_join: return handle_join(self, call);
    case target::swarm_leave: return handle_leave(self, call);
    case target::swarm_update: return handle_swarm_update(self, call);
    case target::swarm_inspect:
      return read_cluster(self, call, [](const api_call& c, const Cluster& cluster) {
        answer_json(c, 200, to_json(cluster_view(cluster, true), minor_of(c)));
      });
    case target::swarm_unlock_key:
      return ask<UnlockKey>(self, call, ReadUnlockKey{}, [call](const UnlockKey& key) {
        UnlockRequest reply;
        reply.set_unlock_key(key.unlock_key());
        answer_json(*call, 200, to_json(reply, minor_of(*call)));
      });
    case target::swarm_unlock: return handle_unlock(self, call);
    case target::engine:
    case target::unknown: return answer_error(self, *call, {404, "page not found"});
    case target::service_list: case target::service_create: case target::service_inspect:
    case target::service_update: case target::service_remove: case target::service_logs:
    case target::task_list: case target::task_inspect: case target::task_logs:
      return handle_service_routes(self, call);
    default: return handle_object_routes(self, call);
  }
}

} // namespace

http::headers common_headers(const char* content_type) {
  return {{"Api-Version", "1." + std::to_string(api_minor_max)},
          {"Docker-Experimental", "false"},
          {"Ostype", "linux"},
          {"Server", "swarm-node (linux)"},
          {"Content-Type", content_type}};
}

gateway_worker::behavior_type gateway_worker_actor(self_ptr self, node_root_actor root, shared_options options) {
  self->state.root = std::move(root);
  self->state.options = std::move(options);
  return {
    [self](const api_call& call) { handle(self, std::make_shared<api_call>(call)); },
    [self](const ReadStatus& request) {
      auto status = self->base_status(request);
      (*status.mutable_facts())["requests"] = std::to_string(self->state.requests);
      (*status.mutable_facts())["refused"] = std::to_string(self->state.refused);
      return status;
    },
  };
}

} // namespace swarm::gateway
