// AGENT, TASK and JOURNAL wired together, with a fake driver and a fake manager, in virtual time.
#include "actors/agent/agent_actor.hpp"
#include "actors/agent/journal_actor.hpp"

#include "actors/agent/agent_sup.hpp"
#include "actors/agent/journal_core.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/temp_dir.hpp"

namespace swarm::agent {
namespace {

struct fake_engine {
  std::map<std::string, TaskHandle> containers;
  std::vector<std::string> calls;
  std::map<std::string, failure> fail;      // by call, once
  bool fails_always = false;
  driver_listener listener;
  bool healthy = true;
};
using engine_ptr = std::shared_ptr<fake_engine>;

caf::result<TaskHandle> do_call(const engine_ptr& e, const std::string& verb, const std::string& id, TaskHandle::Phase phase) {
  e->calls.push_back(verb + " " + id);
  if (auto it = e->fail.find(verb); it != e->fail.end()) {
    const auto error = it->second;
    if (!e->fails_always)
      e->fail.erase(it);
    return to_error(error);
  }
  auto& c = e->containers[id];
  c.set_task_id(id);
  c.mutable_container()->set_container_id("c-" + id);
  c.set_phase(phase);
  auto out = c;
  if (phase == TaskHandle::PHASE_ABSENT)
    e->containers.erase(id);
  return out;
}

driver_actor::behavior_type fake_driver(driver_actor::pointer, engine_ptr e) {
  return {
    [e](const PrepareTask& r) { return do_call(e, "prepare", r.task().task_id(), TaskHandle::PHASE_CREATED); },
    [e](const StartTask& r) { return do_call(e, "start", r.task_id(), TaskHandle::PHASE_RUNNING); },
    [e](const StopTask& r) { return do_call(e, "stop", r.task_id(), TaskHandle::PHASE_EXITED); },
    [e](const RemoveTask& r) { return do_call(e, "remove", r.task_id(), TaskHandle::PHASE_ABSENT); },
    [e](const InspectTask& r) -> caf::result<TaskHandle> {
      e->calls.push_back("inspect " + r.task_id());
      TaskHandle none;
      none.set_task_id(r.task_id());
      return e->containers.contains(r.task_id()) ? e->containers[r.task_id()] : none;
    },
    [e](const RecoverTasks&) -> caf::result<RecoveredTasks> {
      RecoveredTasks out;
      for (const auto& [id, c] : e->containers)
        *out.add_tasks() = c;
      return out;
    },
    [e](const FingerprintNode&) -> caf::result<NodeFingerprint> {
      NodeFingerprint out;
      out.set_healthy(e->healthy);
      out.mutable_description()->set_hostname("host1");
      return out;
    },
    [e](subscribe_atom, const driver_listener& l) { e->listener = l; },
    [](const ReadTaskLogs&, const log_sink&) {},
    [](const LogCredit&) {},
    [](const CancelLogs&) {},
    [](const ReadStatus&) { return ActorStatus{}; },
  };
}

struct fake_manager {
  std::vector<RegisterNode> registered;
  std::vector<NodeHeartbeat> beats;
  std::vector<UpdateTaskStatus> updates;
  agent_inbox inbox;
  bool accepts = true;
  bool refuses = false;

