// Networks: those of swarm scope come from CONTROL and STORE, all others from the engine, and a client sees one list.
#include "actors/gateway/gateway_actor.hpp"
#include "actors/gateway/network_view.hpp"
#include "actors/gateway/views.hpp"
#include "messages/api.pb.h"
#include "messages/networks.hpp"

namespace swarm::gateway {

namespace {

constexpr std::chrono::seconds engine_deadline{10};

api_error not_found(const std::string& key) { return {404, "network " + key + " not found"}; }

void to_engine(worker_ptr self, const api_call& call, http::response_filter filter = {}) {
  const auto& options = *self->state.options;
  if (options.engine_socket.empty()) {
    answer_error(self, call, {503, "this host runs without a Docker Engine: there are no engine networks"});
    return;
  }
  auto request = *call.request;
  request.target = engine_target(request.target, options.engine_minor);
  call.exchange->proxy(options.engine_socket, std::move(request), std::move(filter));
}

/// The engine's network of that name or id, null when there is none; on an I/O thread, or at once without an engine.
void ask_engine(const shared_options& options, const std::string& key, std::function<void(int status, json_value)> done) {
  if (!options->engine) {
    done(404, {});
    return;
  }
  http::client_request request;
  request.target = "/networks/" + http::percent_encode(key);
  options->engine->call(std::move(request), engine_deadline, [done](http::client_error e, http::response&& reply) {
    json_value body;
    if (e.ok() && reply.status == 200 && !json_value::parse(reply.body, body).ok())
      body = {};
    done(e.ok() ? reply.status : 0, std::move(body));
  });
}

bool is_named(const json_value& network, std::string_view name) {
  const auto* found = network.find("Name");
  return found != nullptr && found->as_string() == name;
}

/// Goes on as this target, now that the engine was asked: the callback is on an I/O thread.
void again(const gateway_worker& worker, const call_ptr& call, target to, std::string id) {
  auto next = *call;
  next.where.to = to;
  next.where.id = std::move(id);
  caf::anon_send(worker, std::move(next));
}

/// What `request` finds of swarm scope, and this node's own state. A node that is no manager, or a swarm without a leader,
/// has no networks to show, which is no error here: the engine's are there all the same.
template <class F>
void read_swarm(worker_ptr self, const call_ptr& call, ReadObjects request, F done) {
  request.set_kind(OBJECT_KIND_NETWORK);
  ask<LocalNode>(self, call, ReadLocalNode{}, [self, request, done](const LocalNode& local) {
    if (!local.control_available()) {
      done(local, ObjectsRead{});
      return;
    }
    self->request(self->state.root, self->state.options->request_deadline, request)
      .then([local, done](const ObjectsRead& read) { done(local, read); },
            [local, done](const caf::error&) { done(local, ObjectsRead{}); });
  });
}

// -- list and inspect -------------------------------------------------------------------------------------------------------

void list_networks(worker_ptr self, const call_ptr& call) {
  ReadObjects request;
  if (auto f = check_filters(OBJECT_KIND_NETWORK, query(*call, "filters"), minor_of(*call), request); !f.ok()) {
    answer_error(self, *call, from_daemon(f));
    return;
  }
  read_swarm(self, call, request, [self, call](const LocalNode& local, const ObjectsRead& read) {
    const auto api = minor_of(*call);
    if (self->state.options->engine_socket.empty()) {
      call->exchange->reply(200, common_headers("application/json"), merged_networks_json({}, read, local.cluster_id(), api));
      return;
    }
    http::response_filter filter;
    filter.body = [read, cluster = local.cluster_id(), api](const http::response_head& head, std::string body) {
      return head.status == 200 ? merged_networks_json(body, read, cluster, api) : body;
    };
    to_engine(self, *call, std::move(filter));
  });
}

/// One of the engine's own; the bridges that carry networks of swarm scope are not there for users.
void inspect_of_engine(worker_ptr self, const call_ptr& call, const std::string& cluster_id) {
  if (self->state.options->engine_socket.empty()) {
    answer_error(self, *call, not_found(call->where.id));
    return;
  }
  http::client_request request;
  request.target = engine_target(call->request->target, self->state.options->engine_minor);
  self->state.options->engine->call(std::move(request), engine_deadline, [call, cluster_id](http::client_error e, http::response&& reply) {
    json_value body;
    if (!e.ok())
      call->exchange->reply_error(e.code == http::client_errc::deadline ? 500 : 503, e.text);
    else if (reply.status == 200 && json_value::parse(reply.body, body).ok() && !carried_network(body, cluster_id).empty())
      call->exchange->reply_error(404, not_found(call->where.id).message);
    else
      call->exchange->reply(reply.status, common_headers("application/json"), std::move(reply.body));
  });
}

using users_ptr = std::shared_ptr<network_users>;

/// With what this host's engine knows of it; refuses a name that the engine has given to somebody else, too.
void inspect_of_swarm(worker_ptr self, const call_ptr& call, const Network& network, const std::string& cluster_id, users_ptr users) {
  const bool scoped = query(*call, "scope") == "swarm";
  ask_engine(self->state.options, network.spec().name(), [=](int status, const json_value& found) {
    const bool ours = carried_network(found, cluster_id) == network.id();
    const bool other = status == 400 || (status == 200 && !ours && is_named(found, network.spec().name()));
    if (other && !scoped && !network.predefined() && call->where.id == network.spec().name()) {
      call->exchange->reply_error(400, "network " + call->where.id + " is ambiguous (2 matches found on name)");
      return;
    }
    const auto* containers = ours ? found.find("Containers") : nullptr;
    answer_json(*call, 200, network_json(network, containers != nullptr ? *containers : json_value{}, users.get(), minor_of(*call)));
  });
}

void inspect_verbosely(worker_ptr self, const call_ptr& call, const Network& network, const std::string& cluster_id) {
  const auto users = std::make_shared<network_users>();
  ReadObjects services;
  services.set_kind(OBJECT_KIND_SERVICE);
  ask<ObjectsRead>(self, call, services, [=](const ObjectsRead& read) {
    users->services.assign(read.services().begin(), read.services().end());
    ReadObjects tasks;
    tasks.set_kind(OBJECT_KIND_TASK);
    auto& running = *tasks.add_filters();
    running.set_key("desired-state");
    running.add_values("running");
    ask<ObjectsRead>(self, call, tasks, [=](const ObjectsRead& with_tasks) {
      for (const auto& task : with_tasks.tasks())
        if (task.status().state() == TASK_STATE_RUNNING)
          users->tasks.push_back(task);
      ReadObjects nodes;
      nodes.set_kind(OBJECT_KIND_NODE);
      ask<ObjectsRead>(self, call, nodes, [=](const ObjectsRead& with_nodes) {
        users->nodes.assign(with_nodes.nodes().begin(), with_nodes.nodes().end());
        inspect_of_swarm(self, call, network, cluster_id, users);
      });
    });
  });
}

void inspect_network(worker_ptr self, const call_ptr& call) {
  const auto scope = query(*call, "scope");
  const bool engine_only = (!scope.empty() && scope != "swarm") || (scope.empty() && is_engine_network(call->where.id));
  ReadObjects request;
  request.set_key(call->where.id);
  read_swarm(self, call, request, [self, call, scope, engine_only](const LocalNode& local, const ObjectsRead& read) {
    const bool found = read.networks_size() == 1 && (!read.networks(0).predefined() || scope == "swarm");
    if (engine_only || (!found && scope != "swarm"))
      inspect_of_engine(self, call, local.cluster_id());
    else if (!found)
      answer_error(self, *call, not_found(call->where.id));
    else if (bool_value(query(*call, "verbose")))
      inspect_verbosely(self, call, read.networks(0), local.cluster_id());
    else
      inspect_of_swarm(self, call, read.networks(0), local.cluster_id(), nullptr);
  });
}

// -- create -----------------------------------------------------------------------------------------------------------------

api_error name_taken(const std::string& name) { return {409, "network with name " + name + " already exists"}; }

void create_in_swarm(worker_ptr self, const call_ptr& call) {
  network_wish wish;
  if (auto f = read_network_wish(call->request->body, minor_of(*call), wish); !f.ok()) {
    answer_error(self, *call, from_daemon(f));
    return;
  }
  ControlRequest request;
  request.mutable_create_network()->mutable_spec()->Swap(&wish.spec);
  ask<Written>(self, call, std::move(request), [self, call](const Written& written) {
    if (!written_ok(self, *call, written))
      return;
    std::string warning;
    for (const auto& text : written.warnings())
      warning += (warning.empty() ? "" : "; ") + text;
    auto reply = json_value::object();
    reply.set("Id", json_value{written.id()});
    reply.set("Warning", json_value{warning});
    answer_json(*call, 201, reply.dump());
  });
}

void create_network(worker_ptr self, const call_ptr& call) {
  network_wish wish;
  if (auto f = read_network_wish(call->request->body, minor_of(*call), wish); !f.ok()) {
    answer_error(self, *call, from_daemon(f));
    return;
  }
  const auto name = wish.spec.name();
  if (!wish.of_swarm_scope) {
    ReadObjects request;
    request.set_key(name);
    read_swarm(self, call, request, [self, call, name](const LocalNode&, const ObjectsRead& read) {
      if (read.networks_size() == 1 && read.networks(0).spec().name() == name && !read.networks(0).predefined())
        answer_error(self, *call, name_taken(name));
      else
        to_engine(self, *call);
    });
    return;
  }
  ask<LocalNode>(self, call, ReadLocalNode{}, [self, call, name, wish](const LocalNode& local) {
    const bool active = local.state() == LOCAL_NODE_STATE_ACTIVE;
    if (active && !local.control_available()) {
      answer_error(self, *call, {403, "Cannot create a multi-host network from a worker node. Please create the network from a manager node."});
      return;
    }
    if (local.state() == LOCAL_NODE_STATE_INACTIVE && wish.spec.scope() == "swarm") {
      answer_error(self, *call, {403, "cannot create a swarm scoped network when swarm is not active"});
      return;
    }
    // An engine that does not answer has no say in the name: the swarm goes on without it.
    ask_engine(self->state.options, name, [=, worker = gateway_worker{self}, cluster = local.cluster_id()](int, const json_value& found) {
      if (!name.empty() && is_named(found, name) && carried_network(found, cluster).empty() && !is_engine_network(name))
        call->exchange->reply_error(409, name_taken(name).message);
      else
        again(worker, call, target::network_create_checked, {});
    });
  });
}

// -- remove -----------------------------------------------------------------------------------------------------------------

void remove_found(worker_ptr self, const call_ptr& call) {
  ControlRequest request;
  request.mutable_remove_network()->set_network_id(call->where.id);
  ask<Written>(self, call, std::move(request), [self, call](const Written& written) {
    if (written_ok(self, *call, written))
      answer_empty(*call, 204);
  });
}

void remove_network(worker_ptr self, const call_ptr& call) {
  ReadObjects request;
  request.set_key(call->where.id);
  read_swarm(self, call, request, [self, call](const LocalNode& local, const ObjectsRead& read) {
    const auto& key = call->where.id;
    const auto network = read.networks_size() == 1 && !read.networks(0).predefined() ? read.networks(0) : Network{};
    const bool by_prefix = network.id() != key && network.spec().name() != key;
    ask_engine(self->state.options, key, [=, worker = gateway_worker{self}, cluster = local.cluster_id(),
                                          socket = self->state.options->engine_socket,
                                          minor = self->state.options->engine_minor.load()](int status, const json_value& found) {
      const bool carried = !carried_network(found, cluster).empty();
      const bool of_engine = status == 200 && !carried;
      if (!network.id().empty() && !by_prefix && of_engine && is_named(found, key)) {
        call->exchange->reply_error(400, "network " + key + " is ambiguous (2 matches found on name)");
      } else if (!network.id().empty() && (!by_prefix || !of_engine)) {
        again(worker, call, target::network_remove_found, network.id());
      } else if (carried || socket.empty()) {
        call->exchange->reply_error(404, not_found(key).message);
      } else {
        auto copy = *call->request;
        copy.target = engine_target(copy.target, minor);
        call->exchange->proxy(socket, std::move(copy));
      }
    });
  });
}

// -- connect and prune --------------------------------------------------------------------------------------------------------

void connect_network(worker_ptr self, const call_ptr& call) {
  ReadObjects request;
  request.set_key(call->where.id);
  read_swarm(self, call, request, [self, call](const LocalNode&, const ObjectsRead& read) {
    if (read.networks_size() != 1 || read.networks(0).predefined())
      to_engine(self, *call);
    else if (!read.networks(0).spec().attachable())
      answer_error(self, *call, {403, "Could not attach to network " + call->where.id + ": rpc error: code = PermissionDenied desc = network "
                                        + call->where.id + " not manually attachable"});
    else
      answer_error(self, *call, {501, "containers outside of services cannot be attached to networks of swarm scope in this version of"
                                      " swarm-node"});
  });
}

struct pruning {
  std::vector<Network> left;
  std::vector<std::string> removed;
};

/// One after the other; whoever is in use stays, and that is no error.
void prune_next(worker_ptr self, const call_ptr& call, const std::shared_ptr<pruning>& work) {
  if (work->left.empty()) {
    if (self->state.options->engine_socket.empty()) {
      call->exchange->reply(200, common_headers("application/json"), pruned_json({}, work->removed));
      return;
    }
    http::response_filter filter;
    filter.body = [work](const http::response_head& head, std::string body) {
      return head.status == 200 ? pruned_json(body, work->removed) : body;
    };
    auto for_engine = *call;
    for_engine.request = std::make_shared<http::request>(*call->request);
    auto& target = for_engine.request->target;
    target = target.substr(0, target.find('?')) + "?filters=" + http::percent_encode(engine_prune_filters(query(*call, "filters")));
    to_engine(self, for_engine, std::move(filter));
    return;
  }
  const auto network = work->left.back();
  work->left.pop_back();
  ControlRequest request;
  request.mutable_remove_network()->set_network_id(network.id());
  self->request(self->state.root, self->state.options->request_deadline, std::move(request))
    .then(
      [self, call, work, network](const Written& written) {
        if (written.code() == 0)
          work->removed.push_back(network.spec().name());
        prune_next(self, call, work);
      },
      [self, call](const caf::error& err) { answer_lost(self, *call, err); });
}

void prune_networks(worker_ptr self, const call_ptr& call) {
  prune_filters filters;
  if (auto f = read_prune_filters(query(*call, "filters"), filters); !f.ok()) {
    answer_error(self, *call, from_daemon(f));
    return;
  }
  read_swarm(self, call, {}, [self, call, filters](const LocalNode&, const ObjectsRead& read) {
    const auto work = std::make_shared<pruning>();
    for (const auto& network : read.networks())
      if (may_prune(filters, network))
        work->left.push_back(network);
    prune_next(self, call, work);
  });
}

} // namespace

void answer_missing_network(worker_ptr self, const call_ptr& call, const Written& refused, const std::string& name) {
  ask<LocalNode>(self, call, ReadLocalNode{}, [self, call, refused, name](const LocalNode& local) {
    const api_error as_it_is = from_daemon({static_cast<errc>(refused.code()), refused.message()});
    ask_engine(self->state.options, name, [call, as_it_is, cluster = local.cluster_id()](int, const json_value& found) {
      const auto text = local_network_refusal(found, cluster);
      text.empty() ? call->exchange->reply_error(as_it_is.status, as_it_is.message) : call->exchange->reply_error(403, text);
    });
  });
}

void handle_network_routes(worker_ptr self, const call_ptr& call) {
  switch (call->where.to) {
    case target::network_list: return list_networks(self, call);
    case target::network_inspect: return inspect_network(self, call);
    case target::network_create: return create_network(self, call);
    case target::network_create_checked: return create_in_swarm(self, call);
    case target::network_remove: return remove_network(self, call);
    case target::network_remove_found: return remove_found(self, call);
    case target::network_connect: return connect_network(self, call);
    default: return prune_networks(self, call);
  }
}

} // namespace swarm::gateway
