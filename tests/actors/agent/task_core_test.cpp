// Task life cycles, as goldens in testdata/task_core/*.txt, and properties that must hold in any order of events.
#include "actors/agent/task_core.hpp"

#include <gtest/gtest.h>
#include <set>

#include "runtime/overload.hpp"
#include "tests/support/datadriven.hpp"

namespace swarm::agent::task {
namespace {

const char* verb_name(verb v) {
  static constexpr const char* names[] = {"prepare", "start", "stop", "remove", "inspect"};
  return names[static_cast<int>(v)];
}

std::string short_state(TaskState state) {
  auto name = TaskState_Name(state).substr(std::string{"TASK_STATE_"}.size());
  for (auto& c : name)
    c = static_cast<char>(c | 32);
  return name;
}

TaskState state_of(std::string name) {
  for (auto& c : name)
    c = static_cast<char>(c & ~32);
  TaskState out = TASK_STATE_NEW;
  EXPECT_TRUE(TaskState_Parse("TASK_STATE_" + name, &out)) << name;
  return out;
}

// One task and what a golden file tells it.
class player {
public:
  std::string run(const test::golden_case& c) {
    if (c.cmd == "begin")
      return begin(c);
    if (c.cmd == "desired")
      return show(step(desired{state_of(c.words.at(0))}));
    if (c.cmd == "forget")
      return show(step(forgotten{}));
    if (c.cmd == "health")
      return show(step(driver_health{c.words.at(0) == "on"}));
    if (c.cmd == "tick") {
      now_ += seconds{std::stol(c.args.at("s"))};
      return show(step(ticked{}));
    }
    if (c.cmd == "seen")
      return show(step(seen{handle_of(c)}));
    if (c.cmd == "answer")
      return show(step(answered{c.args.contains("request") ? static_cast<std::uint32_t>(std::stoul(c.args.at("request"))) : last_,
                                error_of(c), handle_of(c)}));
    if (c.cmd == "dump")
      return core_->dump() + "\n";
    return "unknown command\n";
  }

private:
  std::string begin(const test::golden_case& c) {
    core_ = std::make_unique<core>(options{}, &rng_);
    beginning from;
    if (c.args.contains("state"))
      from.state = state_of(c.args.at("state"));
    from.status.set_state(from.state);
    from.handle = handle_of(c);
    return show(core_->begin(now_, 0, c.args.contains("desired") ? state_of(c.args.at("desired")) : TASK_STATE_RUNNING, from,
                             !c.args.contains("away")));
  }
  effects step(const event& ev) {
    auto out = core_->step(now_, 0, ev);
    core_->check_invariants();
    return out;
  }
  static TaskHandle handle_of(const test::golden_case& c) {
    TaskHandle out;
    auto is = [&](const char* word) { return std::find(c.words.begin(), c.words.end(), word) != c.words.end(); };
    if (is("created") || is("running") || is("exited"))
      out.mutable_container()->set_container_id("c1");
    out.set_phase(is("created") ? TaskHandle::PHASE_CREATED : is("running") ? TaskHandle::PHASE_RUNNING
                  : is("exited") ? TaskHandle::PHASE_EXITED : TaskHandle::PHASE_ABSENT);
    if (is("running"))
      out.mutable_container()->set_pid(77);
    if (c.args.contains("code"))
      out.mutable_container()->set_exit_code(std::stol(c.args.at("code")));
    if (is("healthy") || is("unhealthy") || is("checking")) {
      out.set_has_health(true);
      out.set_healthy(is("healthy"));
      out.set_error(is("unhealthy") ? "dockerexec: unhealthy container" : "");
    }
    return out;
  }
  static failure error_of(const test::golden_case& c) {
    if (!c.args.contains("error"))
      return {};
    for (int i = 1; i <= 16; ++i)
      if (to_string(static_cast<errc>(i)) == c.args.at("error"))
        return {static_cast<errc>(i), "the text"};
    ADD_FAILURE() << "no such error: " << c.args.at("error");
    return {};
  }
  std::string show(const effects& todo) {
    std::string out;
    for (const auto& effect : todo)
      std::visit(overload{
        [&](const ask& e) {
          last_ = e.request;
          out += "ask " + std::string{verb_name(e.verb)} + "\n";
        },
        [&](const report& e) {
          out += "report " + short_state(e.status.state()) + " \"" + e.status.message() + "\"";
          if (!e.status.err().empty())
            out += " err=\"" + e.status.err() + "\"";
          if (e.status.has_container_status())
            out += " pid=" + std::to_string(e.status.container_status().pid()) + " code=" + std::to_string(e.status.container_status().exit_code());
          out += "\n";
        },
        [&](const wake& e) { out += e.after >= milliseconds{500} && e.after <= seconds{8} ? "wake\n" : "wake out of bounds\n"; },
        [&](const ended&) { out += "ended\n"; },
      }, effect);
    return out.empty() ? "nothing\n" : out;
  }

