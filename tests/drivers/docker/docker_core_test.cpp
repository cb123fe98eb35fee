// The docker driver's decisions, call by call.
#include "drivers/docker/docker_core.hpp"

#include <gtest/gtest.h>

#include "runtime/overload.hpp"

namespace swarm::docker {
namespace {

const std::string image_id = "sha256:" + std::string(64, 'a');

std::string container(const std::string& id, const std::string& task, const std::string& state, int code = 0,
                      const std::string& cluster = "C", const std::string& health = "") {
  return R"({"Id":")" + id + R"(","Config":{"Labels":{"com.docker.swarm.task.id":")" + task + R"(","io.swarm-node.cluster.id":")" + cluster
         + R"("}},"State":{"Status":")" + state + R"(","Pid":)" + (state == "running" ? "42" : "0") + R"(,"ExitCode":)" + std::to_string(code)
         + (health.empty() ? "" : R"(,"Health":{"Status":")" + health + R"("})") + R"(},"NetworkSettings":{"Ports":{}}})";
}

class docker_core : public testing::Test {
protected:
  docker_core() { options.files_directory = "/files"; }

  void ready() {
    c = std::make_unique<core>(options, 1);
    (void)feed(ticked{});
    (void)reply("GET /_ping", 200, "OK");
    (void)feed(events_opened{});
    observed.clear();
  }
  // Runs one event and keeps what is asked for, so that a test can answer by what was called.
  std::string feed(const driver_event& ev) {
    std::string out;
    for (auto& e : c->step(now, ev)) {
      out += std::visit(overload{
        [&](make_call& x) {
          calls.push_back({x.id, x.method + " " + x.target.substr(0, x.target.find("?filters"))});
          bodies.push_back(x.body);
          return calls.back().second;
        },
        [&](start_pull& x) {
          pulls.push_back(x.id);
          return "pull " + x.target.substr(x.target.find('?'));
        },
        [&](cancel_pull&) { return std::string{"cancel pull"}; },
        [&](open_events&) { return std::string{"open events"}; },
        [&](write_files& x) { return "write " + std::to_string(x.files.size()); },
        [&](remove_files&) { return std::string{"remove files"}; },
        [&](deliver& x) {
          return "deliver " + std::to_string(x.id) + " "
                 + std::visit(overload{
                     [](const TaskHandle& h) { return TaskHandle::Phase_Name(h.phase()).substr(6); },
                     [](const RecoveredTasks& r) { return "recovered " + std::to_string(r.tasks_size()); },
                     [](const NodeFingerprint& f) { return std::string{f.healthy() ? "fingerprint" : "no fingerprint"}; },
                     [](const failure& f) { return std::string{to_string(f.code)} + ": " + f.message; },
                   }, x.result);
        },
        [&](observe& x) {
          observed.push_back(x.handle);
          return "observe " + x.handle.task_id() + " " + TaskHandle::Phase_Name(x.handle.phase()).substr(6);
        },
        [&](report_health& x) { return std::string{x.healthy ? "healthy" : "unhealthy: " + x.message}; },
      }, e) + "; ";
    }
    c->check_invariants();
    return out;
  }
  std::string answer_with(const std::string& what, answer a) {
    for (std::size_t i = 0; i < calls.size(); ++i)
      if (calls[i].second.starts_with(what)) {
        const auto id = calls[i].first;
        calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(i));
        return feed(call_ended{id, std::move(a)});
      }
    ADD_FAILURE() << "not called: " << what;
    return {};
  }
  std::string reply(const std::string& what, int status, const std::string& body = "{}") {
    return answer_with(what, {outcome::answered, status, body, "", "1.41"});
  }
  std::string lose(const std::string& what) { return answer_with(what, {outcome::unknown, 0, "", "no answer in time", ""}); }
  std::string refuse(const std::string& what) { return answer_with(what, {outcome::nothing, 0, "", "connection refused", ""}); }

  std::string ask(request r) { return feed(operation{++op, std::move(r)}); }
  static PrepareTask prepare(const std::string& id, const std::string& image = image_id) {
    PrepareTask r;
    r.mutable_task()->set_task_id(id);
    r.mutable_task()->set_task_name("web.1." + id);
    r.mutable_task()->set_cluster_id("C");
    r.mutable_task()->mutable_spec()->mutable_container_spec()->set_image(image);
    return r;
  }
  template <class R>
  static R with(const std::string& id) {
    R r;
    r.set_task_id(id);
    return r;
  }
  void run(const std::string& id) {
    (void)ask(prepare(id));
    (void)reply("POST /containers/create?name=web.1." + id, 201, R"({"Id":"c)" + id + R"("})");
    (void)ask(with<StartTask>(id));
    (void)reply("POST /containers/c" + id + "/start", 204);
    (void)reply("GET /containers/c" + id + "/json", 200, container("c" + id, id, "running"));
  }
  static PrepareTask prepare_with_secret(const std::string& id) {
    auto r = prepare(id);
    r.mutable_task()->add_secret_files()->set_target("/run/secrets/x");
    return r;
  }
  void run_with_secret(const std::string& id) {
    (void)ask(prepare_with_secret(id));
    (void)feed(files_written{id, {}});
    (void)reply("POST /containers/create?name=web.1." + id, 201, R"({"Id":"c)" + id + R"("})");
    (void)ask(with<StartTask>(id));
    (void)reply("POST /containers/c" + id + "/start", 204);
    (void)reply("GET /containers/c" + id + "/json", 200, container("c" + id, id, "running"));
  }
  static std::string event_of(const std::string& action, const std::string& task, const std::string& id, int code = 0) {
    return R"({"Type":"container","Action":")" + action + R"(","Actor":{"ID":")" + id + R"(","Attributes":{"exitCode":")" + std::to_string(code)
           + R"(","com.docker.swarm.task.id":")" + task + R"(","io.swarm-node.cluster.id":"C"}},"timeNano":5})";
  }

  core_options options;
  std::unique_ptr<core> c;
  instant now{seconds{1}};
  std::vector<std::pair<call_id, std::string>> calls;
  std::vector<std::string> bodies;
  std::vector<call_id> pulls;
  std::vector<TaskHandle> observed;
  operation_id op = 0;
};

