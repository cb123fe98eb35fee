// What clients ask, and what they make of the answers.
#include "tests/sim/cluster_clients.hpp"

#include <algorithm>

#include "tests/support/builders.hpp"

namespace swarm::sim {

namespace lin = test::linearizability;
using raft::raft_id;

namespace {

constexpr std::uint64_t patience_us = 3'000'000;
constexpr const char* value_label = "value";
constexpr const char* first_value = "first";

std::string key_name(unsigned key) { return "key" + std::to_string(key); }
std::string key_id(unsigned key) { return test::nth_id(key + 1, 3); }

bool is_ok(const Written& answer) { return answer.code() == 0; }

struct read_answer {
  failure outcome;
  ObjectsRead found;
};

} // namespace

cluster_clients::cluster_clients(cluster_env& env, access to) : env_{env}, to_{std::move(to)}, clients_(env.knobs.clients) {
  history_.initial = first_value;
  auto cluster = test::command([&](StoreAction& a) {
    auto& c = *a.mutable_put_cluster()->mutable_cluster();
    c.set_id(test::nth_id(1, 2));
    c.mutable_spec()->set_name("default");
    c.mutable_spec()->mutable_dispatcher()->set_heartbeat_period(static_cast<std::int64_t>(env.knobs.heartbeat_us) * 1'000);
    c.mutable_spec()->mutable_orchestration()->set_task_history_retention_limit(env.knobs.history);
  });
  setup_.push_back(std::move(cluster));
  for (unsigned k = 0; k < env.knobs.keys; ++k) {
    auto config = test::create_config(key_id(k), key_name(k));
    auto& spec = *config.mutable_actions(0)->mutable_put_config()->mutable_config()->mutable_spec();
    (*spec.mutable_labels())[value_label] = first_value;
    setup_.push_back(std::move(config));
  }
}

void cluster_clients::begin() {
  set_up();
  admin_loop();
  for (std::size_t i = 0; i < clients_.size(); ++i)
    client_loop(i);
}

// -- asking -----------------------------------------------------------------------------------------------------------------

raft_id cluster_clients::any_manager() {
  const auto all = to_.managers();
  return all.empty() ? 0 : all[env_.rng().below(all.size())];
}

template <class Answer>
void cluster_clients::ask(raft_id manager, std::function<void(cluster_manager&, reply<Answer>)> what, reply<Answer> done,
                          std::function<void()> give_up) {
  auto open = std::make_shared<bool>(true);
  env_.world.after(patience_us, [open, give_up = std::move(give_up)] {
    if (std::exchange(*open, false))
      give_up();
  });
  const auto delay = [this] { return 50 + env_.rng().below(2'000); };
  env_.world.trace("ask", manager);
  env_.world.after(delay(), [=, this, what = std::move(what), done = std::move(done)] {
    if (to_.manager(manager) == nullptr)
      return;
    env_.world.after_on(manager, 1, [=, this] {
      what(*to_.manager(manager), [=, this](const Answer& answer) {
        env_.world.after(delay(), [=] {
          if (std::exchange(*open, false))
            done(answer);
        });
      });
    });
  });
}

void cluster_clients::control(ControlRequest request, std::function<void(bool)> done) {
  if (!done)
    done = [](bool) {};
  ask<Written>(
    any_manager(),
    [request](cluster_manager& m, const reply<Written>& answer) { m.control(request, false, answer); },
    [done](const Written& answer) { done(is_ok(answer)); }, [done] { done(false); });
}

// -- the cluster itself -----------------------------------------------------------------------------------------------------

void cluster_clients::set_up() {
  if (setup_.empty())
    return;
  env_.world.after(100'000, [this] { set_up(); });
  if (setup_busy_)
    return;
  for (const auto id : to_.managers()) {
    if (!to_.manager(id)->leads())
      continue;
    setup_busy_ = true;
    struct answered {
      bool ok;
    };
    ask<answered>(
      id,
      [command = setup_.front()](cluster_manager& m, const reply<answered>& answer) {
        m.propose(command, [answer](const CommandResult& result, const failure& outcome) {
          const auto code = static_cast<errc>(result.code());
          answer({outcome.ok() && (code == errc::ok || code == errc::already_exists)});
        });
      },
      [this](const answered& how) {
        setup_busy_ = false;
        if (how.ok)
          setup_.erase(setup_.begin());
      },
      [this] { setup_busy_ = false; });
    return;
  }
}

// -- keys -------------------------------------------------------------------------------------------------------------------

std::size_t cluster_clients::begin_operation(std::size_t who, lin::action what, unsigned key) {
  lin::operation op;
  op.client = std::to_string(who);
  op.what = what;
  op.key = key_name(key);
  op.invoked = place_++;
  history_.operations.push_back(std::move(op));
  clients_[who].busy = true;
  return history_.operations.size() - 1;
}

void cluster_clients::end_operation(std::size_t operation, lin::outcome how) {
  auto& op = history_.operations[operation];
  op.end = how;
  op.returned = place_++;
  clients_[std::stoul(op.client)].busy = false;
  env_.world.trace("client", operation, [&] { return lin::render(op); });
}

void cluster_clients::do_read(std::size_t who, unsigned key, std::function<void(bool)> done) {
  const auto manager = any_manager();
  if (manager == 0)
    return done(false);
  ReadObjects wanted;
  wanted.set_kind(OBJECT_KIND_CONFIG);
  wanted.set_key(key_name(key));
  const auto operation = begin_operation(who, lin::action::read, key);
  const auto nothing = [this, operation, done] {
    end_operation(operation, lin::outcome::unknown);
    done(false);
  };
  ask<read_answer>(
    manager,
    [wanted](cluster_manager& m, const reply<read_answer>& answer) {
      m.read(wanted, [answer](const failure& outcome, const ObjectsRead& found) { answer({outcome, found}); });
    },
    [=, this](const read_answer& answer) {
      if (!answer.outcome.ok() || answer.found.configs_size() != 1)
        return nothing();
      const auto& config = answer.found.configs(0);
      const auto& value = config.spec().labels().at(value_label);
      history_.operations[operation].answer = value;
      clients_[who].known[key] = {value, config.meta().version().index()};
      ++reads_done_;
      end_operation(operation, lin::outcome::ok);
      done(true);
    },
    nothing);
}

void cluster_clients::do_write(std::size_t who, unsigned key, std::function<void(bool)> done) {
  const auto known = clients_[who].known.find(key);
  const auto manager = any_manager();
  if (known == clients_[who].known.end() || manager == 0)
    return do_read(who, key, [done](bool) { done(false); });
  const auto [expected, version] = known->second;
  clients_[who].known.erase(known);
  const auto value = "v" + std::to_string(next_value_++);
  ControlRequest request;
  auto& update = *request.mutable_update_config();
  update.set_config_id(key_id(key));
  update.set_version(version);
  update.mutable_spec()->set_name(key_name(key));
  (*update.mutable_spec()->mutable_labels())[value_label] = value;
  const auto operation = begin_operation(who, lin::action::cas, key);
  history_.operations[operation].expected = expected;
  history_.operations[operation].argument = value;
  ask<Written>(
    manager, [request](cluster_manager& m, const reply<Written>& answer) { m.control(request, false, answer); },
    [=, this](const Written& answer) {
      const auto code = static_cast<errc>(answer.code());
      writes_done_ += code == errc::ok ? 1 : 0;
      const bool other_value = answer.message().find("out of sequence") != std::string::npos;
      if (code != errc::ok && !other_value && classify(code) != error_class::unknown)
        dropped_.insert(operation); // refused: it has done nothing and says nothing
      end_operation(operation, code == errc::ok ? lin::outcome::ok : other_value ? lin::outcome::failed : lin::outcome::unknown);
      done(code == errc::ok);
    },
    [=, this] {
      end_operation(operation, lin::outcome::unknown);
      done(false);
    });
}

void cluster_clients::client_loop(std::size_t who) {
  if (healing_)
    return;
  env_.world.after(1 + env_.rng().below(2 * env_.knobs.client_us), [this, who] { client_loop(who); });
  if (!setup_.empty() || clients_[who].busy)
    return;
  const auto key = static_cast<unsigned>(env_.rng().below(env_.knobs.keys));
  if (env_.rng().chance(50))
    do_read(who, key, [](bool) {});
  else
    do_write(who, key, [](bool) {});
}

void cluster_clients::final_step(std::size_t who) {
  auto& c = clients_[who];
  if (c.final_reads.empty() && c.final_writes.empty())
    return;
  env_.world.after(50'000 + env_.rng().below(200'000), [this, who] { final_step(who); });
  if (c.busy || !setup_.empty())
    return;
  const auto done_with = [this](std::vector<unsigned>& list) {
    list.pop_back();
    --finals_left_;
  };
  if (!c.final_writes.empty())
    return do_write(who, c.final_writes.back(), [=, &c](bool ok) {
      if (ok)
        done_with(c.final_writes);
    });
  do_read(who, c.final_reads.back(), [=, &c](bool ok) {
    if (ok)
      done_with(c.final_reads);
  });
}

void cluster_clients::heal() {
  healing_ = true;
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    for (unsigned k = 0; k < env_.knobs.keys; ++k)
      clients_[i].final_reads.push_back(k);
    if (i == 0)
      clients_[i].final_writes = clients_[i].final_reads;
    finals_left_ += clients_[i].final_reads.size() + clients_[i].final_writes.size();
    final_step(i);
  }
  activate_nodes();
}

lin::history cluster_clients::history() const {
  lin::history out;
  out.initial = history_.initial;
  for (std::size_t i = 0; i < history_.operations.size(); ++i) {
    const auto& op = history_.operations[i];
    if (!dropped_.contains(i) && (op.what != lin::action::read || op.end == lin::outcome::ok))
      out.operations.push_back(op);
  }
  return out;
}

std::string cluster_clients::unsettled() const {
  if (!setup_.empty())
    return "the cluster was never set up";
  if (finals_left_ != 0)
    return std::to_string(finals_left_) + " last operations of clients are not done";
  return nodes_active_ ? "" : "nodes are not active";
}

// -- services and nodes -----------------------------------------------------------------------------------------------------

void cluster_clients::admin_loop() {
  if (healing_)
    return;
  env_.world.after(1 + env_.rng().below(2 * env_.knobs.admin_us), [this] { admin_loop(); });
  if (!setup_.empty())
    return;
  const auto drawn = env_.rng().below(20 + env_.knobs.remove_node);
  if (drawn >= 20)
    remove_node();
  else if (drawn >= 16)
    change_node();
  else
    change_service();
}

ServiceSpec cluster_clients::draw_service(const std::string& name) {
  auto& rng = env_.rng();
  auto out = test::service_spec(name, rng.between(1, 4), "image" + std::to_string(rng.below(3)));
  if (rng.chance(15))
    out.mutable_mode()->mutable_global();
  auto& restart = *out.mutable_task_template()->mutable_restart_policy();
  restart.set_condition(RESTART_CONDITION_ANY);
  restart.set_delay(static_cast<std::int64_t>(rng.between(100, 2'000)) * 1'000'000);
  // Else a container that has ended a few times may wait for minutes.
  if (env_.knobs.die_percent + env_.knobs.fail_start_percent + env_.knobs.restart_engine + env_.knobs.crash_host != 0 || rng.chance(50))
    (*out.mutable_labels())["swarm.restart.backoff"] = "off";
  auto& update = *out.mutable_update_config();
  update.set_parallelism(rng.below(3));
  update.set_delay(static_cast<std::int64_t>(rng.below(500)) * 1'000'000);
  update.set_monitor(static_cast<std::int64_t>(rng.between(600, 1'500)) * 1'000'000);
  update.set_failure_action(rng.chance(60) ? FAILURE_ACTION_CONTINUE : rng.chance(50) ? FAILURE_ACTION_PAUSE : FAILURE_ACTION_ROLLBACK);
  update.set_order(rng.chance(20) ? UPDATE_ORDER_START_FIRST : UPDATE_ORDER_STOP_FIRST);
  return out;
}

void cluster_clients::change_service() {
  const auto name = "service" + std::to_string(env_.rng().below(env_.knobs.services));
  ReadObjects wanted;
  wanted.set_kind(OBJECT_KIND_SERVICE);
  wanted.set_key(name);
  ask<read_answer>(
    any_manager(),
    [wanted](cluster_manager& m, const reply<read_answer>& answer) {
      m.read(wanted, [answer](const failure& outcome, const ObjectsRead& found) { answer({outcome, found}); });
    },
    [this, name](const read_answer& answer) {
      ControlRequest request;
      auto& rng = env_.rng();
      if (answer.outcome.code == errc::not_found || (answer.outcome.ok() && answer.found.services_size() == 0)) {
        *request.mutable_create_service()->mutable_spec() = draw_service(name);
        return control(request);
      }
      if (!answer.outcome.ok())
        return;
      const auto& service = answer.found.services(0);
      if (rng.chance(10)) {
        request.mutable_remove_service()->set_service_id(service.id());
        return control(request);
      }
      auto& update = *request.mutable_update_service();
      update.set_service_id(service.id());
      update.set_version(service.meta().version().index());
      *update.mutable_spec() = service.spec();
      auto& spec = *update.mutable_spec();
      if (spec.mode().has_replicated() && rng.chance(50))
        spec.mutable_mode()->mutable_replicated()->set_replicas(rng.below(6));
      else if (rng.chance(15))
        update.set_roll_back(true);
      else
        spec.mutable_task_template()->mutable_container_spec()->set_image("image" + std::to_string(rng.below(5)));
      control(request);
    },
    [] {});
}

void cluster_clients::change_node() {
  ReadObjects wanted;
  wanted.set_kind(OBJECT_KIND_NODE);
  ask<read_answer>(
    any_manager(),
    [wanted](cluster_manager& m, const reply<read_answer>& answer) {
      m.read(wanted, [answer](const failure& outcome, const ObjectsRead& found) { answer({outcome, found}); });
    },
    [this](const read_answer& answer) {
      if (!answer.outcome.ok() || answer.found.nodes_size() == 0)
        return;
      const auto& node = answer.found.nodes(static_cast<int>(env_.rng().below(static_cast<std::uint64_t>(answer.found.nodes_size()))));
      ControlRequest request;
      auto& update = *request.mutable_update_node();
      update.set_node_id(node.id());
      update.set_version(node.meta().version().index());
      *update.mutable_spec() = node.spec();
      update.mutable_spec()->set_availability(env_.rng().chance(50)   ? NODE_AVAILABILITY_ACTIVE
                                              : env_.rng().chance(70) ? NODE_AVAILABILITY_DRAIN
                                                                      : NODE_AVAILABILITY_PAUSE);
      control(request);
    },
    [] {});
}

void cluster_clients::remove_node() {
  const auto all = to_.managers();
  if (all.empty())
    return;
  const auto snapshot = to_.manager(all.front())->store().snapshot();
  if (snapshot.nodes_size() == 0)
    return;
  const auto& node = snapshot.nodes(static_cast<int>(env_.rng().below(static_cast<std::uint64_t>(snapshot.nodes_size()))));
  if (!to_.may_remove(node.id()))
    return;
  ControlRequest request;
  request.mutable_remove_node()->set_node_id(node.id());
  request.mutable_remove_node()->set_force(true);
  control(request);
}

// Again and again: a change that was under way when everything healed may come later.
void cluster_clients::activate_nodes() {
  env_.world.after(500'000, [this] { activate_nodes(); });
  for (const auto id : to_.managers()) {
    auto& manager = *to_.manager(id);
    if (!manager.leads())
      continue;
    nodes_active_ = true;
    const auto state = manager.store().snapshot();
    for (const auto& node : state.nodes()) {
      if (node.spec().availability() == NODE_AVAILABILITY_ACTIVE)
        continue;
      nodes_active_ = false;
      ControlRequest request;
      auto& update = *request.mutable_update_node();
      update.set_node_id(node.id());
      update.set_version(node.meta().version().index());
      *update.mutable_spec() = node.spec();
      update.mutable_spec()->set_availability(NODE_AVAILABILITY_ACTIVE);
      control(request);
    }
  }
}

} // namespace swarm::sim