  random_source rng_{1};
  std::unique_ptr<core> core_;
  instant now_{seconds{100}};
  std::uint32_t last_ = 0;
};

TEST(task_core, lives_as_the_goldens_say) {
  test::run_golden_folder(SWARM_TESTDATA "/actors/agent/testdata/task_core", [] {
    auto p = std::make_shared<player>();
    return [p](const test::golden_case& c) { return p->run(c); };
  });
}

// Simulator, cluster seed 2079: the record was lost in a power cut, the container was not, and once started it counted as
// stopped.
TEST(task_core, what_it_has_started_it_also_stops_even_if_it_knew_of_no_container) {
  random_source rng{1};
  core c{{}, &rng};
  beginning from;
  from.state = TASK_STATE_READY;
  const auto asked = c.begin(instant{seconds{1}}, 0, TASK_STATE_RUNNING, from, true);
  ASSERT_FALSE(asked.empty());
  const auto* const start = std::get_if<ask>(&asked.back());
  ASSERT_TRUE(start != nullptr && start->verb == verb::start);
  TaskHandle running;
  running.set_phase(TaskHandle::PHASE_RUNNING);
  (void)c.step(instant{seconds{2}}, 0, answered{start->request, {}, running});
  EXPECT_EQ(c.state(), TASK_STATE_RUNNING);
  const auto stopping = c.step(instant{seconds{3}}, 0, desired{TASK_STATE_SHUTDOWN});
  ASSERT_EQ(stopping.size(), 1u);
  const auto* const stop = std::get_if<ask>(&stopping.back());
  ASSERT_TRUE(stop != nullptr && stop->verb == verb::stop);
  c.check_invariants();
}

// A driver that is asked, and answers or fails at random, but never runs a container twice.
struct fake_container {
  TaskHandle::Phase phase = TaskHandle::PHASE_ABSENT;
  int starts = 0;
};

TEST(task_core, never_starts_twice_and_always_comes_to_an_end_whatever_the_driver_does) {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    random_source rng{seed};
    core c{{}, &rng};
    fake_container box;
    instant now{seconds{1}};
    std::vector<ask> open;
    std::vector<TaskState> reported;
    bool ended_at = false;
    auto take = [&](const effects& todo) {
      for (const auto& e : todo) {
        if (const auto* a = std::get_if<ask>(&e))
          open.push_back(*a);
        else if (const auto* r = std::get_if<report>(&e))
          reported.push_back(r->status.state());
        else if (std::get_if<ended>(&e) != nullptr)
          ended_at = true;
      }
      c.check_invariants();
    };
    take(c.begin(now, 0, TASK_STATE_RUNNING, {}, true));
    const auto end_at = rng.below(60);
    for (std::uint64_t turn = 0; turn < 4000 && !ended_at; ++turn) {
      now += milliseconds{200};
      const auto calm = turn > 150; // afterwards nothing goes wrong any more: it must finish
      if (turn == end_at && rng.chance(50))
        take(c.step(now, 0, desired{TASK_STATE_SHUTDOWN}));
      if (turn == end_at + 20)
        take(c.step(now, 0, forgotten{}));
      if (!calm && rng.chance(5))
        take(c.step(now, 0, driver_health{rng.chance(50)}));
      if (turn == 151)
        take(c.step(now, 0, driver_health{true}));
      if (!calm && rng.chance(3) && box.phase == TaskHandle::PHASE_RUNNING) {
        box.phase = rng.chance(70) ? TaskHandle::PHASE_EXITED : TaskHandle::PHASE_ABSENT;
        seen news;
        news.handle.set_phase(box.phase);
        news.handle.mutable_container()->set_container_id("c1");
        news.handle.mutable_container()->set_exit_code(static_cast<std::int64_t>(rng.below(2)));
        if (rng.chance(80))
          take(c.step(now, 0, news));
      }
      if (!open.empty()) {
        const auto i = rng.below(open.size());
        const auto a = open[i];
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
        answered back{a.request, {}, {}};
        const auto lost = !calm && rng.chance(20);
        const auto busy = !calm && !lost && rng.chance(20);
        if (!busy && (!lost || rng.chance(50))) {
          if (a.verb == verb::prepare && box.phase == TaskHandle::PHASE_ABSENT && box.starts == 0)
            box.phase = TaskHandle::PHASE_CREATED;
          if (a.verb == verb::start && box.phase == TaskHandle::PHASE_CREATED)
            box.phase = TaskHandle::PHASE_RUNNING, ++box.starts;
          else if (a.verb == verb::start && box.phase == TaskHandle::PHASE_EXITED)
            ++box.starts; // what must not happen
          if (a.verb == verb::stop && box.phase == TaskHandle::PHASE_RUNNING)
            box.phase = TaskHandle::PHASE_EXITED;
          if (a.verb == verb::remove)
            box.phase = TaskHandle::PHASE_ABSENT;
        }
        if (lost)
          back.error = {errc::deadline_exceeded, "lost"};
        else if (busy)
          back.error = {errc::unavailable, "busy"};
        else if (a.verb == verb::start && box.phase == TaskHandle::PHASE_ABSENT)
          back.error = {errc::not_found, "No such container"};
        back.handle.set_phase(box.phase);
        back.handle.mutable_container()->set_container_id("c1");
        take(c.step(now, 0, back));
      }
      take(c.step(now, 0, ticked{}));
    }
    ASSERT_TRUE(ended_at) << "seed " << seed << ": " << c.dump();
    ASSERT_LE(box.starts, 1) << "seed " << seed;
    ASSERT_NE(box.phase, TaskHandle::PHASE_RUNNING) << "seed " << seed;
    ASSERT_TRUE(std::is_sorted(reported.begin(), reported.end())) << "states only rise, seed " << seed;
  }
}

} // namespace
} // namespace swarm::agent::task