TEST_F(docker_core, a_container_of_an_image_by_id_takes_three_calls) {
  ready();
  EXPECT_EQ(ask(prepare("a")), "POST /containers/create?name=web.1.a; ");
  EXPECT_EQ(reply("POST /containers/create", 201, R"({"Id":"ca"})"), "deliver 1 CREATED; ");
  EXPECT_EQ(ask(with<StartTask>("a")), "POST /containers/ca/start; ");
  EXPECT_EQ(reply("POST", 204), "GET /containers/ca/json; ");
  EXPECT_EQ(reply("GET /containers/ca", 200, container("ca", "a", "running")), "deliver 2 RUNNING; ");
}

TEST_F(docker_core, requests_wait_for_the_first_word_of_the_engine) {
  c = std::make_unique<core>(options, 1);
  EXPECT_EQ(ask(prepare("a")), "GET /_ping; ");
  EXPECT_EQ(reply("GET /_ping", 200, "OK"), "healthy; POST /containers/create?name=web.1.a; open events; ");
  EXPECT_EQ(c->prefix(), "/v1.41");
}

TEST_F(docker_core, speaks_the_highest_version_that_both_know) {
  c = std::make_unique<core>(options, 1);
  (void)feed(ticked{});
  (void)answer_with("GET /_ping", {outcome::answered, 200, "OK", "", "1.52"});
  EXPECT_EQ(c->prefix(), "/v1.50");
}

TEST_F(docker_core, a_name_that_is_taken_by_the_task_itself_is_adopted) {
  ready();
  (void)ask(prepare("a"));
  EXPECT_EQ(reply("POST", 409, R"({"message":"Conflict. The container name is already in use"})"), "GET /containers/web.1.a/json; ");
  EXPECT_EQ(reply("GET", 200, container("ca", "a", "created")), "deliver 1 CREATED; ");
}