  std::string session() const { return "S" + std::to_string(registered.size()); }
  /// "a=running b=accepted": the last status of each task.
  std::string known() const {
    std::map<std::string, std::string> last;
    for (const auto& m : updates)
      for (const auto& u : m.updates()) {
        auto name = TaskState_Name(u.status().state()).substr(11);
        for (auto& c : name)
          c = static_cast<char>(c | 32);
        last[u.task_id()] = name;
      }
    std::string out;
    for (const auto& [id, name] : last)
      out += id + "=" + name + " ";
    return out;
  }
};
using manager_ptr = std::shared_ptr<fake_manager>;

dispatcher_actor::behavior_type fake_dispatcher(dispatcher_actor::pointer self, manager_ptr m) {
  return {
    [m](const RegisterNode& r, const agent_inbox& inbox) -> caf::result<NodeRegistered> {
      if (m->refuses)
        return to_error({errc::unavailable, "not now"});
      m->registered.push_back(r);
      m->inbox = inbox;
      NodeRegistered out;
      out.set_session_id(m->session());
      out.set_heartbeat_period(5'000'000'000);
      return out;
    },
    [m](const NodeHeartbeat& b) { m->beats.push_back(b); },
    [](const UpdateNodeDescription&) {},
    [self, m](const UpdateTaskStatus& u) {
      m->updates.push_back(u);
      if (!m->accepts)
        return;
      TaskStatusAccepted done;
      done.set_session_id(u.session_id());
      done.set_sequence(u.sequence());
      self->send(m->inbox, done);
    },
    [](const LinkChanged&) {},
    [](const EventBatch&) {},
    [](tick_atom) {},
    [](const ReadStatus&) { return ActorStatus{}; },
  };
}

struct slow_disk {
  std::string bytes;
  std::vector<std::string> asked; ///< what was to be on disk, per request
  std::vector<caf::typed_response_promise<bool>> waiting;
};
using disk_ptr = std::shared_ptr<slow_disk>;

/// Answers when it is told to flush.
journal_actor::behavior_type slow_journal(journal_actor::pointer self, disk_ptr d) {
  return {
    [d](append_atom, const std::string& bytes) { d->bytes += bytes; },
    [d](replace_atom, const std::string& bytes) { d->bytes = bytes; },
    [self, d](sync_atom) {
      d->asked.push_back(d->bytes);
      d->waiting.push_back(self->make_response_promise<bool>());
      return d->waiting.back();
    },
    [d](flush_atom) {
      for (auto& promise : std::exchange(d->waiting, {}))
        promise.deliver(true);
    },
    [](const ReadStatus&) { return ActorStatus{}; },
  };
}

class agent_actor_test : public test::actor_fixture {
protected:
  ~agent_actor_test() override { engine->listener = driver_listener{}, manager->inbox = agent_inbox{}; }
  void start(const std::string& directory = {}, std::optional<journal_port> journal = {}) {
    driver = track(sys.spawn(fake_driver, engine));
    dispatcher = track(sys.spawn(fake_dispatcher, manager));
    agent_options opts;
    opts.node_id = "node1";
    opts.cluster_id = "cluster1";
    opts.journal = std::move(journal);
    agent = track(spawn_agent(sys, driver, opts, directory, false));
    settle();
  }
  void connect() {
    self->send(agent, subscribe_atom_v, dispatcher);
    settle();
  }
  Assignments assignments(const std::vector<std::string>& ids, bool complete = true, std::uint64_t sequence = 1) {
    Assignments out;
    out.set_session_id(manager->session());
    out.set_complete(complete);
    out.set_applies_to(sequence - 1);
    out.set_sequence(sequence);
    for (const auto& id : ids) {
      auto& task = *out.add_tasks();
      task.set_id(id);
      task.set_service_id("svc");
      task.set_slot(1);
      task.set_desired_state(TASK_STATE_RUNNING);
      task.set_observed_state(TASK_STATE_ASSIGNED);
    }
    out.add_templates()->set_service_id("svc");
    out.mutable_templates(0)->mutable_spec()->mutable_container_spec()->set_image("busybox");
    out.add_services()->set_id("svc");
    out.mutable_services(0)->set_name("web");
    return out;
  }
  void push(const Assignments& m) {
    self->send(agent, m);
    settle();
  }
  void observe(const std::string& id, TaskHandle::Phase phase, int code) {
    TaskObserved news;
    news.mutable_handle()->set_task_id(id);
    news.mutable_handle()->set_phase(phase);
    news.mutable_handle()->mutable_container()->set_exit_code(code);
    news.mutable_handle()->mutable_container()->set_container_id("c-" + id);
    self->send(agent, news);
    settle();
  }
  int count(const std::string& call) { return static_cast<int>(std::count(engine->calls.begin(), engine->calls.end(), call)); }

  engine_ptr engine = std::make_shared<fake_engine>();
  manager_ptr manager = std::make_shared<fake_manager>();
  driver_actor driver;
  dispatcher_actor dispatcher;
  agent_actor agent;
};

TEST_F(agent_actor_test, registers_and_runs_what_it_is_assigned) {
  start();
  connect();
  ASSERT_EQ(manager->registered.size(), 1u);
  EXPECT_EQ(manager->registered[0].description().hostname(), "host1");
  EXPECT_TRUE(manager->registered[0].driver_healthy());
  push(assignments({"a", "b"}));
  EXPECT_EQ(manager->known(), "a=running b=running ");
  EXPECT_EQ(engine->calls, (std::vector<std::string>{"prepare a", "prepare b", "start a", "start b"}));
}

TEST_F(agent_actor_test, beats_every_five_seconds_or_so) {
  start();
  connect();
  advance(seconds{60}, milliseconds{100});
  EXPECT_GE(manager->beats.size(), 10u);
  EXPECT_LE(manager->beats.size(), 14u);
}

TEST_F(agent_actor_test, statuses_gather_while_a_message_is_in_flight) {
  start();
  connect();
  manager->accepts = false;
  push(assignments({"a", "b", "c"}));
  ASSERT_EQ(manager->updates.size(), 1u);
  TaskStatusAccepted done;
  done.set_session_id("S1");
  done.set_sequence(manager->updates[0].sequence());
  self->send(agent, done);
  settle();
  ASSERT_EQ(manager->updates.size(), 2u);
  EXPECT_EQ(manager->updates[1].updates_size(), 3);
  EXPECT_EQ(manager->known(), "a=running b=running c=running ");
}

TEST_F(agent_actor_test, an_end_is_reported_and_a_forgotten_task_removed) {
  start();
  connect();
  push(assignments({"a"}));
  observe("a", TaskHandle::PHASE_EXITED, 4);
  EXPECT_EQ(manager->known(), "a=failed ");
  EXPECT_EQ(manager->updates.back().updates(0).status().err(), "task: non-zero exit (4)");
  auto m = assignments({}, false, 2);
  m.add_removed_task_ids("a");
  push(m);
  EXPECT_EQ(count("remove a"), 1);
  EXPECT_TRUE(engine->containers.empty());
}

// Simulator, cluster seed 229: a container of a task that was long gone stayed until the agent was started anew.
TEST_F(agent_actor_test, a_leftover_that_the_engine_does_not_remove_is_tried_again) {
  start();
  connect();
  push(assignments({}));
  engine->containers["x"].set_task_id("x");
  engine->fail["remove"] = {errc::unavailable, "busy"};
  observe("x", TaskHandle::PHASE_EXITED, 0);
  EXPECT_EQ(count("remove x"), 1);
  ASSERT_TRUE(engine->containers.contains("x"));
  advance(seconds{3});
  EXPECT_EQ(count("remove x"), 2);
  EXPECT_TRUE(engine->containers.empty());
}

TEST_F(agent_actor_test, registers_again_with_growing_delays_while_the_manager_is_away) {
  manager->refuses = true;
  start();
  connect();
  advance(seconds{5});
  EXPECT_TRUE(manager->registered.empty());
  manager->refuses = false;
  advance(seconds{9});
  EXPECT_EQ(manager->registered.size(), 1u);
}

TEST_F(agent_actor_test, after_an_invalid_session_what_was_in_flight_is_sent_again) {
  start();
  connect();
  manager->accepts = false;
  push(assignments({"a"}));
  manager->accepts = true;
  manager->updates.clear();
  SessionInvalid invalid;
  invalid.set_session_id("S1");
  self->send(agent, invalid);
  advance(seconds{1});
  EXPECT_EQ(manager->registered.size(), 2u);
  EXPECT_EQ(manager->known(), "a=running ");
  EXPECT_EQ(manager->updates[0].session_id(), "S2");
}

TEST_F(agent_actor_test, an_engine_that_is_away_is_told_at_once_and_new_tasks_wait) {
  start();
  connect();
  DriverHealth health;
  health.set_message("engine is away");
  self->send(agent, health);
  settle();
  ASSERT_EQ(manager->beats.size(), 1u);
  EXPECT_FALSE(manager->beats[0].driver_healthy());
  EXPECT_EQ(manager->beats[0].driver_message(), "engine is away");
  push(assignments({"a"}));
  EXPECT_EQ(count("prepare a"), 0);
  health.set_healthy(true);
  health.clear_message();
  self->send(agent, health);
  settle();
  EXPECT_EQ(manager->known(), "a=running ");
}

TEST_F(agent_actor_test, a_container_of_nobody_is_removed_and_foreign_news_are_ignored) {
  engine->containers["x"].set_task_id("x");
  engine->containers["x"].set_phase(TaskHandle::PHASE_RUNNING);
  start();
  EXPECT_EQ(count("remove x"), 0) << "nobody has said yet what is wanted";
  connect();
  push(assignments({"a"}));
  EXPECT_EQ(count("remove x"), 1);
  observe("late", TaskHandle::PHASE_CREATED, 0);
  EXPECT_EQ(count("remove late"), 1);
}

TEST_F(agent_actor_test, a_restarted_agent_adopts_from_its_journal_without_a_manager) {
  test::temp_dir dir;
  start(dir.path());
  connect();
  push(assignments({"a", "b"}));
  caf::anon_send_exit(agent, caf::exit_reason::kill);
  settle();
  engine->calls.clear();
  engine->containers.erase("b");
  engine->containers["x"].set_task_id("x");
  engine->containers["x"].set_phase(TaskHandle::PHASE_RUNNING);
  manager->updates.clear();
  start(dir.path());
  EXPECT_EQ(count("prepare a") + count("start a") + count("prepare b") + count("start b"), 0) << "nothing is started again";
  EXPECT_EQ(count("remove x"), 1);
  observe("a", TaskHandle::PHASE_EXITED, 1);
  connect();
  auto again = assignments({"a", "b"});
  for (auto& task : *again.mutable_tasks())
    task.set_observed_state(TASK_STATE_RUNNING);
  push(again);
  EXPECT_EQ(manager->known(), "a=failed b=failed ");
}

// Simulator, cluster seed 3937193888: the host had lost power and its last records, and started what it had told to have failed.
TEST_F(agent_actor_test, an_end_is_told_when_the_journal_has_it_on_disk) {
  auto disk = std::make_shared<slow_disk>();
  auto writer = track(sys.spawn(slow_journal, disk));
  start({}, journal_port{"", writer});
  connect();
  engine->fail["start"] = {errc::invalid_argument, "port is already allocated"};
  push(assignments({"a", "b"}));
  EXPECT_EQ(manager->known(), "a=starting b=running ") << "what is not an end does not wait";
  ASSERT_EQ(disk->asked.size(), 1u);
  const auto kept = journal::read(disk->asked[0], "node1", "cluster1");
  ASSERT_TRUE(kept);
  ASSERT_TRUE(kept->statuses.contains("a"));
  EXPECT_EQ(kept->statuses.at("a").state(), TASK_STATE_FAILED);
  observe("b", TaskHandle::PHASE_EXITED, 1);
  EXPECT_EQ(disk->asked.size(), 1u) << "one at a time";
  self->send(writer, flush_atom_v);
  settle();
  EXPECT_EQ(manager->known(), "a=failed b=running ");
  ASSERT_EQ(disk->asked.size(), 2u);
  self->send(writer, flush_atom_v);
  settle();
  EXPECT_EQ(manager->known(), "a=failed b=failed ");
}

TEST_F(agent_actor_test, a_disk_that_does_not_answer_is_asked_again) {
  auto disk = std::make_shared<slow_disk>();
  auto writer = track(sys.spawn(slow_journal, disk));
  start({}, journal_port{"", writer});
  connect();
  push(assignments({"a"}));
  observe("a", TaskHandle::PHASE_EXITED, 1);
  advance(seconds{31}, milliseconds{500});
  EXPECT_EQ(disk->asked.size(), 2u);
  EXPECT_EQ(manager->known(), "a=running ");
  self->send(writer, flush_atom_v);
  settle();
  EXPECT_EQ(manager->known(), "a=failed ");
}

TEST_F(agent_actor_test, an_end_that_the_last_agent_wrote_may_not_be_on_disk_yet) {
  test::temp_dir dir;
  start(dir.path());
  connect();
  push(assignments({"a"}));
  observe("a", TaskHandle::PHASE_EXITED, 1);
  const auto left = read_journal(dir / "journal");
  caf::anon_send_exit(agent, caf::exit_reason::kill);
  settle();
  manager->updates.clear();
  auto disk = std::make_shared<slow_disk>();
  auto writer = track(sys.spawn(slow_journal, disk));
  start({}, journal_port{left, writer});
  connect();
  push(assignments({"a"}));
  EXPECT_EQ(manager->known(), "");
  self->send(writer, flush_atom_v);
  settle();
  self->send(writer, flush_atom_v);
  settle();
  EXPECT_EQ(manager->known(), "a=failed ");
}

TEST_F(agent_actor_test, a_damaged_journal_means_waiting_for_the_manager) {
  test::temp_dir dir;
  start(dir.path());
  connect();
  push(assignments({"a"}));
  caf::anon_send_exit(agent, caf::exit_reason::kill);
  settle();
  {
    auto* file = std::fopen((dir / "journal").c_str(), "r+b");
    ASSERT_NE(file, nullptr);
    std::fseek(file, 60, SEEK_SET);
    std::fputc('~', file);
    std::fclose(file);
  }
  engine->containers["x"].set_task_id("x");
  engine->calls.clear();
  start(dir.path());
  EXPECT_TRUE(engine->calls.empty());
  connect();
  auto again = assignments({"a"});
  again.mutable_tasks(0)->set_observed_state(TASK_STATE_RUNNING);
  push(again);
  EXPECT_EQ(engine->calls, (std::vector<std::string>{"remove x"}));
}

TEST_F(agent_actor_test, leaving_stops_and_removes_everything_and_ends) {
  start();
  connect();
  push(assignments({"a", "b"}));
  const auto left = ask<MembershipChanged>(agent, LeaveSwarm{});
  ASSERT_TRUE(left.value);
  EXPECT_EQ(count("stop a") + count("stop b") + count("remove a") + count("remove b"), 4);
  EXPECT_TRUE(engine->containers.empty());
}

TEST_F(agent_actor_test, leaving_takes_no_longer_than_its_deadline) {
  start();
  connect();
  push(assignments({"a"}));
  engine->fail["stop"] = {errc::internal, "stuck"};
  engine->fails_always = true;
  auto request = self->request(agent, caf::infinite, LeaveSwarm{});
  advance(seconds{70}, milliseconds{500});
  ASSERT_TRUE(self->has_next_message());
  request.receive([](const MembershipChanged&) { FAIL() << "nothing could be removed"; }, [](const caf::error&) {});
}

TEST_F(agent_actor_test, temporary_errors_are_retried_and_lost_answers_looked_into) {
  start();
  connect();
  engine->fail["prepare"] = {errc::unavailable, "busy"};
  engine->fail["start"] = {errc::deadline_exceeded, "lost"};
  push(assignments({"a"}));
  advance(seconds{3});
  EXPECT_EQ(manager->known(), "a=running ");
  EXPECT_EQ(engine->calls, (std::vector<std::string>{"prepare a", "prepare a", "start a", "inspect a", "start a"}));
}

TEST_F(agent_actor_test, any_order_of_messages_comes_to_the_same_end) {
  start();
  connect();
  std::mt19937_64 rng{7};
  for (std::uint64_t round = 1; round <= 30; ++round) {
    auto m = assignments({"t" + std::to_string(round)}, round == 1, round);
    if (round > 5)
      m.add_removed_task_ids("t" + std::to_string(round - 5));
    self->send(agent, m);
    settle_shuffled(rng);
  }
  EXPECT_EQ(engine->containers.size(), 5u);
  for (const auto& [id, c] : engine->containers)
    EXPECT_EQ(c.phase(), TaskHandle::PHASE_RUNNING) << id;
}

// -- inline tasks ------------------------------------------------------------------------------------------------------------

TEST_F(agent_actor_test, a_hundred_inline_tasks_run_within_one_message_each_way) {
  auto reply = [](const std::string& id, TaskHandle::Phase phase) {
    inline_reply out;
    out.handle.set_task_id(id);
    out.handle.set_phase(phase);
    return out;
  };
  agent_options opts;
  opts.node_id = "sim1";
  opts.cluster_id = "cluster1";
  opts.inline_tasks = inline_driver{
    [reply](timestamp, const TaskDescription& what) { return reply(what.task_id(), TaskHandle::PHASE_CREATED); },
    [reply](timestamp, const std::string& id) { return reply(id, TaskHandle::PHASE_RUNNING); },
    [reply](timestamp, const std::string& id) { return reply(id, TaskHandle::PHASE_EXITED); },
    [reply](timestamp, const std::string& id) { return reply(id, TaskHandle::PHASE_ABSENT); },
    [reply](timestamp, const std::string& id) { return reply(id, TaskHandle::PHASE_RUNNING); },
    [](timestamp) { return std::vector<TaskHandle>{}; }, [] { return std::optional<instant>{}; }};
  dispatcher = track(sys.spawn(fake_dispatcher, manager));
  agent = track(sys.spawn(node_agent, opts, driver_actor{}));
  connect();
  ASSERT_EQ(manager->registered.size(), 1u);
  std::vector<std::string> ids;
  for (int i = 0; i < 100; ++i)
    ids.push_back("t" + std::to_string(i));
  push(assignments(ids));
  ASSERT_EQ(manager->updates.size(), 1u);
  ASSERT_EQ(manager->updates[0].updates_size(), 100);
  for (const auto& update : manager->updates[0].updates())
    EXPECT_EQ(update.status().state(), TASK_STATE_RUNNING);
  auto gone = assignments({}, false, 2);
  for (const auto& id : ids)
    gone.add_removed_task_ids(id);
  push(gone);
  EXPECT_EQ(manager->updates.size(), 1u) << "a removed task has nothing to tell";
  ASSERT_TRUE(ask<MembershipChanged>(agent, LeaveSwarm{}).value);
}

} // namespace
} // namespace swarm::agent
