// Scenarios of tasks that end by themselves: restarts and jobs.
#include "tests/sim/scenarios.hpp"

#include "actors/orchestrator/restart.hpp"

namespace swarm::sim {

namespace {

using fate = cluster_script::fate;

std::optional<fate> fails_soon(const watched_task&) { return fate{200 * ms_us, 1}; }

// After the n-th quick failure of a slot (n from 1) its next container waits as long as restart_delay() says.
std::string backed_off(const scenario_play& p, std::int64_t delay_ms) {
  for (const auto& [slot, tasks] : p.seen().slots())
    for (std::size_t n = 1; n < tasks.size(); ++n) {
      const auto& before = *tasks[n - 1];
      const auto& after = *tasks[n];
      if (after.started_us == 0)
        continue;
      const auto wanted = orchestrator::restart_delay(milliseconds{delay_ms}, static_cast<unsigned>(n));
      const auto waited = microseconds{after.started_us - before.ended_us};
      if (waited < wanted)
        return "attempt " + std::to_string(n + 1) + " of slot " + slot + " waited for " +
               std::to_string(waited.count()) + "us, not " + std::to_string(wanted.count() / 1'000) + "us";
    }
  return {};
}

std::string attempts_in_each_slot(const scenario_play& p, std::uint64_t slots, std::uint64_t attempts) {
  const auto all = p.seen().slots();
  if (all.size() != slots)
    return of("slots", all.size(), slots);
  for (const auto& [slot, tasks] : all) {
    std::uint64_t started = 0;
    for (const auto* task : tasks)
      started += task->started_us != 0 ? 1 : 0;
    if (const auto wrong = complaint(equal("tasks of slot " + slot, tasks.size(), attempts),
                                     equal("containers of slot " + slot, started, attempts));
        !wrong.empty())
      return wrong;
  }
  return {};
}

void keeps_failing(scenario_play& p, std::uint64_t slots, std::uint64_t attempts, std::int64_t delay_ms,
                   std::int64_t window_ms) {
  auto spec = web(slots);
  restart_with(spec, RESTART_CONDITION_ANY, delay_ms, attempts - 1, window_ms);
  p.unsteady();
  p.fates(fails_soon);
  p.step("create", p.create(spec), [&p] { return at_least("containers", p.seen().running(), 1); });
  p.step("all attempts", {}, [&p, total = slots * attempts] { return at_least("failures", p.seen().failed(), total); });
  // Nobody tries once more, however long one waits.
  p.step("nothing more", {}, p.lasts(20'000 * ms_us));
  p.always([&p, delay_ms] { return backed_off(p, delay_ms); });
  p.at_last([&p, slots, attempts] { return attempts_in_each_slot(p, slots, attempts); });
  for (std::uint64_t n = 1; n <= attempts; ++n)
    p.moment("after failure " + std::to_string(n), [&p, slots, n] { return p.seen().failed() > slots * (n - 1); });
  p.moment("when the last has failed", [&p, total = slots * attempts] { return p.seen().failed() == total; });
}

ServiceSpec job(const char* image) {
  auto spec = web(0, image);
  restart_with(spec, RESTART_CONDITION_ON_FAILURE, 300);
  spec.clear_mode();
  return spec;
}

// What is complete is complete: one container of each slot ends well, and it is the last one.
std::string completed_once(const scenario_play& p, std::uint64_t wanted) {
  const auto all = p.seen().slots();
  if (all.size() != wanted)
    return of("slots", all.size(), wanted);
  for (const auto& [slot, tasks] : all) {
    std::uint64_t well = 0;
    for (const auto* task : tasks)
      well += task->ended_us != 0 && task->exit_code == 0 ? 1 : 0;
    const auto& last = *tasks.back();
    if (well != 1 || last.exit_code != 0 || last.row.status().state() != TASK_STATE_COMPLETE)
      return "slot " + slot + " has completed " + std::to_string(well) + " times";
  }
  return {};
}

void job_moments(scenario_play& p, std::uint64_t total) {
  p.moment("when it is created", [&p] { return p.seen().service() != nullptr; });
  p.moment("when the first runs", [&p] { return p.seen().running() > 0; });
  p.moment("when the first has completed", [&p] { return p.seen().completed() > 0; });
  p.moment("when one has failed", [&p] { return p.seen().failed() > 0; });
  p.moment("half-way", [&p, total] { return p.seen().completed() >= total / 2; });
  p.moment("when the last has completed", [&p, total] { return p.seen().completed() == total; });
}

// The second container and the fifth one fail.
void job_fates(scenario_play& p) {
  p.fates([&p](const watched_task&) -> std::optional<fate> {
    const auto started = p.seen().count([](const watched_task& t) { return t.started_us != 0; });
    return fate{(300 + p.rng().below(700)) * ms_us, started == 2 || started == 5 ? 1 : 0};
  });
}

} // namespace

void restart_attempts(scenario_play& p) { keeps_failing(p, 2, 5, 500, 0); }

void restart_window(scenario_play& p) { keeps_failing(p, 2, 3, 1'000, 600'000); }

// The history that is kept is shorter than the row of failures.
void restart_backs_off(scenario_play& p) {
  constexpr std::uint64_t failures = 7;
  auto spec = web(1);
  restart_with(spec, RESTART_CONDITION_ANY, 1'000);
  p.unsteady();
  p.restless();
  p.fates(fails_soon);
  p.step("create", p.create(spec), [&p] { return at_least("containers", p.seen().running(), 1); });
  p.step("failures", {}, [&p] { return at_least("failures", p.seen().failed(), failures); });
  p.always([&p] { return backed_off(p, 1'000); });
  for (std::uint64_t n = 1; n <= failures; ++n)
    p.moment("after failure " + std::to_string(n), [&p, n] { return p.seen().failed() >= n; });
}

void replicated_job(scenario_play& p) {
  constexpr std::uint64_t total = 8, concurrent = 3;
  auto spec = job("old");
  spec.mutable_mode()->mutable_replicated_job()->set_max_concurrent(concurrent);
  spec.mutable_mode()->mutable_replicated_job()->set_total_completions(total);
  job_fates(p);
  p.step("create", p.create(spec), [&p] { return at_least("containers", p.seen().running(), 1); });
  p.step("all completions", {}, [&p] { return at_least("completed", p.seen().completed(), total); });
  p.step("told", {}, [&p] { return completed_once(p, total); });
  p.always([&p] {
    return complaint(at_most("containers", p.seen().running(), concurrent),
                     at_most("completed", p.seen().completed(), total));
  });
  p.at_last([&p] { return completed_once(p, total); });
  job_moments(p, total);
}

void global_job(scenario_play& p) {
  constexpr std::uint64_t nodes = 4;
  auto spec = job("old");
  spec.mutable_mode()->mutable_global_job();
  job_fates(p);
  p.step("create", p.create(spec), [&p] { return at_least("containers", p.seen().running(), 1); });
  p.step(
      "a node joins",
      [&p]() -> std::optional<ControlRequest> {
        p.start_worker(nodes - 1);
        return std::nullopt;
      },
      [&p] { return at_least("completed", p.seen().completed(), nodes); });
  p.step("told", {}, [&p] { return completed_once(p, nodes); });
  p.always([&p] { return at_most("completed", p.seen().completed(), nodes); });
  p.at_last([&p] { return completed_once(p, nodes); });
  job_moments(p, nodes);
  p.moment("when the node joins", [&p] { return p.seen().node(p.node(nodes - 1)) != nullptr; });
}

} // namespace swarm::sim