TEST_F(docker_core, a_name_that_is_taken_by_another_is_a_conflict) {
  ready();
  (void)ask(prepare("a"));
  (void)reply("POST", 409);
  EXPECT_EQ(reply("GET", 200, container("ca", "b", "created")).find("deliver 1 conflict"), 0u);
  (void)ask(prepare("a"));
  (void)reply("POST", 409);
  EXPECT_EQ(reply("GET", 200, container("ca", "a", "created", 0, "other cluster")).find("deliver 2 conflict"), 0u);
}

TEST_F(docker_core, a_lost_answer_to_create_never_makes_a_second_container) {
  ready();
  (void)ask(prepare("a"));
  EXPECT_EQ(lose("POST").find("deliver 1 deadline_exceeded"), 0u);
  EXPECT_EQ(ask(with<InspectTask>("a")), "GET /containers/web.1.a/json; ");
  EXPECT_EQ(reply("GET", 404), "deliver 2 ABSENT; ");
  EXPECT_EQ(ask(prepare("a")), "POST /containers/create?name=web.1.a; ") << "the same name: the engine itself keeps it single";
  EXPECT_EQ(reply("POST", 409), "GET /containers/web.1.a/json; ");
  EXPECT_EQ(reply("GET", 404).find("deliver 3 unavailable"), 0u) << "still being created: try again later";
}

TEST_F(docker_core, what_has_only_a_name_is_looked_up_by_label_before_it_is_removed) {
  ready();
  (void)ask(prepare("a"));
  (void)reply("POST", 409);
  (void)reply("GET", 200, container("foreign", "", "running"));
  EXPECT_EQ(ask(with<RemoveTask>("a")), "GET /containers/json?all=1&filters=%7B%22label%22%3A%5B%22com.docker.swarm.task.id%3Da%22%5D%7D; ");
  EXPECT_EQ(reply("GET /containers/json", 200, "[]"), "remove files; deliver 2 ABSENT; ");
  EXPECT_EQ(c->lanes(), 0u);
}

TEST_F(docker_core, at_most_eight_creates_at_a_time_and_starts_go_first) {
  ready();
  for (int i = 0; i < 12; ++i)
    (void)ask(prepare("t" + std::to_string(i)));
  EXPECT_EQ(calls.size(), 8u);
  EXPECT_EQ(reply("POST /containers/create?name=web.1.t0", 201, R"({"Id":"c0"})"), "deliver 1 CREATED; POST /containers/create?name=web.1.t8; ");
  EXPECT_EQ(ask(with<StartTask>("t0")), "");
  EXPECT_EQ(reply("POST /containers/create?name=web.1.t1", 201, R"({"Id":"c1"})"), "deliver 2 CREATED; POST /containers/c0/start; ");
}

TEST_F(docker_core, stuck_containers_do_not_block_others) {
  ready();
  for (int i = 0; i < 9; ++i)
    (void)ask(prepare("t" + std::to_string(i)));
  EXPECT_EQ(calls.size(), 8u);
  now += seconds{11};
  EXPECT_NE(feed(ticked{}).find("POST /containers/create?name=web.1.t8"), std::string::npos);
}

TEST_F(docker_core, stopping_cancels_what_has_not_reached_the_engine) {
  ready();
  (void)ask(prepare("a", "busybox"));
  (void)reply("GET /images/busybox:latest/json", 404);
  EXPECT_EQ(ask(with<RemoveTask>("a")).find("cancel pull; deliver 1 unavailable: cancelled"), 0u);
  EXPECT_EQ(reply("GET /containers/json", 200, "[]"), "remove files; deliver 2 ABSENT; ");
  for (int i = 0; i < 9; ++i)
    (void)ask(prepare("t" + std::to_string(i)));
  EXPECT_EQ(ask(with<StopTask>("t8")).find("deliver 11 unavailable: cancelled"), 0u);
}

TEST_F(docker_core, a_request_waits_for_the_one_before_it_and_the_queue_is_bounded) {
  ready();
  (void)ask(prepare("a"));
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(ask(with<InspectTask>("a")), "");
  EXPECT_EQ(ask(with<InspectTask>("a")).find("deliver 18 resource_exhausted"), 0u);
}

