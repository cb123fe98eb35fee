// Puts the parts of a simulated cluster together, and says when it has settled.
#include "tests/sim/cluster_world.hpp"

#include "tests/support/builders.hpp"

namespace swarm::sim {

using raft::raft_id;

namespace {
constexpr std::uint64_t tick_us = 50'000;
constexpr std::uint64_t hop_us = 200;
constexpr std::uint64_t entries_max = 6'000; ///< of one run; usual are a few hundred
} // namespace

void cluster_world::counters::operator+=(const counters& o) {
  raft += o.raft;
  faults += o.faults;
  containers += o.containers;
  writes += o.writes;
  reads += o.reads;
  sessions += o.sessions;
  entries += o.entries;
}

cluster_world::cluster_world(std::uint64_t seed, cluster_knobs knobs, log_mode mode, raft_world::sink out, cluster_script* script)
    : knobs_{std::move(knobs)},
      world_{seed, knobs_.raft, mode, std::move(out), this},
      checkers_{history_},
      links_{env_, knobs_.workers,
             {[this](unsigned w) { return workers_[w]->is_up(); }, [this](unsigned w) { return workers_[w]->is_frozen(); },
              [this](unsigned w, raft_id m, bool up) {
                workers_[w]->link_changed(m, up);
                if (up)
                  manager(m).greet(w);
              }}},
      env_{knobs_, world_, history_, checkers_, links_, script},
      clients_{env_,
               {[this] {
                  std::vector<raft_id> out;
                  for (const auto& [id, m] : managers_)
                    if (m->is_up())
                      out.push_back(id);
                  return out;
                },
                [this](raft_id id) { return manager(id).is_up() ? &manager(id) : nullptr; },
                [this](const std::string& node) { return may_lose(node); }}} {
  history_.listener = [this](std::uint64_t index, const EventBatch& events) {
    trace_events(index, events);
    checkers_.committed(index, events);
    if (env_.script != nullptr)
      env_.script->committed(events);
    if (index > entries_max)
      throw violation{"livelock: more than " + std::to_string(entries_max) + " entries in one run"};
  };
  checkers_.clocks_jump = knobs_.jump_clock != 0;
  checkers_.now_us = [this] { return world_.now(); };
  checkers_.engine_of = [this](const std::string& node) {
    const auto* const worker = worker_of(node);
    return worker == nullptr ? nullptr : &worker->engine();
  };
  for (unsigned i = 0; i < knobs_.workers; ++i)
    workers_.push_back(std::make_unique<cluster_worker>(env_, i, test::nth_id(i + 1, 1), uplink()));
}

void cluster_world::trace_events(std::uint64_t index, const EventBatch& events) {
  for (const auto& event : events.tasks())
    world_.trace("task", index, [&] {
      const auto& t = event.task();
      return t.id() + (event.kind() == CHANGE_KIND_REMOVED ? " removed" : "") + ' ' + t.service_id().substr(0, 4) + " v" + std::to_string(t.spec_version()) + " slot=" + std::to_string(t.slot()) + " node=" + t.node_id()
             + ' ' + TaskState_Name(t.status().state()) + " wanted " + TaskState_Name(t.desired_state()) + ' ' + t.status().err();
    });
  for (const auto& event : events.nodes())
    world_.trace("node", index, [&] {
      return event.node().id() + (event.kind() == CHANGE_KIND_REMOVED ? " removed " : " ") + NodeState_Name(event.node().status().state())
             + ' ' + NodeAvailability_Name(event.node().spec().availability());
    });
  for (const auto& event : events.services())
    world_.trace("service", index, [&] {
      const auto& s = event.service();
      return s.spec().name() + (event.kind() == CHANGE_KIND_REMOVED ? " removed" : "") + " version=" + std::to_string(s.spec_version())
             + " replicas=" + std::to_string(s.spec().mode().replicated().replicas()) + ' ' + UpdateState_Name(s.update_status().state())
             + ' ' + s.update_status().message();
    });
}

void cluster_world::run() {
  world_.after(0, [this] {
    for (unsigned i = 0; i + knobs_.late_workers < workers_.size(); ++i)
      workers_[i]->start();
    tick();
    if (env_.script != nullptr) {
      clients_.set_up();
      env_.script->begin(*this);
      return;
    }
    clients_.begin();
    world_.after(knobs_.fault_us, [this] { nemesis(); });
  });
  world_.run();
  checkers_.check_clients(clients_.history());
  for (const auto& [id, m] : managers_)
    m->check_invariants();
}

cluster_world::counters cluster_world::totals() const {
  auto out = totals_;
  out.raft = world_.totals();
  out.containers = checkers_.containers();
  out.writes = clients_.writes_done();
  out.reads = clients_.reads_done();
  out.entries = history_.last();
  return out;
}

void cluster_world::tick() {
  world_.after(tick_us, [this] { tick(); });
  links_.tick();
  for (const auto& [id, m] : managers_)
    if (m->is_up() && !world_.is_frozen(id))
      m->tick();
}

// -- managers ---------------------------------------------------------------------------------------------------------------

cluster_manager& cluster_world::manager(raft_id id) {
  auto& slot = managers_[id];
  if (!slot)
    slot = std::make_unique<cluster_manager>(env_, id, downlink());
  return *slot;
}

cluster_manager* cluster_world::leader() {
  cluster_manager* best = nullptr;
  raft::term_number term = 0;
  for (const auto& [id, m] : managers_)
    if (const auto* const core = world_.core_of(id); core != nullptr && m->leads() && core->term() >= term) {
      best = m.get();
      term = core->term();
    }
  return best;
}

raft_id cluster_world::leader_id() {
  const auto* const found = leader();
  for (const auto& [id, m] : managers_)
    if (m.get() == found)
      return found == nullptr ? 0 : id;
  return 0;
}

void cluster_world::cut_off(raft_id id, bool from_workers) {
  world_.cut_off(id);
  for (unsigned w = 0; from_workers && w < workers_.size(); ++w) {
    links_.cut(w, id, direction::to_manager);
    links_.cut(w, id, direction::to_worker);
  }
}

void cluster_world::reconnect() {
  world_.reconnect();
  links_.heal_cuts();
}

void cluster_world::ask(ControlRequest request, std::function<void(const Written&)> answer) {
  std::vector<raft_id> up;
  for (const auto& [id, m] : managers_)
    if (m->is_up())
      up.push_back(id);
  if (up.empty())
    return;
  const auto to = up[world_.rng().below(up.size())];
  world_.after_on(to, 1 + world_.rng().below(2'000), [=, this, request = std::move(request)] { manager(to).control(request, false, answer); });
}

void cluster_world::started(raft_id id, raft::log_index applied) { manager(id).started(applied); }

void cluster_world::crashed(raft_id id) {
  manager(id).crashed();
  links_.manager_gone(id);
}

// -- messages ---------------------------------------------------------------------------------------------------------------

void cluster_world::to_worker(unsigned worker, raft_id from, std::uint64_t link, std::function<void(cluster_worker&)> what) {
  if (link == 0 || links_.number(worker, from) != link)
    return;
  links_.send(worker, from, direction::to_worker, [this, worker, what = std::move(what)]() mutable {
    workers_[worker]->arrive(std::move(what));
  });
}

void cluster_world::to_manager(unsigned worker, raft_id to, std::function<void(cluster_manager&, std::uint64_t)> what) {
  links_.send(worker, to, direction::to_manager, [this, to, link = links_.number(worker, to), what = std::move(what)] {
    world_.after_on(to, 1, [this, to, link, what] { what(manager(to), link); });
  });
}

manager_downlink cluster_world::downlink() {
  manager_downlink out;
  out.assign = [this](unsigned worker, raft_id from, std::uint64_t link, Assignments message) {
    to_worker(worker, from, link, [message = std::move(message)](cluster_worker& w) { w.assign(message); });
  };
  out.accepted = [this](unsigned worker, raft_id from, std::uint64_t link, TaskStatusAccepted message) {
    to_worker(worker, from, link, [message = std::move(message)](cluster_worker& w) { w.accepted(message); });
  };
  out.invalid = [this](unsigned worker, raft_id from, std::string session) {
    to_worker(worker, from, links_.number(worker, from), [session = std::move(session)](cluster_worker& w) { w.invalid(session); });
  };
  out.hint = [this](unsigned worker, raft_id from, raft_id whom, raft::term_number term) {
    to_worker(worker, from, links_.number(worker, from), [whom, term](cluster_worker& w) { w.hint(whom, term); });
  };
  out.forward = [this](raft_id from, raft_id to, ControlRequest request, std::function<void(const Written&)> answer) {
    if (world_.is_cut(from, to))
      return false;
    world_.after(hop_us + world_.rng().below(knobs_.raft.delay_us_max), [=, this, request = std::move(request)] {
      world_.after_on(to, 1, [=, this] {
        manager(to).control(request, true, [=, this](const Written& said) {
          if (!world_.is_cut(to, from))
            world_.after(hop_us + world_.rng().below(knobs_.raft.delay_us_max), [answer, said] { answer(said); });
        });
      });
    });
    return true;
  };
  return out;
}

worker_uplink cluster_world::uplink() {
  worker_uplink out;
  out.register_node = [this](unsigned worker, raft_id to, RegisterNode request, std::uint64_t attempt) {
    to_manager(worker, to, [=, this, request = std::move(request)](cluster_manager& m, std::uint64_t link) {
      m.register_node(worker, link, request, [=, this](const failure& outcome, const NodeRegistered& session) {
        totals_.sessions += outcome.ok() ? 1 : 0;
        to_worker(worker, to, link, [=](cluster_worker& w) { w.registered(attempt, outcome, session); });
      });
    });
  };
  out.beat = [this](unsigned worker, raft_id to, NodeHeartbeat message) {
    to_manager(worker, to, [worker, message = std::move(message)](cluster_manager& m, std::uint64_t) { m.beat(worker, message); });
  };
  out.report = [this](unsigned worker, raft_id to, UpdateTaskStatus message) {
    to_manager(worker, to, [worker, message = std::move(message)](cluster_manager& m, std::uint64_t) { m.report(worker, message); });
  };
  return out;
}

// -- convergence ------------------------------------------------------------------------------------------------------------

const cluster_worker* cluster_world::worker_of(const std::string& node) const {
  for (const auto& worker : workers_)
    if (worker->node_id() == node)
      return worker.get();
  return nullptr;
}

std::string cluster_world::unsettled() {
  if (auto why = clients_.unsettled(); !why.empty())
    return why;
  const auto state = history_.truth().snapshot();
  if (auto why = unsettled_nodes(state); !why.empty())
    return why;
  for (const auto& service : state.services())
    if (auto why = unsettled_service(state, service); !why.empty())
      return why;
  auto* const first = leader();
  for (const auto& worker : workers_) {
    bool exists = false;
    for (const auto& node : state.nodes())
      exists |= node.id() == worker->node_id();
    if (!exists && !worker->is_lost() && (worker->in_session() || first == nullptr || !first->session_of(worker->node_id()).empty()))
      return "the removed node " + worker->node_id() + " has a session";
  }
  return unsettled_engines(state);
}

std::string cluster_world::unsettled_nodes(const StoreSnapshot& state) const {
  for (const auto& node : state.nodes()) {
    const auto* const worker = worker_of(node.id());
    const auto wanted = worker != nullptr && worker->is_lost() ? NODE_STATE_DOWN : NODE_STATE_READY;
    if (node.status().state() != wanted)
      return "node " + node.id() + " is " + NodeState_Name(node.status().state());
    if (wanted == NODE_STATE_READY && (worker == nullptr || !worker->in_session()))
      return "node " + node.id() + " has no session";
  }
  return {};
}

namespace {

// Versions differ by their image only here: a task that has it already is not replaced.
std::string image_of(const StoreSnapshot& state, const std::string& service, std::uint64_t version) {
  for (const auto& one : state.templates())
    if (one.service_id() == service && one.spec_version() == version)
      return one.spec().container_spec().image();
  return {};
}

} // namespace

std::string cluster_world::unsettled_service(const StoreSnapshot& state, const Service& service) const {
  if (env_.script != nullptr && !env_.script->is_steady())
    return {};
  const auto update = service.update_status().state();
  if (update == UPDATE_STATE_UPDATING || update == UPDATE_STATE_ROLLBACK_STARTED)
    return "the update of " + service.spec().name() + " has not ended";
  const bool paused = update == UPDATE_STATE_PAUSED || update == UPDATE_STATE_ROLLBACK_PAUSED;
  std::uint64_t eligible = 0;
  for (const auto& node : state.nodes())
    eligible += node.status().state() == NODE_STATE_READY ? 1 : 0;
  const auto wanted = eligible == 0 ? 0 : service.spec().mode().has_global() ? eligible : service.spec().mode().replicated().replicas();
  std::uint64_t running = 0;
  std::set<std::pair<std::uint64_t, std::string>> slots;
  for (const auto& task : state.tasks()) {
    if (task.service_id() != service.id() || task.desired_state() > TASK_STATE_RUNNING || task.status().state() > TASK_STATE_RUNNING)
      continue;
    const auto* const worker = worker_of(task.node_id());
    if (eligible == 0)
      continue;
    if (task.desired_state() != TASK_STATE_RUNNING || task.status().state() != TASK_STATE_RUNNING)
      return service.spec().name() + ": task " + task.id() + " is " + TaskState_Name(task.status().state()) + ", wanted "
             + TaskState_Name(task.desired_state());
    if (worker == nullptr || !worker->engine().runs(task.id()))
      return service.spec().name() + ": task " + task.id() + " is RUNNING without a container";
    if (!paused && task.spec_version() != service.spec_version() 
        && image_of(state, service.id(), task.spec_version()) != image_of(state, service.id(), service.spec_version()))
      return service.spec().name() + ": task " + task.id() + " is of an older specification";
    // A paused update that starts the new one first may leave both.
    running += slots.insert({task.slot(), task.slot() == 0 ? task.node_id() : ""}).second || !paused ? 1 : 0;
  }
  return running == wanted ? std::string{}
                           : service.spec().name() + " has " + std::to_string(running) + " of " + std::to_string(wanted) + " tasks";
}

std::string cluster_world::unsettled_engines(const StoreSnapshot& state) const {
  std::map<std::string, const Task*> rows;
  for (const auto& task : state.tasks())
    rows[task.id()] = &task;
  for (const auto& node : state.nodes()) {
    const auto* const worker = worker_of(node.id());
    if (worker == nullptr || worker->is_lost())
      continue;
    for (const auto& id : worker->engine().all()) {
      const auto row = rows.find(id);
      if (row == rows.end())
        return "a container of " + id + " is left on " + node.id() + ", its task is gone";
      if (worker->engine().runs(id) && row->second->status().state() != TASK_STATE_RUNNING)
        return "the container of " + id + " runs on " + node.id() + ", its task is " + TaskState_Name(row->second->status().state());
    }
  }
  return {};
}

std::string cluster_world::dump() const {
  auto out = world_.dump() + history_.truth().dump() + '\n';
  const auto state = history_.truth().snapshot();
  for (const auto& task : state.tasks())
    out += "task " + task.id() + " slot=" + std::to_string(task.slot()) + " node=" + task.node_id() + ' '
           + TaskState_Name(task.status().state()) + " wanted " + TaskState_Name(task.desired_state()) + ' ' + task.status().err() + '\n';
  for (const auto& [id, m] : managers_)
    out += m->dump();
  for (const auto& worker : workers_)
    out += worker->dump();
  return out;
}

} // namespace swarm::sim
