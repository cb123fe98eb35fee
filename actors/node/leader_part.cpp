// The leader's children in their order: each depends on those before it.
#include "actors/node/leader_part.hpp"

#include <algorithm>

#include "actors/allocator/allocator_actor.hpp"
#include "actors/ca/ca_actor.hpp"
#include "actors/dispatcher/dispatcher_sup.hpp"
#include "actors/logs/logs_actor.hpp"
#include "actors/manager/members_actor.hpp"
#include "actors/orchestrator/orchestrator_sup.hpp"
#include "actors/scheduler/scheduler_actor.hpp"
#include "runtime/crypto/bytes.hpp"

namespace swarm::node {

namespace {

template <class Handle>
caf::actor untyped(const Handle& handle) {
  return caf::actor_cast<caf::actor>(handle);
}

} // namespace

std::vector<child_spec> leader_part::specs() {
  const auto permanent = restart_kind::permanent;
  std::vector<child_spec> out{
    {"ca", permanent, [this] {
       handles_.ca = ctx_.system.spawn(ca::certificate_authority, ca::ca_options{}, ctx_.raft, ctx_.store, crypto::seeded_source());
       return untyped(handles_.ca);
     }},
    {"allocator", permanent, [this] {
       allocator::allocator_options opts;
       opts.seed = crypto::random_u64();
       return untyped(ctx_.system.spawn(allocator::port_allocator, opts, ctx_.raft, ctx_.store));
     }},
    {"orchestrator", permanent, [this] {
       orchestrator::orchestrator_options opts;
       opts.raft = ctx_.raft;
       opts.store = ctx_.store;
       opts.seed = crypto::random_u64();
       return untyped(orchestrator::spawn_orchestrator(ctx_.system, std::move(opts)));
     }},
    {"scheduler", permanent, [this] {
       scheduler::scheduler_options opts;
       opts.raft = ctx_.raft;
       opts.store = ctx_.store;
       return untyped(ctx_.system.spawn(scheduler::run_scheduler, std::move(opts)));
     }},
    {"members", permanent, [this] {
       manager::members_actor_options opts;
       opts.core.seed = crypto::random_u64();
       handles_.members = ctx_.system.spawn(manager::members_keeper, std::move(opts), ctx_.raft, ctx_.store);
       return untyped(handles_.members);
     }},
    {"dispatcher", permanent, [this] {
       dispatcher::dispatcher_options opts;
       opts.raft = ctx_.raft;
       opts.store = ctx_.store;
       opts.secrets = secrets_;
       opts.seed = crypto::random_u64();
       handles_.dispatcher = dispatcher::spawn_dispatcher(ctx_.system, std::move(opts));
       return untyped(handles_.dispatcher);
     }},
    {"logs", permanent, [this] {
       auto source_of = [own = ctx_.node_id, agent = ctx_.agent, others = ctx_.logs_of](const std::string& node_id) -> log_source {
         return node_id == own ? log_source{agent} : others ? others(node_id) : log_source{};
       };
       handles_.logs = ctx_.system.spawn(logs::log_broker, logs::logs_options{}, ctx_.store, std::move(source_of));
       return untyped(handles_.logs);
     }},
  };
  if (ctx_.spawn_secret_provider) // DISPATCHER is given it
    out.insert(std::find_if(out.begin(), out.end(), [](const auto& spec) { return spec.label == "dispatcher"; }),
               {"secrets", permanent, [this] {
                  secrets_ = ctx_.spawn_secret_provider(ctx_.system);
                  return untyped(secrets_);
                }});
  return out;
}

} // namespace swarm::node