TEST_F(docker_core, an_end_overtakes_the_inspection_that_says_running) {
  ready();
  (void)ask(prepare("a"));
  (void)reply("POST", 201, R"({"Id":"ca"})");
  (void)ask(with<StartTask>("a"));
  (void)reply("POST", 204);
  EXPECT_EQ(feed(event_printed{event_of("die", "a", "ca", 3)}), "observe a EXITED; ");
  EXPECT_EQ(reply("GET", 200, container("ca", "a", "running")), "deliver 2 EXITED; ");
  EXPECT_EQ(observed.back().container().exit_code(), 3);
}

// Simulator, cluster seed 2917320365: a start that was given up while the engine hung worked later, and the next one ran the container again.
TEST_F(docker_core, what_has_ended_is_not_started_once_more) {
  ready();
  (void)ask(prepare("a"));
  (void)reply("POST", 201, R"({"Id":"ca"})");
  EXPECT_EQ(feed(event_printed{event_of("die", "a", "ca", 3)}), "observe a EXITED; ");
  EXPECT_EQ(ask(with<StartTask>("a")), "GET /containers/ca/json; ");
  EXPECT_EQ(reply("GET", 200, container("ca", "a", "exited", 3)), "deliver 2 EXITED; ");
}

TEST_F(docker_core, health_news_are_heard_even_before_the_container_was_seen_running) {
  ready();
  (void)ask(prepare("a"));
  (void)reply("POST", 201, R"({"Id":"ca"})");
  (void)ask(with<StartTask>("a"));
  (void)reply("POST", 204);
  EXPECT_EQ(feed(event_printed{event_of("health_status: healthy", "a", "ca")}), "");
  EXPECT_EQ(reply("GET", 200, container("ca", "a", "running", 0, "C", "starting")), "deliver 2 RUNNING; ");
  EXPECT_EQ(feed(event_printed{event_of("health_status: unhealthy", "a", "ca")}), "observe a RUNNING; ");
  EXPECT_EQ(observed.back().error(), "dockerexec: unhealthy container");
}

TEST_F(docker_core, a_foreign_removal_is_seen_and_our_own_is_not_news) {
  ready();
  run("a");
  run("b");
  EXPECT_EQ(feed(event_printed{event_of("destroy", "a", "ca")}), "observe a ABSENT; ");
  (void)ask(with<RemoveTask>("b"));
  EXPECT_EQ(feed(event_printed{event_of("destroy", "b", "cb")}), "");
  EXPECT_EQ(reply("DELETE", 204), "remove files; deliver 5 ABSENT; ");
}

TEST_F(docker_core, events_of_others_and_of_older_containers_are_ignored) {
  ready();
  run("a");
  EXPECT_EQ(feed(event_printed{event_of("die", "a", "older", 1)}), "");
  EXPECT_EQ(feed(event_printed{"{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"x\",\"Attributes\":{}}}"}), "");
  EXPECT_EQ(feed(event_printed{"not json"}), "");
  EXPECT_EQ(feed(event_printed{event_of("create", "late", "cl")}), "observe late CREATED; ") << "the late success of a lost create";
}

TEST_F(docker_core, after_a_gap_it_looks_at_everything_that_may_have_changed) {
  ready();
  for (const auto* id : {"a", "b", "d"})
    run(id);
  (void)feed(events_closed{"gone"});
  now += seconds{3};
  (void)feed(ticked{});
  (void)reply("GET /_ping", 200, "OK");
  calls.clear();
  EXPECT_EQ(feed(events_opened{}).find("GET /containers/json?all=1"), 0u);
  const auto row = [](const std::string& id, const std::string& task, const std::string& state) {
    return R"({"Id":")" + id + R"(","State":")" + state + R"(","Labels":{"com.docker.swarm.task.id":")" + task + R"(","io.swarm-node.cluster.id":"C"}})";
  };
  EXPECT_EQ(reply("GET /containers/json", 200, "[" + row("ca", "a", "running") + "," + row("cb", "b", "exited") + "," + row("cx", "x", "running") + "]"),
            "GET /containers/cb/json; GET /containers/cx/json; observe d ABSENT; ");
  EXPECT_EQ(reply("GET /containers/cb/json", 200, container("cb", "b", "exited", 255)), "observe b EXITED; ");
  EXPECT_EQ(reply("GET /containers/cx/json", 200, container("cx", "x", "running")), "observe x RUNNING; ");
}

