// What a node is to run: assignments, restarts, lost records, and what a task needs before it may begin.
#include "actors/agent/worker_core.hpp"

#include <gtest/gtest.h>

#include "runtime/overload.hpp"

namespace swarm::agent::worker {
namespace {

const node_facts here{"node1", "host1", "x86_64", "linux", "cluster1"};

class worker_core : public testing::Test {
protected:
  core worker{here};

  static AssignedTask task(const std::string& id, TaskState desired = TASK_STATE_RUNNING, TaskState observed = TASK_STATE_ASSIGNED) {
    AssignedTask out;
    out.set_id(id);
    out.set_service_id("svc");
    out.set_spec_version(1);
    out.set_slot(1);
    out.set_desired_state(desired);
    out.set_observed_state(observed);
    return out;
  }
  static Assignments message(bool complete, std::uint64_t applies_to, std::uint64_t sequence, const std::vector<AssignedTask>& tasks,
                             const std::vector<std::string>& removed = {}) {
    Assignments out;
    out.set_session_id("S");
    out.set_complete(complete);
    out.set_applies_to(applies_to);
    out.set_sequence(sequence);
    for (const auto& t : tasks)
      *out.add_tasks() = t;
    for (const auto& id : removed)
      out.add_removed_task_ids(id);
    auto& what = *out.add_templates();
    what.set_service_id("svc");
    what.set_spec_version(1);
    what.mutable_spec()->mutable_container_spec()->set_image("busybox");
    out.add_services()->set_id("svc");
    out.mutable_services(0)->set_name("web");
    return out;
  }
  std::string apply(const Assignments& m, const std::map<std::string, TaskState>& states = {}) {
    const auto out = worker.apply(m, "S", states);
    worker.check_invariants();
    return show(out);
  }
  std::string recover(const std::vector<std::pair<std::string, TaskHandle::Phase>>& found) {
    RecoveredTasks r;
    for (const auto& [id, phase] : found) {
      auto& handle = *r.add_tasks();
      handle.set_task_id(id);
      handle.set_phase(phase);
    }
    return show(worker.recovered(r));
  }
  static std::string show(const effects& todo) {
    std::string out;
    for (const auto& effect : todo)
      out += std::visit(overload{
        [](const begin_task& e) {
          return "begin " + e.task_id + " state=" + std::to_string(e.from.state) + " phase=" + std::to_string(e.from.handle.phase()) + (e.what ? "" : " blind");
        },
        [](const reject_task& e) { return "reject " + e.task_id + ": " + e.why; },
        [](const set_desired& e) { return "desired " + e.task_id + " " + std::to_string(e.state); },
        [](const forget_task& e) { return "forget " + e.task_id; },
        [](const remove_leftover& e) { return "remove " + e.task_id; },
        [](const repeat_status& e) { return "repeat " + e.task_id; },
        [](const register_again&) { return std::string{"register"}; },
      }, effect) + "; ";
    return out;
  }
};

TEST_F(worker_core, begins_what_is_assigned_after_the_driver_was_asked) {
  EXPECT_EQ(apply(message(true, 0, 1, {task("a")})), "");
  EXPECT_EQ(recover({}), "begin a state=192 phase=0; ");
  EXPECT_EQ(apply(message(false, 1, 2, {task("b")})), "begin b state=192 phase=0; ");
  TaskDescription what;
  ASSERT_TRUE(worker.description("b", what).ok());
  EXPECT_EQ(what.task_name(), "web.1.b");
  EXPECT_EQ(what.cluster_id(), "cluster1");
}

TEST_F(worker_core, passes_on_desired_states_that_rise_and_no_others) {
  recover({});
  apply(message(true, 0, 1, {task("a")}));
  EXPECT_EQ(apply(message(false, 1, 2, {task("a", TASK_STATE_SHUTDOWN)})), "desired a 640; ");
  EXPECT_EQ(apply(message(false, 2, 3, {task("a", TASK_STATE_RUNNING)})), "");
  EXPECT_EQ(apply(message(false, 3, 4, {}, {"a"})), "forget a; ");
  EXPECT_EQ(worker.size(), 0u);
}

TEST_F(worker_core, a_complete_message_forgets_what_it_does_not_name) {
  recover({});
  apply(message(true, 0, 1, {task("a"), task("b")}));
  EXPECT_EQ(apply(message(true, 0, 5, {task("b"), task("c")})), "forget a; begin c state=192 phase=0; ");
}

TEST_F(worker_core, a_lost_or_overtaken_message_makes_it_register_again) {
  recover({});
  EXPECT_EQ(apply(message(false, 0, 1, {task("a")})), "register; ") << "incremental before complete";
  apply(message(true, 0, 1, {task("a")}));
  EXPECT_EQ(apply(message(false, 2, 3, {task("b")})), "register; ");
  EXPECT_EQ(worker.size(), 1u);
  EXPECT_EQ(apply(message(false, 1, 2, {task("b")})), "register; ") << "until the complete one, nothing is believed";
}

TEST_F(worker_core, a_message_of_an_older_session_is_ignored) {
  recover({});
  auto old = message(true, 0, 1, {task("a")});
  old.set_session_id("older");
  EXPECT_EQ(apply(old), "");
  EXPECT_EQ(worker.size(), 0u);
}

TEST_F(worker_core, repeats_what_the_manager_does_not_know) {
  recover({});
  apply(message(true, 0, 1, {task("a"), task("b")}));
  EXPECT_EQ(apply(message(true, 0, 1, {task("a", TASK_STATE_RUNNING, TASK_STATE_PREPARING), task("b", TASK_STATE_RUNNING, TASK_STATE_RUNNING)}),
                  {{"a", TASK_STATE_RUNNING}, {"b", TASK_STATE_RUNNING}}),
            "repeat a; ");
}

TEST_F(worker_core, after_a_restart_it_adopts_and_removes_leftovers_without_a_manager) {
  TaskStatus running;
  running.set_state(TASK_STATE_RUNNING);
  worker.restore(message(true, 0, 0, {task("a"), task("b")}), {{"a", running}});
  EXPECT_EQ(recover({{"a", TaskHandle::PHASE_RUNNING}, {"x", TaskHandle::PHASE_EXITED}}),
            "remove x; begin a state=512 phase=2; repeat a; begin b state=192 phase=0; ");
}

// Simulator, cluster seed 310: the manager's word came before the driver's, and nobody told it that the task runs.
TEST_F(worker_core, what_was_recorded_and_perhaps_not_told_is_told_when_the_task_is_taken_up) {
  TaskStatus running;
  running.set_state(TASK_STATE_RUNNING);
  worker.restore(message(true, 0, 0, {task("a"), task("b")}), {{"a", running}, {"b", running}});
  EXPECT_EQ(apply(message(true, 0, 1, {task("a", TASK_STATE_RUNNING, TASK_STATE_PREPARING), task("b", TASK_STATE_RUNNING, TASK_STATE_RUNNING)})),
            "");
  EXPECT_EQ(recover({{"a", TaskHandle::PHASE_RUNNING}, {"b", TaskHandle::PHASE_RUNNING}}),
            "begin a state=512 phase=2; repeat a; begin b state=512 phase=2; ");
}

// Simulator, cluster seed 1000: a container that ended between recovery and the first contact was RUNNING for ever.
TEST_F(worker_core, what_the_driver_saw_last_counts_when_a_task_begins_later) {
  EXPECT_EQ(recover({{"a", TaskHandle::PHASE_RUNNING}, {"b", TaskHandle::PHASE_RUNNING}}), "");
  TaskHandle ended;
  ended.set_task_id("a");
  ended.set_phase(TaskHandle::PHASE_EXITED);
  worker.seen(ended);
  TaskHandle gone;
  gone.set_task_id("b");
  worker.seen(gone);
  EXPECT_EQ(apply(message(true, 0, 1, {task("a", TASK_STATE_RUNNING, TASK_STATE_RUNNING), task("b", TASK_STATE_RUNNING, TASK_STATE_RUNNING)})),
            "begin a state=512 phase=3; begin b state=512 phase=0; ");
}

TEST_F(worker_core, without_records_it_begins_and_removes_nothing_before_the_first_contact) {
  EXPECT_EQ(recover({{"a", TaskHandle::PHASE_RUNNING}, {"x", TaskHandle::PHASE_RUNNING}}), "");
  EXPECT_EQ(show(worker.stray("x")), "");
  EXPECT_EQ(apply(message(true, 0, 1, {task("a", TASK_STATE_RUNNING, TASK_STATE_RUNNING), task("c")})),
            "begin a state=512 phase=2; begin c state=192 phase=0; remove x; ");
  EXPECT_EQ(show(worker.stray("y")), "remove y; ");
  EXPECT_EQ(show(worker.stray("a")), "");
}

TEST_F(worker_core, a_task_waits_for_its_secrets_and_configs) {
  recover({});
  auto m = message(true, 0, 1, {task("a")});
  auto& reference = *m.mutable_templates(0)->mutable_spec()->mutable_container_spec()->add_secrets();
  reference.set_secret_id("s1");
  reference.set_secret_name("pw");
  reference.mutable_file()->set_name("pw");
  EXPECT_EQ(apply(m), "");
  Assignments more;
  more.set_session_id("S");
  more.set_applies_to(1);
  more.set_sequence(2);
  auto& secret = *more.add_secrets();
  secret.set_id("s1");
  secret.mutable_spec()->set_data("hunter2");
  EXPECT_EQ(apply(more), "begin a state=192 phase=0; ");
  TaskDescription what;
  ASSERT_TRUE(worker.description("a", what).ok());
  ASSERT_EQ(what.secret_files_size(), 1);
  EXPECT_EQ(what.secret_files(0).target(), "/run/secrets/pw");
  EXPECT_EQ(what.secret_files(0).data(), "hunter2");
  EXPECT_EQ(worker.snapshot().SerializeAsString().find("hunter2"), std::string::npos) << "never on disk";
}

// A task "a" and one "b" with the secret s1, whose value comes later or never.
Assignments with_secret(Assignments m) {
  auto& reference = *m.mutable_templates(0)->mutable_spec()->mutable_container_spec()->add_secrets();
  reference.set_secret_id("s1");
  reference.set_secret_name("pw");
  reference.mutable_file()->set_name("pw");
  return m;
}

void add_value(Assignments& m, const std::string& id, const std::string& data) {
  auto& secret = *m.add_secrets();
  secret.set_id(id);
  secret.mutable_spec()->set_data(data);
}

TEST_F(worker_core, a_value_for_one_task_comes_before_that_for_all) {
  recover({});
  auto m = with_secret(message(true, 0, 1, {task("a"), task("b")}));
  m.mutable_templates(0)->mutable_spec()->mutable_container_spec()->add_configs()->set_config_id("c1");
  m.mutable_templates(0)->mutable_spec()->mutable_container_spec()->mutable_configs(0)->mutable_file()->set_name("/c");
  auto& config = *m.add_configs();
  config.set_id("c1");
  config.mutable_spec()->set_data("{{secret \"pw\"}}");
  config.mutable_spec()->mutable_templating()->set_name("golang");
  add_value(m, "s1.a", "of a alone");
  EXPECT_EQ(apply(m), "begin a state=192 phase=0; ") << "b has none";
  auto more = message(false, 1, 2, {});
  more.clear_templates();
  add_value(more, "s1", "of all");
  EXPECT_EQ(apply(more), "begin b state=192 phase=0; ");
  TaskDescription what;
  ASSERT_TRUE(worker.description("a", what).ok());
  EXPECT_EQ(what.secret_files(0).data(), "of a alone");
  EXPECT_EQ(what.secret_files(1).data(), "of a alone") << "in templates, too";
  ASSERT_TRUE(worker.description("b", what).ok());
  EXPECT_EQ(what.secret_files(0).data(), "of all");
  EXPECT_EQ(worker.snapshot().SerializeAsString().find("alone"), std::string::npos);
}

TEST_F(worker_core, a_task_whose_secret_has_no_value_is_rejected_with_the_managers_words) {
  recover({});
  auto m = with_secret(message(true, 0, 1, {task("a"), task("b")}));
  EXPECT_EQ(apply(m), "");
  auto news = task("a");
  news.set_no_secret_because("secret pw: driver vault: sealed");
  auto more = message(false, 1, 2, {news});
  more.clear_templates();
  EXPECT_EQ(apply(more), "reject a: secret pw: driver vault: sealed; ") << "b waits on";
}

TEST_F(worker_core, a_task_that_has_its_container_has_no_use_for_the_managers_words) {
  auto words = task("a");
  words.set_no_secret_because("secret pw: driver vault: sealed");
  worker.restore(with_secret(message(true, 0, 0, {words})), {});
  EXPECT_EQ(recover({{"a", TaskHandle::PHASE_RUNNING}}), "begin a state=192 phase=2 blind; ");
}

TEST_F(worker_core, a_task_that_waits_for_a_value_and_is_to_stop_does_not_wait) {
  recover({});
  EXPECT_EQ(apply(with_secret(message(true, 0, 1, {task("a")}))), "");
  EXPECT_EQ(apply(with_secret(message(false, 1, 2, {task("a", TASK_STATE_SHUTDOWN)}))), "begin a state=192 phase=0 blind; ");
}

TEST_F(worker_core, a_complete_set_leaves_no_value_of_before) {
  recover({});
  auto m = with_secret(message(true, 0, 1, {task("a")}));
  add_value(m, "s1", "old");
  EXPECT_EQ(apply(m), "begin a state=192 phase=0; ");
  worker.session_begins();
  EXPECT_EQ(apply(with_secret(message(true, 0, 1, {task("a"), task("b")}))), "") << "the new leader fetches it anew for b";
  auto more = message(false, 1, 2, {});
  more.clear_templates();
  add_value(more, "s1", "new");
  EXPECT_EQ(apply(more), "begin b state=192 phase=0; ");
  TaskDescription what;
  ASSERT_TRUE(worker.description("b", what).ok());
  EXPECT_EQ(what.secret_files(0).data(), "new");
}

TEST_F(worker_core, a_value_that_is_withdrawn_in_the_frame_of_a_task_is_not_its_value) {
  recover({});
  auto m = with_secret(message(true, 0, 1, {task("a")}));
  add_value(m, "s1", "old");
  EXPECT_EQ(apply(m), "begin a state=192 phase=0; ");
  auto more = message(false, 1, 2, {task("b")});
  more.clear_templates();
  more.add_removed_secret_ids("s1");
  EXPECT_EQ(apply(more), "");
}

TEST_F(worker_core, a_running_task_is_adopted_although_its_secrets_are_not_here) {
  auto m = message(true, 0, 0, {task("a")});
  m.mutable_templates(0)->mutable_spec()->mutable_container_spec()->add_secrets()->set_secret_id("s1");
  worker.restore(m, {});
  EXPECT_EQ(recover({{"a", TaskHandle::PHASE_RUNNING}}), "begin a state=192 phase=2 blind; ");
}

TEST_F(worker_core, a_template_that_does_not_expand_rejects_the_task) {
  recover({});
  auto m = message(true, 0, 1, {task("a")});
  m.mutable_templates(0)->mutable_spec()->mutable_container_spec()->add_env("A={{.Nope}}");
  EXPECT_EQ(apply(m).find("reject a: expanding env failed: template: "), 0u);
}

TEST_F(worker_core, of_a_task_that_the_manager_has_given_up_no_container_is_left) {
  EXPECT_EQ(recover({{"a", TaskHandle::PHASE_RUNNING}, {"b", TaskHandle::PHASE_EXITED}}), "");
  EXPECT_EQ(apply(message(true, 0, 1, {task("a", TASK_STATE_SHUTDOWN, TASK_STATE_ORPHANED), task("b", TASK_STATE_SHUTDOWN, TASK_STATE_ORPHANED)})),
            "remove a; remove b; ");
  TaskHandle gone;
  gone.set_task_id("b");
  worker.seen(gone);
  EXPECT_EQ(apply(message(false, 1, 2, {}, {"a", "b"})), "forget a; remove a; forget b; ") << "the engine may have refused at first";
}

TEST_F(worker_core, leaving_forgets_everything) {
  recover({});
  apply(message(true, 0, 1, {task("a"), task("b")}));
  EXPECT_EQ(show(worker.forget_all()), "forget a; forget b; ");
  EXPECT_EQ(worker.size(), 0u);
}

TEST_F(worker_core, registry_passwords_are_not_in_the_journal) {
  recover({});
  auto m = message(true, 0, 1, {task("a")});
  m.mutable_templates(0)->mutable_spec()->mutable_container_spec()->set_registry_auth("passw0rd");
  apply(m);
  EXPECT_EQ(worker.snapshot().SerializeAsString().find("passw0rd"), std::string::npos);
  EXPECT_EQ(without_secrets(m).SerializeAsString().find("passw0rd"), std::string::npos);
}

} // namespace
} // namespace swarm::agent::worker
