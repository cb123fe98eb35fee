// Services over time, told as stories: testdata/*.txt. Commands are explained in run().
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "tests/support/datadriven.hpp"
#include "tests/support/leader_cluster.hpp"

namespace swarm::test {
namespace {

duration parse_duration(const std::string& text) {
  const auto value = std::strtoll(text.c_str(), nullptr, 10);
  if (text.ends_with("ms"))
    return milliseconds{value};
  if (text.ends_with("m"))
    return minutes{value};
  if (text.ends_with("h"))
    return hours{value};
  return seconds{value};
}

class story {
public:
  std::string run(const golden_case& c) {
    std::string out;
    if (c.cmd == "nodes")
      for (const auto& name : c.words)
        cluster_.add_node(node_id_of(name), name);
    else if (c.cmd == "service")
      put_service(c);
    else if (c.cmd == "remove-service")
      cluster_.write(remove_service(id_));
    else if (c.cmd == "rollback")
      out = result(cluster_.write(roll_back_service(id_, cluster_.service(id_).meta().version().index())));
    else if (c.cmd == "node")
      change_node(c);
    else if (c.cmd == "remove-node")
      cluster_.remove_node(node_id_of(c.words.at(0)));
    else if (c.cmd == "task")
      report(c);
    else if (c.cmd == "tasks")
      return tasks();
    else if (c.cmd == "outcome") // of tasks that start from here on
      set_outcome(c.words.at(0));
    else if (c.cmd == "history")
      set_history(std::strtoll(c.words.at(0).c_str(), nullptr, 10));
    else if (c.cmd == "new-leader")
      cluster_.lead();
    else if (c.cmd == "advance")
      advance(parse_duration(c.words.at(0)));
    if (c.args.contains("quiet") || c.cmd == "settle" || c.cmd == "advance")
      EXPECT_TRUE(cluster_.settle()) << c.file << ":" << c.line;
    else
      cluster_.commit_all();
    cluster_.check_invariants();
    if (c.args.contains("quiet")) {
      cluster_.log.clear();
      return "ok\n";
    }
    for (const auto& line : std::exchange(cluster_.log, {}))
      out += line + "\n";
    return out.empty() ? "nothing\n" : named(out);
  }

private:
  // In steps, so that timers fire in their order.
  void advance(duration by) {
    constexpr auto step = milliseconds{250};
    for (duration done{0}; done < by; done += step) {
      cluster_.advance(std::min<duration>(step, by - done));
      EXPECT_TRUE(cluster_.settle());
    }
  }

  static std::string node_id_of(const std::string& name) {
    return nth_id(static_cast<std::uint64_t>(std::strtoll(name.substr(1).c_str(), nullptr, 10)), 2);
  }
  static std::string result(const CommandResult& r) { return r.code() == 0 ? "" : "refused: " + r.message() + "\n"; }

  // Task ids of messages become names.
  std::string named(std::string text) {
    for (const auto& t : cluster_.tasks())
      for (auto at = text.find(t.id()); at != std::string::npos; at = text.find(t.id()))
        text.replace(at, t.id().size(), cluster_.name_of(t.id()));
    return text;
  }

  void put_service(const golden_case& c) {
    auto spec = created_ ? cluster_.service(id_).spec() : service_spec("web", 1);
    if (const auto mode = c.args.find("mode"); mode != c.args.end())
      set_mode(*spec.mutable_mode(), mode->second);
    for (const auto& [key, value] : c.args)
      set(spec, key, value);
    if (!created_)
      cluster_.write(create_service(id_, spec));
    else
      cluster_.write(update_service(id_, cluster_.service(id_).meta().version().index(), spec));
    created_ = true;
  }