TEST_F(docker_core, an_engine_that_does_not_answer_is_reported_once_and_asked_again_with_growing_delays) {
  ready();
  now += seconds{5};
  (void)feed(ticked{});
  EXPECT_EQ(refuse("GET /_ping"), "unhealthy: connection refused; ");
  int pings = 0;
  for (int i = 0; i < 100; ++i) { // ten seconds
    now += milliseconds{100};
    if (feed(ticked{}).find("_ping") != std::string::npos) {
      ++pings;
      EXPECT_EQ(refuse("GET /_ping"), "");
    }
  }
  EXPECT_GE(pings, 5);
  EXPECT_LE(pings, 15);
  now += seconds{3};
  (void)feed(ticked{});
  EXPECT_EQ(reply("GET /_ping", 200, "OK").find("healthy; "), 0u);
}

TEST_F(docker_core, a_full_disk_is_the_nodes_trouble_not_the_tasks) {
  ready();
  (void)ask(prepare("a"));
  EXPECT_EQ(reply("POST", 500, R"({"message":"mkdir /x: no space left on device"})"),
            "unhealthy: engine: mkdir /x: no space left on device; deliver 1 resource_exhausted: mkdir /x: no space left on device; ");
  now += seconds{16};
  EXPECT_NE(feed(ticked{}).find("healthy"), std::string::npos);
}

TEST_F(docker_core, errors_of_the_engine_keep_their_text_and_get_a_class) {
  ready();
  const std::vector<std::pair<int, std::string>> cases{
    {400, "invalid_argument: why"}, {404, "invalid_argument: why"}, {500, "internal: why"}, {503, "unavailable: why"}};
  operation_id n = 0;
  for (const auto& [status, text] : cases) {
    (void)ask(prepare("a"));
    EXPECT_EQ(reply("POST", status, R"({"message":"why"})"), "deliver " + std::to_string(++n) + " " + text + "; ");
  }
  (void)ask(prepare("a"));
  EXPECT_EQ(reply("POST", 201, "garbage").find("deliver 5 deadline_exceeded"), 0u) << "it may have been created";
}

TEST_F(docker_core, bad_mounts_and_bad_references_never_reach_the_engine) {
  ready();
  auto r = prepare("a");
  r.mutable_task()->mutable_spec()->mutable_container_spec()->add_mounts()->set_target("relative");
  EXPECT_EQ(ask(r), "deliver 1 invalid_argument: invalid mount target, must be an absolute path: relative; ");
  EXPECT_EQ(ask(prepare("a", "busy box?x=1")), "deliver 2 invalid_argument: invalid reference format; ");
  EXPECT_EQ(ask(with<RemoveTask>("../x")), "deliver 3 invalid_argument: a task needs an id; ");
}

TEST_F(docker_core, secrets_are_written_first_and_removed_with_the_task) {
  ready();
  auto r = prepare("a");
  r.mutable_task()->add_secret_files()->set_target("/run/secrets/x");
  EXPECT_EQ(ask(r), "write 1; ");
  EXPECT_EQ(feed(files_written{"a", {}}), "POST /containers/create?name=web.1.a; ");
  EXPECT_NE(bodies.back().find(R"("Source":"/files/a/0","Target":"/run/secrets/x","ReadOnly":true)"), std::string::npos) << bodies.back();
  auto bad = prepare("b");
  bad.mutable_task()->add_secret_files();
  (void)ask(bad);
  EXPECT_EQ(feed(files_written{"b", {errc::invalid_argument, "disk"}}), "deliver 2 invalid_argument: disk; ");
}

