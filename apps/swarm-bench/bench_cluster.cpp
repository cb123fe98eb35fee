// Builds the cluster that the simulated rows measure.
#include "apps/swarm-bench/bench_cluster.hpp"

#include <unistd.h>

#include <caf/all.hpp>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <vector>

#include "actors/agent/agent_actor.hpp"
#include "actors/ca/certificates.hpp"
#include "actors/control/control_actor.hpp"
#include "actors/node/init_plan.hpp"
#include "actors/node/leader_part.hpp"
#include "actors/node/manager_part.hpp"
#include "drivers/simulated/simulated_core.hpp"
#include "drivers/simulated/simulated_driver.hpp"
#include "runtime/crypto/bytes.hpp"
#include "runtime/ids.hpp"
#include "runtime/log.hpp"
#include "runtime/system.hpp"

namespace swarm::bench {

namespace {

constexpr std::chrono::seconds answer_deadline{30};
constexpr std::chrono::seconds join_deadline{120};
constexpr std::chrono::seconds run_deadline{300};
constexpr std::chrono::milliseconds poll_interval{5};

struct leader_state {
  static inline const char* name = "bench_leader";
  std::string cluster_id, node_id, directory;
  std::unique_ptr<node::manager_part> manager;
  std::unique_ptr<node::leader_part> leader;
  control_actor control;
  caf::typed_response_promise<dispatcher_actor> ready;
  bool waiting = false;
};
using leader_interface = caf::typed_actor<caf::reacts_to<LeadershipChanged>, caf::replies_to<subscribe_atom>::with<dispatcher_actor>,
                                          caf::replies_to<ControlRequest>::with<Written>,
                                          caf::replies_to<ReadObjects>::with<ObjectsRead>, caf::reacts_to<stop_atom>>;
using leader_ptr = observed_ptr<leader_interface, leader_state>;

Command founding(const leader_state& st) {
  Command command;
  command.set_machine_version(1);
  command.set_proposed_at(actor_registry::wall_now_ns());
  auto& cluster = *command.add_actions()->mutable_put_cluster()->mutable_cluster();
  cluster.set_id(st.cluster_id);
  *cluster.mutable_spec() = node::default_cluster_spec();
  *cluster.mutable_root_ca() = ca::create_root(command.proposed_at());
  return command;
}

void lead(leader_ptr self) {
  auto& st = self->state;
  self->request(st.manager->raft(), answer_deadline, founding(st))
    .then([self](const CommandResult&) {
      auto& s = self->state;
      s.leader = std::make_unique<node::leader_part>(
        self, node::leader_part::context{self->system(), s.manager->raft(), s.manager->store(), s.cluster_id, s.node_id, {}, {}});
      s.control = self->system().spawn(control::control_door, control::control_options{}, s.manager->raft(), s.manager->store(),
                                       crypto::seeded_source());
      if (s.waiting)
        s.ready.deliver(s.leader->handles().dispatcher);
    });
}

leader_interface::behavior_type bench_leader(leader_ptr self, std::string directory) {
  auto& st = self->state;
  auto rng = crypto::seeded_source();
  st.cluster_id = id128::random(rng).str();
  st.node_id = id128::random(rng).str();
  st.directory = std::move(directory);
  node::manager_options opts;
  opts.directory = st.directory + "/raft";
  opts.cluster_id = st.cluster_id;
  opts.node_id = st.node_id;
  opts.advertise_addr = "127.0.0.1:2377";
  opts.raft_id = rng() | 1;
  opts.founder = true;
  opts.map_bytes = 4ULL << 30;
  st.manager = std::make_unique<node::manager_part>(self->system(), std::move(opts), leadership_listener{leader_interface{self}},
                                                    [self](const caf::actor& a) { self->monitor(a); });
  return {
    [self](const LeadershipChanged& change) {
      if (change.role() == RAFT_ROLE_LEADER && !self->state.leader)
        lead(self);
    },
    [self](subscribe_atom) -> caf::result<dispatcher_actor> {
      auto& s = self->state;
      if (s.leader)
        return s.leader->handles().dispatcher;
      s.waiting = true;
      s.ready = self->make_response_promise<dispatcher_actor>();
      return s.ready;
    },
    [self](const ControlRequest& request) { return self->delegate(self->state.control, request); },
    [self](const ReadObjects& request) { return self->delegate(self->state.manager->store(), request); },
    [self](stop_atom) {
      caf::anon_send_exit(self->state.control, caf::exit_reason::user_shutdown);
      self->state.leader.reset();
      self->state.manager.reset();
      self->quit();
    },
  };
}

agent::inline_reply to_inline(simulated::reply r) { return {std::move(r.handle), std::move(r.error), r.after}; }

agent::inline_driver simulated_tasks() {
  auto core = std::make_shared<simulated::core>();
  agent::inline_driver out;
  out.prepare = [core](timestamp now, const TaskDescription& task) { return to_inline(core->prepare(now, task)); };
  out.start = [core](timestamp now, const std::string& id) { return to_inline(core->start(now, id)); };
  out.stop = [core](timestamp now, const std::string& id) { return to_inline(core->stop(now, id)); };
  out.remove = [core](timestamp now, const std::string& id) { return to_inline(core->remove(now, id)); };
  out.inspect = [core](timestamp, const std::string& id) { return to_inline(core->inspect(id)); };
  out.tick = [core](timestamp now) { return core->tick(now); };
  out.next_due = [core] { return core->next_due(); };
  return out;
}

class cluster : public simulated_cluster {
public:
  cluster() : directory_{std::filesystem::temp_directory_path() / ("swarm-bench-" + std::to_string(::getpid()))} {
    log::set_level(log::level::error);
    std::filesystem::create_directories(directory_);
    leader_ = system_.spawn(bench_leader, directory_.string());
  }
  ~cluster() override {
    for (const auto& agent : agents_)
      caf::anon_send_exit(agent, caf::exit_reason::user_shutdown);
    caf::anon_send(leader_, stop_atom_v);
    leader_ = leader_interface{};
    agents_.clear();
    const auto left = end_all_actors(system_, std::chrono::seconds{20});
    std::error_code ec;
    std::filesystem::remove_all(directory_, ec);
    if (!left.empty())
      std::_Exit(1); // ~actor_system would wait for ever
  }
  cluster(const cluster&) = delete;
  cluster& operator=(const cluster&) = delete;