  static void set(ServiceSpec& spec, const std::string& key, const std::string& value) {
    const auto number = std::strtoll(value.c_str(), nullptr, 10);
    auto& task = *spec.mutable_task_template();
    auto& restart = *task.mutable_restart_policy();
    if (key == "replicas")
      spec.mutable_mode()->mutable_replicated()->set_replicas(static_cast<std::uint64_t>(number));
    else if (key == "concurrent")
      spec.mutable_mode()->mutable_replicated_job()->set_max_concurrent(static_cast<std::uint64_t>(number));
    else if (key == "total")
      spec.mutable_mode()->mutable_replicated_job()->set_total_completions(static_cast<std::uint64_t>(number));
    else if (key == "image")
      task.mutable_container_spec()->set_image(value);
    else if (key == "force")
      task.set_force_update(static_cast<std::uint64_t>(number));
    else if (key == "label")
      (*spec.mutable_labels())[value.substr(0, value.find(':'))] = value.substr(value.find(':') + 1);
    else if (key == "constraint")
      task.mutable_placement()->add_constraints(value);
    else if (key == "restart")
      restart.set_condition(value == "none"      ? RESTART_CONDITION_NONE
                            : value == "failure" ? RESTART_CONDITION_ON_FAILURE
                                                 : RESTART_CONDITION_ANY);
    else if (key == "restart-delay")
      restart.set_delay(parse_duration(value).count());
    else if (key == "attempts")
      restart.set_max_attempts(static_cast<std::uint64_t>(number));
    else if (key == "window")
      restart.set_window(parse_duration(value).count());
    else if (key.starts_with("update-"))
      set_update(*spec.mutable_update_config(), key.substr(7), value);
    else if (key.starts_with("rollback-"))
      set_update(*spec.mutable_rollback_config(), key.substr(9), value);
    else
      EXPECT_TRUE(key == "quiet" || key == "mode") << key;
  }
  static void set_mode(ServiceMode& mode, const std::string& value) {
    mode.Clear();
    if (value == "global")
      mode.mutable_global();
    else if (value == "job")
      mode.mutable_replicated_job();
    else
      mode.mutable_global_job();
  }
  static void set_update(UpdateConfig& config, const std::string& key, const std::string& value) {
    if (key == "parallelism")
      config.set_parallelism(static_cast<std::uint64_t>(std::strtoll(value.c_str(), nullptr, 10)));
    else if (key == "delay")
      config.set_delay(parse_duration(value).count());
    else if (key == "monitor")
      config.set_monitor(parse_duration(value).count());
    else if (key == "ratio")
      config.set_max_failure_ratio(std::strtof(value.c_str(), nullptr));
    else if (key == "order")
      config.set_order(value == "start-first" ? UPDATE_ORDER_START_FIRST : UPDATE_ORDER_STOP_FIRST);
    else if (key == "action")
      config.set_failure_action(value == "continue"   ? FAILURE_ACTION_CONTINUE
                                : value == "rollback" ? FAILURE_ACTION_ROLLBACK
                                                      : FAILURE_ACTION_PAUSE);
    else
      ADD_FAILURE() << key;
  }

  void change_node(const golden_case& c) {
    const auto id = node_id_of(c.words.at(0));
    cluster_.change_node(id, [&](Node& n) {
      for (const auto& [key, value] : c.args)
        if (key == "availability")
          n.mutable_spec()->set_availability(value == "drain"   ? NODE_AVAILABILITY_DRAIN
                                             : value == "pause" ? NODE_AVAILABILITY_PAUSE
                                                                : NODE_AVAILABILITY_ACTIVE);
        else if (key == "state")
          n.mutable_status()->set_state(value == "down" ? NODE_STATE_DOWN : NODE_STATE_READY);
        else if (key == "label")
          (*n.mutable_spec()->mutable_labels())[value.substr(0, value.find(':'))] = value.substr(value.find(':') + 1);
    });
    if (const auto it = c.args.find("state"); it != c.args.end())
      it->second == "down" ? cluster_.silence(id) : cluster_.wake(id);
  }

  void report(const golden_case& c) {
    const auto& what = c.words.at(1);
    for (const auto& t : cluster_.tasks())
      if (cluster_.name_of(t.id()) == c.words.at(0))
        cluster_.report(t.id(), what == "complete" ? TASK_STATE_COMPLETE
                                : what == "reject" ? TASK_STATE_REJECTED
                                                   : TASK_STATE_FAILED);
  }

  // "bad": tasks of the image "bad" fail, all others run.
  void set_outcome(const std::string& what) {
    if (what == "bad") {
      cluster_.outcome = [this](const AssignedTask& task) {
        return cluster_.image_of(task.service_id(), task.spec_version()) == "bad" ? TASK_STATE_FAILED : TASK_STATE_RUNNING;
      };
      return;
    }
    const auto state = what == "failed"     ? TASK_STATE_FAILED
                       : what == "complete" ? TASK_STATE_COMPLETE
                       : what == "starting" ? TASK_STATE_READY // they hang
                                            : TASK_STATE_RUNNING;
    cluster_.outcome = [state](const AssignedTask&) { return state; };
  }

  void set_history(std::int64_t limit) {
    auto command = test::command([&](StoreAction& a) {
      auto& cluster = *a.mutable_put_cluster()->mutable_cluster();
      cluster.set_id(nth_id(1, 9));
      cluster.mutable_spec()->set_name("default");
      cluster.mutable_spec()->mutable_orchestration()->set_task_history_retention_limit(limit);
    });
    cluster_.write(command);
  }

  std::string tasks() {
    std::string out;
    for (const auto& t : cluster_.tasks())
      out += cluster_.name_of(t.id()) + " " + cluster_.describe(t) + "\n";
    const auto status = cluster_.service(id_).update_status();
    if (status.state() != UPDATE_STATE_UNSPECIFIED)
      out += "update " + leader_cluster::short_state(status) + "\n";
    return out.empty() ? "none\n" : named(out);
  }

  leader_cluster cluster_;
  std::string id_ = nth_id(1, 3);
  bool created_ = false;
};

TEST(service_stories, end_as_they_are_told) {
  run_golden_folder(std::string{SWARM_TESTDATA} + "/actors/orchestrator/testdata", [] {
    const auto s = std::make_shared<story>();
    return [s](const golden_case& c) { return s->run(c); };
  });
}

} // namespace
} // namespace swarm::test