TEST_F(docker_core, secrets_go_when_the_container_ends_and_not_before) {
  ready();
  run_with_secret("a");
  EXPECT_EQ(feed(event_printed{event_of("oom", "a", "ca")}), "");
  EXPECT_EQ(feed(event_printed{event_of("die", "a", "ca", 1)}), "remove files; observe a EXITED; ");
  EXPECT_EQ(ask(prepare_with_secret("a")), "GET /containers/ca/json; ") << "an ended one gets none again";
  EXPECT_EQ(reply("GET /containers/ca", 200, container("ca", "a", "exited", 1)), "deliver 3 EXITED; ");
  EXPECT_EQ(ask(with<RemoveTask>("a")), "DELETE /containers/ca?force=1&v=1; ");
  EXPECT_EQ(reply("DELETE", 204), "remove files; deliver 4 ABSENT; ") << "whatever became of the first attempt";
}

TEST_F(docker_core, secrets_go_with_a_stop_also_of_what_never_began) {
  ready();
  run_with_secret("a");
  (void)ask(with<StopTask>("a"));
  (void)reply("POST /containers/ca/stop", 204);
  EXPECT_EQ(reply("GET /containers/ca", 200, container("ca", "a", "exited", 143)), "remove files; deliver 3 EXITED; ");
  (void)ask(prepare_with_secret("b"));
  (void)feed(files_written{"b", {}});
  (void)reply("POST /containers/create", 201, R"({"Id":"cb"})");
  (void)ask(with<StopTask>("b"));
  (void)reply("POST /containers/cb/stop", 304);
  EXPECT_EQ(reply("GET /containers/cb", 200, container("cb", "b", "created")), "remove files; deliver 5 CREATED; ");
}

TEST_F(docker_core, secrets_of_what_ended_unseen_go_when_it_is_found) {
  ready();
  RecoverTasks r;
  r.set_cluster_id("C");
  (void)ask(r);
  const auto row = [](const std::string& id, const std::string& task, const std::string& state) {
    return R"({"Id":")" + id + R"(","State":")" + state + R"(","Labels":{"com.docker.swarm.task.id":")" + task + R"(","io.swarm-node.cluster.id":"C"}})";
  };
  (void)reply("GET /containers/json", 200, "[" + row("ca", "a", "running") + "," + row("cb", "b", "exited") + "]");
  EXPECT_EQ(reply("GET /containers/ca", 200, container("ca", "a", "running")), "");
  EXPECT_EQ(reply("GET /containers/cb", 200, container("cb", "b", "exited")), "remove files; deliver 1 recovered 2; GET /networks; ");
  (void)feed(events_closed{"gone"});
  EXPECT_NE(feed(events_opened{}).find("GET /containers/json?all=1"), std::string::npos);
  (void)reply("GET /containers/json", 200, "[" + row("ca", "a", "exited") + "," + row("cb", "b", "exited") + "]");
  EXPECT_EQ(reply("GET /containers/ca", 200, container("ca", "a", "exited", 2)), "remove files; observe a EXITED; ");
}

TEST_F(docker_core, secrets_of_a_container_that_others_removed_go) {
  ready();
  run_with_secret("a");
  EXPECT_EQ(feed(event_printed{event_of("destroy", "a", "ca")}), "remove files; observe a ABSENT; ");
}

TEST_F(docker_core, secrets_go_with_a_refusal_and_stay_for_the_next_attempt) {
  ready();
  (void)ask(prepare_with_secret("a"));
  (void)feed(files_written{"a", {}});
  EXPECT_EQ(reply("POST", 503, R"({"message":"busy"})"), "deliver 1 unavailable: busy; ");
  EXPECT_EQ(ask(prepare_with_secret("a")), "write 1; ");
  (void)feed(files_written{"a", {}});
  EXPECT_EQ(reply("POST", 400, R"({"message":"why"})"), "remove files; deliver 2 invalid_argument: why; ");
  (void)ask(prepare_with_secret("b"));
  (void)feed(files_written{"b", {}});
  (void)reply("POST", 201, R"({"Id":"cb"})");
  (void)ask(with<StartTask>("b"));
  EXPECT_EQ(lose("POST /containers/cb/start").find("remove files"), std::string::npos) << "it may run";
  (void)ask(with<StartTask>("b"));
  EXPECT_EQ(reply("POST /containers/cb/start", 400, R"({"message":"no"})"),
            "remove files; deliver 5 invalid_argument: starting container failed: no; ");
}