  void join(std::size_t nodes) override {
    const auto dispatcher = ask<dispatcher_actor>(subscribe_atom_v);
    auto rng = crypto::seeded_source();
    for (std::size_t i = 0; i < nodes; ++i) {
      agent::agent_options opts;
      opts.node_id = id128::random(rng).str();
      opts.cluster_id = "bench";
      opts.addr = "127.0.0.1";
      opts.seed = rng();
      opts.description = simulated::description_of({"node" + std::to_string(i), std::int64_t{64} << 30, std::int64_t{256} << 30});
      opts.inline_tasks = simulated_tasks();
      agents_.push_back(system_.spawn(agent::node_agent, std::move(opts), driver_actor{}));
      caf::anon_send(agents_.back(), subscribe_atom_v, dispatcher);
    }
    ReadObjects read;
    read.set_kind(OBJECT_KIND_NODE);
    wait("all nodes READY", join_deadline, [&] {
      std::size_t ready = 0;
      const auto found = ask<ObjectsRead>(read);
      for (const auto& node : found.nodes())
        ready += node.status().state() == NODE_STATE_READY ? 1 : 0;
      return ready >= nodes;
    });
  }

  void run_all(std::size_t tasks) override {
    ControlRequest request;
    auto& spec = *request.mutable_create_service()->mutable_spec();
    spec.set_name("bench");
    spec.mutable_task_template()->mutable_container_spec()->set_image("simulated");
    spec.mutable_mode()->mutable_replicated()->set_replicas(tasks);
    const auto written = ask<Written>(request);
    if (written.code() != 0)
      throw std::runtime_error{"service not created: " + written.message()};
    ReadObjects read;
    read.set_kind(OBJECT_KIND_SERVICE);
    read.set_with_service_status(true);
    wait("all tasks RUNNING", run_deadline, [&] {
      const auto services = ask<ObjectsRead>(read);
      return services.services_size() > 0 && services.services(0).service_status().running_tasks() >= tasks;
    });
  }

  std::uint64_t manager_busy_ns() override {
    std::uint64_t sum = 0;
    for (const auto& entry : actor_registry::list(system_))
      if (entry.status.type() != agent::agent_state::name)
        sum += entry.status.busy_ns();
    return sum;
  }

  void end_agents() override {
    for (const auto& agent : agents_)
      caf::anon_send_exit(agent, caf::exit_reason::user_shutdown);
    for (const auto& agent : agents_)
      self_->wait_for(agent);
    agents_.clear();
  }

private:
  template <class Reply, class Request>
  Reply ask(Request request) {
    Reply out;
    std::string error;
    self_->request(leader_, answer_deadline, std::move(request))
      .receive([&](const Reply& reply) { out = reply; }, [&](const caf::error& err) { error = to_failure(err).message; });
    if (!error.empty())
      throw std::runtime_error{error};
    return out;
  }
  template <class F>
  void wait(const char* what, std::chrono::seconds deadline, F done) {
    const auto until = std::chrono::steady_clock::now() + deadline;
    while (!done()) {
      if (std::chrono::steady_clock::now() > until)
        throw std::runtime_error{std::string{"not in time: "} + what};
      std::this_thread::sleep_for(poll_interval);
    }
  }

  std::filesystem::path directory_;
  system_config config_;
  caf::actor_system system_{config_};
  caf::scoped_actor self_{system_};
  leader_interface leader_;
  std::vector<agent_actor> agents_;
};

} // namespace

std::unique_ptr<simulated_cluster> make_cluster() { return std::make_unique<cluster>(); }

} // namespace swarm::bench