TEST_F(docker_core, recovers_what_carries_the_clusters_label) {
  ready();
  RecoverTasks r;
  r.set_cluster_id("C");
  (void)ask(r);
  const auto row = [](const std::string& id, const std::string& task, const std::string& cluster) {
    return R"({"Id":")" + id + R"(","State":"running","Labels":{"com.docker.swarm.task.id":")" + task + R"(","io.swarm-node.cluster.id":")" + cluster + R"("}})";
  };
  EXPECT_EQ(reply("GET /containers/json", 200, "[" + row("ca", "a", "C") + "," + row("cb", "b", "D") + "," + row("cd", "d", "C") + "]"),
            "GET /containers/ca/json; GET /containers/cd/json; ");
  EXPECT_EQ(reply("GET /containers/ca", 200, container("ca", "a", "running")), "");
  EXPECT_EQ(reply("GET /containers/cd", 404), "deliver 1 recovered 1; GET /networks; ") << "networks that none of them is on go";
  EXPECT_EQ(ask(with<StopTask>("a")), "POST /containers/ca/stop?t=0; ") << "no lookup: it is known";
}

TEST_F(docker_core, another_swarm_node_on_the_engine_is_refused_service) {
  ready();
  EXPECT_EQ(feed(engine_claimed{"another swarm-node (pid 7) uses this engine"}), "unhealthy: another swarm-node (pid 7) uses this engine; ");
  EXPECT_EQ(ask(prepare("a")), "deliver 1 unavailable: another swarm-node (pid 7) uses this engine; ");
  EXPECT_EQ(feed(engine_claimed{}), "healthy; ");
}

TEST_F(docker_core, grace_periods_are_whole_seconds_and_negative_ones_are_none) {
  ready();
  run("a");
  auto stop = with<StopTask>("a");
  stop.set_grace_period(2'900'000'000);
  EXPECT_EQ(ask(stop), "POST /containers/ca/stop?t=2; ");
  (void)reply("POST", 304);
  (void)reply("GET", 200, container("ca", "a", "exited"));
  stop.set_grace_period(-5);
  EXPECT_EQ(ask(stop), "POST /containers/ca/stop?t=0; ");
}

// -- networks -----------------------------------------------------------------------------------------------------------------

struct docker_core_networks : docker_core {
  static PrepareTask networked(const std::string& id, const std::vector<std::string>& networks) {
    auto r = prepare(id);
    for (const auto& name : networks) {
      auto& definition = *r.mutable_task()->add_network_definitions();
      definition.set_id("id-" + name);
      definition.mutable_spec()->set_name(name);
      auto& on = *r.mutable_task()->add_networks();
      on.set_network_id("id-" + name);
      on.add_addresses("10.0.1.5/24");
    }
    return r;
  }
  void make_networks() {
    (void)reply("GET /networks", 200, "[]");
    (void)reply("POST /networks/create", 201, R"({"Id":"e1"})");
  }
};

TEST_F(docker_core_networks, a_container_is_created_on_its_first_network_and_put_on_the_others_before_it_is_ready) {
  ready();
  EXPECT_EQ(ask(networked("a", {"back", "front"})), "GET /networks; ");
  EXPECT_EQ(reply("GET /networks", 200, "[]"), "POST /networks/create; POST /networks/create; ");
  EXPECT_EQ(reply("POST /networks/create", 201, R"({"Id":"e1"})"), "");
  EXPECT_EQ(reply("POST /networks/create", 201, R"({"Id":"e2"})"), "POST /containers/create?name=web.1.a; ");
  EXPECT_NE(bodies.back().find(R"("NetworkMode":"e1")"), std::string::npos);
  EXPECT_EQ(reply("POST /containers/create", 201, R"({"Id":"ca"})"), "POST /networks/e2/connect; ");
  EXPECT_EQ(reply("POST /networks/e2/connect", 200), "deliver 1 CREATED; ");
}

TEST_F(docker_core_networks, a_container_that_was_found_is_put_on_what_it_may_lack) {
  ready();
  (void)ask(networked("a", {"back"}));
  make_networks();
  EXPECT_EQ(reply("POST /containers/create", 409, R"({"message":"in use"})"), "GET /containers/web.1.a/json; ");
  EXPECT_EQ(reply("GET /containers", 200, container("ca", "a", "created")), "POST /networks/e1/connect; ");
  EXPECT_EQ(reply("POST /networks/e1", 403, R"({"message":"endpoint with name web.1.a already exists in network back"})"),
            "deliver 1 CREATED; ");
  EXPECT_EQ(ask(networked("a", {"back"})), "POST /containers/create?name=web.1.a; ") << "asked again, it is looked at again";
}

TEST_F(docker_core_networks, a_lost_connection_is_told_and_a_second_prepare_goes_on) {
  ready();
  (void)ask(networked("a", {"back", "front"}));
  (void)reply("GET /networks", 200, "[]");
  (void)reply("POST /networks/create", 201, R"({"Id":"e1"})");
  (void)reply("POST /networks/create", 201, R"({"Id":"e2"})");
  (void)reply("POST /containers/create", 201, R"({"Id":"ca"})");
  EXPECT_EQ(lose("POST /networks/e2/connect"), "deliver 1 deadline_exceeded: connecting to a network failed: no answer in time; ");
  EXPECT_EQ(ask(networked("a", {"back", "front"})), "POST /containers/create?name=web.1.a; ");
}

TEST_F(docker_core_networks, the_last_task_is_gone_when_its_network_is) {
  ready();
  (void)ask(networked("a", {"back"}));
  make_networks();
  (void)reply("POST /containers/create", 201, R"({"Id":"ca"})");
  EXPECT_EQ(ask(with<RemoveTask>("a")), "DELETE /containers/ca?force=1&v=1; ");
  EXPECT_EQ(reply("DELETE /containers", 204), "DELETE /networks/e1; ");
  EXPECT_EQ(reply("DELETE /networks", 204), "remove files; deliver 2 ABSENT; ");
  EXPECT_EQ(c->lanes(), 0u);
}

TEST_F(docker_core_networks, a_task_that_is_stopped_while_it_waits_for_a_network_is_cancelled) {
  ready();
  (void)ask(networked("a", {"back"}));
  const auto out = ask(with<RemoveTask>("a"));
  EXPECT_NE(out.find("deliver 1 unavailable: cancelled: the task is being stopped"), std::string::npos) << out;
  EXPECT_EQ(reply("GET /containers/json", 200, "[]"), "remove files; deliver 2 ABSENT; ");
  EXPECT_EQ(reply("GET /networks", 200, "[]"), "") << "nobody wants it any more";
}

TEST_F(docker_core_networks, after_a_restart_containers_say_which_networks_they_are_on) {
  ready();
  RecoverTasks recover;
  recover.set_cluster_id("C");
  (void)ask(recover);
  (void)reply("GET /containers/json", 200,
              R"([{"Id":"ca","State":"running","Labels":{"com.docker.swarm.task.id":"a","io.swarm-node.cluster.id":"C"}}])");
  auto body = container("ca", "a", "running");
  body.insert(body.find("\"io.swarm-node.cluster.id"), "\"io.swarm-node.networks\":\"id-back\",");
  EXPECT_EQ(reply("GET /containers/ca/json", 200, body), "deliver 1 recovered 1; GET /networks; ");
  const auto row = [](const std::string& engine, const std::string& id) {
    return R"({"Id":")" + engine + R"(","Labels":{"io.swarm-node.cluster.id":"C","io.swarm-node.network.id":")" + id + R"("}})";
  };
  EXPECT_EQ(reply("GET /networks", 200, "[" + row("e1", "id-back") + "," + row("e2", "id-unused") + "]"), "DELETE /networks/e2; ");
}

} // namespace
} // namespace swarm::docker
